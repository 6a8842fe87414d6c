//! What drivers may do with slices in the name of the node that they run on.
//!
//! What is in a new slice is admission's to check, and so is what each of many that are deleted belongs to.
//! Upstream: `authorizeResourceSlice` in plugin/pkg/auth/authorizer/node/node_authorizer.go (v1.35).

use corten_apiserver::RequestInfo;
use corten_storage::object::cache_key;

use super::{Node, RESOURCE, Refusal, selects_node, unrelated};

impl Node {
    pub(super) fn resource_slice(&self, node: &str, request: &RequestInfo) -> Result<(), Refusal> {
        if !request.subresource.is_empty() {
            return Err("cannot authorize ResourceSlice subresources".to_owned());
        }
        match request.verb.as_str() {
            "create" => Ok(()),
            "get" | "update" | "patch" | "delete" if request.name.is_empty() => Err("No Object name found".to_owned()),
            "get" | "update" | "patch" | "delete" if self.is_slice_of(&request.name, node) => Ok(()),
            "get" | "update" | "patch" | "delete" => Err(unrelated(node)),
            "watch" | "list" | "deletecollection" if selects_node(request, node) => Ok(()),
            "watch" | "list" | "deletecollection" => {
                Err("can only list/watch/deletecollection resourceslices with nodeName field selector".to_owned())
            }
            _ => Err(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                      delete, deletecollection"
                    .to_owned(),
            ),
        }
    }

    fn is_slice_of(&self, name: &str, node: &str) -> bool {
        let slice = self.caches.get(RESOURCE, "resourceslices").and_then(|cacher| cacher.get(&cache_key("", name)));
        slice.is_some_and(|slice| slice.facts.fields.get(self.slice_node_name_at) == Some(node))
    }
}
