//! The config map from which API servers beside this one learn whose client certificates count.
//!
//! Upstream: pkg/controlplane/controller/clusterauthenticationtrust (v1.35).

use corten_apimachinery::{gvk::GroupVersionResource, status::Status, value::Value};
use corten_client::{Client, Target};

use super::served;
use crate::caches::tree;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
const FIELD: &str = "client-ca-file";

/// Makes the config map, or adds `authorities` (PEM) to those that are in it: other servers may trust others.
///
/// Without authorities there is nothing to tell, and without config maps no place for it.
pub(super) async fn ensure(client: &Client, authorities: &str) -> Result<(), Status> {
    if authorities.trim().is_empty() {
        return Ok(());
    }
    let resource = GroupVersionResource::new("", "v1", "configmaps");
    if !served::has_namespaced(client, &resource).await? {
        return Ok(());
    }
    let target = Target::object(&resource, NAMESPACE, NAME);
    match client.get(target.clone()).await {
        Err(status) if status.is_not_found() => {
            let map = Value::object_of([
                ("apiVersion", Value::from("v1")),
                ("kind", "ConfigMap".into()),
                ("metadata", Value::object_of([("name", Value::from(NAME)), ("namespace", Value::from(NAMESPACE))])),
                ("data", Value::object_of([(FIELD, Value::from(authorities))])),
            ]);
            match client.create(Target::collection(&resource, NAMESPACE), map).await {
                // Another server was faster.
                Err(status) if status.is_already_exists() => Ok(()),
                other => other.map(drop),
            }
        }
        current => {
            let mut map = tree(&*current?)?;
            let known = map.str_at(&["data", FIELD]).unwrap_or_default();
            let Some(both) = joined(known, authorities) else { return Ok(()) };
            map.set(&["data", FIELD], both);
            client.update(target, map).await.map(drop)
        }
    }
}

/// Both, one after the other; `None` if nothing new is in `more`.
fn joined(known: &str, more: &str) -> Option<String> {
    if known.contains(more.trim()) {
        return None;
    }
    let mut both = known.to_owned();
    if !both.is_empty() && !both.ends_with('\n') {
        both.push('\n');
    }
    both.push_str(more);
    Some(both)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, admin};

    const PATH: &str = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

    #[test]
    fn authorities_come_together_once() {
        assert_eq!(joined("", "A\n").as_deref(), Some("A\n"));
        assert_eq!(joined("A", "B\n").as_deref(), Some("A\nB\n"));
        assert_eq!(joined("A\nB\n", "B\n"), None);
    }

    #[tokio::test]
    async fn other_servers_learn_whom_this_one_trusts() {
        let cluster = Cluster::start().await;
        let client = cluster.client(admin());
        ensure(&client, "").await.unwrap();
        assert!(cluster.get(admin(), PATH).await.unwrap_err().is_not_found());
        for (authorities, want) in [("A\n", "A\n"), ("A\n", "A\n"), ("B\n", "A\nB\n")] {
            ensure(&client, authorities).await.unwrap();
            let map = cluster.get(admin(), PATH).await.unwrap();
            assert_eq!(map.str_at(&["data", FIELD]), Some(want));
        }
        cluster.stop().await;
    }
}
