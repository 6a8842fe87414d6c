use std::{sync::Arc, time::Duration};

use corten_apiserver::authentication::TokenAuthenticator as _;
use corten_base::{Clock as _, SimClock, SimRng};

use super::{Binding, DEFAULT_ISSUER, Issuer, Named, PublicKey, SigningKey, TokenVerifier, new_key};
use crate::caches::Caches;

fn issuer(name: &str) -> (Issuer, String) {
    let (private, public) = new_key().unwrap();
    (Issuer::new(name.to_owned(), SigningKey::from_pem(private.as_bytes()).unwrap(), SimRng::shared(1)), public)
}

/// The error of verifying `token` where no object exists, or none if it is not of the issuer.
async fn refusal(issuer: &Issuer, clock: &Arc<SimClock>, audiences: &[&str], token: &str) -> Option<String> {
    let keys = vec![issuer.public_key().clone()];
    let verifier =
        TokenVerifier::new(vec![DEFAULT_ISSUER.to_owned()], keys, Arc::<Caches>::default(), Arc::clone(clock) as _);
    let audiences: Vec<String> = audiences.iter().map(|&audience| audience.to_owned()).collect();
    verifier.authenticate_token(token, &audiences).await.map_or_else(
        |error| Some(error.0),
        |known| {
            assert_eq!(known, None);
            None
        },
    )
}

#[tokio::test]
async fn a_token_is_refused_for_what_is_wrong_with_it() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (issuer, _) = issuer(DEFAULT_ISSUER);
    let account = Named { name: "robot".into(), uid: "u1".into() };
    let claims =
        issuer.claims("a", account, Binding::default(), vec!["api".into()], clock.now(), Duration::from_secs(600));
    let token = issuer.sign(&claims).unwrap();
    let check = async |audiences: &[&str], token: &str| refusal(&issuer, &clock, audiences, token).await;

    // Everything is right but that no account exists.
    let gone = Some("service account token has been invalidated".to_owned());
    assert_eq!(check(&["api"], &token).await, gone);
    assert_eq!(check(&[], &token).await, gone);
    assert_eq!(
        check(&["vault"], &token).await.as_deref(),
        Some("token audiences [\"api\"] is invalid for the target audiences [\"vault\"]")
    );
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let other = issuer.sign(&super::Claims { exp: claims.exp + 1, ..claims.clone() }).unwrap();
    let other_payload = other.split('.').nth(1).unwrap();
    let invalid = Some("invalid bearer token".to_owned());
    assert_eq!(check(&["api"], &format!("{header}.{other_payload}.{signature}")).await, invalid);
    // {"alg":"none"}
    assert_eq!(check(&["api"], &format!("eyJhbGciOiJub25lIn0.{payload}.")).await, invalid);
    assert_eq!(check(&["api"], "abc").await, None);
    clock.advance(Duration::from_secs(661));
    assert_eq!(check(&["api"], &token).await.as_deref(), Some("service account token has expired"));
}

#[tokio::test]
async fn a_token_of_another_issuer_is_left_to_others() {
    let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
    let (issuer, _) = issuer("https://elsewhere");
    let claims =
        issuer.claims("a", Named::default(), Binding::default(), Vec::new(), clock.now(), Duration::from_secs(600));
    assert_eq!(refusal(&issuer, &clock, &[], &issuer.sign(&claims).unwrap()).await, None);
}

#[test]
fn a_public_key_is_the_same_however_it_is_read() {
    let (private, public) = new_key().unwrap();
    let signing = SigningKey::from_pem(private.as_bytes()).unwrap();
    assert_eq!(PublicKey::all_from_pem(public.as_bytes()).unwrap(), [signing.public().clone()]);
    let jwk = signing.public().to_jwk();
    assert_eq!(
        (jwk["kty"].as_str(), jwk["alg"].as_str(), jwk["kid"].as_str()),
        (Some("EC"), Some("ES256"), Some(signing.public().id.as_str()))
    );
}

#[test]
fn claims_are_written_as_upstream_writes_them() {
    let (issuer, _) = issuer(DEFAULT_ISSUER);
    let named = |name: &str| Some(Named { name: name.to_owned(), uid: format!("{name}-uid") });
    let mut claims = issuer.claims(
        "a",
        named("robot").unwrap(),
        Binding { pod: named("p"), node: named("n"), secret: None },
        vec!["api".to_owned()],
        "2026-01-01T00:00:00Z".parse().unwrap(),
        Duration::from_secs(3_600),
    );
    claims.jti = "id".to_owned();
    assert_eq!(
        serde_json::to_string(&claims).unwrap(),
        concat!(
            r#"{"aud":["api"],"exp":1767229200,"iat":1767225600,"iss":"https://kubernetes.default.svc.cluster.local","#,
            r#""jti":"id","kubernetes.io":{"namespace":"a","node":{"name":"n","uid":"n-uid"},"#,
            r#""pod":{"name":"p","uid":"p-uid"},"serviceaccount":{"name":"robot","uid":"robot-uid"}},"#,
            r#""nbf":1767225600,"sub":"system:serviceaccount:a:robot"}"#
        )
    );
}
