//! A reading as metrics.
//!
//! Names, labels and help are upstream's: pkg/kubelet/metrics/collectors/resource_metrics.go, cadvisor's
//! metrics/prometheus.go (v1.35).

use std::fmt::Write as _;

use super::{ContainerUsage, PodUsage, Reading, Usage};

/// Metrics as text.
struct Page {
    text: String,
    /// When the numbers were true.
    millis: i64,
}

/// `/metrics/resource`. Without a reading, only the error is told.
pub(super) fn resource(reading: Option<&Reading>) -> String {
    let mut page = Page { text: String::new(), millis: reading.map_or(0, |reading| reading.now.as_millisecond()) };
    if let Some(reading) = reading {
        let containers = |value: fn(&ContainerUsage) -> Option<f64>| lines(reading, resource_labels, value);
        page.family(
            "container_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the container in core-seconds",
            containers(|container| cpu_seconds(&container.usage)),
        );
        page.family(
            "container_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the container in bytes",
            containers(|container| container.usage.working_set_bytes.map(float)),
        );
        page.family(
            "container_start_time_seconds",
            "gauge",
            "[STABLE] Start time of the container since unix epoch in seconds",
            containers(|container| {
                container.started.map(jiff::Timestamp::as_duration).map(|since| since.as_secs_f64())
            }),
        );
        let node = &reading.machine.usage;
        page.family(
            "node_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the node in core-seconds",
            cpu_seconds(node).map(|value| (String::new(), value)),
        );
        page.family(
            "node_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the node in bytes",
            node.working_set_bytes.map(|value| (String::new(), float(value))),
        );
        let pods = |value: fn(&Usage) -> Option<f64>| {
            reading.pods.iter().filter_map(move |pod| {
                let (namespace, name) = names(pod);
                Some((format!("{{namespace=\"{namespace}\",pod=\"{name}\"}}"), value(&pod.total)?))
            })
        };
        page.family(
            "pod_cpu_usage_seconds_total",
            "counter",
            "[STABLE] Cumulative cpu time consumed by the pod in core-seconds",
            pods(cpu_seconds),
        );
        page.family(
            "pod_memory_working_set_bytes",
            "gauge",
            "[STABLE] Current working set of the pod in bytes",
            pods(|usage| usage.working_set_bytes.map(float)),
        );
    }
    let failed = u8::from(reading.is_none());
    let help = "[STABLE] 1 if there was an error while getting container metrics, 0 otherwise";
    page.head("resource_scrape_error", "gauge", help);
    page.text.push_str(&format!("resource_scrape_error {failed}\n"));
    page.text
}

/// `/metrics/cadvisor`: of it, what control groups count.
pub(super) fn containers(reading: &Reading) -> String {
    let mut page = Page { text: String::new(), millis: reading.now.as_millisecond() };
    type Value = fn(&ContainerUsage) -> Option<f64>;
    let families: [(&str, &str, &str, Value); 5] = [
        ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", |container| {
            cpu_seconds(&container.usage)
        }),
        ("container_memory_rss", "gauge", "Size of RSS in bytes.", |container| container.usage.rss_bytes.map(float)),
        (
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            |container| container.usage.usage_bytes.map(float),
        ),
        ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", |container| {
            container.usage.working_set_bytes.map(float)
        }),
        (
            "container_start_time_seconds",
            "gauge",
            "Start time of the container since unix epoch in seconds.",
            |container| container.started.map(|time| time.as_duration().as_secs_f64()),
        ),
    ];
    for (name, kind, help, value) in families {
        page.family(name, kind, help, lines(reading, container_labels, value));
    }
    page.text
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, lines: impl IntoIterator<Item = (String, f64)>) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        self.head(name, kind, help);
        let millis = self.millis;
        for (labels, value) in lines {
            writeln!(self.text, "{name}{labels} {value} {millis}").expect("writing to a string does not fail");
        }
    }
}

/// One line for every container that has the number.
fn lines(
    reading: &Reading,
    labels: fn(&PodUsage, &ContainerUsage) -> String,
    value: fn(&ContainerUsage) -> Option<f64>,
) -> impl Iterator<Item = (String, f64)> {
    reading.pods.iter().flat_map(move |pod| {
        pod.containers.iter().filter_map(move |container| Some((labels(pod, container), value(container)?)))
    })
}

/// Names of objects and containers need no escapes.
fn resource_labels(pod: &PodUsage, container: &ContainerUsage) -> String {
    let (namespace, name) = names(pod);
    format!("{{container=\"{}\",namespace=\"{namespace}\",pod=\"{name}\"}}", container.name)
}

fn container_labels(pod: &PodUsage, container: &ContainerUsage) -> String {
    let (namespace, name) = names(pod);
    let ContainerUsage { name: container, id, image, .. } = container;
    let image = image.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!(
        "{{container=\"{container}\",id=\"/{id}\",image=\"{image}\",name=\"{id}\",namespace=\"{namespace}\",pod=\"{name}\"}}"
    )
}

fn names(pod: &PodUsage) -> (&str, &str) {
    let metadata = &pod.pod.metadata;
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn cpu_seconds(usage: &Usage) -> Option<f64> {
    usage.cpu_nano_seconds.map(|nanos| std::time::Duration::from_nanos(nanos).as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point numbers; bytes below 2^53 are exact")]
fn float(value: u64) -> f64 {
    value as f64
}
