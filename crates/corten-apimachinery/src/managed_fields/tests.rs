use std::{ops::ControlFlow, sync::Arc};

use jiff::Timestamp;

use super::{ApplyError, FieldSet, PathElement, Typed, Views, Write, apply, keep_times, update_managed_fields};
use crate::{
    codec::{FieldValidation, json},
    meta::ObjectMeta as _,
    type_table::{Field, FieldType, ListType, Presence, Shape, Struct, Type, TypeId, TypeTable},
    value::{Raw, Str, Value},
};

pub(super) fn parse(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

/// Without what is kept as text.
fn tree(value: &Value) -> Value {
    let mut value = value.clone();
    value.expand_raw();
    value
}

fn set(text: &str) -> FieldSet {
    FieldSet::from_value(&parse(text)).unwrap()
}

fn field(name: &str, ty: FieldType) -> Field {
    Field { name: name.into(), ty, ..Field::default() }
}

fn always(name: &str, ty: FieldType) -> Field {
    Field { presence: Presence::Always, ..field(name, ty) }
}

fn list(name: &str, item: FieldType, list: Option<ListType>) -> Field {
    Field { list, ..field(name, FieldType::List(Arc::new(item))) }
}

fn keyed(name: &str, item: TypeId, keys: &[&str]) -> Field {
    let keys = keys.iter().map(|key| Str::from(*key)).collect();
    list(name, FieldType::Ref(item), Some(ListType::Map(keys)))
}

fn map(name: &str) -> Field {
    field(name, FieldType::Map(Arc::new(FieldType::String)))
}

/// A small workload kind in the manner of a Deployment.
pub(super) fn table() -> (TypeTable, TypeId) {
    table_with(true, ListType::Atomic, false)
}

/// The same with its selector as a whole or field by field, arguments as they are listed, and a field that only some have.
pub(super) fn table_with(is_selector_atomic: bool, args: ListType, has_more: bool) -> (TypeTable, TypeId) {
    let mut table = TypeTable::default();
    let mut define = |name: &str, fields: Vec<Field>, atomic: bool| {
        let shape = Shape::Struct(Struct { atomic, ..Struct::new(fields) });
        FieldType::Ref(table.define(Type { name: name.into(), shape, kinds: Vec::new(), served: true }))
    };
    let id = |ty: &FieldType| match ty {
        FieldType::Ref(id) => *id,
        _ => unreachable!("structs are referred to"),
    };
    let meta = define(
        "Meta",
        vec![
            field("name", FieldType::String),
            field("namespace", FieldType::String),
            field("uid", FieldType::String),
            field("resourceVersion", FieldType::String),
            map("labels"),
            map("annotations"),
            list("finalizers", FieldType::String, Some(ListType::Set)),
            list("managedFields", FieldType::Any, Some(ListType::Atomic)),
        ],
        false,
    );
    let protocol = Field { default: Some("TCP".into()), ..field("protocol", FieldType::String) };
    let port = define(
        "Port",
        vec![field("containerPort", FieldType::Int32), field("name", FieldType::String), protocol],
        false,
    );
    let env = define("Env", vec![field("name", FieldType::String), field("value", FieldType::String)], false);
    let container = define(
        "Container",
        vec![
            field("name", FieldType::String),
            field("image", FieldType::String),
            list("args", FieldType::String, Some(args)),
            keyed("ports", id(&port), &["containerPort", "protocol"]),
            keyed("env", id(&env), &["name"]),
            field("tty", FieldType::Bool),
        ],
        false,
    );
    let selector = define("Selector", vec![map("matchLabels")], is_selector_atomic);
    let mut fields = vec![
        Field { presence: Presence::Pointer, ..field("replicas", FieldType::Int32) },
        field("selector", selector),
        Field { presence: Presence::Always, ..keyed("containers", id(&container), &["name"]) },
        field("extra", FieldType::Any),
    ];
    if has_more {
        fields.push(map("more"));
    }
    let spec = define("Spec", fields, false);
    let status = define("Status", vec![field("ready", FieldType::Int32)], false);
    let kind = define(
        "Workload",
        vec![
            field("kind", FieldType::String),
            field("apiVersion", FieldType::String),
            always("metadata", meta),
            always("spec", spec),
            always("status", status),
        ],
        false,
    );
    let kind = id(&kind);
    (table, kind)
}

/// `apps/v1`, and `apps/v1beta1` with the same form.
#[derive(Debug)]
struct TwoVersions(TypeTable, TypeId);

impl Views for TwoVersions {
    fn typed(&self, api_version: &str) -> Option<(&TypeTable, TypeId)> {
        matches!(api_version, "apps/v1" | "apps/v1beta1").then_some((&self.0, self.1))
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        let mut object = object.clone();
        object.set(&["apiVersion"], api_version);
        Some(object)
    }
}

/// One object and those who write to it.
pub(super) struct Cluster {
    table: TypeTable,
    views: Box<dyn Views>,
    pub(super) live: Option<Value>,
    seconds: i64,
    subresource: &'static str,
    reset: &'static [&'static [&'static str]],
    owned: &'static [&'static [&'static str]],
    api_version: &'static str,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let (table, id) = table();
        Self {
            table: table.clone(),
            views: Box::new(TwoVersions(table, id)),
            live: None,
            seconds: 0,
            subresource: "",
            reset: &[],
            owned: &[],
            api_version: "apps/v1",
        }
    }

    /// The kind gets other types, as when its definition is changed.
    pub(super) fn retype(&mut self, (table, id): (TypeTable, TypeId)) -> &mut Self {
        self.table = table.clone();
        self.views = Box::new(TwoVersions(table, id));
        self
    }

    /// Writes go through another endpoint from now on.
    pub(super) fn endpoint(
        &mut self,
        subresource: &'static str,
        reset: &'static [&'static [&'static str]],
        owned: &'static [&'static [&'static str]],
    ) -> &mut Self {
        (self.subresource, self.reset, self.owned) = (subresource, reset, owned);
        self
    }

    fn write<'a>(&'a self, manager: &'a str) -> Write<'a> {
        Write {
            views: &*self.views,
            api_version: self.api_version,
            kind: "Workload",
            manager,
            subresource: self.subresource,
            now: Timestamp::from_second(self.seconds).unwrap(),
            reset_fields: self.reset,
            owned_fields: self.owned,
        }
    }

    fn object(&self, rest: &str) -> Value {
        let mut object = parse(rest);
        object.set(&["apiVersion"], self.api_version);
        object.set(&["kind"], "Workload");
        object.set_meta("name", "web");
        object
    }

    /// What the server does with an object before it is stored.
    fn canonical(&self, mut object: Value) -> Value {
        let id = self.views.typed("apps/v1").unwrap().1;
        crate::codec::canonicalize(&mut object, &self.table, id);
        object.set_meta("uid", "u");
        object
    }

    /// A create or update with a whole object.
    pub(super) fn put(&mut self, manager: &str, rest: &str) -> &mut Self {
        self.seconds += 1;
        let mut new = self.canonical(self.object(rest));
        update_managed_fields(&self.write(manager), self.live.as_ref(), &mut new);
        if let Some(live) = &self.live {
            keep_times(&mut new, live);
        }
        self.live = Some(new);
        self
    }

    /// A change of some of the live object.
    pub(super) fn change(&mut self, manager: &str, change: impl FnOnce(&mut Value)) -> &mut Self {
        self.seconds += 1;
        let mut new = self.live.clone().unwrap();
        change(&mut new);
        let mut new = self.canonical(new);
        update_managed_fields(&self.write(manager), self.live.as_ref(), &mut new);
        if let Some(live) = &self.live {
            keep_times(&mut new, live);
        }
        self.live = Some(new);
        self
    }

    pub(super) fn try_apply(&mut self, manager: &str, rest: &str, force: bool) -> Result<(), ApplyError> {
        self.seconds += 1;
        let config = self.object(rest);
        let applied = apply(&self.write(manager), self.live.as_ref(), &config, force)?;
        let mut new = self.canonical(applied.object);
        if let Some(live) = &self.live {
            keep_times(&mut new, live);
        }
        self.live = Some(new);
        Ok(())
    }

    #[track_caller]
    pub(super) fn apply(&mut self, manager: &str, rest: &str) -> &mut Self {
        self.try_apply(manager, rest, false).unwrap();
        self
    }

    #[track_caller]
    pub(super) fn conflicts(&mut self, manager: &str, rest: &str, want: &str) -> &mut Self {
        let error = self.try_apply(manager, rest, false).unwrap_err();
        assert_eq!(error.to_string(), want);
        self
    }

    /// The entries: manager, operation, version, subresource, seconds, fields.
    pub(super) fn entries(&self) -> Vec<String> {
        let live = self.live.as_ref().unwrap();
        live.items_at(&["metadata", "managedFields"])
            .iter()
            .map(|entry| {
                let text = |key: &str| entry.str_at(&[key]).unwrap_or("-");
                let time = crate::meta::parse_time(text("time")).map_or(-1, Timestamp::as_second);
                let fields = json::encode(entry.get("fieldsV1").unwrap(), None);
                let fields = std::str::from_utf8(&fields).unwrap().replace(":{}", "");
                format!("{} {} {} {} {fields}", text("manager"), text("operation"), text("subresource"), time)
            })
            .collect()
    }

    #[track_caller]
    pub(super) fn owned(&mut self, want: &[&str]) -> &mut Self {
        assert_eq!(self.entries(), want);
        self
    }

    #[track_caller]
    pub(super) fn spec(&mut self, want: &str) -> &mut Self {
        assert_eq!(self.live.as_ref().unwrap().get("spec"), Some(&parse(want)));
        self
    }
}

const ONE: &str = r#"{"spec":{"replicas":1,"containers":[{"name":"a","image":"i"}]}}"#;

#[test]
fn a_create_owns_what_it_sets_and_not_what_is_always_there() {
    let fields = r#"{"f:metadata":{"f:labels":{".","f:app"}},"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:image","f:name"}},"f:replicas"}}"#;
    let create =
        r#"{"metadata":{"labels":{"app":"web"}},"spec":{"replicas":1,"containers":[{"name":"a","image":"i"}]}}"#;
    Cluster::new().put("kubectl-create", create).owned(&[&format!("kubectl-create Update - 1 {fields}")]);
}

#[test]
fn an_update_takes_over_what_it_changes() {
    Cluster::new()
        .put("one", ONE)
        .change("two", |object| object.set(&["spec", "replicas"], 2_i64))
        .owned(&[
            r#"one Update - 1 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:image","f:name"}}}}"#,
            r#"two Update - 2 {"f:spec":{"f:replicas"}}"#,
        ])
        .change("two", |object| {
            object.unset(&["spec", "replicas"]);
        })
        .owned(&[r#"one Update - 1 {"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".","f:image","f:name"}}}}"#]);
}

#[test]
fn a_write_that_changes_nothing_leaves_the_entries_alone() {
    let mut cluster = Cluster::new();
    cluster.put("one", ONE);
    let before = cluster.live.clone();
    cluster.change("two", |_| {}).put("three", ONE);
    assert_eq!(cluster.live, before);
}

#[test]
fn a_client_can_clear_its_managed_fields_and_bad_ones_are_ignored() {
    let mut cluster = Cluster::new();
    cluster.put("one", ONE).change("two", |object| object.set(&["metadata", "managedFields"], parse("[{}]")));
    assert_eq!(cluster.entries(), [""; 0]);
    // Without entries, nothing is recorded until somebody applies.
    cluster.put("one", r#"{"spec":{"replicas":3}}"#);
    assert_eq!(cluster.entries(), [""; 0]);

    let mut cluster = Cluster::new();
    cluster.put("one", r#"{"spec":{"replicas":1}}"#).change("two", |object| {
        object.set(&["metadata", "managedFields"], parse(r#"[{"manager":"x","operation":"Steal"}]"#));
    });
    cluster.owned(&[r#"one Update - 1 {"f:spec":{"f:replicas"}}"#]);
}

#[test]
fn a_subresource_has_entries_of_its_own_and_what_is_reset_is_nobodys() {
    let mut cluster = Cluster::new();
    cluster.reset = &[&["status"]];
    cluster.put("one", r#"{"spec":{"replicas":1},"status":{"ready":7}}"#);
    cluster.owned(&[r#"one Update - 1 {"f:spec":{"f:replicas"}}"#]);
    cluster.reset = &[&["spec"]];
    cluster.subresource = "status";
    cluster.change("kubelet", |object| object.set(&["status", "ready"], 1_i64));
    cluster
        .owned(&[r#"one Update - 1 {"f:spec":{"f:replicas"}}"#, r#"kubelet Update status 2 {"f:status":{"f:ready"}}"#]);
}

#[test]
fn the_oldest_of_more_than_ten_updaters_are_merged() {
    let mut cluster = Cluster::new();
    cluster.put("m00", r#"{"metadata":{"labels":{"l00":"x"}}}"#);
    for number in 1..=12 {
        let label = format!("l{number:02}");
        cluster.change(&format!("m{number:02}"), |object| object.set(&["metadata", "labels", &label], "x"));
    }
    let entries = cluster.entries();
    assert_eq!(entries.len(), 10);
    assert_eq!(
        entries[0],
        r#"ancient-changes Update - 4 {"f:metadata":{"f:labels":{".","f:l00","f:l01","f:l02","f:l03"}}}"#
    );
    assert!(entries[1].starts_with("m04 "), "{entries:?}");
}

#[test]
fn an_apply_conflicts_with_what_an_update_owns() {
    let mut cluster = Cluster::new();
    cluster.put("kubectl-client-side-apply", r#"{"spec":{"replicas":1}}"#);
    let two = r#"{"spec":{"replicas":2}}"#;
    cluster.conflicts(
        "kubectl",
        two,
        r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas"#,
    );
    let status = cluster.try_apply("kubectl", two, false).unwrap_err().to_status();
    let causes = status.to_value();
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        causes.at(&["details", "causes"]).unwrap().as_array().unwrap()[0],
        parse(
            r#"{"reason":"FieldManagerConflict","message":"conflict with \"kubectl-client-side-apply\" using apps/v1","field":".spec.replicas"}"#
        )
    );
    cluster.try_apply("kubectl", two, true).unwrap();
    cluster.owned(&[r#"kubectl Apply - 4 {"f:spec":{"f:replicas"}}"#]).spec(r#"{"replicas":2,"containers":null}"#);
}

#[test]
fn conflicts_are_listed_by_manager() {
    let mut cluster = Cluster::new();
    cluster
        .apply("b", r#"{"metadata":{"labels":{"x":"1"}}}"#)
        .apply("a", r#"{"spec":{"replicas":1,"containers":[{"name":"c","image":"1"}]}}"#);
    cluster.conflicts(
        "c",
        r#"{"metadata":{"labels":{"x":"2"}},"spec":{"replicas":2,"containers":[{"name":"c","image":"2"}]}}"#,
        "Apply failed with 3 conflicts: conflicts with \"a\":\n- .spec.replicas\n- .spec.containers[name=\"c\"].image\nconflicts with \"b\":\n- .metadata.labels.x",
    );
}

#[test]
fn the_same_value_is_owned_by_both() {
    let mut cluster = Cluster::new();
    let one = r#"{"spec":{"replicas":1}}"#;
    cluster
        .apply("a", one)
        .apply("b", one)
        .owned(&[r#"a Apply - 1 {"f:spec":{"f:replicas"}}"#, r#"b Apply - 2 {"f:spec":{"f:replicas"}}"#]);
    // One of two owners leaves: the value stays. The other too: it goes.
    cluster.apply("a", "{}").spec(r#"{"replicas":1,"containers":null}"#);
    cluster.apply("b", "{}").spec(r#"{"containers":null}"#);
    assert_eq!(cluster.entries(), [""; 0]);
}

#[test]
fn what_is_no_longer_applied_goes_unless_others_updated_below_it() {
    let both = r#"{"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","image":"i"}]}}"#;
    let only_a = r#"{"spec":{"containers":[{"name":"a","image":"i"}]}}"#;
    let mut cluster = Cluster::new();
    cluster.apply("me", both).apply("me", only_a).spec(r#"{"containers":[{"name":"a","image":"i"}]}"#);

    let mut cluster = Cluster::new();
    cluster.apply("me", both).change("other", |object| {
        let containers = object.at_mut(&["spec", "containers"]).unwrap().as_array_mut().unwrap();
        containers[1].set(&["tty"], true);
    });
    // Upstream removes the item with all that is in it: the one who applied the item decides on it.
    cluster.apply("me", only_a).spec(r#"{"containers":[{"name":"a","image":"i"}]}"#);
}

/// An apply that left out the last of its own took with it what others had written without applying.
#[test]
fn what_others_have_written_stays_when_the_last_field_beside_it_is_no_longer_applied() {
    let mut cluster = Cluster::new();
    let labels =
        r#"{"metadata":{"labels":{"a":"1","b":"1"},"finalizers":["x/y"]},"spec":{"containers":[{"name":"a"}]}}"#;
    cluster.put("other", labels);
    cluster.try_apply("me", r#"{"metadata":{"labels":{"b":"2"},"finalizers":["x/z"]}}"#, true).unwrap();
    cluster.apply("me", "{}").spec(r#"{"containers":[{"name":"a"}]}"#);
    let metadata = cluster.live.as_ref().unwrap().get("metadata").unwrap();
    assert_eq!(metadata.get("labels"), Some(&parse(r#"{"a":"1"}"#)));
    assert_eq!(metadata.get("finalizers"), Some(&parse(r#"["x/y"]"#)));
}

#[test]
fn an_item_that_another_applier_also_has_loses_only_its_own_fields() {
    let mut cluster = Cluster::new();
    cluster
        .apply("one", r#"{"spec":{"containers":[{"name":"a","image":"i","tty":true}]}}"#)
        .apply("two", r#"{"spec":{"containers":[{"name":"a","env":[{"name":"E","value":"1"}]}]}}"#)
        .apply("one", r#"{"spec":{"replicas":1}}"#)
        .spec(r#"{"replicas":1,"containers":[{"name":"a","env":[{"name":"E","value":"1"}]}]}"#)
        .apply("two", "{}")
        .spec(r#"{"replicas":1,"containers":null}"#);
}

#[test]
fn a_key_that_is_left_out_counts_as_its_default() {
    let mut cluster = Cluster::new();
    cluster.put(
        "one",
        r#"{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP","name":"http"}]}]}}"#,
    );
    cluster.apply("two", r#"{"spec":{"containers":[{"name":"a","ports":[{"containerPort":80,"name":"http"},{"containerPort":80,"protocol":"UDP"}]}]}}"#);
    cluster.spec(
        r#"{"containers":[{"name":"a","ports":[{"containerPort":80,"protocol":"TCP","name":"http"},{"containerPort":80,"protocol":"UDP"}]}]}"#,
    );
    let entries = cluster.entries();
    assert!(
        entries[0].contains(r#""k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".","f:containerPort","f:name"}"#),
        "{entries:?}"
    );
}

#[test]
fn an_atomic_list_and_struct_are_owned_as_a_whole() {
    let mut cluster = Cluster::new();
    cluster.apply("one", r#"{"spec":{"selector":{"matchLabels":{"a":"1"}},"containers":[{"name":"a","args":["x"]}]}}"#);
    cluster.conflicts(
        "two",
        r#"{"spec":{"selector":{"matchLabels":{"a":"1","b":"2"}},"containers":[{"name":"a","args":["x","y"]}]}}"#,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.selector\n- .spec.containers[name=\"a\"].args",
    );
}

#[test]
fn an_untyped_field_is_granular_for_objects_only() {
    Cluster::new()
        .apply("one", r#"{"spec":{"extra":{"a":{"b":1},"list":[{"c":1}]}}}"#)
        .owned(&[r#"one Apply - 1 {"f:spec":{"f:extra":{"f:a":{".","f:b"},"f:list"}}}"#]);
}

#[test]
fn applying_to_an_object_without_entries_records_what_it_had() {
    let mut cluster = Cluster::new();
    cluster.put("one", ONE).change("x", |object| object.set(&["metadata", "managedFields"], parse("[{}]")));
    cluster.conflicts(
        "two",
        r#"{"spec":{"replicas":2}}"#,
        r#"Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#,
    );
    cluster.apply("two", r#"{"spec":{"replicas":1}}"#);
    assert!(cluster.entries()[1].starts_with("before-first-apply Update - 4 "), "{:?}", cluster.entries());
}

const CLIENT_SIDE: &str = r#"{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"apps/v1\",\"kind\":\"Workload\",\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":1}}"}},"spec":{"replicas":1}}"#;

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    let mut cluster = Cluster::new();
    cluster.put("kubectl-client-side-apply", CLIENT_SIDE).apply("kubectl", r#"{"spec":{"replicas":2}}"#);
    cluster.spec(r#"{"replicas":2,"containers":null}"#);
    let live = cluster.live.clone().unwrap();
    assert_eq!(
        live.annotation("kubectl.kubernetes.io/last-applied-configuration"),
        Some(
            "{\"apiVersion\":\"apps/v1\",\"kind\":\"Workload\",\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":2}}\n"
        )
    );
    // Another manager does not.
    let mut cluster = Cluster::new();
    cluster.put("kubectl-client-side-apply", CLIENT_SIDE).conflicts(
        "flux",
        r#"{"spec":{"replicas":2}}"#,
        r#"Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas"#,
    );
    // Nor does kubectl, where somebody changed the field since.
    let mut cluster = Cluster::new();
    cluster
        .put("kubectl-client-side-apply", CLIENT_SIDE)
        .change("kubectl-scale", |object| object.set(&["spec", "replicas"], 5_i64))
        .conflicts(
            "kubectl",
            r#"{"spec":{"replicas":2}}"#,
            r#"Apply failed with 1 conflict: conflict with "kubectl-scale" using apps/v1: .spec.replicas"#,
        );
}

/// The text is far deeper than the object that it is an annotation of, and was walked where there was no room for that.
#[test]
fn what_client_side_apply_set_may_be_deep() {
    let work = || {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(9_000), "}".repeat(9_000));
        let last = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Workload","metadata":{{"name":"web"}},"spec":{{"extra":{deep},"replicas":1}}}}"#
        );
        let annotations = Value::object_of([("kubectl.kubernetes.io/last-applied-configuration", Value::from(last))]);
        let rest = Value::object_of([
            ("metadata", Value::object_of([("annotations", annotations)])),
            ("spec", parse(r#"{"replicas":1}"#)),
        ]);
        let rest = String::from_utf8(json::encode(&rest, None).to_vec()).unwrap();
        let mut cluster = Cluster::new();
        cluster.put("kubectl-client-side-apply", &rest).apply("kubectl", r#"{"spec":{"replicas":2}}"#);
        cluster.spec(r#"{"replicas":2,"containers":null}"#);
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn entries_of_other_versions_are_kept_and_those_of_unknown_versions_dropped() {
    let mut cluster = Cluster::new();
    cluster.api_version = "apps/v1beta1";
    cluster.put("old", r#"{"metadata":{"labels":{"a":"1"}},"spec":{"replicas":1}}"#);
    cluster.api_version = "apps/v1";
    cluster.change("new", |object| object.set(&["spec", "replicas"], 2_i64)).owned(&[
        r#"old Update - 1 {"f:metadata":{"f:labels":{".","f:a"}}}"#,
        r#"new Update - 2 {"f:spec":{"f:replicas"}}"#,
    ]);
    cluster.change("new", |object| {
        object.at_mut(&["metadata", "managedFields"]).unwrap().as_array_mut().unwrap()[0]
            .set(&["apiVersion"], "apps/v0");
        object.set(&["spec", "replicas"], 3_i64);
    });
    cluster.owned(&[r#"new Update - 3 {"f:spec":{"f:replicas"}}"#]);
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_in_upstreams_words() {
    #[track_caller]
    fn check(rest: &str, want: &str) {
        let error = Cluster::new().try_apply("me", rest, false).unwrap_err();
        let prefix = "failed to create typed patch object (/web; apps/v1, Kind=Workload): ";
        assert_eq!(error.to_string(), format!("{prefix}{want}"));
        assert_eq!(error.to_status().code, 500);
    }
    check(r#"{"spec":{"nope":1}}"#, ".spec.nope: field not declared in schema");
    check(r#"{"spec":{"replicas":"1"}}"#, ".spec.replicas: expected numeric (int or float), got string");
    check(r#"{"spec":[1]}"#, ".spec: expected map, got &{[1]}");
    check(
        r#"{"spec":{"containers":[{"name":"a","env":[{"name":"E","value":1}]}]}}"#,
        r#".spec.containers[name="a"].env[name="E"].value: expected string, got &value.valueUnstructured{Value:1}"#,
    );
    check(
        r#"{"spec":{"containers":[{"name":"a"},{"name":"a"},{"image":"i"}]}}"#,
        "errors:\n  .spec.containers: duplicate entries for key [name=\"a\"]\n  .spec.containers: element 2: associative list with keys has an element that omits key field \"name\" (and doesn't have default value)",
    );
}

/// What had been stored under another schema was applied over.
#[test]
fn an_object_that_does_not_fit_its_type_is_not_applied_over() {
    let (table, id) = table();
    let views = TwoVersions(table, id);
    let cluster = Cluster::new();
    let write = Write { views: &views, ..cluster.write("me") };
    let config = parse(r#"{"apiVersion":"apps/v1","kind":"Workload","metadata":{"name":"web"},"spec":{"replicas":1}}"#);
    let over = |spec: &str| {
        let live = format!(
            r#"{{"apiVersion":"apps/v1","kind":"Workload","metadata":{{"name":"web","namespace":"ns"}},"spec":{spec}}}"#
        );
        apply(&write, Some(&parse(&live)), &config, true).map(drop)
    };
    let why = "failed to create typed live object (ns/web; apps/v1, Kind=Workload): ";
    for (spec, want) in [
        (r#"{"replicas":"2"}"#, ".spec.replicas: expected numeric (int or float), got string"),
        (
            r#"{"replicas":true,"containers":{}}"#,
            "errors:\n  .spec.containers: expected list, got &{map[]}\n  .spec.replicas: expected numeric (int or float), got bool",
        ),
    ] {
        assert_eq!(over(spec), Err(ApplyError::Unusable(format!("{why}{want}"))), "{spec}");
    }
    assert_eq!(over(r#"{"replicas":null,"containers":[{"name":"a"},{"name":"a"}]}"#), Ok(()), "that may be there");
}

#[test]
fn a_configuration_may_not_have_managed_fields_or_another_kind() {
    let mut cluster = Cluster::new();
    cluster.conflicts("me", r#"{"metadata":{"managedFields":[]}}"#, "metadata.managedFields must be nil");
    let (table, id) = table();
    let views = TwoVersions(table, id);
    let write = Write { views: &views, ..cluster.write("me") };
    let error = apply(&write, None, &parse(r#"{"apiVersion":"v1","kind":"Pod"}"#), false).unwrap_err();
    assert_eq!(error, ApplyError::BadRequest("invalid object type: /v1, Kind=Pod".to_owned()));
}

#[test]
fn lists_merge_in_the_order_of_the_configuration() {
    #[track_caller]
    fn check(live: &[&str], config: &[&str], want: &[&str]) {
        let (table, id) = table();
        let typed = Typed::new(&table, id);
        let object = |names: &[&str]| {
            let items = names.iter().map(|name| Value::object_of([("name", Value::from(*name))]));
            Value::object_of([("spec", Value::object_of([("containers", Value::array(items))]))])
        };
        assert_eq!(typed.merge(&object(live), &object(config)), object(want), "{live:?} + {config:?}");
    }
    check(&[], &["b", "a"], &["b", "a"]);
    check(&["a", "b"], &["b", "a"], &["b", "a"]);
    check(&["a", "b", "c"], &["b"], &["a", "b", "c"]);
    check(&["a", "b", "c"], &["d"], &["a", "b", "c", "d"]);
    check(&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]);
    check(&["a", "x", "b", "y", "c"], &["c", "b", "a", "z"], &["x", "y", "c", "b", "a", "z"]);
    check(&["a", "b"], &["n", "b"], &["a", "n", "b"]);
}

#[test]
fn duplicates_are_owned_together() {
    let (table, id) = table();
    let typed = Typed::new(&table, id);
    let one = parse(r#"{"spec":{"containers":[{"name":"a","image":"1"}]}}"#);
    let two = parse(r#"{"spec":{"containers":[{"name":"a","image":"1"},{"name":"a","image":"2"}]}}"#);
    let other = parse(r#"{"spec":{"containers":[{"name":"a","image":"1"},{"name":"a","image":"3"}]}}"#);
    let item = set(r#"{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{}}}}"#);
    let fields = set(r#"{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:image":{},"f:name":{}}}}}"#);
    assert_eq!(typed.field_set(&two), item);
    let more = typed.compare(&one, &two);
    assert_eq!((more.added, more.removed, more.modified), (item.clone(), fields.clone(), FieldSet::default()));
    let fewer = typed.compare(&two, &one);
    assert_eq!((fewer.added, fewer.removed), (fields, item.clone()));
    assert_eq!(typed.compare(&two, &other).modified, item);
    assert!(typed.compare(&two, &two.clone()).is_empty());
}

#[test]
fn empty_null_and_absent_are_told_apart() {
    #[track_caller]
    fn check(old: &str, new: &str, added: &str, modified: &str, removed: &str) {
        let (table, id) = table();
        let difference = Typed::new(&table, id).compare(&parse(old), &parse(new));
        assert_eq!(
            (difference.added, difference.modified, difference.removed),
            (set(added), set(modified), set(removed)),
            "{old} -> {new}"
        );
    }
    let labels = r#"{"f:metadata":{"f:labels":{}}}"#;
    check(r#"{"metadata":{}}"#, r#"{"metadata":{"labels":{}}}"#, labels, "{}", "{}");
    check(r#"{"metadata":{"labels":null}}"#, r#"{"metadata":{"labels":{}}}"#, "{}", labels, "{}");
    check(
        r#"{"metadata":{"labels":null}}"#,
        r#"{"metadata":{"labels":{"a":"1"}}}"#,
        r#"{"f:metadata":{"f:labels":{"f:a":{}}}}"#,
        "{}",
        "{}",
    );
    check(
        r#"{"metadata":{"labels":{"a":"1"}}}"#,
        r#"{"metadata":{}}"#,
        "{}",
        "{}",
        r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}}}"#,
    );
}

#[test]
fn fields_survive_reading_and_writing() {
    #[track_caller]
    fn check(text: &str) {
        let written = set(text).to_value();
        assert_eq!(tree(&written), parse(text), "{text}");
        assert_eq!(FieldSet::from_value(&written).unwrap(), set(text), "{text}");
    }
    check("{}");
    check(r#"{"f:a":{},"f:b":{"f:c":{}},"f:d":{".":{},"f:e":{}}}"#);
    check(r#"{"f:l":{"i:0":{},"k:{\"n\":\"x\",\"p\":80}":{".":{},"f:p":{}},"v:\"s\"":{},"v:1":{}}}"#);
}

#[test]
fn what_is_no_set_is_refused() {
    #[track_caller]
    fn check(text: &str) {
        assert!(FieldSet::from_value(&parse(text)).is_err(), "{text}");
        if text.starts_with('{') {
            assert!(FieldSet::from_value(&Value::Raw(Raw::new(text))).is_err(), "{text}");
        }
    }
    check("[]");
    check(r#"{"name":{}}"#);
    check(r#"{"x:name":{}}"#);
    check(r#"{"k:1":{}}"#);
    check(r#"{"i:one":{}}"#);
    check(r#"{"v:{":{}}"#);
    check(r#"{"f:a":1}"#);
}

#[test]
fn numbers_in_keys_sort_as_numbers() {
    let ports = set(r#"{"k:{\"p\":443}":{},"k:{\"p\":80}":{}}"#);
    let mut seen = Vec::new();
    let walked = ports.try_for_each(&mut |path| {
        seen.push(super::path_text(path));
        ControlFlow::Continue(())
    });
    assert!(walked.is_continue());
    assert_eq!(seen, ["[p=80]", "[p=443]"]);
    assert!(ports.has(&[PathElement::Key([("p".into(), Value::Int(443))].into())]));
    assert_eq!(ports.to_value(), Value::Raw(Raw::new(r#"{"k:{\"p\":80}":{},"k:{\"p\":443}":{}}"#)));
}

/// Two elements that are written alike were kept as two, and the set could not be written.
#[test]
fn elements_that_are_written_alike_are_one() {
    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(tree(&set(text).to_value()), parse(want), "{text}");
        if !text.contains(' ') {
            assert_eq!(FieldSet::from_value(&Value::Raw(Raw::new(text))).unwrap(), set(want), "{text}");
        }
    }
    check(r#"{"v:1":{"f:a":{}},"v:1.0":{"f:b":{}},"v: 1":{"f:c":{}}}"#, r#"{"v:1":{"f:a":{},"f:b":{},"f:c":{}}}"#);
    check(r#"{"k:{\"p\":80.0}":{},"k:{\"p\":80}":{"f:a":{}}}"#, r#"{"k:{\"p\":80}":{".":{},"f:a":{}}}"#);
    check(r#"{"v:[1.0]":{},"v:[1]":{},"v:0":{},"v:-0.0":{}}"#, r#"{"v:0":{},"v:[1]":{}}"#);
    check(r#"{"i:1":{},"i:01":{}}"#, r#"{"i:1":{}}"#);
    // Numbers beyond what a float tells apart: written alike, or sorted between two integers that it equals.
    check(r#"{"v:1000000000000000128.0":{},"v:1000000000000000100":{}}"#, r#"{"v:1000000000000000100":{}}"#);
    let close = set(r#"{"v:9007199254740993":{},"v:9007199254740992.0":{},"v:9007199254740992":{}}"#);
    assert_eq!(close.len(), 2);
}

fn object_with(field: &'static str, value: impl Into<Value>) -> Value {
    Value::object_of([("metadata", Value::object_of([(field, value.into())]))])
}

/// Items were put into the set one by one, in front of all others if they came backwards.
#[test]
fn a_large_list_or_map_is_owned_and_merged_in_one_pass() {
    const ITEMS: usize = 200_000;
    let (table, id) = table();
    let typed = Typed::new(&table, id);
    let names: Vec<Value> = (0..ITEMS).map(|number| format!("a/{number:06}").into()).collect();
    let forwards = typed.field_set(&object_with("finalizers", names.clone()));
    let backwards = typed.field_set(&object_with("finalizers", names.into_iter().rev().collect::<Vec<_>>()));
    assert_eq!(forwards.len(), ITEMS);
    assert!(forwards == backwards);

    let labels = |numbers: std::ops::Range<usize>| {
        object_with("labels", Value::object_of(numbers.map(|number| (format!("{number:06}"), Value::from("x")))))
    };
    let merged = typed.merge(&labels(ITEMS..2 * ITEMS), &labels(0..ITEMS));
    assert!(merged == labels(0..2 * ITEMS));

    // One number written in many ways, each with fields of its own.
    let entries = (0..20_000).map(|number| {
        let fields = (0..5).map(|field| (format!("f:{number}-{field}"), Value::object()));
        (format!("v:{}1", " ".repeat(number % 100) + &"\t".repeat(number / 100)), Value::object_of(fields))
    });
    let set = FieldSet::from_value(&Value::object_of(entries)).unwrap();
    assert_eq!((tree(&set.to_value()).as_object().unwrap().len(), set.len()), (1, 100_000));
}

/// What one write takes from thousands of managers was copied for each of them, and united with a growing set one by one.
#[test]
fn thousands_of_managers_cost_no_more_than_what_they_own() {
    const MANAGERS: usize = 10_000;
    let label = |number: usize| format!("l{number:05}");
    let labels = || Value::object_of((0..MANAGERS).map(|number| (label(number), Value::from("x"))));
    let cluster_of = |operation: &str| {
        let mut cluster = Cluster::new();
        let entry = |number: usize| {
            parse(&format!(
                r#"{{"apiVersion":"apps/v1","fieldsType":"FieldsV1","manager":"m{number:05}","operation":"{operation}",
                   "fieldsV1":{{"f:metadata":{{"f:labels":{{"f:{}":{{}}}}}}}}}}"#,
                label(number)
            ))
        };
        cluster.put("creator", "{}").change("creator", |object| object.set_meta("labels", labels()));
        cluster.change("creator", |object| {
            object.set_meta("managedFields", (0..MANAGERS).map(entry).collect::<Vec<_>>());
        });
        cluster
    };
    // Updates: all but the last few become one.
    let entries = cluster_of("Update").entries();
    assert_eq!(entries.len(), 10);
    assert!(entries.iter().any(|entry| entry.starts_with("ancient-changes Update") && entry.len() > MANAGERS));

    // Appliers stay: an apply adds one, and gives up nothing of theirs.
    let mut cluster = cluster_of("Apply");
    cluster.apply("me", r#"{"spec":{"replicas":1}}"#).apply("me", r#"{"spec":{"replicas":2}}"#);
    assert_eq!(cluster.entries().len(), MANAGERS + 1);
    assert!(cluster.live.as_ref().unwrap().labels().is_some_and(|labels| labels.len() == MANAGERS));
    // A change of all labels takes them from all.
    cluster.change("other", |object| {
        for (_, value) in object.at_mut(&["metadata", "labels"]).unwrap().as_object_mut().unwrap().iter_mut() {
            *value = "y".into();
        }
    });
    assert_eq!(cluster.entries().len(), 2);
    // And so does taking them away.
    let mut cluster = cluster_of("Apply");
    cluster.change("other", |object| object.unset_meta("labels"));
    cluster.owned(&[]);
}

/// Each complaint and each conflict has the whole path in it: kilobytes for a long key, times the number of fields below it.
#[test]
fn complaints_and_conflicts_are_cut_short() {
    let long = "x".repeat(10_000);
    let env = |value: &str| {
        let items: Vec<String> =
            (0..20_000).map(|number| format!(r#"{{"name":"e{number}","value":"{value}"}}"#)).collect();
        format!(r#"{{"spec":{{"containers":[{{"name":"{long}","env":[{}]}}]}}}}"#, items.join(","))
    };
    let mut cluster = Cluster::new();
    cluster.apply("one", &env("1"));
    let conflicts = cluster.try_apply("two", &env("2"), false).unwrap_err();
    let text = conflicts.to_string();
    assert!(text.starts_with("Apply failed with 20000 conflicts: conflicts with \"one\":\n- .spec.containers[name="));
    assert!(text.ends_with(" more conflicts, which are not shown") && text.len() < 2_000_000, "{}", text.len());
    assert!(conflicts.to_status().details.unwrap().causes.len() < 200);

    let fields: Vec<String> = (0..20_000).map(|number| format!(r#""f{number}":1"#)).collect();
    let unknown = format!(r#"{{"spec":{{"containers":[{{"name":"{long}",{}}}]}}}}"#, fields.join(","));
    let refused = cluster.try_apply("two", &unknown, false).unwrap_err().to_string();
    assert!(refused.contains(".f0: field not declared in schema") && refused.len() < 2_000_000, "{}", refused.len());
    assert!(refused.ends_with("\n  and more errors, which are not shown"));
}

#[test]
fn upstreams_sets_survive_reading_and_writing() {
    let Some(folder) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return;
    };
    for name in ["podset.json", "nodeset.json", "endpointsset.json"] {
        let path = std::path::Path::new(&folder).join("vectors/structured-merge-diff").join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fields = parse(&text);
        let set = FieldSet::from_value(&fields).unwrap();
        assert!(!set.is_empty());
        let written = set.to_value();
        assert_eq!(tree(&written), fields, "{name}");
        assert_eq!(FieldSet::from_value(&written).unwrap(), set, "{name}");
        assert_eq!(set.union(&set), set);
        assert!(set.difference(&set).is_empty());
        assert!(!set.leaves().is_empty());
    }
}
