//! The lease by which an API server tells that it is there.
//!
//! Upstream: pkg/controlplane/instance.go (the lease's name and labels) and k8s.io/component-helpers/apimachinery/lease (v1.35).

use std::time::Duration;

use corten_apimachinery::{gvk::GroupVersionResource, meta::format_micro_time, status::Status, value::Value};
use corten_base::{Rng, SharedClock, Shutdown};
use corten_client::{Client, Target};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::caches::tree;

const NAMESPACE: &str = "kube-system";

/// How long the lease stands without being renewed. Upstream: `IdentityLeaseDurationSeconds`.
const DURATION_SECONDS: i64 = 3_600;

/// Upstream: `IdentityLeaseRenewIntervalPeriod`.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// An API server as its lease names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    host: String,
    /// The same whenever a server runs on this host.
    name: String,
    /// Another one at every start.
    holder: String,
}

impl Identity {
    /// The identity of a server that starts on the machine `host`.
    pub(crate) fn starting(host: &str, rng: &dyn Rng) -> Self {
        Self::new(host, &rng.uuid())
    }

    fn new(host: &str, start: &str) -> Self {
        let name = format!("apiserver-{}", base32(&Sha256::digest(host)[..16]));
        let holder = format!("{name}_{start}");
        Self { host: host.to_owned(), name, holder }
    }

    fn lease(&self, now: Timestamp) -> Value {
        let mut lease =
            Value::object_of([("apiVersion", Value::from("coordination.k8s.io/v1")), ("kind", "Lease".into())]);
        lease.set(&["metadata", "name"], self.name.as_str());
        lease.set(&["metadata", "namespace"], NAMESPACE);
        lease.set(&["metadata", "labels", "apiserver.kubernetes.io/identity"], "kube-apiserver");
        lease.set(&["metadata", "labels", "kubernetes.io/hostname"], self.host.as_str());
        self.renew(&mut lease, now);
        lease
    }

    fn renew(&self, lease: &mut Value, now: Timestamp) {
        lease.set(&["spec", "holderIdentity"], self.holder.as_str());
        lease.set(&["spec", "leaseDurationSeconds"], DURATION_SECONDS);
        lease.set(&["spec", "renewTime"], format_micro_time(now));
    }
}

/// Renews the lease until shutdown.
pub(crate) async fn run(client: Client, clock: SharedClock, identity: Identity, shutdown: Shutdown) {
    let work = async {
        loop {
            // The next turn tries again: the lease stands for many of them.
            if let Err(error) = hold(&client, &identity, clock.now()).await
                && !error.is_not_found()
            {
                tracing::warn!(lease = %identity.name, err = %error, "Could not renew the API server's lease");
            }
            clock.sleep(RENEW_EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = shutdown.requested() => {}
        () = work => {}
    }
}

/// Makes the lease, or renews it. Not found: its namespace, which another part of the start makes.
async fn hold(client: &Client, identity: &Identity, now: Timestamp) -> Result<(), Status> {
    let resource = GroupVersionResource::new("coordination.k8s.io", "v1", "leases");
    let target = Target::object(&resource, NAMESPACE, identity.name.clone());
    match client.get(target.clone()).await {
        Err(status) if status.is_not_found() => {
            client.create(Target::collection(&resource, NAMESPACE), identity.lease(now)).await.map(drop)
        }
        current => {
            let mut lease = tree(&*current?)?;
            identity.renew(&mut lease, now);
            client.update(target, lease).await.map(drop)
        }
    }
}

/// RFC 4648, in lower case and without padding.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let (mut text, mut pending, mut bits) = (String::new(), 0_u32, 0_u32);
    for &byte in bytes {
        pending = pending << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(pending >> bits & 31) as usize]));
        }
        // At most four bits are left over.
        pending &= 15;
    }
    if bits > 0 {
        text.push(char::from(DIGITS[(pending << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, admin};

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, want) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(base32(bytes.as_bytes()), want);
        }
    }

    #[tokio::test]
    async fn a_server_that_starts_again_takes_its_lease_over() {
        let cluster = Cluster::start().await;
        let client = cluster.client(admin());
        for (start, time) in [("1", "2026-01-01T00:00:00.000000Z"), ("2", "2026-01-01T00:00:10.000000Z")] {
            let identity = Identity::new("host", start);
            hold(&client, &identity, time.parse().unwrap()).await.unwrap();
            let path = format!("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/{}", identity.name);
            let lease = cluster.get(admin(), &path).await.unwrap();
            assert_eq!(lease.str_at(&["spec", "holderIdentity"]), Some(&*format!("{}_{start}", identity.name)));
            assert_eq!(lease.str_at(&["spec", "renewTime"]), Some(time));
            assert_eq!(lease.str_at(&["metadata", "labels", "kubernetes.io/hostname"]), Some("host"));
        }
        assert!(Identity::new("host", "1").name.len() == "apiserver-".len() + 26);
        cluster.stop().await;
    }
}
