//! The suite that every implementation of the traits runs: the built-in runtime, the fake, containerd over its socket.
//!
//! A case is an async function over a `Fixture` that panics when a promise of the interface does not hold. A case says
//! what it needs; a fixture that does not provide it skips the case and says so.
//! Upstream: kubernetes-sigs/cri-tools, pkg/validate (critest), for what is worth checking.

mod fixture;
mod pod;

pub mod containers;
pub mod events;
pub mod exec;
pub mod images;
pub mod logs;
pub mod namespaces;
pub mod network;
pub mod processes;
pub mod resources;
pub mod runtime;
pub mod sandboxes;
pub mod security;
pub mod streams;

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};

pub use fixture::{Fixture, Need, Pullable, TestImages};
pub use pod::{Output, Pod};

/// How long a case may take. The slowest ones wait for a grace period of seconds.
const CASE_MAX: Duration = Duration::from_secs(120);

/// Runs one case and removes whatever it made, also when it fails.
///
/// Panics: as the case; or when it takes longer than two minutes.
pub async fn run(
    name: &str,
    needs: &[Need],
    fixture: Option<Fixture>,
    case: impl for<'a> FnOnce(&'a Fixture) -> BoxFuture<'a, ()>,
) {
    let Some(fixture) = fixture else {
        skip(&format!("{name}: there is no fixture"));
        return;
    };
    if let Some(missing) = needs.iter().find(|need| !fixture.provides.contains(need)) {
        skip(&format!("{name}: the fixture does not provide {missing:?}"));
        return;
    }
    let clock = fixture.clock.clone();
    let outcome = corten_base::timeout(&*clock, CASE_MAX, AssertUnwindSafe(case(&fixture)).catch_unwind()).await;
    let cleaned = AssertUnwindSafe(fixture.clean_up()).catch_unwind().await;
    match outcome {
        Ok(Ok(())) => drop(cleaned.map_err(resume)),
        Ok(Err(panic)) => resume(panic),
        Err(elapsed) => panic!("{name}: {elapsed}"),
    }
}

fn resume(panic: Box<dyn Any + Send>) {
    std::panic::resume_unwind(panic);
}

#[expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]
fn skip(what: &str) {
    println!("skipped {what}");
}

/// Writes one `#[tokio::test]` per case; the expression makes a `Fixture` and may await. It may also make an
/// `Option<Fixture>`: without one, the cases are skipped and say so.
///
/// ```ignore
/// cri_conformance!(fixture().await);
/// ```
#[macro_export]
macro_rules! cri_conformance {
    ($fixture:expr) => {
        $crate::cri_conformance! { @cases $fixture; runtime {
            the_version_names_the_runtime_and_the_interface [],
            the_status_has_both_conditions [],
            more_information_comes_only_when_asked_for [],
        }}
        $crate::cri_conformance! { @cases $fixture; sandboxes {
            a_sandbox_is_ready_when_run_returns [],
            sandboxes_are_listed_by_id_state_and_labels [],
            a_stopped_sandbox_is_not_ready_and_stopping_again_is_fine [],
            stopping_a_sandbox_kills_its_containers [],
            removing_a_sandbox_takes_its_containers_along_and_removing_again_is_fine [],
            attempts_of_a_pod_live_side_by_side_and_one_attempt_exists_once [],
            an_unknown_handler_is_refused [],
            an_unknown_sandbox_is_not_found [],
            stopping_and_removing_an_unknown_sandbox_is_fine [StopUnknown],
            the_hostname_is_the_pods [Processes],
            sysctls_are_set_in_the_sandbox [Processes Network],
        }}
        $crate::cri_conformance! { @cases $fixture; containers {
            a_container_goes_from_created_to_running_to_exited [],
            containers_are_listed_by_id_state_sandbox_and_labels [],
            labels_and_annotations_come_back_as_they_were_given [],
            a_container_starts_once [],
            stopping_a_stopped_container_is_fine [],
            a_running_container_can_be_removed_and_removing_again_is_fine [],
            attempts_of_a_container_live_side_by_side_and_one_attempt_exists_once [],
            an_id_may_be_abbreviated [],
            an_unknown_container_is_not_found [],
            stopping_and_removing_an_unknown_container_is_fine [StopUnknown],
            a_container_needs_a_sandbox_that_exists_and_is_ready [],
            a_container_needs_an_image_that_is_present [],
            usage_is_reported_for_running_containers [Stats],
        }}
        $crate::cri_conformance! { @cases $fixture; processes {
            exit_codes_and_reasons_are_reported [Processes],
            a_command_that_does_not_exist_fails_to_start [Processes],
            the_command_gets_its_arguments_environment_and_directory [Processes],
            a_container_ends_by_its_stop_signal [Processes],
            a_container_that_ignores_the_signal_is_killed_after_the_timeout [Processes],
            a_timeout_of_zero_kills_at_once [Processes],
            the_stop_signal_of_the_config_is_sent [Processes StopSignal],
            a_terminal_is_a_terminal [Processes],
            mounts_appear_writable_or_read_only [Processes],
            a_mounted_file_is_a_file [Processes],
            a_mount_without_a_source_fails [Processes],
            what_the_node_mounts_later_is_seen_where_asked_for [Processes Mounts],
            devices_appear_in_the_container [Processes],
            the_root_file_system_is_the_containers_own [Processes],
        }}
        $crate::cri_conformance! { @cases $fixture; logs {
            lines_carry_time_stream_and_tag [Processes],
            a_long_line_is_split_and_a_last_line_needs_no_newline [Processes],
            a_reopened_log_goes_on_in_a_new_file [Processes],
            a_log_outlives_its_container [Processes],
        }}
        $crate::cri_conformance! { @cases $fixture; exec {
            a_command_gives_its_output_and_exit_code [Processes],
            a_command_that_takes_too_long_is_ended [Processes],
            a_command_runs_with_the_containers_environment_and_directory [Processes],
            a_command_that_does_not_exist_is_an_error [Processes],
            nothing_runs_in_a_container_that_does_not_run [],
            an_empty_command_is_refused [],
        }}
        $crate::cri_conformance! { @cases $fixture; streams {
            a_command_reads_its_stdin_to_the_end [Processes Streaming],
            stdout_and_stderr_arrive_apart_with_the_exit_code [Processes Streaming],
            a_terminal_has_the_clients_size [Processes Streaming],
            attach_carries_both_ways [Processes Streaming],
            stdin_once_ends_with_its_first_client [Processes Streaming],
            a_port_of_the_sandbox_can_be_reached [Processes Streaming Network],
            a_refused_port_is_an_error [Processes Streaming Network],
            streams_of_an_unknown_container_are_not_found [Streaming],
        }}
        $crate::cri_conformance! { @cases $fixture; namespaces {
            containers_with_their_own_pid_namespace_see_only_themselves [Processes],
            containers_of_a_shared_pid_namespace_see_each_other [Processes],
            a_container_in_the_nodes_pid_namespace_sees_the_node [Processes HostPid],
            a_container_joins_the_pid_namespace_of_its_target [Processes],
            ipc_is_shared_within_the_pod [Processes],
            ipc_of_the_node_is_the_nodes [Processes],
        }}
        $crate::cri_conformance! { @cases $fixture; network {
            a_pod_has_its_address_and_loopback [Processes Network],
            pods_reach_each_other [Processes Network],
            a_stopped_sandbox_has_given_its_address_back [Network],
            name_resolution_is_the_pods [Processes Network],
            a_pod_on_the_nodes_network_has_no_address_of_its_own [Processes],
            a_host_port_leads_to_the_container [Processes HostPort],
        }}
        $crate::cri_conformance! { @cases $fixture; security {
            user_and_groups_are_the_configs [Processes],
            a_user_name_is_looked_up_in_the_image [Processes],
            an_unknown_user_name_is_an_error [Processes],
            a_group_without_a_user_is_an_error [Processes],
            strict_groups_leave_the_images_groups_out [Processes GroupsPolicy],
            the_status_tells_the_user [Processes GroupsPolicy],
            capabilities_are_added_and_dropped [Processes],
            a_privileged_container_has_every_capability_and_no_masks [Processes Privileged],
            a_read_only_root_cannot_be_written [Processes],
            no_new_privileges_is_set [Processes],
            the_seccomp_profile_filters [Processes Seccomp],
            a_profile_on_the_node_filters [Processes Seccomp],
            masked_and_read_only_paths_are [Processes],
        }}
        $crate::cri_conformance! { @cases $fixture; resources {
            limits_are_those_of_the_cgroup [Processes Limits],
            limits_can_be_changed [Processes Limits],
            the_status_reports_resources [Resources],
            a_container_over_its_memory_limit_is_oom_killed [Processes Limits],
            the_oom_score_is_set [Processes],
        }}
        $crate::cri_conformance! { @cases $fixture; images {
            an_image_that_is_not_present_has_no_status_and_can_be_removed [],
            an_invalid_name_is_refused [],
            the_list_heeds_its_filter [ImageFilter],
            the_file_system_reports_its_use [],
            a_pull_of_what_does_not_exist_fails [Registry],
            a_pulled_tag_is_listed_and_found_by_name_and_id [Registry],
            a_pulled_digest_is_found_by_its_digest [Registry],
            names_of_one_content_are_one_image [Registry],
            removing_an_image_removes_all_its_names_and_again_is_fine [Registry],
        }}
        $crate::cri_conformance! { @cases $fixture; events {
            a_containers_life_is_told_in_order [Events],
            an_event_carries_the_state_of_the_pod [Events],
            every_subscriber_hears_everything [Events],
        }}
    };
    (@cases $fixture:expr; $module:ident { $($case:ident [$($need:ident)*],)* }) => {
        mod $module {
            #[allow(unused_imports, clippy::wildcard_imports, reason = "the fixture expression uses the caller's names")]
            use super::*;

            $(#[tokio::test]
            async fn $case() {
                let fixture: Option<$crate::conformance::Fixture> = ($fixture).into();
                $crate::conformance::run(
                    concat!(stringify!($module), "::", stringify!($case)),
                    &[$($crate::conformance::Need::$need),*],
                    fixture,
                    |fixture| Box::pin($crate::conformance::$module::$case(fixture)),
                ).await;
            })*
        }
    };
}
