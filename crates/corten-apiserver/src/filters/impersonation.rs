//! Lets a user act as another, if they may `impersonate` every part of that identity.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/filters/impersonation.go (v1.35).

use corten_apimachinery::{resource::UserInfo, status::Status, value::Str};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

use crate::{
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
/// Errors: `Forbidden` if the user may not act as that one; `InternalError` if a group is named without a user.
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
    let names: Vec<HeaderName> =
        request.headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        request.headers.remove(name);
    }
    Ok(())
}

fn wanted(headers: &HeaderMap) -> Result<Option<UserInfo>, Status> {
    let texts = |name: &HeaderName| -> Vec<Str> {
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).map(Str::from).collect()
    };
    let mut user = UserInfo {
        name: texts(&USER).into_iter().next().unwrap_or_default(),
        uid: texts(&UID).into_iter().next().unwrap_or_default(),
        groups: texts(&GROUP),
        extra: Vec::new(),
    };
    for name in headers.keys().filter(|name| name.as_str().starts_with(EXTRA_PREFIX)) {
        let key = percent_decode_str(&name.as_str()[EXTRA_PREFIX.len()..]).decode_utf8_lossy();
        user.extra.push((Str::from(key), texts(name)));
    }
    user.extra.sort();
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

fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':').filter(|(_, name)| !name.contains(':'))
}

/// Adds the groups that an identity has by being one.
fn complete(mut user: UserInfo) -> UserInfo {
    if let Some((namespace, _)) = service_account(&user.name)
        && user.groups.is_empty()
    {
        user.groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}").into()];
    }
    let anonymous = user.name == "system:anonymous";
    let group = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
    if !user.groups.iter().any(|existing| existing == group) {
        user.groups.push(group.into());
    }
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
