//! From declarations to the table: names resolved, inlined structs flattened, presence and merge rules worked out.
//!
//! Invariant: every protobuf message has its type and every number its field, with the same name and type; anything else
//! is an error, so the table cannot drift from the wire.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

use super::{
    go::{Declaration, Field as GoField, Source},
    protos::{Label, Message, Messages},
};

const META: &str = "k8s.io/apimachinery/pkg/apis/meta/v1";
const META_BETA: &str = "k8s.io/apimachinery/pkg/apis/meta/v1beta1";
const CORE: &str = "k8s.io/api/core/v1";
const RUNTIME: &str = "k8s.io/apimachinery/pkg/runtime";
const QUANTITY: &str = "k8s.io/apimachinery/pkg/api/resource";
const VERSION: &str = "k8s.io/apimachinery/pkg/version";
const INTSTR: &str = "k8s.io/apimachinery/pkg/util/intstr";

/// The packages in the table, by the start of their path.
const INCLUDED: &[&str] = &[
    "k8s.io/api/",
    "k8s.io/apiextensions-apiserver/",
    "k8s.io/apimachinery/",
    "k8s.io/apiserver/pkg/apis/audit/",
    "k8s.io/kube-aggregator/",
    "k8s.io/metrics/",
];

/// Groups whose name is not the folder's name followed by `.k8s.io`.
const GROUPS: &[(&str, &str)] = &[
    ("apiserverinternal", "internal.apiserver.k8s.io"),
    ("apps", "apps"),
    ("autoscaling", "autoscaling"),
    ("batch", "batch"),
    ("core", ""),
    ("custom_metrics", "custom.metrics.k8s.io"),
    ("extensions", "extensions"),
    ("external_metrics", "external.metrics.k8s.io"),
    ("flowcontrol", "flowcontrol.apiserver.k8s.io"),
    ("policy", "policy"),
    ("rbac", "rbac.authorization.k8s.io"),
];

/// Types with a form of their own on the wire.
const SPECIAL: &[(&str, &str, &str)] = &[
    (META, "Duration", "duration"),
    (META, "FieldsV1", "fields-v1"),
    (META, "MicroTime", "micro-time"),
    (META, "Time", "time"),
    (QUANTITY, "Quantity", "quantity"),
    (RUNTIME, "RawExtension", "raw-extension"),
    (INTSTR, "IntOrString", "int-or-string"),
];

/// Types of apiextensions with a form of their own on the wire; all but `JSON` hold schemas.
const SCHEMA_SPECIAL: &[(&str, &str)] = &[
    ("JSON", "json"),
    ("JSONSchemaPropsOrArray", "schema-or-array"),
    ("JSONSchemaPropsOrBool", "schema-or-bool"),
    ("JSONSchemaPropsOrStringArray", "schema-or-string-array"),
];

/// Types of `meta/v1` outside of the files that the data covers: name and fields, all of them text without `omitempty`.
const META_NAMES: &[(&str, &[&str])] = &[
    ("GroupKind", &["group", "kind"]),
    ("GroupResource", &["group", "resource"]),
    ("GroupVersion", &["group", "version"]),
    ("GroupVersionKind", &["group", "version", "kind"]),
    ("GroupVersionResource", &["group", "version", "resource"]),
    ("Patch", &[]),
];

/// The answer at `/version`: fields and whether they are left out when empty.
const VERSION_INFO: &[(&str, bool)] = &[
    ("major", false),
    ("minor", false),
    ("emulationMajor", true),
    ("emulationMinor", true),
    ("minCompatibilityMajor", true),
    ("minCompatibilityMinor", true),
    ("gitVersion", false),
    ("gitCommit", false),
    ("gitTreeState", false),
    ("buildDate", false),
    ("goVersion", false),
    ("compiler", false),
    ("platform", false),
];

/// Kinds of `meta/v1` that every scheme has once: (kind, its API versions).
const META_KINDS: &[(&str, &[&str])] = &[
    ("APIGroup", &["v1"]),
    ("APIGroupList", &["v1"]),
    ("APIResourceList", &["v1"]),
    ("APIVersions", &["v1"]),
    ("CreateOptions", &["v1"]),
    ("GetOptions", &["v1"]),
    ("ListOptions", &["v1"]),
    ("PartialObjectMetadata", &["meta.k8s.io/v1", "meta.k8s.io/v1beta1"]),
    ("PartialObjectMetadataList", &["meta.k8s.io/v1"]),
    ("PatchOptions", &["v1"]),
    ("Status", &["v1"]),
    ("Table", &["meta.k8s.io/v1", "meta.k8s.io/v1beta1"]),
    ("TableOptions", &["meta.k8s.io/v1", "meta.k8s.io/v1beta1"]),
    ("UpdateOptions", &["v1"]),
];

/// Kinds of `meta/v1` that are registered with every version of every built-in group.
const KINDS_OF_ALL_GROUPS: &[&str] = &["DeleteOptions", "WatchEvent"];

/// The table.
pub(crate) struct Table {
    /// Sorted by name.
    pub(crate) packages: Vec<Package>,
}

/// The types of one package.
pub(crate) struct Package {
    /// The short name that references in the file use: `core/v1`.
    pub(crate) alias: String,
    /// The start of its names in OpenAPI: `io.k8s.api.core.v1`.
    pub(crate) name: String,
    /// `group/version`, if it is one.
    pub(crate) api_version: Option<String>,
    /// Sorted by name.
    pub(crate) types: Vec<Type>,
}

/// One type.
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    /// The API versions in which it is a kind, sorted.
    pub(crate) kinds: Vec<String>,
    pub(crate) served: bool,
}

/// What its values look like.
pub(crate) enum Shape {
    Struct {
        atomic: bool,
        union: Option<Union>,
        fields: Vec<Field>,
    },
    Alias(Ty),
    /// The word for it; schema forms also name the schema.
    Special(&'static str, Option<Ty>),
}

/// A discriminated union: (JSON name of the discriminator, [(JSON name, its value)]).
pub(crate) type Union = (String, Vec<(String, String)>);

/// One field.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) numbers: Vec<u32>,
    pub(crate) presence: &'static str,
    pub(crate) required: bool,
    pub(crate) list: Option<String>,
    pub(crate) map: Option<String>,
    pub(crate) patch: String,
    pub(crate) default: Option<String>,
    pub(crate) enum_values: Vec<String>,
    pub(crate) gates: Vec<String>,
}

/// A type expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ty {
    Scalar(&'static str),
    Ref { package: String, name: String },
    List(Box<Ty>),
    Map(Box<Ty>),
}

/// A type expression with what its names add.
struct Resolved {
    ty: Ty,
    pointer: bool,
    enum_values: Vec<String>,
}

/// Makes the table. Errors name the type where the sources disagree.
pub(crate) fn resolve(source: &Source, messages: &Messages, served: &BTreeSet<&str>) -> anyhow::Result<Table> {
    let source = complete(source, messages)?;
    let resolver = Resolver { source: &source, messages };
    let mut checked = BTreeSet::new();
    let mut problems = Vec::new();
    let mut packages = Vec::new();
    for path in source.packages().filter(|path| INCLUDED.iter().any(|start| path.starts_with(start))) {
        let mut package = Package {
            alias: alias(path),
            name: open_api_name(path),
            api_version: api_version(path),
            types: Vec::new(),
        };
        for (name, declaration) in source.types(path) {
            let (shape, kind) = match resolver.describe(path, name, declaration) {
                Ok(Some(described)) => described,
                Ok(None) => continue,
                Err(error) => {
                    problems.push(format!("{path}.{name}: {error:#}"));
                    continue;
                }
            };
            checked.insert((path.to_owned(), name.to_owned()));
            let served = served.contains(format!("{}.{name}", package.name).as_str());
            let kinds = kinds(path, name, kind);
            package.types.push(Type { name: name.to_owned(), shape, kinds, served });
        }
        if !package.types.is_empty() {
            packages.push(package);
        }
    }
    let mut every: Vec<String> = packages
        .iter()
        .filter(|package| registers_options(package))
        .filter_map(|package| package.api_version.clone())
        .collect();
    every.sort_by_key(|api_version| {
        api_version.split_once('/').map(|(group, version)| (group.to_owned(), version.to_owned()))
    });
    let meta = packages.iter_mut().find(|package| package.alias == alias(META)).context("no meta/v1")?;
    for ty in meta.types.iter_mut().filter(|ty| KINDS_OF_ALL_GROUPS.contains(&ty.name.as_str())) {
        ty.kinds.clone_from(&every);
    }
    for (package, name) in messages.keys() {
        let included = INCLUDED.iter().any(|start| package.starts_with(start)) && !is_left_out(package, name);
        if included && !checked.contains(&(package.clone(), name.clone())) {
            problems.push(format!("message {package}.{name} has no type"));
        }
    }
    ensure!(problems.is_empty(), "the sources disagree:\n{}", problems.join("\n"));
    check_references(&packages)?;
    packages.sort_by(|a, b| a.alias.cmp(&b.alias));
    Ok(Table { packages })
}

/// Adds what the data leaves out: types outside of its files, structs without fields, and a version equal to its successor.
fn complete(source: &Source, messages: &Messages) -> anyhow::Result<Source> {
    let mut source = source.clone();
    let aggregator = "k8s.io/kube-aggregator/pkg/apis/apiregistration";
    source.copy_package(&format!("{aggregator}/v1"), &format!("{aggregator}/v1beta1"))?;
    for (name, fields) in META_NAMES {
        let fields = (1..).zip(*fields).map(|(number, field)| plain_field(field, "string", number)).collect();
        source.add(META, name, Declaration { fields, ..Declaration::default() });
    }
    source.add(META, "Duration", Declaration::default());
    let fields = VERSION_INFO.iter().map(|&(name, optional)| GoField {
        omit_empty: optional,
        number: None,
        ..plain_field(name, "string", 0)
    });
    source.add(VERSION, "Info", Declaration { fields: fields.collect(), ..Declaration::default() });
    let fields = vec![plain_field("type", "string", 1), plain_field("object", "runtime.RawExtension", 2)];
    source.add(META, "WatchEvent", Declaration { fields, ..Declaration::default() });
    // The same list as in v1, but for the numbers.
    let mut list = source.find(META, "PartialObjectMetadataList").context("no PartialObjectMetadataList")?.clone();
    for field in &mut list.fields {
        field.ty = field
            .ty
            .replace("ListMeta", "v1.ListMeta")
            .replace("PartialObject", "v1.PartialObject")
            .replace("TypeMeta", "v1.TypeMeta");
        field.number = match field.json_name.as_str() {
            "items" => Some(1),
            "metadata" => Some(2),
            _ => None,
        };
    }
    source.add(META_BETA, "PartialObjectMetadataList", list);
    for ((package, name), message) in messages {
        if message.is_empty() && source.find(package, name).is_none() {
            source.add(package, name, Declaration::default());
        }
    }
    Ok(source)
}

fn plain_field(json_name: &str, ty: &str, number: u32) -> GoField {
    GoField {
        go_name: String::new(),
        json_name: json_name.to_owned(),
        ty: ty.to_owned(),
        number: Some(number),
        omit_empty: false,
        omit_zero: false,
        inline: false,
        patch: String::new(),
        markers: super::go::Markers::default(),
    }
}

/// Types that are parts of others or of the protobuf envelope, never on the wire by themselves.
fn is_left_out(package: &str, name: &str) -> bool {
    let envelope = package == RUNTIME && name != "RawExtension";
    let parts = (package == QUANTITY && name != "Quantity") || (package == INTSTR && name != "IntOrString");
    let internal = package == META && ["InternalEvent", "Timestamp"].contains(&name);
    let other = package.contains("/testapigroup/") || package.ends_with("/runtime/schema");
    envelope || parts || internal || other || name.starts_with(|first: char| first.is_ascii_lowercase())
}

fn kinds(package: &str, name: &str, has_kind: bool) -> Vec<String> {
    match package {
        META => {
            let listed = META_KINDS.iter().find(|(kind, _)| *kind == name);
            listed.map(|(_, versions)| versions.iter().map(|&version| version.to_owned()).collect()).unwrap_or_default()
        }
        META_BETA => Vec::new(),
        _ if has_kind => api_version(package).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Whether a package's version is one where the options of requests are registered: all groups of the API server's schemes.
fn registers_options(package: &Package) -> bool {
    let built_in = package.name.starts_with("io.k8s.api.") && !package.alias.starts_with("apidiscovery/");
    built_in || package.alias.starts_with("apiextensions/") || package.alias.starts_with("apiregistration/")
}

struct Resolver<'a> {
    source: &'a Source,
    messages: &'a Messages,
}

impl Resolver<'_> {
    /// The shape of a declared type and whether it is a kind; `None` if it is not a type of the table.
    fn describe(&self, package: &str, name: &str, declaration: &Declaration) -> anyhow::Result<Option<(Shape, bool)>> {
        if is_left_out(package, name) {
            return Ok(None);
        }
        if let Some((.., word)) = SPECIAL.iter().find(|(path, special, _)| (*path, *special) == (package, name)) {
            return Ok(Some((Shape::Special(word, None), false)));
        }
        if package.contains("/apiextensions/")
            && let Some((_, word)) = SCHEMA_SPECIAL.iter().find(|(special, _)| *special == name)
        {
            let schema = Ty::Ref { package: package.to_owned(), name: "JSONSchemaProps".to_owned() };
            return Ok(Some((Shape::Special(word, (*word != "json").then_some(schema)), false)));
        }
        let message = self.messages.get(&(package.to_owned(), name.to_owned()));
        let Some(target) = &declaration.alias else {
            return self.describe_struct(package, declaration, message).map(Some);
        };
        // Another name has a place of its own only where protobuf has a message for it.
        let Some(message) = message else { return Ok(None) };
        if target.starts_with("[]") {
            return Ok(Some((Shape::Alias(self.ty(package, target)?.ty), false)));
        }
        let (origin, target) = self.locate(package, target)?;
        let declaration = self.source.find(&origin, &target).with_context(|| format!("no type {origin}.{target}"))?;
        let (shape, _) = self.describe_struct(&origin, declaration, Some(message))?;
        Ok(Some((shape, (package, name) == (CORE, "List"))))
    }

    fn describe_struct(
        &self,
        package: &str,
        declaration: &Declaration,
        message: Option<&Message>,
    ) -> anyhow::Result<(Shape, bool)> {
        if let Some(message) = message {
            self.check_message(package, declaration, message)?;
        }
        let mut fields = Vec::new();
        self.flatten(package, declaration, message.map(|_| Vec::new()), &mut fields)?;
        let names: BTreeSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
        ensure!(names.len() == fields.len(), "a JSON name is there twice");
        let is_object = declaration
            .markers
            .get("k8s:deepcopy-gen:interfaces")
            .is_some_and(|value| value.ends_with("runtime.Object"));
        let has_kind = is_object && declaration.fields.iter().any(|field| field.inline && field.go_name == "TypeMeta");
        let union = declaration.markers.has("union").then(|| union(declaration)).transpose()?;
        let atomic = declaration.markers.get("structType") == Some("atomic");
        Ok((Shape::Struct { atomic, union, fields }, has_kind))
    }

    /// Appends the fields of a struct, in place of inlined structs theirs. `path`: the numbers to here, if protobuf has it.
    fn flatten(
        &self,
        package: &str,
        declaration: &Declaration,
        path: Option<Vec<u32>>,
        into: &mut Vec<Field>,
    ) -> anyhow::Result<()> {
        for field in declaration.fields.iter().filter(|field| field.json_name != "-") {
            let numbers = path.as_ref().zip(field.number).map(|(path, number)| [path.as_slice(), &[number]].concat());
            if field.inline {
                // Through other names of the struct, to where it is declared.
                let Ty::Ref { package: origin, name } = self.ty(package, &field.ty)?.ty else {
                    bail!("inlines no struct")
                };
                let inner = self.source.find(&origin, &name).with_context(|| format!("no type {origin}.{name}"))?;
                self.flatten(&origin, inner, numbers, into)?;
            } else {
                ensure!(!field.json_name.is_empty(), "field {} has no JSON name", field.go_name);
                into.push(self.field(package, field, numbers).with_context(|| format!("field {}", field.go_name))?);
            }
        }
        Ok(())
    }

    fn field(&self, package: &str, field: &GoField, numbers: Option<Vec<u32>>) -> anyhow::Result<Field> {
        let Resolved { ty, pointer, enum_values } = self.ty(package, &field.ty)?;
        let markers = &field.markers;
        let list = match markers.get("listType") {
            Some("map") => Some(format!("map({})", markers.all("listMapKey").collect::<Vec<_>>().join(","))),
            other => other.map(str::to_owned),
        };
        let default = match markers.get("default") {
            Some(value) => Some(self.default(package, value)?),
            None => None,
        };
        Ok(Field {
            name: field.json_name.clone(),
            presence: match () {
                () if field.omit_zero => "omitzero",
                () if pointer && field.omit_empty => "pointer",
                () if pointer => "nullable",
                () if field.omit_empty && !self.is_struct(&ty) => "omitempty",
                () => "always",
            },
            ty,
            numbers: numbers.unwrap_or_default(),
            required: is_required(field),
            list,
            map: markers.get("mapType").or(markers.get("structType")).map(str::to_owned),
            patch: field.patch.clone(),
            default,
            enum_values,
            gates: markers.all("featureGate").flat_map(|gates| gates.split(',')).map(str::to_owned).collect(),
        })
    }

    fn default(&self, package: &str, value: &str) -> anyhow::Result<String> {
        let Some(constant) = value.strip_prefix("ref(").and_then(|rest| rest.strip_suffix(')')) else {
            return Ok(value.to_owned());
        };
        let value = self.source.constant(package, constant).with_context(|| format!("no constant {constant}"))?;
        Ok(serde_json::to_string(value)?)
    }

    /// Whether Go never leaves out a value of this type: everything declared but another name of a list.
    fn is_struct(&self, ty: &Ty) -> bool {
        let Ty::Ref { package, name } = ty else { return false };
        self.source
            .find(package, name)
            .is_some_and(|declaration| declaration.alias.as_ref().is_none_or(|alias| !alias.starts_with("[]")))
    }

    /// Resolves a type expression as seen from `package`.
    fn ty(&self, package: &str, text: &str) -> anyhow::Result<Resolved> {
        if let Some(target) = text.strip_prefix('*') {
            return Ok(Resolved { pointer: true, ..self.ty(package, target)? });
        }
        if text == "[]byte" {
            return Ok(Resolved { ty: Ty::Scalar("bytes"), pointer: false, enum_values: Vec::new() });
        }
        if let Some(item) = text.strip_prefix("[]") {
            let item = self.ty(package, item)?;
            return Ok(Resolved { ty: Ty::List(Box::new(item.ty)), pointer: false, enum_values: item.enum_values });
        }
        if let Some(rest) = text.strip_prefix("map[") {
            let (_, value) = rest.split_once(']').context("a map without value")?;
            let value = self.ty(package, value)?;
            return Ok(Resolved { ty: Ty::Map(Box::new(value.ty)), pointer: false, enum_values: Vec::new() });
        }
        let scalar = match text {
            "string" | "types.UID" | "types.NodeName" => Some("string"),
            "bool" => Some("bool"),
            "int32" => Some("int32"),
            "int64" | "int" => Some("int64"),
            "float64" => Some("double"),
            _ => None,
        };
        if let Some(scalar) = scalar {
            return Ok(Resolved { ty: Ty::Scalar(scalar), pointer: false, enum_values: Vec::new() });
        }
        let (package, name) = self.locate(package, text)?;
        let declaration = self.source.find(&package, &name).with_context(|| format!("no type {package}.{name}"))?;
        let own = Resolved {
            ty: Ty::Ref { package: package.clone(), name: name.clone() },
            pointer: false,
            enum_values: Vec::new(),
        };
        let Some(target) = &declaration.alias else { return Ok(own) };
        if self.messages.contains_key(&(package.clone(), name.clone())) {
            return Ok(own);
        }
        let mut target = self.ty(&package, target)?;
        if declaration.markers.has("enum") {
            let values: BTreeSet<&str> = self.source.values(&package, &name).collect();
            if !values.is_empty() {
                target.enum_values = values.into_iter().map(str::to_owned).collect();
            }
        }
        Ok(target)
    }

    /// The package and name of a named type as seen from `package`.
    fn locate(&self, package: &str, text: &str) -> anyhow::Result<(String, String)> {
        let Some((qualifier, name)) = text.split_once('.') else { return Ok((package.to_owned(), text.to_owned())) };
        // An audit event holds requests and answers as they were, in an envelope that JSON does not show.
        if (qualifier, name) == ("runtime", "Unknown") {
            return Ok((RUNTIME.to_owned(), "RawExtension".to_owned()));
        }
        let sibling = package.rsplit_once('/').map(|(group, _)| format!("{group}/v1")).unwrap_or_default();
        let candidates: Vec<String> = match qualifier {
            "metav1" => vec![META.into()],
            "corev1" | "apiv1" => vec![CORE.into()],
            "authenticationv1" | "authnv1" => vec!["k8s.io/api/authentication/v1".into()],
            "authorizationv1" => vec!["k8s.io/api/authorization/v1".into()],
            "batchv1" => vec!["k8s.io/api/batch/v1".into()],
            "intstr" => vec![INTSTR.into()],
            "resource" => vec![QUANTITY.into()],
            "runtime" => vec![RUNTIME.into()],
            // Imported under this name: the group's own v1, the core group's, or the machinery's.
            "v1" => vec![sibling, CORE.into(), META.into()],
            _ => bail!("unknown package {qualifier}"),
        };
        let found = candidates.into_iter().find(|candidate| self.source.find(candidate, name).is_some());
        Ok((found.with_context(|| format!("no type {text}"))?, name.to_owned()))
    }

    /// Compares a declaration with its message, both ways.
    fn check_message(&self, package: &str, declaration: &Declaration, message: &Message) -> anyhow::Result<()> {
        let mut numbered = BTreeMap::new();
        for field in &declaration.fields {
            if let Some(number) = field.number {
                ensure!(numbered.insert(number, field).is_none(), "number {number} is there twice");
            }
        }
        ensure!(numbered.keys().eq(message.keys()), "numbers differ: {:?} and {:?}", numbered.keys(), message.keys());
        for (number, field) in numbered {
            let wire = &message[&number];
            let ty = self.ty(package, &field.ty)?.ty;
            let (label, element) = match &ty {
                Ty::List(item) => (Label::Repeated, item.as_ref()),
                Ty::Map(value) => (Label::Map, value.as_ref()),
                other => (Label::Optional, other),
            };
            ensure!(label == wire.label, "field {}: {label:?} and {:?}", field.go_name, wire.label);
            let expected = match element {
                Ty::Scalar(scalar) => (*scalar).to_owned(),
                Ty::Ref { package, name } => format!("{package}.{name}"),
                Ty::Map(_) | Ty::List(_) => bail!("field {}: a list of lists", field.go_name),
            };
            ensure!(expected == wire.ty, "field {}: {expected} and {}", field.go_name, wire.ty);
            let same_name = field.inline
                || field.json_name == "-"
                || field.json_name.replace('-', "").eq_ignore_ascii_case(&wire.name);
            // Where JSON has another name than Go, protobuf may have either.
            ensure!(
                same_name || field.go_name.eq_ignore_ascii_case(&wire.name),
                "field {}: named {}",
                field.go_name,
                wire.name
            );
        }
        Ok(())
    }
}

fn is_required(field: &GoField) -> bool {
    field.markers.has("required") || (!field.markers.has("optional") && !field.omit_empty && !field.omit_zero)
}

fn union(declaration: &Declaration) -> anyhow::Result<Union> {
    let discriminator =
        declaration.fields.iter().find(|field| field.markers.has("unionDiscriminator")).context("no discriminator")?;
    let others =
        declaration.fields.iter().filter(|field| field.go_name != discriminator.go_name && !is_required(field));
    let members = others.map(|field| (field.json_name.clone(), field.go_name.clone())).collect();
    Ok((discriminator.json_name.clone(), members))
}

fn check_references(packages: &[Package]) -> anyhow::Result<()> {
    let known: BTreeSet<(&str, &str)> = packages
        .iter()
        .flat_map(|package| package.types.iter().map(|ty| (package.alias.as_str(), ty.name.as_str())))
        .collect();
    for package in packages {
        for ty in &package.types {
            let Shape::Struct { fields, .. } = &ty.shape else { continue };
            for field in fields {
                if let Ty::Ref { package: to, name } = innermost(&field.ty) {
                    let to = alias(to);
                    ensure!(
                        known.contains(&(&to, name)),
                        "{}.{}.{} refers to {to}.{name}",
                        package.alias,
                        ty.name,
                        field.name
                    );
                }
            }
        }
    }
    Ok(())
}

fn innermost(ty: &Ty) -> &Ty {
    match ty {
        Ty::List(inner) | Ty::Map(inner) => innermost(inner),
        _ => ty,
    }
}

/// The short name of a package: its last folder, with the one before if that is the group of a version.
pub(crate) fn alias(path: &str) -> String {
    let mut parts = path.rsplit('/');
    let last = parts.next().unwrap_or_default();
    match parts.next() {
        Some(group) if is_version(last) => format!("{group}/{last}"),
        _ => last.to_owned(),
    }
}

fn is_version(folder: &str) -> bool {
    folder.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// `k8s.io/api/core/v1` -> `io.k8s.api.core.v1`.
fn open_api_name(path: &str) -> String {
    path.replacen("k8s.io", "io.k8s", 1).replace('/', ".")
}

fn api_version(path: &str) -> Option<String> {
    let (folder, version) = path.rsplit_once('/').filter(|(_, version)| is_version(version))?;
    let folder = folder.rsplit('/').next()?;
    let group = GROUPS
        .iter()
        .find(|(name, _)| *name == folder)
        .map_or_else(|| format!("{folder}.k8s.io"), |(_, group)| (*group).to_owned());
    Some(if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") })
}
