//! Rules of network policies.

use std::collections::BTreeSet;

use corten_api::{
    intstr::IntOrString,
    networking::v1::{IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort},
};
use corten_apimachinery::{
    Features, Value,
    field::{Error, ErrorList, Path},
    validation::{is_port_name, is_smaller_part, parse_cidr_sloppy, validate_cidr_form},
};

use crate::{
    core::pod_spec::validation::{ExpressionValues, label_selector, label_selector_update, label_selector_with},
    report::{Report, with_view},
    view::{each, each_of, list, texts},
};

/// What an old policy allows a new one.
struct Options<'o> {
    /// Whether networks have to be written in one way only.
    strict: bool,
    /// Networks that are not looked at: the old policy has them.
    known: BTreeSet<&'o str>,
    /// Whether values in selectors are looked at: not if the old policy's were wrong.
    expression_values: ExpressionValues,
}

impl<'o> Options<'o> {
    fn new(features: &Features, old: Option<&'o Value>) -> Self {
        let strict = features.is_enabled("StrictIPCIDRValidation");
        let was_wrong = |old: &Value| {
            let check = |selector: &_, errors: &mut ErrorList| {
                label_selector(Some(selector), &Path::root(), errors);
            };
            old.at(&["spec", "podSelector"]).is_some_and(|selector| !with_view(selector, check).is_empty())
        };
        let expression_values =
            if old.is_some_and(was_wrong) { ExpressionValues::Any } else { ExpressionValues::Checked };
        Self { strict, known: old.map(networks).unwrap_or_default(), expression_values }
    }

    fn network(&self, text: &str, path: &Path, errors: &mut ErrorList) {
        if !self.known.contains(text) {
            errors.extend(validate_cidr_form(path, text, self.strict));
        }
    }
}

/// All networks that a policy names.
fn networks(policy: &Value) -> BTreeSet<&str> {
    let peers = [("ingress", "from"), ("egress", "to")].into_iter().flat_map(|(direction, peers)| {
        policy.items_at(&["spec", direction]).iter().flat_map(move |rule| rule.items_at(&[peers]))
    });
    let blocks = peers.filter_map(|peer| peer.get("ipBlock"));
    let texts = blocks.flat_map(|block| block.get("cidr").into_iter().chain(block.items_at(&["except"])));
    texts.filter_map(Value::as_str).collect()
}

pub(super) fn validate(features: &Features, policy: &Value, old: Option<&Value>) -> ErrorList {
    let options = Options::new(features, old);
    with_view(policy, |view: &NetworkPolicy, errors| {
        let Some(spec) = &view.spec else { return };
        let path = Path::new("spec");
        let old_selector = old.and_then(|old| old.at(&["spec", "podSelector"]));
        label_selector_update(spec.pod_selector.as_ref(), old_selector, &path.child("podSelector"), errors);
        for (at, rule) in each(&spec.ingress, &path.child("ingress")) {
            ports(list(&rule.ports), &at, errors);
            peers(list(&rule.from), &at.child("from"), &options, errors);
        }
        for (at, rule) in each(&spec.egress, &path.child("egress")) {
            ports(list(&rule.ports), &at, errors);
            peers(list(&rule.to), &at.child("to"), &options, errors);
        }
        let (types, at) = (list(&spec.policy_types), path.child("policyTypes"));
        if types.len() > 2 {
            errors.push_with(|| Error::invalid(&at, texts(types), "may not specify more than two policyTypes"));
            return;
        }
        for (at, ty) in each_of(types, &at) {
            errors.one_of(&at, ty, &["Ingress", "Egress"]);
        }
    })
}

fn ports(ports: &[NetworkPolicyPort], path: &Path, errors: &mut ErrorList) {
    for (at, port) in each_of(ports, &path.child("ports")) {
        if let Some(protocol) = &port.protocol {
            errors.one_of(&at.child("protocol"), protocol, &["TCP", "UDP", "SCTP"]);
        }
        let end_at = at.child("endPort");
        match (&port.port, port.end_port) {
            (Some(IntOrString::Int(first)), end) => {
                errors.port(&at.child("port"), (*first).into());
                if let Some(end) = end {
                    if end < *first {
                        // Upstream shows the port.
                        errors.invalid(&end_at, *first, "must be greater than or equal to `port`");
                    }
                    errors.port(&end_at, end.into());
                }
            }
            (Some(IntOrString::String(name)), end) => {
                if let Some(end) = end {
                    errors.invalid(&end_at, end, "may not be specified when `port` is non-numeric");
                }
                errors.invalids(&at.child("port"), name, is_port_name(name));
            }
            (None, Some(end)) => errors.invalid(&end_at, end, "may not be specified when `port` is not specified"),
            (None, None) => {}
        }
    }
}

fn peers(peers: &[NetworkPolicyPeer], path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    for (at, peer) in each_of(peers, path) {
        for (field, selector) in [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)]
        {
            label_selector_with(selector.as_ref(), options.expression_values, &at.child(field), errors);
        }
        if let Some(block) = &peer.ip_block {
            ip_block(block, &at.child("ipBlock"), options, errors);
        }
        match (&peer.ip_block, peer.pod_selector.is_some() || peer.namespace_selector.is_some()) {
            (None, false) => errors.required(&at, "must specify a peer"),
            (Some(_), true) => errors.forbidden(&at, "may not specify both ipBlock and another peer"),
            _ => {}
        }
    }
}

fn ip_block(block: &IPBlock, path: &Path, options: &Options<'_>, errors: &mut ErrorList) {
    let at = path.child("cidr");
    if !errors.require(&at, &block.cidr) {
        return;
    }
    options.network(&block.cidr, &at, errors);
    let Some(whole) = parse_cidr_sloppy(&block.cidr) else { return };
    for (at, text) in each(&block.except, &path.child("except")) {
        options.network(text, &at, errors);
        if parse_cidr_sloppy(text).is_some_and(|part| !is_smaller_part(part, whole)) {
            errors.invalid(&at, text.as_str(), "must be a strict subset of `cidr`");
        }
    }
}
