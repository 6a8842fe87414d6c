//! The options of reads and deletes, from query and body.
//!
//! Upstream: k8s.io/apimachinery/pkg/apis/meta/v1 ListOptions, DeleteOptions and internalversion/validation (v1.35).

use std::num::{IntErrorKind, ParseIntError};

use corten_apimachinery::{
    field::{Error, ErrorList, Path},
    gvk::GroupVersionKind,
    resource::DeleteOptions,
    selector::{field, label},
    status::{Reason, Status},
    value::{Str, Value},
};

use super::{
    unsafe_delete::{self, Others},
    write_options::{bad_options, read_dry_run},
};
use crate::{registry::UNSAFE_DELETE_OPTION, request::Query};

/// How many labels a selector may name. Each is looked for in every object that has as many labels; people and programs name
/// a few. Upstream has no bound but that of a request's head.
const SELECTOR_KEYS_MAX: usize = 256;

/// How `resourceVersion` of a list is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// Not given.
    Unset,
    /// At that revision or later.
    NotOlderThan,
    /// At exactly that revision.
    Exact,
}

/// The options of a list or watch.
#[derive(Debug)]
pub(super) struct ListOptions {
    pub(super) labels: label::Selector,
    pub(super) fields: field::Selector,
    pub(super) limit: usize,
    pub(super) continue_token: String,
    /// `None` if not given.
    pub(super) revision: Option<u64>,
    pub(super) matching: Match,
    pub(super) timeout_seconds: Option<i64>,
    pub(super) bookmarks: bool,
    pub(super) send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and checks the query of a list or (if `watch`) of a watch.
    pub(super) fn parse(query: &Query, watch: bool) -> Result<Self, Status> {
        Self::parse_by(query, watch, true)
    }

    /// The same; `has_watch_list` is upstream's feature gate `WatchList`.
    pub(super) fn parse_by(query: &Query, watch: bool, has_watch_list: bool) -> Result<Self, Status> {
        let labels = label::Selector::parse(query.get("labelSelector")).map_err(|error| bad_selector(&error))?;
        if labels.keys() > SELECTOR_KEYS_MAX {
            let why = format!("labelSelector names {} labels, the limit is {SELECTOR_KEYS_MAX}", labels.keys());
            return Err(Status::bad_request(why));
        }
        let fields = field::Selector::parse(query.get("fieldSelector")).map_err(|error| bad_selector(&error))?;
        let (limit, timeout_seconds) = (number(query, "limit")?, number(query, "timeoutSeconds")?);
        let errors = check(query, watch, has_watch_list);
        if !errors.is_empty() {
            return Err(Status::invalid(&GroupVersionKind::new("meta.k8s.io", "v1", "ListOptions"), "", &errors));
        }
        Ok(Self {
            labels,
            fields,
            limit: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default(),
            continue_token: query.get("continue").to_owned(),
            // Upstream reads it in the storage: a list's refusal is made there, a watch's is an error nobody gives a reason.
            revision: resource_version(query.get("resourceVersion")).map_err(|why| match watch {
                true => Status::new(Reason::Unknown, why),
                false => Status::bad_request(format!("invalid resource version: {why}")),
            })?,
            matching: match query.get("resourceVersionMatch") {
                "NotOlderThan" => Match::NotOlderThan,
                "Exact" => Match::Exact,
                _ => Match::Unset,
            },
            timeout_seconds,
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events: query.find("sendInitialEvents").map(|_| query.flag("sendInitialEvents")),
        })
    }
}

/// What does not go together in the options of a list or watch, all of it. The revision is not read for it.
///
/// Upstream: `ValidateListOptions` in k8s.io/apimachinery/pkg/apis/meta/internalversion/validation (v1.35).
fn check(query: &Query, watch: bool, has_watch_list: bool) -> ErrorList {
    const NO_WATCH_LIST: &str = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
    const CONTINUED: &str = "resourceVersionMatch is forbidden when continue is provided";
    let (path, matching) = (Path::new("resourceVersionMatch"), query.get("resourceVersionMatch"));
    let sends_events = query.find("sendInitialEvents").is_some();
    let has_match = !matching.is_empty();
    let continues = has_match && !query.get("continue").is_empty();
    let mut errors = ErrorList::new();
    let mut forbid = |is_wrong: bool, why: &str| {
        if is_wrong {
            errors.push(Error::forbidden(&path, why));
        }
    };
    if watch {
        let is_other = matching != "NotOlderThan";
        forbid(sends_events && is_other, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
        if sends_events && !has_watch_list {
            errors.push(Error::forbidden(&Path::new("sendInitialEvents"), NO_WATCH_LIST));
        }
        if has_match && !sends_events {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(Error::forbidden(&path, why));
        }
        if has_match && is_other {
            errors.push(Error::not_supported(&path, matching, &["NotOlderThan"]));
        }
        if continues {
            errors.push(Error::forbidden(&path, CONTINUED));
        }
        return errors;
    }
    let (revision, known) = (query.get("resourceVersion"), ["Exact", "NotOlderThan", ""]);
    forbid(has_match && revision.is_empty(), "resourceVersionMatch is forbidden unless resourceVersion is provided");
    forbid(continues, CONTINUED);
    if !known.contains(&matching) {
        errors.push(Error::not_supported(&path, matching, &known));
    }
    if matching == "Exact" && revision == "0" {
        errors.push(Error::forbidden(&path, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
    }
    if sends_events {
        errors.push(Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
    }
    errors
}

fn bad_selector(error: &dyn std::fmt::Display) -> Status {
    Status::bad_request(error.to_string())
}

fn number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    query.find(name).map(integer).transpose()
}

/// Reads an integer as Go does, and says in its words what is wrong.
fn integer(text: &str) -> Result<i64, Status> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::bad_request(format!("strconv.ParseInt: parsing {}: {why}", corten_apimachinery::field::quote(text)))
    })
}

/// Reads a resource version; `None` for the empty text.
///
/// Errors: what is no number, in the words of upstream's `APIObjectVersioner`.
pub(super) fn resource_version(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = |why: String| Error::invalid(&Path::new("resourceVersion"), text, why).to_string();
    crate::parse_revision(text).map(Some).map_err(invalid)
}

/// Reads the options of a delete: from the body if there is one, else from the query, which does not count beside a body.
///
/// Upstream: `DeleteResource` in k8s.io/apiserver/pkg/endpoints/handlers/delete.go, `Convert_url_Values_To_v1_DeleteOptions` in
/// k8s.io/apimachinery/pkg/apis/meta/v1/conversion.go (v1.35).
///
/// Errors: `Invalid`.
pub fn delete_options(body: &Value, query: &Query) -> Result<DeleteOptions, Status> {
    delete_options_of(body, query, false)
}

/// The same, with the option to delete what cannot be decoded if the server has it.
pub(super) fn delete_options_of(body: &Value, query: &Query, deletes_corrupt: bool) -> Result<DeleteOptions, Status> {
    let mut options = DeleteOptions::default();
    let bad_dry_run;
    if body.is_null() {
        options.grace_period_seconds = query.find("gracePeriodSeconds").map(integer).transpose()?;
        options.propagation_policy = query.find("propagationPolicy").map(Str::from);
        options.orphan_dependents = query.find("orphanDependents").map(|_| query.flag("orphanDependents"));
        let said = |name: &str| query.find(name).filter(|text| !text.is_empty()).map(Str::from);
        (options.precondition_uid, options.precondition_resource_version) = (said("uid"), said("resourceVersion"));
        (options.dry_run, bad_dry_run) = read_dry_run(query.all("dryRun"));
    } else {
        options.grace_period_seconds = body.i64_at(&["gracePeriodSeconds"]);
        options.precondition_uid = body.str_at(&["preconditions", "uid"]).map(Str::from);
        options.precondition_resource_version = body.str_at(&["preconditions", "resourceVersion"]).map(Str::from);
        options.propagation_policy = body.str_at(&["propagationPolicy"]).map(Str::from);
        options.orphan_dependents = body.bool_at(&["orphanDependents"]);
        let values = body.items_at(&["dryRun"]).iter().filter_map(Value::as_str);
        (options.dry_run, bad_dry_run) = read_dry_run(values);
    }
    options.ignore_store_read_error = deletes_corrupt
        && match body {
            Value::Null => query.flag(UNSAFE_DELETE_OPTION),
            body => body.bool_at(&[UNSAFE_DELETE_OPTION]) == Some(true),
        };
    let has_preconditions = body.get("preconditions").is_some_and(|preconditions| !preconditions.is_null())
        || options.precondition_uid.is_some()
        || options.precondition_resource_version.is_some();
    check_delete(&options, bad_dry_run, has_preconditions)?;
    Ok(options)
}

/// All that is wrong with the options of a delete.
///
/// Upstream: `ValidateDeleteOptions` in k8s.io/apimachinery/pkg/apis/meta/v1/validation (v1.35).
fn check_delete(options: &DeleteOptions, bad_dry_run: Option<Error>, has_preconditions: bool) -> Result<(), Status> {
    let mut errors = ErrorList::new();
    let path = Path::new("propagationPolicy");
    if options.propagation_policy.is_some() && options.orphan_dependents.is_some() {
        errors.push(Error::invalid(
            &path,
            options.propagation_policy.clone().unwrap_or_default(),
            "orphanDependents and deletionPropagation cannot be both set",
        ));
    }
    if let Some(policy) = options.propagation_policy.as_deref()
        && !matches!(policy, "Foreground" | "Background" | "Orphan")
    {
        errors.push(Error::not_supported(&path, policy, &["Foreground", "Background", "Orphan", "nil"]));
    }
    errors.extend(bad_dry_run);
    if options.ignore_store_read_error {
        errors.extend(unsafe_delete::check_others(Others {
            dry_run: options.dry_run,
            propagation_policy: options.propagation_policy.is_some(),
            orphan_dependents: options.orphan_dependents.is_some(),
            grace_period_seconds: options.grace_period_seconds.is_some(),
            preconditions: has_preconditions,
        }));
    }
    if errors.is_empty() { Ok(()) } else { Err(bad_options("DeleteOptions", &errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_names_a_bounded_number_of_labels() {
        let parse = |labels: usize| {
            let selector = (0..2 * labels).map(|n| format!("!k{}", n / 2)).collect::<Vec<_>>().join(",");
            ListOptions::parse(&Query::parse(&format!("labelSelector={selector}")), false)
        };
        assert_eq!(parse(SELECTOR_KEYS_MAX).unwrap().labels.keys(), SELECTOR_KEYS_MAX);
        let refused = parse(SELECTOR_KEYS_MAX + 1).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (400, "labelSelector names 257 labels, the limit is 256"));
    }

    /// Only the first was told.
    #[test]
    fn all_that_is_wrong_with_a_delete_is_told() {
        let options = Value::object_of([
            ("propagationPolicy", Value::from("Bogus")),
            ("orphanDependents", true.into()),
            ("dryRun", Value::array([Value::from("All"), "x".into()])),
        ]);
        let refused = delete_options(&options, &Query::default()).unwrap_err();
        let want = "DeleteOptions.meta.k8s.io \"\" is invalid: [propagationPolicy: Invalid value: \"Bogus\": \
                    orphanDependents and deletionPropagation cannot be both set, propagationPolicy: Unsupported value: \
                    \"Bogus\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\", dryRun: Unsupported \
                    value: [\"All\",\"x\"]: supported values: \"All\"]";
        assert_eq!((refused.code, &*refused.message), (422, want));
        let query = Query::parse("propagationPolicy=Bogus&dryRun=x");
        let causes = delete_options(&Value::Null, &query).unwrap_err().details.map(|details| details.causes.len());
        assert_eq!(causes, Some(2));
        assert!(delete_options(&Value::Null, &Query::parse("dryRun=All")).unwrap().dry_run);
        assert!(!delete_options(&Value::Null, &Query::default()).unwrap().dry_run);
        let unsaid = delete_options(&Value::Null, &Query::parse("propagationPolicy=")).unwrap_err().message;
        assert!(unsaid.contains("propagationPolicy: Unsupported value: \"\": supported values"), "{unsaid}");
    }

    /// They did not count.
    #[test]
    fn a_query_tells_what_is_to_be_deleted() {
        let query = Query::parse("uid=a&resourceVersion=7&gracePeriodSeconds=3");
        let options = delete_options(&Value::Null, &query).unwrap();
        let (uid, version) = (options.precondition_uid, options.precondition_resource_version);
        assert_eq!((uid.as_deref(), version.as_deref(), options.grace_period_seconds), (Some("a"), Some("7"), Some(3)));
        // Beside a body it says nothing.
        let options = delete_options(&Value::object(), &query).unwrap();
        assert_eq!(options, DeleteOptions::default());
    }

    #[test]
    fn numbers_are_refused_in_gos_words() {
        let check = |text: &str, want: Result<usize, &str>| {
            let options = ListOptions::parse(&Query::parse(&format!("limit={text}")), false);
            let got = options.map(|options| options.limit).map_err(|status| status.message);
            assert_eq!(got, want.map_err(str::to_owned));
        };
        check("7", Ok(7));
        check("-7", Ok(0));
        check("", Err("strconv.ParseInt: parsing \"\": invalid syntax"));
        check("x", Err("strconv.ParseInt: parsing \"x\": invalid syntax"));
        let large = "99999999999999999999";
        check(large, Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range"));
    }
}
