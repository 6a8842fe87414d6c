use corten_client::PatchKind;

use super::*;

const STORED: Offer = Offer { encodings: Encodings::STABLE, shapes: Shape::ALL, is_resource: true, is_custom: false };
const PLAIN: Offer = Offer { encodings: Encodings::STABLE, shapes: &[], is_resource: false, is_custom: false };
const ACCEPTED: &str = "only the following media types are accepted: application/json, application/yaml, \
                        application/vnd.kubernetes.protobuf";

#[track_caller]
fn check(header: &str, encoding: Encoding, shape: Shape) {
    let got = accept(header, &STORED, "", "kubectl/v1.35.0").unwrap();
    assert_eq!((got.encoding, got.shape, got.pretty), (encoding, shape, false), "{header}");
}

#[track_caller]
fn check_refused(header: &str, offer: &Offer) {
    let refused = accept(header, offer, "", "").unwrap_err();
    assert_eq!((refused.code, refused.message.as_str()), (406, ACCEPTED), "{header}");
    assert_eq!((refused.reason, refused.details), (Reason::NotAcceptable, None), "{header}");
}

#[test]
fn clients_get_the_first_form_that_exists() {
    check("", Encoding::Json, Shape::Object);
    check("*/*", Encoding::Json, Shape::Object);
    check("*", Encoding::Json, Shape::Object);
    check("application/*", Encoding::Json, Shape::Object);
    check(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        Encoding::Json,
        Shape::Table,
    );
    check("application/vnd.kubernetes.protobuf,application/json", Encoding::Protobuf, Shape::Object);
    check(
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml;as=Table;v=v1beta1;g=meta.k8s.io",
        Encoding::Yaml,
        Shape::Table,
    );
    check(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        Encoding::Protobuf,
        Shape::Metadata,
    );
    check("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", Encoding::Json, Shape::MetadataList);
    check("*/*;as=Table;v=v1;g=meta.k8s.io", Encoding::Json, Shape::Table);
    check("text/html, application/json;as=Unknown;g=meta.k8s.io;v=v1, application/yaml", Encoding::Yaml, Shape::Object);
    check("application/json;charset=utf-8;unknown=1;export=1", Encoding::Json, Shape::Object);
    check("application/json;sv=v1;stream=watch", Encoding::Json, Shape::Object);
    check(
        "application/yaml;stream=watch,application/vnd.kubernetes.protobuf;stream=watch",
        Encoding::Protobuf,
        Shape::Object,
    );
    check("application/yaml;sv=v2,application/json", Encoding::Json, Shape::Object);
    // Parameters without a value, or with two, are none.
    check("application/yaml;as;v=;g=a=b", Encoding::Yaml, Shape::Object);
    check("application/yaml;stream=", Encoding::Yaml, Shape::Object);
    // CBOR is tried out, and off.
    check("application/cbor,application/yaml", Encoding::Yaml, Shape::Object);
}

#[test]
fn clauses_are_tried_by_weight_and_wildcards_last() {
    check("application/json;q=0.5,application/yaml", Encoding::Yaml, Shape::Object);
    check("application/json;q=0.5,application/yaml;q=0.4", Encoding::Json, Shape::Object);
    check("*/*,application/yaml", Encoding::Yaml, Shape::Object);
    check("application/*,application/yaml", Encoding::Yaml, Shape::Object);
    // A weight decides which comes first, and nothing else: zero is no refusal.
    check("application/yaml;q=0", Encoding::Yaml, Shape::Object);
    check("application/json;q=0,application/yaml;q=0.001", Encoding::Yaml, Shape::Object);
    // What is no number weighs nothing.
    check("application/json;q=much,application/yaml;q=0.001", Encoding::Yaml, Shape::Object);
    check("application/yaml;q= 1,application/json;q=0.1", Encoding::Json, Shape::Object);
    // A range moves before what stands behind it only if it weighs more, and then only up to what is no range.
    check("application/yaml;q=0.1,*/*", Encoding::Json, Shape::Object);
    check("*/*,application/yaml;q=0.1", Encoding::Yaml, Shape::Object);
    // A browser.
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    check(browser, Encoding::Json, Shape::Object);
    let many = ["text/a"; 500].join(",") + ",application/json;q=0.1,application/yaml;q=0.2";
    check(&many, Encoding::Yaml, Shape::Object);
}

#[test]
fn a_form_that_does_not_exist_is_refused() {
    for header in [
        "text/html",
        "application/cbor",
        "Application/JSON",
        "application/json/x",
        "application",
        ",",
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf;as=Table;v=v1beta1;g=meta.k8s.io",
        "application/json;as=Table;v=v2;g=meta.k8s.io",
        // A shape needs its group and version, and these need a shape.
        "application/json;as=Table",
        "application/json;as=Table;v=v1",
        "application/json;g=meta.k8s.io;v=v1",
        "application/json;v=v1",
        "application/json;as=Table;v=v1;g=\"meta.k8s.io\"",
        "application/json;stream=other",
        "application/yaml;stream=watch",
        "application/json;sv=v2",
    ] {
        check_refused(header, &STORED);
    }
    check_refused("application/json;sv=v1", &PLAIN);
    check_refused("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", &PLAIN);
}

/// It was found by looking for parts of the text: weights, spaces and other encodings were not known.
#[test]
fn all_of_discovery_at_once_is_negotiated_as_all_else() {
    const AGGREGATED: &str = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    #[track_caller]
    fn check(header: &str, want: Option<(Encoding, bool)>) {
        let header = header.replace('@', AGGREGATED);
        let got = accept_aggregated(&header, "", "kubectl/v1.35.0");
        assert_eq!(got.map(|(accepted, _)| (accepted.encoding, accepted.pretty)), want, "{header}");
    }
    let version =
        |header: &str| accept_aggregated(&header.replace('@', AGGREGATED), "", "").map(|(_, version)| version);
    let beta = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    assert_eq!(version(beta), Some("v2beta1"));
    assert_eq!(version(&format!("application/json;@,{beta},application/json")), Some("v2"));
    let json = Some((Encoding::Json, false));
    check("application/json;@", json);
    check("application/json;@,application/json", json);
    check("application/json ; g = apidiscovery.k8s.io ; v = v2; as =APIGroupDiscoveryList", json);
    check("application/yaml;@", Some((Encoding::Yaml, false)));
    check("application/vnd.kubernetes.protobuf;@", Some((Encoding::Protobuf, false)));
    check("*/*;@", json);
    check("application/json;@;pretty=1", Some((Encoding::Json, true)));
    check("application/json;@;q=0.1,application/yaml;@;q=0.2", Some((Encoding::Yaml, false)));
    // The document that tells less is no answer to who takes both, whatever the weights are.
    check("application/json,application/json;@", json);
    check("application/json;@;q=0.1,application/json", json);
    check("*/*;q=0.9,application/json;q=0.5;@", json);
    check("application/json;@;stream=watch", json);
    for other in [
        "",
        "*/*",
        "application/json",
        "text/html;@",
        "application/cbor;@",
        "application/json;@;sv=v2",
        "application/json;@;stream=other",
        "application/yaml;@;stream=watch",
        "application/json;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscovery",
        "application/json;g=apidiscovery.k8s.io;v=v2alpha1;as=APIGroupDiscoveryList",
    ] {
        check(other, None);
    }
    assert_eq!(
        accept_aggregated(&format!("*/*;{AGGREGATED}"), "1", "").map(|(accepted, _)| accepted.pretty),
        Some(true)
    );
    assert_eq!(
        accept_aggregated(&format!("*/*;{AGGREGATED}"), "", "curl/8").map(|(accepted, _)| accepted.pretty),
        Some(true)
    );
}

#[test]
fn what_has_no_columns_has_no_table() {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let review = Offer { shapes: Shape::NO_TABLE, ..STORED };
    check_refused(table, &review);
    let both = accept(&format!("{table},application/json"), &review, "", "").unwrap();
    assert_eq!(both.shape, Shape::Object);
}

#[test]
fn people_get_indented_text() {
    #[track_caller]
    fn check(header: &str, pretty: &str, agent: &str, want: bool) {
        assert_eq!(accept(header, &STORED, pretty, agent).unwrap().pretty, want, "{header} {pretty} {agent}");
    }
    check("", "", "curl/8", true);
    check("", "", "Wget/1.2", true);
    check("", "", "Mozilla/5.0 (X11)", true);
    check("", "", "kubectl", false);
    check("", "false", "curl/8", false);
    check("", "unclear", "curl/8", false);
    for word in ["true", "1", "T"] {
        check("", word, "kubectl", true);
    }
    check("application/json;pretty=1", "", "kubectl", true);
    check("application/json;pretty=true", "", "kubectl", false);
    check("application/json;pretty=1", "false", "kubectl", true);
}

#[test]
fn yaml_is_no_stream() {
    let encodings = Encodings::STABLE;
    assert_eq!(encodings.expect_stream(Encoding::Json), Ok(()));
    assert_eq!(encodings.expect_stream(Encoding::Protobuf), Ok(()));
    let refused = encodings.expect_stream(Encoding::Yaml).unwrap_err();
    let want = "only the following media types are accepted: application/json;stream=watch, \
                application/vnd.kubernetes.protobuf;stream=watch";
    assert_eq!((refused.code, refused.message.as_str()), (406, want));
}

#[test]
fn bodies_are_in_an_encoding_that_is_served() {
    #[track_caller]
    fn check(content_type: &str, want: Option<Encoding>) {
        let got = Encodings::STABLE.expect_body(content_type).and_then(|()| Encoding::of_body(content_type));
        if want.is_none() {
            let refused = got.as_ref().unwrap_err();
            let text = "the body of the request was in an unknown format - accepted media types include: \
                        application/json, application/yaml, application/vnd.kubernetes.protobuf";
            assert_eq!((refused.code, refused.message.as_str()), (415, text), "{content_type}");
        }
        assert_eq!(got.ok(), want, "{content_type}");
    }
    check("", Some(Encoding::Json));
    check("application/json", Some(Encoding::Json));
    check("Application/JSON ; Charset=UTF-8", Some(Encoding::Json));
    check("application/json;", Some(Encoding::Json));
    check("application/yaml; a=b; a=b", Some(Encoding::Yaml));
    check("application/json; a=\"b\\\"c;\"; d=e", Some(Encoding::Json));
    check("application/vnd.kubernetes.protobuf", Some(Encoding::Protobuf));
    for wrong in [
        "text/plain",
        "*/*",
        "application/*",
        "application/cbor",
        "application/json, application/yaml",
        "application/json; charset",
        "application/json; =x",
        "application/json;; a=b",
        "application/json; a=b; a=c",
        "application/json; a=\"b",
    ] {
        check(wrong, None);
    }
}

#[test]
fn patches_are_in_a_language_that_is_known() {
    #[track_caller]
    fn check(content_type: &str, routed: bool, patch_type: Option<PatchType>) {
        let route = Encodings::STABLE.route_patch(content_type);
        if !routed {
            let refused = route.as_ref().unwrap_err();
            assert_eq!((refused.code, refused.message.as_str()), (415, "415: Unsupported Media Type"));
        }
        let got = Encodings::STABLE.patch_type(content_type, false).ok();
        assert_eq!((route.is_ok(), got), (routed, patch_type), "{content_type}");
    }
    check("application/merge-patch+json", true, Some(PatchType::Merge));
    check("application/merge-patch+json;charset=utf-8", true, Some(PatchType::Merge));
    check("application/apply-patch+yaml", true, Some(PatchType::ApplyYaml));
    // The router takes it, and the handler does not.
    check("application/merge-patch+json ; charset=utf-8", true, None);
    check("text/plain, application/merge-patch+json", true, None);
    check("", false, None);
    check("application/json", false, None);
    check("Application/Merge-Patch+JSON", false, None);
    check("application/apply-patch+cbor", false, None);
    let text = "the body of the request was in an unknown format - accepted media types include: \
                application/json-patch+json, application/merge-patch+json, \
                application/strategic-merge-patch+json, application/apply-patch+yaml";
    assert_eq!(Encodings::STABLE.patch_type("", false).unwrap_err().message, text);
}

/// Configurations in CBOR were refused whatever the gate was, though the documents offered them.
#[test]
fn configurations_in_cbor_are_taken_behind_their_gate() {
    const CBOR: &str = "application/apply-patch+cbor";
    const STRATEGIC: &str = "application/strategic-merge-patch+json";
    let on = Encodings::of(&Features::new([("CBORServingAndStorage", true)]));
    assert_eq!(on.route_patch(CBOR), Ok(()));
    for is_custom in [false, true] {
        assert_eq!(on.patch_type(CBOR, is_custom), Ok(PatchType::ApplyCbor));
        assert!(Encodings::STABLE.patch_type(CBOR, is_custom).is_err());
    }
    assert_eq!((PatchType::ApplyCbor.kind(), PatchType::ApplyCbor.encoding()), (PatchKind::Apply, Encoding::Cbor));
    let refused = on.patch_type(STRATEGIC, true).unwrap_err().message;
    let want = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml, \
                application/apply-patch+cbor";
    assert!(refused.ends_with(&format!("include: {want}")), "{refused}");
}

#[test]
fn the_router_knows_media_types_and_no_ranges() {
    #[track_caller]
    fn check(header: &str, produced: Produced, want: Option<&str>) {
        let refused = Encodings::STABLE.route(header, produced).err();
        if let Some(status) = &refused {
            assert_eq!((status.code, status.reason), (406, Reason::NotAcceptable), "{header}");
            // Upstream's router has details without content.
            assert!(status.details.is_some(), "{header}");
        }
        let want = want.map(|list| format!("406: Not Acceptable\n\nAvailable representations: {list}"));
        assert_eq!(refused.map(|status| status.message), want, "{header}");
    }
    const THREE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
    check("", Produced::Objects, None);
    check("text/html, application/json;q=0", Produced::Objects, None);
    check("application/jsonx, */*", Produced::Objects, None);
    check("application/yaml;as=Unknown", Produced::Objects, None);
    for header in ["text/html", "application/*", "*", "application/cbor", "application/jsonx", "text/plain"] {
        check(header, Produced::Objects, Some(THREE));
    }
    let streams = format!("{THREE}, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch");
    check("text/html", Produced::ObjectsOrStream, Some(&streams));
    check("application/json;stream=watch", Produced::ObjectsOrStream, None);
    check("text/plain", Produced::Log, None);
    check("text/html", Produced::Log, Some(&format!("text/plain, {THREE}")));
    check("application/yaml", Produced::Json, Some("application/json"));
    check("application/yaml", Produced::Documents, None);
}

#[test]
fn cbor_is_served_behind_its_gate() {
    let on = Encodings::of(&Features::new([("CBORServingAndStorage", true)]));
    assert_eq!(Encodings::of(&Features::new([("CBORServingAndStorage", false)])), Encodings::STABLE);
    let offer = Offer { encodings: on, ..STORED };
    assert_eq!(accept("application/cbor", &offer, "", "").unwrap().encoding, Encoding::Cbor);
    assert_eq!(accept("application/*", &offer, "", "").unwrap().encoding, Encoding::Json);
    assert!(accept("application/cbor;as=Table;g=meta.k8s.io;v=v1", &offer, "", "").is_err());
    assert_eq!((on.expect_body("application/cbor"), on.expect_stream(Encoding::Cbor)), (Ok(()), Ok(())));
    let refused = on.expect_stream(Encoding::Yaml).unwrap_err().message;
    assert!(refused.ends_with("application/vnd.kubernetes.protobuf;stream=watch, application/cbor-seq"), "{refused}");
    assert!(on.expect_body("text/plain").unwrap_err().message.ends_with("protobuf, application/cbor"));
    assert_eq!(on.route("application/cbor", Produced::Objects), Ok(()));
    assert!(on.route("application/cbor", Produced::Documents).is_err());
}

/// Upstream: `AllowsMediaTypeTransform` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
#[test]
fn custom_resources_are_in_protobuf_as_metadata_alone() {
    let offer = Offer { is_custom: true, ..STORED };
    let chosen = |header: &str| accept(header, &offer, "", "").map(|accepted| (accepted.encoding, accepted.shape)).ok();
    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    assert_eq!(chosen(PROTOBUF), None);
    assert_eq!(chosen(&format!("{PROTOBUF}, application/json")), Some((Encoding::Json, Shape::Object)));
    assert_eq!(chosen(&format!("{PROTOBUF};stream=watch")), None);
    let metadata = format!("{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    assert_eq!(chosen(&metadata), Some((Encoding::Protobuf, Shape::Metadata)));
    let refused = accept(PROTOBUF, &offer, "", "").unwrap_err();
    assert_eq!(
        (refused.code, &*refused.message),
        (
            406,
            "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
        )
    );
}
