//! Lets a user act as another, if they may `impersonate` every part of that identity.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/filters/impersonation.go (v1.35).

use std::collections::BTreeMap;

use corten_apimachinery::{
    resource::UserInfo,
    status::Status,
    validation::{is_dns1123_label, is_dns1123_subdomain},
    value::Str,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::{
    authentication::strip_impersonation,
    authorization::{Attributes, Decision, forbidden},
    request::{Request, RequestInfo},
    server::Server,
};

const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");
const UID: HeaderName = HeaderName::from_static("impersonate-uid");
const EXTRA_PREFIX: &str = "impersonate-extra-";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Replaces the user by the one named in the headers.
///
/// Errors: `Forbidden` if the user may not act as that one; `BadRequest` if a name is not text; `InternalError` if a group
/// is named without a user.
pub(super) async fn impersonate(server: &Server, request: &mut Request) -> Result<(), Status> {
    let Some(wanted) = wanted(&request.headers)? else { return Ok(()) };
    for check in checks(&wanted) {
        let attributes = Attributes { user: &request.user, request: &check };
        match server.authorizer().authorize(attributes).await {
            Decision::Allow { .. } => {}
            Decision::Deny { reason } | Decision::NoOpinion { reason } => return Err(forbidden(attributes, &reason)),
        }
    }
    request.user = complete(wanted);
    strip_impersonation(&mut request.headers);
    Ok(())
}

/// Whom the headers name; nobody if they name no user.
///
/// Errors: `BadRequest` for names that are not text: one that was left out would be the sender's own identity, or less than
/// was asked for; `InternalError` for parts of an identity without its user.
fn wanted(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    // Go's clients send names as they are, which is UTF-8.
    let texts = |name: &HeaderName| -> Result<Vec<Str>, Status> {
        let read = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).map(Str::from);
        headers.get_all(name).iter().map(read).collect::<Result<_, _>>().map_err(|_| not_text(name))
    };
    let mut extra: BTreeMap<Str, Vec<Str>> = BTreeMap::new();
    for name in headers.keys().filter(|name| name.as_str().starts_with(EXTRA_PREFIX)) {
        let key = percent_decode_str(&name.as_str()[EXTRA_PREFIX.len()..]).decode_utf8().map_err(|_| not_text(name))?;
        extra.entry(key.into()).or_default().extend(texts(name)?);
    }
    let user = UserInfo {
        name: texts(&USER)?.into_iter().next().unwrap_or_default(),
        uid: texts(&UID)?.into_iter().next().unwrap_or_default(),
        groups: texts(&GROUP)?,
        extra: extra.into_iter().collect(),
    };
    if user.name.is_empty() {
        let partial = !user.uid.is_empty() || !user.groups.is_empty() || !user.extra.is_empty();
        return if partial {
            Err(Status::internal(format_args!("requested {} without impersonating a user", shown(&user))))
        } else {
            Ok(None)
        };
    }
    Ok(Some(user))
}

fn not_text(name: &HeaderName) -> Status {
    Status::bad_request(format!("the header {name} is not valid UTF-8"))
}

/// What was asked for, as Go prints upstream's list of references: kind, namespace, name, uid, version, version, path.
fn shown(user: &UserInfo) -> String {
    let one = |kind: &str, version: &str, path: &str, name: &str| format!("{{{kind}  {name}  {version}  {path}}}");
    let groups = user.groups.iter().map(|group| one("Group", "", "", group));
    let extra = user.extra.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    let extra = extra.map(|(key, value)| one("UserExtra", "authentication.k8s.io/v1", key, value));
    let uid = Some(&user.uid).filter(|uid| !uid.is_empty());
    let uid = uid.map(|uid| one("UID", "authentication.k8s.io/v1", "", uid));
    format!("[{}]", groups.chain(extra).chain(uid).collect::<Vec<_>>().join(" "))
}

/// What the user must be allowed to do, one request per part of the wanted identity.
fn checks(wanted: &UserInfo) -> Vec<RequestInfo> {
    let base = |resource: &str, name: &str| RequestInfo {
        is_resource: true,
        verb: "impersonate".into(),
        version: "v1".into(),
        resource: resource.into(),
        name: name.into(),
        ..RequestInfo::default()
    };
    let mut checks = Vec::new();
    match service_account(&wanted.name) {
        Some((namespace, name)) => {
            checks.push(RequestInfo { namespace: namespace.into(), ..base("serviceaccounts", name) });
        }
        None => checks.push(base("users", &wanted.name)),
    }
    checks.extend(wanted.groups.iter().map(|group| base("groups", group)));
    let authentication = |info: RequestInfo| RequestInfo { group: "authentication.k8s.io".into(), ..info };
    for (key, values) in &wanted.extra {
        for value in values {
            checks.push(authentication(RequestInfo { subresource: key.clone(), ..base("userextras", value) }));
        }
    }
    if !wanted.uid.is_empty() {
        checks.push(authentication(base("uids", &wanted.uid)));
    }
    checks
}

/// Namespace and name of the service account that `user` is; `None` for a user, also one that is only called much like one.
///
/// Upstream: `SplitUsername` in k8s.io/apiserver/pkg/authentication/serviceaccount/util.go (v1.35).
fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (is_dns1123_label(namespace).is_empty() && is_dns1123_subdomain(name).is_empty()).then_some((namespace, name))
}

/// Adds the groups that an identity has by being one, unless the request says which of them it is to have.
fn complete(mut user: UserInfo) -> UserInfo {
    const AUTHENTICATED: &str = "system:authenticated";
    const UNAUTHENTICATED: &str = "system:unauthenticated";
    if let Some((namespace, _)) = service_account(&user.name)
        && user.groups.is_empty()
    {
        user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}").into()];
    }
    let has = |group: &str| user.groups.iter().any(|existing| existing == group);
    let added = if user.name == "system:anonymous" {
        (!has(UNAUTHENTICATED)).then_some(UNAUTHENTICATED)
    } else {
        (!has(AUTHENTICATED) && !has(UNAUTHENTICATED)).then_some(AUTHENTICATED)
    };
    user.groups.extend(added.map(Str::from));
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_identity_is_checked() {
        let mut headers = HeaderMap::new();
        headers.insert(USER, "system:serviceaccount:a:b".parse().unwrap());
        headers.append(GROUP, "g1".parse().unwrap());
        headers.insert(HeaderName::from_static("impersonate-extra-scopes"), "view".parse().unwrap());
        let wanted = wanted(&headers).unwrap().unwrap();
        let checks: Vec<_> =
            checks(&wanted).into_iter().map(|c| format!("{}/{}/{}", c.resource, c.subresource, c.name)).collect();
        assert_eq!(checks, ["serviceaccounts//b", "groups//g1", "userextras/scopes/view"]);
    }

    #[test]
    fn a_service_account_has_its_groups() {
        let user = complete(UserInfo { name: "system:serviceaccount:a:b".into(), ..UserInfo::default() });
        assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"]);
    }

    /// Such names were taken for accounts: the right that was asked for was another one, and groups came with them.
    #[test]
    fn a_name_that_no_service_account_can_have_is_a_users() {
        for name in ["::x", ":a:", ":A:x", ":a.b:x", ":a:X_Y", ":a:b:c", ":a"] {
            let user = UserInfo { name: format!("system:serviceaccount{name}").into(), ..UserInfo::default() };
            let asked: Vec<_> = checks(&user).iter().map(|check| check.resource.to_string()).collect();
            assert_eq!(asked, ["users"], "{name}");
            assert_eq!(complete(user).groups, ["system:authenticated"], "{name}");
        }
    }

    #[test]
    fn who_acts_as_a_stranger_is_not_known() {
        let groups = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| Str::from(*group)).collect();
            complete(UserInfo { name: name.into(), groups, ..UserInfo::default() }).groups
        };
        assert_eq!(groups("bob", &["a"]), ["a", "system:authenticated"]);
        assert_eq!(groups("bob", &["system:unauthenticated"]), ["system:unauthenticated"]);
        assert_eq!(groups("system:anonymous", &[]), ["system:unauthenticated"]);
    }

    /// The bug was that such names were passed over: with no other, the request ran with the rights of its sender.
    #[test]
    fn names_that_are_not_ascii_are_impersonated_or_refused() {
        let check = |parts: &[(&'static str, &[u8])], want: Result<&[&str], &str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in parts {
                headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
            }
            let asked = |user: UserInfo| -> Vec<String> {
                checks(&user).iter().map(|c| format!("{}/{}/{}", c.resource, c.subresource, c.name)).collect()
            };
            match (wanted(&headers), want) {
                (Ok(user), Ok(want)) => assert_eq!(asked(user.expect("somebody is named")), want),
                (Err(status), Err(why)) => assert_eq!((status.code, status.message.as_str()), (400, why)),
                (got, want) => panic!("{got:?} instead of {want:?}"),
            }
        };
        let text = "j\u{fc}rgen".as_bytes();
        let latin = b"j\xfcrgen".as_slice();
        check(&[("impersonate-user", text)], Ok(&["users//j\u{fc}rgen"]));
        let all: &[(&str, &[u8])] = &[
            ("impersonate-user", b"bob"),
            ("impersonate-group", text),
            ("impersonate-group", b"g"),
            ("impersonate-uid", text),
            ("impersonate-extra-a", text),
            ("impersonate-extra-%61", b"b"),
        ];
        let want = [
            "users//bob",
            "groups//j\u{fc}rgen",
            "groups//g",
            "userextras/a/j\u{fc}rgen",
            "userextras/a/b",
            "uids//j\u{fc}rgen",
        ];
        check(all, Ok(&want));
        let bob = ("impersonate-user", b"bob".as_slice());
        check(&[("impersonate-user", latin)], Err("the header impersonate-user is not valid UTF-8"));
        check(&[bob, ("impersonate-group", latin)], Err("the header impersonate-group is not valid UTF-8"));
        check(&[bob, ("impersonate-uid", latin)], Err("the header impersonate-uid is not valid UTF-8"));
        check(&[bob, ("impersonate-extra-a", latin)], Err("the header impersonate-extra-a is not valid UTF-8"));
        check(&[bob, ("impersonate-extra-%ff", b"a")], Err("the header impersonate-extra-%ff is not valid UTF-8"));
    }

    #[test]
    fn a_group_without_a_user_is_refused() {
        let mut headers = HeaderMap::new();
        headers.append(GROUP, "g1".parse().unwrap());
        let refused = wanted(&headers).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (500, "Internal error occurred: requested [{Group  g1    }] without impersonating a user")
        );
    }
}
