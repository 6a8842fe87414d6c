use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn request() -> LeafRequest {
    LeafRequest {
        common_name: "kube-apiserver".into(),
        dns_names: vec!["localhost".into()],
        addresses: vec!["127.0.0.1".parse().unwrap()],
        server: true,
        ..LeafRequest::default()
    }
}

#[test]
fn an_authority_and_its_leaves_are_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let files = CertificateFiles::new(directory.path(), "ca");
    let authority = Authority::ensure(&files, "kubernetes", now()).unwrap();
    assert_eq!(Authority::ensure(&files, "kubernetes", now()).unwrap().pem(), authority.pem());
    let leaf = CertificateFiles::new(directory.path(), "apiserver");
    let first = authority.ensure_leaf(&leaf, &request(), now()).unwrap();
    assert_eq!(authority.ensure_leaf(&leaf, &request(), now()).unwrap(), first);
}

/// With another authority's key, certificates were signed that nobody believed, and a cluster that said it was ready.
#[test]
fn an_authority_with_a_key_of_another_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| CertificateFiles::new(directory.path(), name));
    for files in [&one, &other] {
        Authority::ensure(files, "kubernetes", now()).unwrap();
    }
    std::fs::copy(&other.key, &one.key).unwrap();
    let refused = Authority::ensure(&one, "kubernetes", now()).unwrap_err();
    assert!(matches!(refused, CertificateError::Mismatch { .. }), "{refused}");
    Authority::ensure(&other, "kubernetes", now()).unwrap();
}

#[test]
fn a_leaf_is_renewed_when_it_gets_old_or_names_change() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::ensure(&CertificateFiles::new(directory.path(), "ca"), "kubernetes", now()).unwrap();
    let leaf = CertificateFiles::new(directory.path(), "apiserver");
    let first = authority.ensure_leaf(&leaf, &request(), now()).unwrap();
    let later = now() + Duration::from_secs(300 * 24 * 3_600);
    let renewed = authority.ensure_leaf(&leaf, &request(), later).unwrap();
    assert_ne!(renewed, first);
    let mut more = request();
    more.addresses.push("10.96.0.1".parse().unwrap());
    assert_ne!(authority.ensure_leaf(&leaf, &more, later).unwrap(), renewed);
}

/// A certificate whose group had changed, or whose key had been exchanged, was once served until it got old.
#[test]
fn a_leaf_is_made_anew_for_other_groups_other_uses_and_another_key() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::ensure(&CertificateFiles::new(directory.path(), "ca"), "kubernetes", now()).unwrap();
    let leaf = CertificateFiles::new(directory.path(), "admin");
    let mut request = LeafRequest { organizations: vec!["one".to_owned()], client: true, ..request() };
    let mut last = authority.ensure_leaf(&leaf, &request, now()).unwrap();
    assert_eq!(authority.ensure_leaf(&leaf, &request, now()).unwrap(), last);
    request.organizations = vec!["two".to_owned()];
    let next = authority.ensure_leaf(&leaf, &request, now()).unwrap();
    assert_ne!(next, last);
    last = next;
    request.client = false;
    assert_eq!(authority.ensure_leaf(&leaf, &request, now()).unwrap(), last, "it may be used for more");
    let other = authority.issue(&request, now(), LEAF_VALID).unwrap();
    fs::write(&leaf.key, other.key.as_bytes()).unwrap();
    assert_ne!(authority.ensure_leaf(&leaf, &request, now()).unwrap(), last);
}

#[test]
fn keys_are_not_shown() {
    let pair = KeyPairPem { certificate: "shown".to_owned(), key: "hidden".into() };
    assert_eq!(format!("{pair:?}"), "KeyPairPem { certificate: \"shown\", key: Secret(..) }");
}
