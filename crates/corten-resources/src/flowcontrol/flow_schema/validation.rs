//! Rules of flow schemas.
//!
//! Upstream: pkg/apis/flowcontrol/validation (v1.35).

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    validation::{is_dns1123_label, is_dns1123_subdomain},
    value::semantically_equal,
};

use crate::{
    flowcontrol::{
        bootstrap::{MANDATORY_SCHEMAS, mandatory_spec},
        strategy::conditions,
    },
    report::Report,
    tree::{each_at, present, text_at, texts_at},
    view::texts,
};

const PRECEDENCE_MAX: i64 = 10_000;
const METHODS: &[&str] = &["ByNamespace", "ByUser"];
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
/// The kinds of subjects, with the field of each; sorted as upstream's message shows them.
const SUBJECTS: [(&str, &str); 3] = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

pub(super) fn schema(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("spec"));
    let spec = object.get("spec").unwrap_or(&null);
    let mut errors = ErrorList::new();
    precedence(spec, object.name(), &path.child("matchingPrecedence"), &mut errors);
    if let Some(method) = present(spec, &["distinguisherMethod"])
        && !METHODS.contains(&text_at(method, &["type"]))
    {
        let at = path.child("distinguisherMethod").child("type");
        // Shown under the name that upstream's own type has.
        let shown = Value::object_of([("Type", text_at(method, &["type"]).into())]);
        errors.push(Error::not_supported(&at, shown, METHODS));
    }
    let level = text_at(spec, &["priorityLevelConfiguration", "name"]);
    let at = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.required(&at, "must reference a priority level");
    } else {
        errors.invalids(&at, level, is_dns1123_subdomain(level));
    }
    for (at, rules) in each_at(spec, "rules", &path) {
        one_rule(rules, &at, &mut errors);
        if errors.is_full() {
            break;
        }
    }
    if let Some(fixed) = mandatory_spec(&MANDATORY_SCHEMAS, object.name())
        && !semantically_equal(Some(spec), Some(fixed))
    {
        errors.invalid_struct(
            &path,
            "io.k8s.api.flowcontrol.v1.FlowSchemaSpec",
            Some(spec),
            format!("spec of '{}' must equal the fixed value", object.name()),
        );
    }
    conditions(object, &mut errors);
    errors
}

fn precedence(spec: &Value, name: &str, path: &Path, errors: &mut ErrorList) {
    let precedence = spec.i64_at(&["matchingPrecedence"]).unwrap_or_default();
    if precedence <= 0 {
        errors.invalid(path, precedence, "must be a positive value");
    }
    if precedence > PRECEDENCE_MAX {
        errors.invalid(path, precedence, format!("must not be greater than {PRECEDENCE_MAX}"));
    }
    if precedence == 1 && name != "exempt" {
        errors.invalid(path, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
}

/// Who asks, and for what.
fn one_rule(rules: &Value, path: &Path, errors: &mut ErrorList) {
    if rules.items_at(&["subjects"]).is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (at, subject) in each_at(rules, "subjects", path) {
        one_subject(subject, &at, errors);
    }
    if rules.items_at(&["resourceRules"]).is_empty() && rules.items_at(&["nonResourceRules"]).is_empty() {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (at, rule) in each_at(rules, "resourceRules", path) {
        resource_rule(rule, &at, errors);
    }
    for (at, rule) in each_at(rules, "nonResourceRules", path) {
        non_resource_rule(rule, &at, errors);
    }
}

fn one_subject(subject: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text_at(subject, &["kind"]);
    let Some((_, own)) = SUBJECTS.into_iter().find(|(known, _)| *known == kind) else {
        errors.one_of(&path.child("kind"), kind, &SUBJECTS.map(|(known, _)| known));
        return;
    };
    let at = path.child(own);
    match present(subject, &[own]) {
        None => errors.required(&at, &format!("{own} is required when subject kind is '{kind}'")),
        Some(named) if kind == "ServiceAccount" => account(named, &at, errors),
        Some(named) => drop(errors.require(&at.child("name"), text_at(named, &["name"]))),
    }
    // The order of upstream's checks of what must not be there.
    for (other, field) in [SUBJECTS[1], SUBJECTS[2], SUBJECTS[0]] {
        if field != own && present(subject, &[field]).is_some() {
            let detail = format!("{field} is forbidden when subject kind is not '{other}'");
            errors.forbidden(&path.child(field), detail);
        }
    }
}

fn account(account: &Value, path: &Path, errors: &mut ErrorList) {
    let (name, at) = (text_at(account, &["name"]), path.child("name"));
    if errors.require(&at, name) && name != "*" {
        errors.object_name(&at, name);
    }
    let (namespace, at) = (text_at(account, &["namespace"]), path.child("namespace"));
    if namespace.is_empty() {
        errors.required(&at, "must specify namespace for service account");
    } else {
        errors.invalids(&at, namespace, is_dns1123_label(namespace));
    }
}

/// At least one verb, all known, or a star alone.
fn verbs(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let (verbs, at) = (texts_at(rule, &["verbs"]), path.child("verbs"));
    if verbs.is_empty() {
        errors.required(&at, "verbs must contain at least one value");
    } else if verbs.contains(&"*") {
        errors.lone_star(&at, &verbs, "verbs");
    } else if !verbs.iter().all(|verb| VERBS.contains(verb)) {
        errors.push_with(|| Error::not_supported(&at, texts(&verbs), VERBS));
    }
}

fn resource_rule(rule: &Value, path: &Path, errors: &mut ErrorList) {
    verbs(rule, path, errors);
    for (field, one, others) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        let (items, at) = (texts_at(rule, &[field]), path.child(field));
        if items.is_empty() {
            errors.required(&at, &format!("resource rules must supply at least one {one}"));
        }
        errors.lone_star(&at, &items, others);
    }
    let (namespaces, at) = (texts_at(rule, &["namespaces"]), path.child("namespaces"));
    let is_cluster = rule.bool_at(&["clusterScope"]).unwrap_or_default();
    if namespaces.is_empty() && !is_cluster {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&at, detail);
    } else if namespaces.contains(&"*") {
        errors.lone_star(&at, &namespaces, "namespaces");
    } else {
        for (index, namespace) in namespaces.iter().enumerate() {
            for message in is_dns1123_label(namespace) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                errors.invalid(&at.index(index), *namespace, detail);
            }
        }
    }
}

fn non_resource_rule(rule: &Value, path: &Path, errors: &mut ErrorList) {
    verbs(rule, path, errors);
    let (urls, at) = (texts_at(rule, &["nonResourceURLs"]), path.child("nonResourceURLs"));
    if urls.is_empty() {
        errors.required(&at, "nonResourceURLs must contain at least one value");
    } else if urls.contains(&"*") {
        errors.lone_star(&at, &urls, "non-resource URLs");
    } else {
        for (index, url) in urls.iter().enumerate() {
            if let Err(detail) = url_path(url) {
                errors.invalid(&at.index(index), *url, detail);
            }
        }
    }
}

/// Errors: why this is no path of an address, a star at its end allowed.
fn url_path(path: &str) -> Result<(), &'static str> {
    match path.matches('*').count() {
        _ if path.is_empty() => Err("must not be empty"),
        _ if path == "/" => Ok(()),
        _ if !path.starts_with('/') => Err("must start with slash"),
        _ if path.contains(' ') => Err("must not contain white-space"),
        _ if path.contains("//") => Err("must not contain double slash"),
        0 => Ok(()),
        1 if path.ends_with("/*") => Ok(()),
        _ => Err("wildcard can only do suffix matching"),
    }
}
