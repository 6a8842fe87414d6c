//! Admission: may change an object before the registry's rules see it, or refuse it after.
//!
//! Upstream: k8s.io/apiserver/pkg/admission (v1.35).

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use corten_apimachinery::{
    field::ErrorList,
    gvk::{GroupVersionKind, GroupVersionResource},
    resource::UserInfo,
    status::Status,
    value::{Str, Value},
};

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Makes it.
    Create,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
    /// Opens a connection to it: runs a command in it, forwards ports, passes requests on.
    Connect,
}

impl Operation {
    /// The word in admission reviews.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One request as plugins see it.
#[derive(Debug)]
pub struct Attributes<'a> {
    /// What happens.
    pub operation: Operation,
    /// The kind of `object`.
    pub kind: &'a GroupVersionKind,
    /// The resource.
    pub resource: &'a GroupVersionResource,
    /// The subresource; empty for the object itself.
    pub subresource: &'a str,
    /// The namespace; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// The name; empty when it is still to be generated.
    pub name: Str,
    /// The object as it is to be; null for a delete; for a connection its options. Mutating plugins change it.
    pub object: Value,
    /// The object as it is; null for a create and a connection.
    pub old_object: Value,
    /// Who asks.
    pub user: &'a UserInfo,
    /// Whether nothing is to happen in the end.
    pub dry_run: bool,
    /// Advice for the client.
    pub warnings: Vec<String>,
}

/// One admission plugin. Every method may refuse; only `admit` may change the object.
#[async_trait]
pub trait Plugin: fmt::Debug + Send + Sync + 'static {
    /// The plugin's name in configuration and metrics.
    fn name(&self) -> &'static str;

    /// Whether the plugin has anything to say about this operation on this resource.
    fn handles(&self, operation: Operation, resource: &GroupVersionResource, subresource: &str) -> bool;

    /// Changes the object, or refuses.
    async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        let _ = attributes;
        Ok(())
    }

    /// Whether the plugin has `complaints`.
    fn complains(&self) -> bool {
        false
    }

    /// What the rules of the object begin with, where they look at more than the object: told together with what else is wrong.
    async fn complaints(&self, attributes: &Attributes<'_>) -> Result<ErrorList, Status> {
        let _ = attributes;
        Ok(ErrorList::new())
    }

    /// Refuses an object that will not change any more.
    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let _ = attributes;
        Ok(())
    }
}

/// The plugins in order.
#[derive(Debug, Clone, Default)]
pub struct Chain(Vec<Arc<dyn Plugin>>);

impl Chain {
    /// A chain in this order.
    #[must_use]
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self(plugins)
    }

    /// The same chain with one more plugin at its end.
    #[must_use]
    pub fn with(mut self, plugin: Arc<dyn Plugin>) -> Self {
        self.0.push(plugin);
        self
    }

    /// Lets every plugin change the object.
    ///
    /// Errors: what the first of them says that refuses it.
    pub async fn admit(&self, attributes: &mut Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.0 {
            if plugin.handles(attributes.operation, attributes.resource, attributes.subresource) {
                plugin.admit(attributes).await?;
            }
        }
        Ok(())
    }

    /// What plugins find wrong with the object before its own rules are asked.
    ///
    /// Errors: that of the first plugin that cannot tell.
    pub async fn complaints(&self, attributes: &Attributes<'_>) -> Result<ErrorList, Status> {
        let mut errors = ErrorList::new();
        for plugin in self.0.iter().filter(|plugin| plugin.complains()) {
            if plugin.handles(attributes.operation, attributes.resource, attributes.subresource) {
                errors.extend(plugin.complaints(attributes).await?);
            }
        }
        Ok(errors)
    }

    /// Asks every plugin whether the object may be.
    ///
    /// Errors: what the first of them says that refuses it.
    pub async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        for plugin in &self.0 {
            if plugin.handles(attributes.operation, attributes.resource, attributes.subresource) {
                plugin.validate(attributes).await?;
            }
        }
        Ok(())
    }
}
