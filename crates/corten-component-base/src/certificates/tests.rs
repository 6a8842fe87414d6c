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
