//! Finds out who asks. Nobody in particular is `system:anonymous`.
//!
//! Upstream: k8s.io/apiserver/pkg/endpoints/filters/authentication.go (v1.35).

use corten_apimachinery::{resource::UserInfo, status::Status};

use crate::{
    authentication::strip_credentials,
    request::{Origin, Request},
    server::Server,
};

const ANONYMOUS: &str = "system:anonymous";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const AUTHENTICATED: &str = "system:authenticated";

/// Fills in the user.
///
/// Errors: `Unauthorized` for credentials that are not valid.
pub(super) async fn authenticate(server: &Server, request: &mut Request) -> Result<(), Status> {
    if matches!(request.origin, Origin::InProcess) {
        return Ok(());
    }
    let user = server.authenticator().authenticate(request).await.map_err(|error| {
        tracing::debug!(err = %error, "Could not authenticate a request");
        Status::unauthorized()
    })?;
    request.user = match user {
        Some(mut user) => {
            if user.name != ANONYMOUS && !user.groups.iter().any(|group| group == AUTHENTICATED) {
                user.groups.push(AUTHENTICATED.into());
            }
            user
        }
        None => UserInfo { name: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..UserInfo::default() },
    };
    // Nothing behind this point may see the credentials.
    strip_credentials(&mut request.headers);
    Ok(())
}
