//! The list of cases.

use std::future::Future;
use std::pin::Pin;

use super::{
    Room, cache, cdroms, console, define, direct, disks, images, live, power, settled, told, volumes, watch,
};

/// A case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name, unlike any other's.
    pub name: &'static str,
    /// What it does. It panics when something is not as it should be.
    pub body: Body,
}

/// What a case does.
pub type Body = for<'a> fn(&'a Room) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Calls the macro of the given name with all cases: the name of a group, a colon, names of cases, a semicolon, and so on.
///
/// ```text
/// macro_rules! tests {
///     ($($group:ident: $($case:ident)+;)+) => { $($(#[test] fn $case() { run(stringify!($case)); })+)+ };
/// }
/// agent_hypervisor::contract_cases!(tests);
/// ```
#[macro_export]
macro_rules! contract_cases {
    ($with:ident) => {
        $with! {
            define:
                a_domain_is_shown_as_it_was_defined
                domains_are_listed_by_name
                an_undefined_domain_is_gone
                an_active_domain_is_not_undefined
                an_identity_is_taken_once
                a_name_is_taken_once
                a_later_attempt_replaces_a_definition
                a_later_attempt_finds_its_domain_active
                bad_definitions_are_refused
                unknown_domains_are_not_found
                domains_of_others_are_left_alone
                every_main_board_and_bus_starts
                what_is_tuned_for_windows_starts
                uefi_starts_or_is_refused_as_the_host_says
                network_cards_are_kept
                disks_keep_their_order_and_format;
            power:
                a_domain_starts_and_is_destroyed_again_and_again
                what_runs_is_not_started_again
                a_domain_starts_paused
                a_later_attempt_lets_go_what_was_left_paused
                a_domain_is_paused_and_resumed
                what_is_off_only_starts
                a_guest_that_answers_turns_itself_off
                a_guest_that_is_silent_runs_on
                a_paused_guest_is_not_asked_to_turn_itself_off
                a_guest_that_answers_reboots
                a_reboot_that_got_half_way_is_finished
                a_reset_starts_the_guest_over
                without_its_disk_a_domain_stays_off
                vnc_is_spoken_while_the_domain_is_active
                domains_start_beside_each_other
                a_call_that_is_given_up_keeps_nobody_waiting;
            cache:
                a_root_disk_works_in_every_mode
                data_disks_work_in_every_mode
                overlays_work_in_every_mode
                disks_attached_while_it_runs_work_in_every_mode
                disks_attached_while_it_is_off_work_in_every_mode
                media_work_in_every_mode
                media_inserted_while_it_runs_work_in_every_mode
                a_mode_outlives_resets_and_starts
                a_definition_is_replaced_with_another_mode;
            direct:
                a_root_disk_is_refused_and_the_way_out_works
                a_data_disk_is_refused
                a_plan_is_refused_and_nothing_changes
                an_image_under_a_disk_is_refused
                what_qemu_refuses_is_told_in_its_words
                attaching_is_refused_and_the_domain_runs_on
                an_overlay_is_not_attached_for_what_is_under_it
                a_medium_is_refused
                buffered_modes_work_and_leave_no_doubt;
            settled:
                auto_is_none_where_o_direct_is_taken
                auto_is_writeback_where_o_direct_is_refused
                auto_takes_every_medium
                a_plan_counts_from_the_next_start
                a_reboot_applies_a_plan
                a_disk_is_attached_beside_what_is_settled
                a_disk_that_comes_again_is_asked_anew
                a_plan_suits_every_board_and_firmware
                without_its_folder_nothing_is_guessed;
            live:
                modes_change_while_it_runs
                what_was_changed_is_found_by_the_next_start
                what_needs_a_restart_is_refused_first
                another_word_for_the_same_mode_leaves_qemu_alone
                a_file_system_is_asked_before_qemu_is
                overlays_change_with_all_that_is_under_them
                what_is_off_or_not_there_is_not_changed;
            disks:
                an_attached_disk_stays
                disks_are_attached_while_it_is_off_or_paused
                a_disk_is_attached_once
                what_is_no_disk_is_not_attached
                sata_disks_are_attached_while_it_is_off
                a_disk_is_detached_while_it_is_off
                a_running_guest_lets_go_or_keeps_its_disk;
            cdroms:
                media_come_and_go_while_it_runs
                media_come_and_go_while_it_is_off
                a_drive_holds_one_medium
                a_drive_keeps_its_mode_while_it_runs
                without_drive_or_medium_nothing_is_inserted
                without_its_medium_a_domain_stays_off;
            volumes:
                a_volume_is_made_as_asked
                an_overlay_is_as_big_as_what_it_lies_on
                an_overlay_boots_what_it_lies_on
                a_volume_is_made_once
                bad_volumes_are_refused
                a_volume_grows_and_never_shrinks
                a_volume_grows_while_a_domain_runs_on_it
                what_a_guest_writes_to_its_disk_is_not_believed
                a_deleted_volume_is_gone
                a_volume_that_a_domain_has_is_not_deleted
                what_lies_in_a_drive_is_not_deleted;
            images:
                an_image_is_copied_and_hashed
                an_image_is_imported_once
                what_is_no_image_is_not_imported
                a_folder_is_made_if_it_is_missing;
            told:
                a_mode_keeps_where_it_was_set
                a_mode_that_may_lose_the_disk_needs_consent
                what_would_come_of_a_disk_is_told
                a_folder_is_surveyed
                what_keeps_a_domain_from_migrating_is_told;
            console:
                a_log_is_read_in_stretches
                a_log_goes_on_with_every_start
                a_log_goes_with_its_domain;
            watch:
                own_changes_are_told
                what_others_do_is_told
                what_a_guest_does_is_told_to_all;
        }
    };
}

macro_rules! table {
    ($($group:ident: $($case:ident)+;)+) => {
        /// All cases.
        pub const CASES: &[Case] =
            &[$($(Case { name: stringify!($case), body: |room| Box::pin($group::$case(room)) },)+)+];
    };
}

contract_cases!(table);
