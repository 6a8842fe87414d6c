//! What every backend must do, with real packets between network namespaces that each case makes for itself.
//!
//! Needs root (namespaces, addresses, packet rules); without it every case prints that it was skipped. Touches nothing
//! of the machine's own network.

mod cases;
mod nftables_only;
mod scene;
mod userspace_only;

use scene::Kind;

/// Runs each case against each backend.
macro_rules! suite {
    ($($case:ident),* $(,)?) => {
        mod nftables {
            $(#[test] fn $case() { super::run(super::Kind::Nftables, super::cases::$case); })*
        }
        mod userspace {
            $(#[test] fn $case() { super::run(super::Kind::Userspace, super::cases::$case); })*
        }
    };
}

suite! {
    a_cluster_address_reaches_all_endpoints_from_pods_and_node,
    endpoints_are_taken_in_turn,
    a_node_port_answers_on_all_addresses_and_localhost,
    localhost_is_closed_to_neighbours,
    a_client_stays_with_its_endpoint_while_that_lives,
    without_endpoints_connections_are_refused_at_once,
    a_pod_reaches_itself_through_its_service,
    a_removed_endpoint_gets_no_new_connections_but_keeps_its_old_ones,
    udp_clients_move_on_when_their_endpoint_goes,
    a_deleted_service_answers_no_more,
    an_address_passes_to_the_next_claimant,
    ipv6_services_work_like_ipv4,
    a_load_balancer_lets_only_its_source_ranges_in,
    the_internal_policy_local_uses_endpoints_of_this_node,
}

fn run(kind: Kind, case: fn(&mut scene::Scene)) {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: needs root to make network namespaces");
        return;
    }
    case(&mut scene::Scene::new(kind));
}
