//! What the objects of the service `kubernetes` have to look like. Pure.

use std::net::{IpAddr, SocketAddr};

use corten_apimachinery::{meta::ObjectMeta as _, value::Value};

pub(super) const NAMESPACE: &str = "default";
pub(super) const NAME: &str = "kubernetes";
/// Whose slice this is.
pub(super) const LABEL_SERVICE: &str = "kubernetes.io/service-name";
/// Endpoints with it get no slices of a controller's: these are made here.
const LABEL_SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Where clients inside the cluster find the API.
const PORT: i64 = 443;

/// Where the API is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advertised {
    /// The cluster IP of the service.
    pub(crate) cluster_ip: IpAddr,
    /// Where this server listens, as others reach it.
    pub(crate) address: SocketAddr,
}

impl Advertised {
    /// The address as an endpoint; none if nobody else can reach it, or if it is not of the service's family.
    fn endpoint(&self) -> Option<String> {
        let ip = self.address.ip();
        let is_usable = !ip.is_loopback() && !ip.is_unspecified() && ip.is_ipv4() == self.cluster_ip.is_ipv4();
        is_usable.then(|| ip.to_string())
    }

    fn port(&self) -> Value {
        Value::object_of([
            ("name", Value::from("https")),
            ("port", i64::from(self.address.port()).into()),
            ("protocol", "TCP".into()),
        ])
    }

    pub(super) fn service(&self) -> Value {
        let port = Value::object_of([
            ("name", Value::from("https")),
            ("protocol", "TCP".into()),
            ("port", PORT.into()),
            ("targetPort", i64::from(self.address.port()).into()),
        ]);
        let mut service = object("v1", "Service", [("component", "apiserver"), ("provider", "kubernetes")]);
        service.set(&["spec", "ports"], Value::array([port]));
        service.set(&["spec", "clusterIP"], self.cluster_ip.to_string());
        service.set(&["spec", "ipFamilyPolicy"], "SingleStack");
        service.set(&["spec", "sessionAffinity"], "None");
        service.set(&["spec", "type"], "ClusterIP");
        service
    }

    pub(super) fn endpoints(&self) -> Value {
        let mut endpoints = object("v1", "Endpoints", [(LABEL_SKIP_MIRROR, "true")]);
        // Without an address there is no subset: one without addresses is dropped when it is stored.
        let subset = self.endpoint().map(|ip| {
            let address = Value::object_of([("ip", ip)].map(|(key, ip)| (key, Value::from(ip.as_str()))));
            Value::object_of([("addresses", Value::array([address])), ("ports", Value::array([self.port()]))])
        });
        if let Some(subset) = subset {
            endpoints.set(&["subsets"], Value::array([subset]));
        }
        endpoints
    }

    pub(super) fn slice(&self) -> Value {
        let mut slice = object("discovery.k8s.io/v1", "EndpointSlice", [(LABEL_SERVICE, NAME)]);
        let family = if self.cluster_ip.is_ipv4() { "IPv4" } else { "IPv6" };
        let endpoints = self.endpoint().map(|ip| {
            Value::object_of([
                ("addresses", Value::array([Value::from(ip.as_str())])),
                ("conditions", Value::object_of([("ready", Value::from(true))])),
            ])
        });
        slice.set(&["addressType"], family);
        slice.set(&["endpoints"], Value::array(endpoints));
        slice.set(&["ports"], Value::array([self.port()]));
        slice
    }
}

fn object<const N: usize>(api_version: &str, kind: &str, labels: [(&str, &str); N]) -> Value {
    let labels = Value::object_of(labels.map(|(key, value)| (key, Value::from(value))));
    let mut object = Value::object_of([("apiVersion", Value::from(api_version)), ("kind", kind.into())]);
    object.set_meta("name", NAME);
    object.set_meta("namespace", NAMESPACE);
    object.set_meta("labels", labels);
    object
}

/// The parts of an object that are kept as they should be.
pub(super) const KEPT: [&[&str]; 4] = [&["metadata", "labels"], &["subsets"], &["endpoints"], &["ports"]];

/// `current` with all that is kept taken from `wanted`; `None` if it is as it should be.
pub(super) fn corrected(current: &Value, wanted: &Value) -> Option<Value> {
    use corten_apimachinery::value::semantically_equal;
    let is_right = KEPT.iter().all(|path| semantically_equal(current.at(path), wanted.at(path)));
    if is_right {
        return None;
    }
    let mut object = current.clone();
    for path in KEPT {
        match wanted.at(path) {
            Some(value) => object.set(path, value.clone()),
            None => {
                object.unset(path);
            }
        }
    }
    Some(object)
}
