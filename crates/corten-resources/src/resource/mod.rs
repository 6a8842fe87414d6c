//! Group resource.k8s.io: devices, who offers them, and who wants them.

pub mod device_class;
pub mod device_taint_rule;
pub mod resource_claim;
pub mod resource_claim_template;
pub mod resource_slice;

mod claim_spec;
mod rules;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
