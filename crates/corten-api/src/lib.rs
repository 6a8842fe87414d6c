//! The types of the built-in groups: the generated type table, and structs as transient read views.
//!
//! A struct is made for one validation or one reconcile and dropped: it loses unknown fields, cannot tell absent from zero
//! and takes several times the memory of the JSON, so it is neither stored nor written back by the API server.
#![forbid(unsafe_code)]

pub mod descriptions;
pub mod types;

pub use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates, coordination,
        core, discovery, events, flowcontrol, networking, node, policy, rbac, resource, scheduling, storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions,
    apimachinery::pkg::{api::resource as quantity, apis::meta, util::intstr},
    kube_aggregator::pkg::apis::apiregistration,
};
