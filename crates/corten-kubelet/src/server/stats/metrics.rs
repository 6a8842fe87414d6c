//! A reading as metrics.
//!
//! Names, labels and help are upstream's: pkg/kubelet/metrics/collectors/resource_metrics.go, cadvisor's
//! metrics/prometheus.go (v1.35).

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{ContainerUsage, Machine, PodUsage, Reading, Usage};

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
            containers(|container| container.started.map(Timestamp::as_duration).map(|since| since.as_secs_f64())),
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

/// `/metrics/cadvisor`: of it, what control groups count, of containers, pods and the node; and the machine, of which only the
/// error is told if it could not be read.
pub(super) fn containers(reading: &Reading, machine: Option<&Machine>) -> String {
    let mut page = Page { text: String::new(), millis: reading.now.as_millisecond() };
    let groups = groups(reading);
    type Value = fn(&Usage) -> Option<f64>;
    let families: [(&str, &str, &str, &str, Value); 4] = [
        (
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            "cpu=\"total\",",
            cpu_seconds,
        ),
        ("container_memory_rss", "gauge", "Size of RSS in bytes.", "", |usage| usage.rss_bytes.map(float)),
        (
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            "",
            |usage| usage.usage_bytes.map(float),
        ),
        ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", "", |usage| {
            usage.working_set_bytes.map(float)
        }),
    ];
    for (name, kind, help, more, value) in families {
        let line = |group: &Group| Some((group.labels(more), value(&group.usage)?));
        page.family(name, kind, help, groups.iter().filter_map(line));
    }
    let seconds = |time: Timestamp| time.as_duration().as_secs_f64();
    let line = |group: &Group| Some((group.labels(""), group.started.map(seconds)?));
    let help = "Start time of the container since unix epoch in seconds.";
    page.family("container_start_time_seconds", "gauge", help, groups.iter().filter_map(line));
    let help = "1 if there was an error while getting container metrics, 0 otherwise";
    page.now("container_scrape_error", help, "", 0);
    if let Some(machine) = machine {
        let Machine { boot_id, machine_id, system_uuid, .. } = machine;
        let labels = format!(
            "{{boot_id=\"{}\",machine_id=\"{}\",system_uuid=\"{}\"}}",
            escaped(boot_id),
            escaped(machine_id),
            escaped(system_uuid)
        );
        page.now("machine_cpu_cores", "Number of logical CPU cores.", &labels, machine.cpus.into());
        let help = "Amount of memory installed on the machine.";
        page.now("machine_memory_bytes", help, &labels, machine.memory_bytes);
        let help = "Amount of swap memory available on the machine.";
        page.now("machine_swap_bytes", help, &labels, machine.swap_bytes);
    }
    let help = "1 if there was an error while getting machine metrics, 0 otherwise.";
    page.now("machine_scrape_error", help, "", u64::from(machine.is_none()));
    page.text
}

/// A control group with numbers: a container's, a pod's, or the one of all.
struct Group<'a> {
    id: String,
    container: Option<&'a ContainerUsage>,
    pod: Option<&'a PodUsage>,
    usage: Usage,
    started: Option<Timestamp>,
}

fn groups(reading: &Reading) -> Vec<Group<'_>> {
    let (usage, started) = (reading.machine.usage, reading.machine.started);
    let mut groups = vec![Group { id: "/".to_owned(), container: None, pod: None, usage, started }];
    for pod in &reading.pods {
        let of_pod = pod.pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        groups.push(Group {
            id: pod.cgroup.clone(),
            container: None,
            pod: Some(pod),
            usage: pod.total,
            started: of_pod,
        });
        groups.extend(pod.containers.iter().map(|container| Group {
            id: format!("{}/{}", pod.cgroup, container.id),
            container: Some(container),
            pod: Some(pod),
            usage: container.usage,
            started: container.started,
        }));
    }
    groups
}

impl Group<'_> {
    /// `more` stands where its name sorts, behind `container`.
    fn labels(&self, more: &str) -> String {
        let (namespace, pod) = self.pod.map(names).unwrap_or_default();
        let known = self.container.map(|container| (&*container.name, &*container.id, escaped(&container.image)));
        let (container, name, image) = known.unwrap_or_default();
        let id = &self.id;
        format!(
            "{{container=\"{container}\",{more}id=\"{id}\",image=\"{image}\",name=\"{name}\",namespace=\"{namespace}\",pod=\"{pod}\"}}"
        )
    }
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// A number of this moment.
    fn now(&mut self, name: &str, help: &str, labels: &str, value: u64) {
        self.head(name, "gauge", help);
        writeln!(self.text, "{name}{labels} {value}").expect("writing to a string does not fail");
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

/// The value of a label that may have any characters.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
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
