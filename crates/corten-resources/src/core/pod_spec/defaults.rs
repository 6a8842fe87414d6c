//! Defaults of a `PodSpec`, in a pod or in a template. Those that only a pod gets are with the pod.

use corten_apimachinery::{Value, quantity::Quantity};

use crate::{
    defaulting::{each, fill_absent, fill_zero, within},
    quantity::Amount,
};

/// File mode 0644.
const READABLE: i64 = 0o644;

/// Fills in a `PodSpec`.
pub(crate) fn pod_spec(spec: &mut Value) {
    fill_zero(spec, "dnsPolicy", "ClusterFirst");
    fill_zero(spec, "restartPolicy", "Always");
    fill_absent(spec, "securityContext", Value::object());
    fill_absent(spec, "terminationGracePeriodSeconds", 30_i64);
    fill_zero(spec, "schedulerName", "default-scheduler");
    service_account(spec);
    each(spec, &["volumes"], volume);
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        each(spec, &[containers], container);
    }
    within(spec, &["overhead"], round_to_milli);
    within(spec, &["resources"], resources);
}

/// Keeps the old name of the field equal to the new one, which wins.
pub(crate) fn service_account(spec: &mut Value) {
    let name = ["serviceAccountName", "serviceAccount"]
        .iter()
        .find_map(|field| spec.str_at(&[field]).filter(|name| !name.is_empty()))
        .map(ToOwned::to_owned);
    let Some(name) = name else { return };
    for field in ["serviceAccountName", "serviceAccount"] {
        if spec.str_at(&[field]) != Some(&name) {
            spec.set(&[field], name.as_str());
        }
    }
}

fn container(container: &mut Value) {
    if crate::defaulting::is_unset(container, "imagePullPolicy") {
        let policy = pull_policy(container.str_at(&["image"]).unwrap_or_default());
        container.set(&["imagePullPolicy"], policy);
    }
    fill_zero(container, "terminationMessagePath", "/dev/termination-log");
    fill_zero(container, "terminationMessagePolicy", "File");
    each(container, &["ports"], |port| fill_zero(port, "protocol", "TCP"));
    each(container, &["env"], |env| {
        within(env, &["valueFrom", "fieldRef"], field_ref);
        within(env, &["valueFrom", "fileKeyRef"], |file| fill_absent(file, "optional", false));
    });
    within(container, &["resources"], resources);
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, &[name], probe);
    }
    for name in ["postStart", "preStop"] {
        within(container, &["lifecycle", name, "httpGet"], http_get);
    }
}

/// `Always` for the tag `latest`, said or implied; an image by digest does not change, so it need not be asked for again.
pub(crate) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let after_path = name.rfind('/').map_or(name, |slash| &name[slash + 1..]);
    let tag = after_path.split_once(':').map(|(_, tag)| tag);
    match tag {
        Some("latest") => "Always",
        None if !digest && !name.is_empty() => "Always",
        _ => "IfNotPresent",
    }
}

fn field_ref(selector: &mut Value) {
    fill_zero(selector, "apiVersion", "v1");
}

fn http_get(action: &mut Value) {
    fill_zero(action, "path", "/");
    fill_zero(action, "scheme", "HTTP");
}

fn probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1_i64), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        fill_zero(probe, field, value);
    }
    within(probe, &["httpGet"], http_get);
    within(probe, &["grpc"], |grpc| fill_absent(grpc, "service", ""));
}

fn resources(resources: &mut Value) {
    for list in ["limits", "requests"] {
        within(resources, &[list], round_to_milli);
    }
}

/// Amounts finer than a thousandth are rounded up to one.
pub(crate) fn round_to_milli(list: &mut Value) {
    let is_fine = |text: &str| Quantity::parse(text).is_some_and(|amount| !amount.is_whole_at(-3));
    let any_fine = list.as_object().is_some_and(|map| map.iter().any(|(_, v)| v.as_str().is_some_and(is_fine)));
    if !any_fine {
        return;
    }
    if let Some(map) = list.as_object_mut() {
        for (_, value) in map.iter_mut() {
            if let Some(text) = value.as_str().filter(|text| is_fine(text)) {
                let rounded = Quantity::parse(text)
                    .map(|amount| Quantity::from_millis(amount.millis(), amount.format()).to_string());
                if let Some(rounded) = rounded {
                    *value = rounded.into();
                }
            }
        }
    }
}

fn volume(volume: &mut Value) {
    let has_source = volume.as_object().is_some_and(|map| map.iter().any(|(key, v)| key != "name" && !v.is_null()));
    if !has_source {
        volume.set(&["emptyDir"], Value::object());
    }
    within(volume, &["image"], |image| {
        if crate::defaulting::is_unset(image, "pullPolicy") {
            let policy = pull_policy(image.str_at(&["reference"]).unwrap_or_default());
            image.set(&["pullPolicy"], policy);
        }
    });
    within(volume, &["hostPath"], |source| fill_absent(source, "type", ""));
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        within(volume, &[source], |source| fill_absent(source, "defaultMode", READABLE));
    }
    let items = |source: &mut Value| each(source, &["items"], |item| within(item, &["fieldRef"], field_ref));
    within(volume, &["downwardAPI"], items);
    within(volume, &["projected"], |projected| {
        each(projected, &["sources"], |source| {
            within(source, &["downwardAPI"], items);
            within(source, &["serviceAccountToken"], |token| fill_absent(token, "expirationSeconds", 3_600_i64));
        });
    });
    within(volume, &["iscsi"], |source| fill_zero(source, "iscsiInterface", "default"));
    within(volume, &["rbd"], |source| {
        for (field, value) in [("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")] {
            fill_zero(source, field, value);
        }
    });
    within(volume, &["azureDisk"], |source| {
        for (field, value) in [("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("kind", "Shared")] {
            fill_absent(source, field, value);
        }
        fill_absent(source, "readOnly", false);
    });
    within(volume, &["scaleIO"], |source| {
        fill_zero(source, "storageMode", "ThinProvisioned");
        fill_zero(source, "fsType", "xfs");
    });
    within(volume, &["ephemeral", "volumeClaimTemplate", "spec"], |spec| {
        fill_absent(spec, "volumeMode", "Filesystem");
    });
}
