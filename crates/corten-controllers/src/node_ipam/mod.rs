//! Gives every node its part of the ranges of pod addresses: `spec.podCIDR` and `spec.podCIDRs`.
//!
//! Flow: nodes -> what they have is taken (in the handler, so before anything is given away) -> queue -> `Allocator` -> patch.
//! Invariant: a part belongs to one node from before the patch until the node is gone.
//! Upstream: pkg/controller/nodeipam/ipam/range_allocator.go (v1.35).

mod cidr_set;
mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use corten_api::core::v1::Node;
use corten_apimachinery::{
    stored::Stored,
    value::{Str, Value},
};
use corten_client::{
    Client, PatchKind, Target,
    api::resource_of,
    events::{ObjectRef, Recorder},
};
use corten_controller::{ControllerDescriptor, Key, ReconcileError, Reconciler, Requeue, WorkQueue};
use corten_informer::{Handler, Lister};
use ipnet::IpNet;
use parking_lot::Mutex;
use tracing::{error, warn};

use self::{cidr_set::CidrSet, plan::Allocator};
use crate::{
    Config,
    objects::tree,
    queue_controller::{QueueController, queue_of},
};

/// The controller.
pub static CONTROLLER: ControllerDescriptor<Config> = ControllerDescriptor {
    name: "node-ipam-controller",
    aliases: &["nodeipam"],
    identity: "node-controller",
    feature_gate: None,
    // Nodes come one after the other; more workers would only race for the same patch.
    workers: 1,
    build: |context| {
        let queue = queue_of(&context);
        let config = &context.config;
        let sets = config.cluster_cidrs.iter().filter_map(|range| {
            let mask = if range.addr().is_ipv6() { config.node_cidr_mask_ipv6 } else { config.node_cidr_mask_ipv4 };
            let set = CidrSet::new(*range, mask);
            if set.is_none() {
                error!(range = %range, mask, "Could not cut the cluster's range into parts for nodes");
            }
            set
        });
        let allocator = Arc::new(Mutex::new(Allocator::new(sets.collect(), &config.service_cidrs)));
        let nodes = context.informers.informer(&resource_of::<Node>());
        // Without ranges there is nothing to give: nodes have what somebody else gave them.
        if !config.cluster_cidrs.is_empty() {
            nodes.add_handler(Arc::new(Taken { queue: Arc::clone(&queue), allocator: Arc::clone(&allocator) }));
        }
        let reconciler = NodeIpam {
            client: context.client(),
            recorder: context.recorder.for_component("cidrAllocator"),
            nodes: nodes.lister(),
            allocator,
            queue: Arc::clone(&queue),
        };
        QueueController::boxed(&context, queue, reconciler)
    },
};

/// Takes what nodes have before it is told of as new, and queues nodes that have nothing.
struct Taken {
    queue: Arc<WorkQueue<Key>>,
    allocator: Arc<Mutex<Allocator>>,
}

impl Taken {
    fn see(&self, node: &Stored) {
        let cidrs = match cidrs_of(node) {
            Ok(cidrs) => cidrs,
            Err(error) => {
                warn!(node = %node.name, err = error, "Could not read the ranges of a node");
                return;
            }
        };
        if cidrs.is_empty() {
            self.queue.add(Key::of(node));
        } else {
            self.allocator.lock().occupy(&node.name, &cidrs);
        }
    }
}

impl Handler for Taken {
    fn on_add(&self, node: &Arc<Stored>) {
        self.see(node);
    }

    fn on_update(&self, _old: &Arc<Stored>, new: &Arc<Stored>) {
        // A node reports its health all the time; what is given once stays.
        if !self.allocator.lock().has(&new.name) {
            self.see(new);
        }
    }

    fn on_delete(&self, node: &Arc<Stored>, _final_state_unknown: bool) {
        give_back(&self.allocator, &self.queue, &node.name);
    }
}

/// Takes back what a node has, and queues the nodes that wait for a part: nobody else would tell them.
fn give_back(allocator: &Mutex<Allocator>, queue: &WorkQueue<Key>, node: &str) {
    let waiting = allocator.lock().release(node);
    waiting.into_iter().for_each(|node| queue.add(Key::new("", node)));
}

fn cidrs_of(node: &Stored) -> Result<Vec<IpNet>, String> {
    let node = tree(node).map_err(|status| status.to_string())?;
    let texts: Vec<&str> = node.items_at(&["spec", "podCIDRs"]).iter().filter_map(Value::as_str).collect();
    let single = node.str_at(&["spec", "podCIDR"]).filter(|_| texts.is_empty());
    let parse = |text: &str| text.parse::<IpNet>().map_err(|error| format!("{text}: {error}"));
    texts.into_iter().chain(single).map(parse).collect()
}

struct NodeIpam {
    client: Client,
    recorder: Recorder,
    nodes: Lister,
    allocator: Arc<Mutex<Allocator>>,
    queue: Arc<WorkQueue<Key>>,
}

#[async_trait]
impl Reconciler for NodeIpam {
    async fn reconcile(&self, key: &Key) -> Result<Requeue, ReconcileError> {
        let Some(node) = self.nodes.get(key) else { return Ok(Requeue::Never) };
        if !cidrs_of(&node).map_err(ReconcileError::terminal)?.is_empty() {
            return Ok(Requeue::Never);
        }
        let cidrs = self.allocator.lock().allocate(&key.name);
        let Some(cidrs) = cidrs else {
            // It is queued again when another node gives its part back.
            self.report(&node, "CIDRNotAvailable");
            return Ok(Requeue::Never);
        };
        // The node may have gone while the part was taken; its handler found nothing to give back then.
        if self.nodes.get(key).is_none() {
            give_back(&self.allocator, &self.queue, &key.name);
            return Ok(Requeue::Never);
        }
        let mut patch = Value::object();
        patch.set(&["spec", "podCIDR"], cidrs[0].to_string());
        patch.set(&["spec", "podCIDRs"], Value::array(cidrs.iter().map(|cidr| cidr.to_string().into())));
        patch.set(&["metadata", "uid"], node.uid.clone());
        let target = Target::object(&resource_of::<Node>(), "", key.name.clone());
        match self.client.patch(target, PatchKind::Strategic, patch).await {
            Ok(_) => Ok(Requeue::Never),
            Err(status) if status.is_not_found() || status.is_conflict() => {
                // Gone, or another node of this name, which is told of in its own right.
                give_back(&self.allocator, &self.queue, &key.name);
                Ok(Requeue::Never)
            }
            Err(status) => {
                // The part stays with the node: the write may have happened although the answer says otherwise.
                self.report(&node, "CIDRAssignmentFailed");
                Err(status.into())
            }
        }
    }
}

impl NodeIpam {
    fn report(&self, node: &Stored, reason: &'static str) {
        let about = ObjectRef {
            api_version: Str::const_new("v1"),
            kind: Str::const_new("Node"),
            name: node.name.clone(),
            uid: node.uid.clone(),
            ..ObjectRef::default()
        };
        self.recorder.normal(&about, reason, format!("Node {} status is now: {reason}", node.name));
    }
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::status::Status;
    use corten_base::SimClock;
    use corten_controller::RateLimit;
    use corten_informer::{
        SharedInformer, Sink as _,
        testutil::{ScriptedServer, object},
    };

    use super::*;

    /// The part came free because its node had gone meanwhile, and the node that waited for it was never told.
    #[tokio::test]
    async fn a_part_that_was_not_taken_after_all_wakes_those_who_wait() {
        let clock = SimClock::new("2026-01-01T00:00:00Z".parse().unwrap());
        let (mut server, client) = ScriptedServer::new();
        let nodes = SharedInformer::new("nodes");
        nodes.replace(vec![object("/a", 1).build(), object("/b", 2).build()], 2);
        let sets = CidrSet::new("10.0.0.0/24".parse().unwrap(), 24).into_iter().collect();
        let reconciler = NodeIpam {
            client,
            recorder: Recorder::new("test", "host", clock.clone()).0,
            nodes: nodes.lister(),
            allocator: Arc::new(Mutex::new(Allocator::new(sets, &[]))),
            queue: Arc::new(WorkQueue::new("test", RateLimit::per_key(), clock)),
        };
        let (a, b) = (Key::new("", "a"), Key::new("", "b"));
        let refused = async {
            let call = server.next().await;
            assert!(reconciler.reconcile(&b).await.is_ok(), "there is no part left for it");
            call.fail(Status::not_found(&resource_of::<Node>().group_resource(), "a"));
        };
        let (taken, ()) = tokio::join!(reconciler.reconcile(&a), refused);
        assert!(taken.is_ok());
        assert_eq!(reconciler.queue.try_next(), Some(b));
    }
}
