//! Tests of rules that pods and templates share, by pods.

use serde_json::{Value, json};

use crate::{
    core::pod::RESOURCE,
    testing::{patched, refuses},
};

#[track_caller]
fn check(spec: Value, want: &[&str]) {
    let pod = json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    refuses(&RESOURCE, patched(pod, json!({"spec": spec})), want);
}

#[track_caller]
fn check_volume(source: Value, want: &[&str]) {
    check(json!({"volumes": [patched(json!({"name": "v"}), source)]}), want);
}

#[test]
fn each_kind_of_volume_has_its_rules() {
    for (source, want) in [
        (
            json!({"flocker": {}}),
            vec!["spec.volumes[0].flocker: Required value: one of datasetName and datasetUUID is required"],
        ),
        (
            json!({"flocker": {"datasetName": "a/b", "datasetUUID": "u"}}),
            vec![
                "spec.volumes[0].flocker: Invalid value: \"resource\": datasetName and datasetUUID can not be specified \
             simultaneously",
                "spec.volumes[0].flocker.datasetName: Invalid value: \"a/b\": must not contain '/'",
            ],
        ),
        (
            json!({"quobyte": {"registry": "", "volume": ""}}),
            vec![
                "spec.volumes[0].quobyte.registry: Required value: must be a host:port pair or multiple pairs separated by commas",
                "spec.volumes[0].quobyte.volume: Required value",
            ],
        ),
        (
            json!({"quobyte": {"registry": "a:1,b,[::1]:2,::1", "volume": "v"}}),
            vec![
                "spec.volumes[0].quobyte.registry: Invalid value: \"a:1,b,[::1]:2,::1\": must be a host:port pair or multiple \
             pairs separated by commas",
                "spec.volumes[0].quobyte.registry: Invalid value: \"a:1,b,[::1]:2,::1\": must be a host:port pair or multiple \
             pairs separated by commas",
            ],
        ),
        (
            json!({"fc": {"targetWWNs": ["w"], "wwids": ["i"]}}),
            vec![
                "spec.volumes[0].fc.targetWWNs: Invalid value: [\"w\"]: targetWWNs and wwids can not be specified simultaneously",
                "spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified",
            ],
        ),
        (
            json!({"fc": {"targetWWNs": ["w"], "lun": -1}}),
            vec!["spec.volumes[0].fc.lun: Invalid value: -1: must be between 0 and 255, inclusive"],
        ),
        (
            json!({"flexVolume": {"driver": "", "options": {"a.k8s.io/b": "c", "Kubernetes.io": "d", "fine": "e"}}}),
            vec![
                "spec.volumes[0].flexVolume.driver: Required value",
                "spec.volumes[0].flexVolume.options[Kubernetes.io]: Invalid value: \"Kubernetes.io\": kubernetes.io and k8s.io \
             namespaces are reserved",
                "spec.volumes[0].flexVolume.options[a.k8s.io/b]: Invalid value: \"a.k8s.io/b\": kubernetes.io and k8s.io \
             namespaces are reserved",
            ],
        ),
        (
            json!({"azureDisk": {"diskName": "d", "diskURI": "u", "cachingMode": "Some", "kind": "Managed"}}),
            vec![
                "spec.volumes[0].azureDisk.cachingMode: Unsupported value: \"Some\": supported values: \"None\", \"ReadOnly\", \
             \"ReadWrite\"",
                "spec.volumes[0].azureDisk.diskURI: Unsupported value: \"u\": supported values: \
             \"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\"",
            ],
        ),
        (
            json!({"storageos": {"volumeName": "-", "volumeNamespace": "n", "secretRef": {}}}),
            vec![
                "spec.volumes[0].storageos.volumeName: Invalid value: \"-\": a lowercase RFC 1123 label must consist of lower case \
             alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
                "spec.volumes[0].storageos.secretRef.name: Required value",
            ],
        ),
        (
            json!({"scaleIO": {"gateway": "", "system": "", "secretRef": {}}}),
            vec![
                "spec.volumes[0].scaleIO.gateway: Required value",
                "spec.volumes[0].scaleIO.system: Required value",
                "spec.volumes[0].scaleIO.volumeName: Required value",
            ],
        ),
        (
            json!({"cinder": {"volumeID": "v", "secretRef": {}}}),
            vec!["spec.volumes[0].cinder.secretRef.name: Required value"],
        ),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.2001-4.com.example:storage", "lun": 0}}),
            vec!["spec.volumes[0].iscsi.iqn: Invalid value: \"iqn.2001-4.com.example:storage\": must be valid format"],
        ),
        (json!({"iscsi": {"targetPortal": "p", "iqn": "iqn.2001-04.com.example:storage.kube", "lun": 0}}), vec![]),
        (
            json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "-"}}}),
            vec![
                "spec.volumes[0].csi.name: Invalid value: \"-\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', \
             regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ],
        ),
    ] {
        check_volume(source, &want);
    }
}

#[test]
fn sources_after_the_first_are_one_too_many() {
    check_volume(
        json!({"emptyDir": {"sizeLimit": "-1"}, "cephfs": {"monitors": []}, "image": {}}),
        &[
            "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
            "spec.volumes[0].cephFS: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].image: Forbidden: may not specify more than 1 volume type",
        ],
    );
}

/// Mounts of volumes that were refused were taken.
#[test]
fn a_volume_that_is_refused_cannot_be_mounted() {
    check(
        json!({
            "volumes": [{"name": "v", "nfs": {"server": "", "path": "/"}}],
            "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        }),
        &["spec.volumes[0].nfs.server: Required value", "spec.containers[0].volumeMounts[0].name: Not found: \"v\""],
    );
}

#[test]
fn a_claim_that_is_made_for_a_volume_is_no_other_volumes() {
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}});
    check(
        json!({"volumes": [
            {"name": "a", "persistentVolumeClaim": {"claimName": "p-b"}},
            {"name": "b", "ephemeral": {"volumeClaimTemplate": template}},
        ]}),
        &[
            "spec.volumes[0].persistentVolumeClaim.claimName: Invalid value: \"p-b\": must not reference a PVC that gets created \
           for an ephemeral volume",
        ],
    );
}

#[test]
fn a_template_of_a_claim_has_labels_and_annotations_only() {
    let spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}});
    check_volume(
        json!({"ephemeral": {"volumeClaimTemplate": {
            "metadata": {"name": "n", "labels": {"a": "b"}, "finalizers": ["f"]}, "spec": spec,
        }}}),
        &[
            "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set",
            "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.finalizers: Forbidden: cannot be set",
        ],
    );
}

/// Since v1.33 parts of an image can be mounted.
#[test]
fn a_folder_of_an_image_can_be_mounted() {
    check(
        json!({
            "volumes": [{"name": "v", "image": {"reference": "r", "pullPolicy": "Always"}}],
            "containers": [{
                "name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}],
            }],
        }),
        &[],
    );
}

#[test]
fn variables_show_fields_that_the_downward_api_knows() {
    let env = |field: &str| {
        let from = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": field}});
        json!({"containers": [{"name": "c", "image": "i", "env": [{"name": "A", "valueFrom": from}]}]})
    };
    let at = "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath";
    check(env("spec.nodeName"), &[]);
    check(env("spec.host"), &[]);
    let supported = "supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \
                     \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"";
    check(env("status.phase"), &[&format!("{at}: Unsupported value: \"status.phase\": {supported}")]);
    check(
        env("spec.nodeName['a']"),
        &[&format!(
            "{at}: Invalid value: \"spec.nodeName['a']\": error converting fieldPath: field label does not support subscript: \
             spec.nodeName['a']"
        )],
    );
    check(
        env("spec.foo"),
        &[&format!(
            "{at}: Invalid value: \"spec.foo\": error converting fieldPath: field label not supported: spec.foo"
        )],
    );
}

#[test]
fn users_of_windows_have_names_that_it_takes() {
    let user = |name: &str| json!({"securityContext": {"windowsOptions": {"runAsUserName": name}}});
    let at = "spec.securityContext.windowsOptions.runAsUserName";
    for name in ["ContainerUser", "DOMAIN\\user", "example.com\\user", "a b\\user"] {
        check(user(name), &[]);
    }
    for (name, why) in [
        ("", "runAsUserName cannot be an empty string"),
        ("a\tb", "runAsUserName cannot contain control characters"),
        ("a\\b\\c", "runAsUserName cannot contain more than one backslash"),
        (".a\\b", "runAsUserName's Domain doesn't match the NetBios nor the DNS format"),
        ("a\\", "runAsUserName's User cannot be empty"),
        (". .", "runAsUserName's User cannot contain only periods or spaces"),
        ("a@b", "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"),
    ] {
        check(user(name), &[&format!("{at}: Invalid value: {}: {why}", corten_apimachinery::field::quote(name))]);
    }
    check(
        json!({"containers": [{"name": "c", "image": "i", "securityContext": {"windowsOptions": {
            "gmsaCredentialSpec": "", "gmsaCredentialSpecName": "a",
        }}}]}),
        &[
            "spec.containers[0].securityContext.windowsOptions.gmsaCredentialSpec: Invalid value: \"\": gmsaCredentialSpec \
           cannot be an empty string",
        ],
    );
}

#[test]
fn processes_of_a_windows_host_are_all_or_none() {
    let process = |on: bool| json!({"windowsOptions": {"hostProcess": on}});
    check(
        json!({
            "securityContext": process(true),
            "containers": [
                {"name": "c", "image": "i"}, {"name": "d", "image": "i", "securityContext": process(false)},
            ],
        }),
        &[
            "spec.containers[1].securityContext.windowsOptions.hostProcess: Invalid value: false: pod hostProcess value must \
             be identical if both are specified, was true",
            "spec: Invalid value: \"\": If pod contains any hostProcess containers then all containers must be HostProcess \
             containers",
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ],
    );
    check(json!({"securityContext": process(true), "hostNetwork": true}), &[]);
}

#[test]
fn labels_are_mounted_by_those_who_may() {
    check(json!({"securityContext": {"seLinuxChangePolicy": "Recursive"}}), &[]);
    check(
        json!({"securityContext": {"seLinuxChangePolicy": "MountOption"}}),
        &[
            "spec.securityContext.seLinuxChangePolicy: Unsupported value: \"MountOption\": supported values: \"Recursive\"",
        ],
    );
}

#[test]
fn requests_of_claims_are_named_once() {
    let claims = |claims: Value| {
        json!({
            "resourceClaims": [{"name": "a", "resourceClaimName": "x"}],
            "containers": [{"name": "c", "image": "i", "resources": {"claims": claims}}],
        })
    };
    let at = "spec.containers[0].resources.claims";
    check(claims(json!([{"name": "a", "request": "r"}, {"name": "a", "request": "s"}])), &[]);
    check(
        claims(json!([{"name": "a", "request": "r"}, {"name": "a", "request": "r"}, {"name": "a"}, {"name": "a"}])),
        &[
            &format!("{at}[1]: Duplicate value: \"a/r\""),
            &format!("{at}[2]: Duplicate value: \"a\""),
            &format!("{at}[3]: Duplicate value: \"a\""),
        ],
    );
    check(
        json!({"resourceClaims": [{"name": "a"}]}),
        &[
            "spec.resourceClaims[0]: Invalid value: {\"Name\":\"a\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":\
           null}: must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        ],
    );
}

#[test]
fn a_pod_asks_for_what_its_busiest_moment_needs() {
    let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
    check(
        json!({
            "resources": {"requests": {"cpu": "3", "pods": "1"}},
            "initContainers": [
                {"name": "s", "image": "i", "restartPolicy": "Always", "resources": cpu("1")},
                {"name": "i", "image": "i", "resources": cpu("4")},
            ],
            "containers": [{"name": "c", "image": "i", "resources": cpu("1")}],
        }),
        &[
            "spec.resources.requests[pods]: Unsupported value: \"pods\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
            "spec.resources.requests[cpu]: Invalid value: \"3\": must be greater than or equal to aggregate container requests \
             of 5",
        ],
    );
}

#[test]
fn bundles_of_authorities_are_named_or_of_a_signer() {
    use crate::testing::{context, value};
    use corten_apimachinery::resource::Context;
    let spec = |bundle: Value| {
        let volume = json!({"name": "v", "projected": {"sources": [{"clusterTrustBundle": bundle}]}});
        value(json!({"containers": [{"name": "c", "image": "i"}], "volumes": [volume]}))
    };
    let errors = |bundle: Value| -> Vec<String> {
        let cx: Context<'_> = context("v1");
        let mut pod = value(json!({"metadata": {"name": "p"}}));
        pod.set(&["spec"], spec(bundle));
        (RESOURCE.versions[0].defaults)(&mut pod);
        RESOURCE.strategy.validate(&cx, &pod).iter().map(ToString::to_string).collect()
    };
    let at = "spec.volumes[0].projected.sources[0].clusterTrustBundle";
    assert_eq!(errors(json!({"name": "example.com:s:b", "path": "p"})), [""; 0]);
    assert_eq!(
        errors(json!({"path": ""})),
        [
            format!("{at}: Required value: either name or signerName must be specified"),
            format!("{at}.path: Required value"),
        ]
    );
    assert_eq!(
        errors(json!({"name": "", "path": "p", "labelSelector": {}})).last(),
        Some(&format!("{at}.labelSelector: Invalid value: {{}}: labelSelector must be unset if name is specified"))
    );
}
