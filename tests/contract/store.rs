//! The rules for every adapter of the tables: one suite for each port.

mod attempts;
mod conditions;
mod index;
mod leases;
mod limits;
mod outcomes;
mod pages;
mod retention;
mod round_trip;
mod samples;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use inventory_worker::ports::{OutcomeEditor, Store};

pub use self::{
    attempts::*, conditions::*, index::*, leases::*, limits::*, outcomes::*, pages::*,
    retention::*, round_trip::*,
};
use crate::harness::Backend;

/// Stores under test.
#[async_trait]
pub trait StoreHarness: Backend {
    /// A fresh store with empty tables. Its clock starts on the day of the samples.
    async fn store(&self) -> Arc<dyn Store>;

    /// A fresh store with empty tables, whose outcomes can be replaced.
    async fn editor(&self) -> Arc<dyn OutcomeEditor>;

    /// Sets the clock of its stores that far ahead of its start.
    fn set_ahead(&self, by: Duration);
}

/// Tests an adapter against every rule of [`ReadStore`](inventory_worker::ports::ReadStore).
macro_rules! read_store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                every_wanted_key_is_answered
                nothing_wanted_is_answered_with_nothing
                a_ping_succeeds
                a_check_of_writes_succeeds_and_writes_nothing

                every_field_of_a_seat_reads_back
                every_field_of_a_line_reads_back
                every_field_of_a_reservation_reads_back
                every_record_of_the_ledger_reads_back
                unusual_keys_stay_apart
                commands_with_alike_keys_stay_apart

                ledger_entries_count_as_absent_after_their_retention
                reservations_given_back_count_as_absent_after_their_retention
                holds_and_sales_are_kept_for_good
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of [`ScanStore`](inventory_worker::ports::ScanStore).
macro_rules! scan_store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                a_scan_shows_every_record_once
                attempts_are_left_out_of_a_scan
                the_seats_of_an_event_come_by_number
                the_lines_of_a_pool_come_by_sku
                a_page_of_a_partition_has_no_more_than_was_asked_for
                a_partition_continues_after_a_key_whether_or_not_it_is_there
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of [`ExpiryIndex`](inventory_worker::ports::ExpiryIndex).
macro_rules! expiry_index_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                what_ran_out_is_found_oldest_first
                what_runs_out_later_is_not_found
                only_what_is_active_is_found
                a_limit_leaves_out_the_newest
                holds_come_page_by_page_each_once
                what_is_given_back_meanwhile_does_not_disturb_a_cursor
                what_ended_before_the_range_is_left_out
                a_cursor_of_another_range_is_refused
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of [`CommitStore`](inventory_worker::ports::CommitStore).
macro_rules! commit_store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                a_write_on_absence_happens_once
                a_write_on_a_version_happens_once
                a_version_of_what_is_absent_is_a_conflict
                an_older_or_newer_version_is_a_conflict
                all_writes_happen_or_none
                a_check_guards_what_is_not_written
                a_check_of_a_seat_guards_it_too
                a_check_of_a_line_guards_it_too
                the_ledger_keeps_its_first_entry
                an_outcome_takes_the_place_of_its_intent
                an_intent_of_other_content_stays
                a_second_outcome_never_takes_the_place_of_the_first
                of_many_at_once_on_one_version_one_wins
                transactions_on_different_items_all_win
                the_same_token_applies_once
                the_same_token_with_other_content_is_invalid
                a_token_whose_transaction_failed_may_be_used_again

                one_item_twice_is_invalid
                one_hundred_items_are_taken
                more_than_one_hundred_items_are_invalid
                more_than_four_megabytes_are_invalid
                write_units_are_counted_where_they_are_told

                a_marker_gives_way_to_one_of_a_later_intent
                an_outcome_takes_the_place_of_its_own_intent_alone
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of [`AttemptStore`](inventory_worker::ports::AttemptStore).
macro_rules! attempt_store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                attempts_are_counted
                attempts_at_once_get_a_count_each
                a_forgiven_attempt_does_not_count
                an_attempt_says_when_the_one_before_was_counted
                a_dead_letter_is_noted_for_its_message_alone
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of [`LeaseStore`](inventory_worker::ports::LeaseStore).
macro_rules! lease_store_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                leases_that_nobody_took_are_none
                leases_read_back_as_they_were_put
                leases_of_another_version_stay
                of_many_that_replace_leases_at_once_one_does
                leases_of_tasks_are_apart
                leases_are_left_out_of_a_scan
                leases_count_until_somebody_replaces_them
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against every rule of
/// [`OutcomeEditor`](inventory_worker::ports::OutcomeEditor).
macro_rules! outcome_editor_contract {
    ($($test:tt)*) => {
        make_tests! {
            store [
                an_outcome_is_replaced_by_another_of_the_same_command
                what_is_not_that_outcome_is_not_replaced
                an_intent_is_no_outcome_to_be_replaced
                an_outcome_is_replaced_by_nothing_else
            ]
            $($test)*
        }
    };
}

/// Tests an adapter against the suites of all ports of the tables, each in its own module; see the
/// crate's comment. Called beside the harness, which the tests name as `super::…`.
macro_rules! store_contracts {
    ($($test:tt)*) => {
        mod read_store {
            read_store_contract! { $($test)* }
        }

        mod scan_store {
            scan_store_contract! { $($test)* }
        }

        mod expiry_index {
            expiry_index_contract! { $($test)* }
        }

        mod commit_store {
            commit_store_contract! { $($test)* }
        }

        mod attempt_store {
            attempt_store_contract! { $($test)* }
        }

        mod lease_store {
            lease_store_contract! { $($test)* }
        }

        mod outcome_editor {
            outcome_editor_contract! { $($test)* }
        }
    };
}

/// Every rule by name, suite by suite.
pub const RULES: [&[&str]; 7] = [
    &read_store_contract!(names),
    &scan_store_contract!(names),
    &expiry_index_contract!(names),
    &commit_store_contract!(names),
    &attempt_store_contract!(names),
    &lease_store_contract!(names),
    &outcome_editor_contract!(names),
];
