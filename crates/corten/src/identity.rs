//! Who the components are when they call the API server of their own process: each has an identity with the rights of its own.
//!
//! Upstream: the certificates that kubeadm makes for the same components, and the service accounts of the controller manager.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::{resource::UserInfo, value::Str};
use corten_client::Client;
use corten_controller::ClientFactory;
use corten_controllers::catalog::CONTROLLERS;
use corten_controlplane::ControlPlane;

const AUTHENTICATED: &str = "system:authenticated";

/// A component: `system:kube-scheduler`.
pub(crate) fn component(name: &str) -> UserInfo {
    user(name, &[])
}

/// A node.
pub(crate) fn node(name: &str) -> UserInfo {
    user(&format!("system:node:{name}"), &["system:nodes"])
}

/// A service account of `kube-system`.
pub(crate) fn service_account(name: &str) -> UserInfo {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:kube-system"];
    user(&format!("system:serviceaccount:kube-system:{name}"), &groups)
}

/// The administrator, on whose behalf the process sets up what an administrator would otherwise apply by hand.
pub(crate) fn administrator() -> UserInfo {
    user("kubernetes-admin", &["system:masters"])
}

fn user(name: &str, groups: &[&str]) -> UserInfo {
    let groups = groups.iter().chain([&AUTHENTICATED]).map(|group| Str::from(*group)).collect();
    UserInfo { name: name.into(), groups, ..UserInfo::default() }
}

/// Clients of the controllers, each under its own service account, in the process of the API server.
#[derive(Debug)]
pub(crate) struct ControllerClients(BTreeMap<&'static str, Client>);

impl ControllerClients {
    /// The clients of every controller in the catalog.
    pub(crate) fn new(control_plane: &ControlPlane) -> Arc<Self> {
        let client = |identity| control_plane.client(service_account(identity), "kube-controller-manager");
        Arc::new(Self(CONTROLLERS.iter().map(|one| (one.identity, client(one.identity))).collect()))
    }
}

impl ClientFactory for ControllerClients {
    fn client(&self, identity: &str) -> Client {
        self.0.get(identity).expect("controllers ask for the identities of their descriptors").clone()
    }
}

/// One client for all controllers: those of a controller manager with a kubeconfig of its own.
///
/// Upstream: `--use-service-account-credentials=false`, the default.
#[derive(Debug)]
pub(crate) struct SharedClient(pub(crate) Client);

impl ClientFactory for SharedClient {
    fn client(&self, _identity: &str) -> Client {
        self.0.clone()
    }
}
