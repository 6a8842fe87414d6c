use std::collections::BTreeSet;

use corten_base::SimRng;
use futures::FutureExt as _;
use serde_json::json;

use super::*;
use crate::testing::{Cluster, admin, tree};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

fn service(ports: impl IntoIterator<Item = serde_json::Value>) -> Value {
    let ports: Vec<_> = ports.into_iter().collect();
    tree(
        json!({"metadata": {"uid": "a"}, "spec": {"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"], "ports": ports}}),
    )
}

fn pinned(name: &str, ip: &str) -> serde_json::Value {
    json!({"metadata": {"name": name}, "spec": {"clusterIP": ip, "ports": [{"port": 80}]}})
}

impl Allocators {
    /// As after a restart of the server.
    fn restarted(&self) -> Self {
        let addresses = self.addresses().unwrap();
        Self {
            caches: Arc::clone(&self.caches),
            clock: Arc::clone(&self.clock),
            rng: Arc::clone(&self.rng),
            tasks: self.tasks.clone(),
            families: self.families.clone(),
            node_ports: self.node_ports,
            ranges: service_ranges::Known::default(),
            configured: Arc::default(),
            addresses: OnceLock::from(addresses.again()),
            pools: Mutex::new(Pools {
                ports: Ports::new((30_000, 32_767)),
                unrepaired: HashMap::new(),
                early: Some(Vec::new()),
            }),
            counts: Counts::default(),
            filled: OnceCell::new(),
        }
    }
}

/// Each port looked through all ports, a hundred thousand of them, while everybody waited.
#[test]
fn ports_are_looked_up() {
    let (mut ports, rng) = (Ports::new((30_000, 32_767)), SimRng::shared(1));
    let mut many = service((0..100_000).map(|index| json!({"port": index % 2_700 + 1})));
    let counts = Counts::default();
    let taken = node_ports::take((&mut ports, &counts), &mut many, None, "a", &|bound| rng.below(bound)).unwrap();
    let numbers: BTreeSet<i64> = port_numbers(&many).into_iter().collect();
    assert_eq!((port_numbers(&many).len(), numbers.len(), taken.len()), (100_000, 2_700, 2_700));
}

/// Everybody waited until the range was exhausted and all was given back.
#[tokio::test]
async fn more_ports_than_the_range_has_are_refused_while_somebody_else_takes() {
    let cluster = Cluster::start().await;
    let hooks = cluster.services();
    hooks.0.pools().await.unwrap();
    {
        let _other = hooks.0.pools.lock();
        let mut whole = service((1..=60_000).map(|port| json!({"port": port})));
        let refused = hooks.before_create(&mut whole, false).now_or_never().expect("it waits for nobody").unwrap_err();
        assert_eq!(refused.message, "Internal error occurred: failed to allocate a nodePort: range is full");
    }
    cluster.stop().await;
}

/// Two servers over one store: what the other one took after this one had chosen.
#[tokio::test]
async fn who_was_faster_has_an_address() {
    let cluster = Cluster::start().await;
    let allocators = &cluster.services().0;
    let object = |families: &[&str]| {
        let spec = json!({"type": "ClusterIP", "ipFamilies": families, "ports": [{"port": 80}]});
        tree(json!({"metadata": {"namespace": "default", "name": "a", "uid": "a"}, "spec": spec}))
    };
    let mut any = object(&["IPv4"]);
    let mut chosen = allocators.choose(&mut any, None).await.unwrap();
    let first = chosen[0].address.to_string();
    assert_eq!(any.str_at(&["spec", "clusterIP"]), Some(&*first));
    cluster.post(admin(), SERVICES, pinned("faster", &first)).await.unwrap();
    allocators.take(&mut chosen[0], &mut any).await.unwrap();
    let second = any.str_at(&["spec", "clusterIP"]).unwrap().to_owned();
    assert_ne!(second, first);
    assert_eq!(texts(&any, &IPS), [&*second]);
    let object = async |ip: &str| cluster.get(admin(), &format!("{ADDRESSES}/{ip}")).await.unwrap();
    assert_eq!(object(&second).await.str_at(&["spec", "parentRef", "name"]), Some("a"));
    assert_eq!(object(&first).await.str_at(&["spec", "parentRef", "name"]), Some("faster"));
    // One that was asked for is not exchanged.
    let spec =
        json!({"type": "ClusterIP", "ipFamilies": ["IPv4"], "clusterIP": "10.96.0.50", "clusterIPs": ["10.96.0.50"]});
    let mut asks = tree(json!({"metadata": {"namespace": "default", "name": "b", "uid": "b"}, "spec": spec}));
    let mut chosen = allocators.choose(&mut asks, None).await.unwrap();
    cluster.post(admin(), SERVICES, pinned("again", "10.96.0.50")).await.unwrap();
    let refused = allocators.take(&mut chosen[0], &mut asks).await.unwrap_err();
    assert_eq!(
        refused.message,
        "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.50\"]: failed to allocate IP 10.96.0.50: \
         provided IP is already allocated"
    );
    cluster.stop().await;
}

/// An older store has services without objects: until these are made, nobody else gets their addresses.
#[tokio::test]
async fn an_address_without_an_object_stays_with_its_service() {
    let cluster = Cluster::start().await;
    cluster.post(admin(), SERVICES, pinned("a", "10.96.0.50")).await.unwrap();
    cluster.delete(admin(), &format!("{ADDRESSES}/10.96.0.50")).await.unwrap();
    let restarted = ServiceHooks(Arc::new(cluster.services().0.restarted()));
    let ask = async || {
        let mut asks = tree(pinned("b", "10.96.0.50"));
        asks.set(&["spec", "type"], "ClusterIP");
        asks.set(&IPS, Value::array([Value::from("10.96.0.50")]));
        restarted.before_create(&mut asks, false).await.map(Reservation::keep).map_err(|status| status.message)
    };
    let refused = ask().await.unwrap_err();
    assert!(refused.ends_with("failed to allocate IP 10.96.0.50: provided IP is already allocated"), "{refused}");
    let old = cluster.get(admin(), &format!("{SERVICES}/a")).await.unwrap();
    restarted.after_delete(&old).await;
    ask().await.unwrap();
    cluster.stop().await;
}
