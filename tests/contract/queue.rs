//! The rules for every adapter of [`Queue`].
//!
//! They are SQS's rules for FIFO queues, from its developer guide and API reference.

mod batches;
mod deduplication;
mod groups;
mod helpers;
mod leases;
mod receives;

use std::sync::Arc;

use async_trait::async_trait;
use inventory_worker::ports::Queue;

pub use self::helpers::{bodies, delete, receive};
pub use self::{batches::*, deduplication::*, groups::*, leases::*, receives::*};
use crate::harness::Backend;

/// Queues under test.
#[async_trait]
pub trait QueueHarness: Backend {
    /// A fresh FIFO queue as `bootstrap` creates it: content-based deduplication, high throughput
    /// (deduplication within the message group), no redrive.
    async fn queue(&self) -> Arc<dyn Queue>;

    /// A fresh queue, and its dead-letter queue for messages received `max_receives` times.
    async fn queue_with_dead_letters(&self, max_receives: u32) -> (Arc<dyn Queue>, Arc<dyn Queue>);
}

/// Tests an adapter against every rule of [`Queue`]; see the crate's comment.
macro_rules! queue_contract {
    ($($test:tt)*) => {
        make_tests! {
            queue [
                what_was_sent_is_received
                a_message_of_one_mebibyte_is_carried
                a_longer_message_is_refused
                more_than_ten_entries_are_refused
                a_batch_is_answered_entry_by_entry
                deleted_messages_are_gone
                the_backlog_tells_what_waits_and_what_is_in_flight
                a_queue_tells_its_limits

                a_group_comes_in_order
                the_sequence_grows_as_a_number
                a_group_is_locked_while_a_message_of_it_is_in_flight
                groups_do_not_wait_for_each_other
                what_comes_back_comes_in_its_place
                a_group_released_from_its_end_comes_in_order

                a_release_returns_the_message_at_once
                a_lease_that_runs_out_returns_the_message
                an_extended_lease_lasts
                a_shortened_lease_ends_sooner
                every_receive_gives_a_new_receipt
                an_expired_receipt_does_not_delete
                an_expired_receipt_does_not_extend
                a_released_receipt_is_void
                an_older_receipt_is_void
                deleting_again_succeeds
                what_was_received_too_often_goes_to_the_dead_letters_in_order

                a_receive_gives_no_more_than_asked_for
                a_receive_fills_up_from_several_groups
                nothing_to_give_is_no_failure
                a_waiting_receive_wakes_on_a_send
                a_waiting_receive_wakes_on_a_release
                a_waiting_receive_wakes_when_its_group_is_unlocked
                a_waiting_receive_wakes_when_a_lease_runs_out
                a_repeated_attempt_gives_the_same_messages
                a_repeated_attempt_renews_the_leases
                another_attempt_gets_nothing_of_them

                the_same_content_is_sent_once
                the_same_deduplication_id_is_sent_once
                other_deduplication_ids_are_other_messages
                deduplication_is_within_the_group
                deduplication_outlives_the_message
                deduplication_ends_after_five_minutes
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &queue_contract!(names);
