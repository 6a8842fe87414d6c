//! What events of pods refer to, and how Go prints a duration in them.

use std::time::Duration;

use corten_api::core::v1::Pod;
use corten_client::events::ObjectRef;

use crate::interfaces::ContainerRef;

/// `namespace/name`, as logs show pods.
#[must_use]
pub fn name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

/// `name_namespace(uid)`, as upstream prints pods in events.
#[must_use]
pub fn full_name(pod: &Pod) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let meta = &pod.metadata;
    format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
}

/// The pod as the object of an event.
#[must_use]
pub fn pod_ref(pod: &Pod) -> ObjectRef {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: text(&pod.metadata.namespace),
        name: text(&pod.metadata.name),
        uid: text(&pod.metadata.uid),
        resource_version: text(&pod.metadata.resource_version),
        field_path: "".into(),
    }
}

/// A container of the pod as the object of an event.
#[must_use]
pub fn container_ref(pod: &Pod, container: &ContainerRef) -> ObjectRef {
    ObjectRef { field_path: container.field_path().into(), ..pod_ref(pod) }
}

/// A duration cut to milliseconds, as Go prints it: `393ms`, `1.5s`, `2m0.25s`, `1h0m3s`.
#[must_use]
pub fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (seconds, fraction) = (millis / 1_000, millis % 1_000);
    let fraction = format!("{fraction:03}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{point}{fraction}s"),
        (0, _) => format!("{minutes}m{seconds}{point}{fraction}s"),
        _ => format!("{hours}h{minutes}m{seconds}{point}{fraction}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_in_go() {
        let cases = [
            (0, "0s"),
            (393, "393ms"),
            (1_500, "1.5s"),
            (120_250, "2m0.25s"),
            (3_603_000, "1h0m3s"),
            (1_045, "1.045s"),
        ];
        for (millis, want) in cases {
            assert_eq!(go_duration(Duration::from_millis(millis)), want);
        }
    }
}
