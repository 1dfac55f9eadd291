//! How the worker and the sweeper work: leases, locks, retries, bounds, limits, shutdown.
//!
//! The values are [`worker::Settings`] and [`sweeper::Settings`]; here are their declarations and the
//! relations between them.

use std::time::Duration;

use super::{AwsConfig, Reader, Section, Setting, aws, parse, reader};
use crate::{
    decide::Limits,
    domain::command::{HOLD_SECONDS_MAX, HOLD_TOTAL_SECONDS_MAX, RESERVE_ENTRIES_MAX},
    ports::{
        queue::{BATCH_ENTRIES_MAX, MESSAGE_BYTES_MAX},
        store::TRANSACTION_ITEMS_MAX,
    },
    sweeper,
    worker::{self, LockMode, ResultBatches},
};

mod constraints;
mod settings;

pub(super) use constraints::check_room_for_pollers;

const MIB: usize = 1024 * 1024;

/// SQS FIFO: at most 120,000 messages of a queue in flight.
const IN_FLIGHT_MESSAGES_MAX: usize = 120_000;

impl Section for worker::Settings {
    fn settings() -> Vec<&'static Setting> {
        settings::WORKER.to_vec()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let settings = read_each(reader);
        constraints::check(&settings, reader);
        settings
    }
}

/// What nothing set gives: the defaults of the declarations.
impl Default for worker::Settings {
    fn default() -> Self {
        reader::defaults()
    }
}

/// The furthest that an `as_of` may be allowed into the future, seconds: a day.
const AS_OF_AHEAD_SECONDS_MAX: u32 = 86_400;

fn read_each(reader: &mut Reader<'_>) -> worker::Settings {
    // A receive takes permits for all it may return before it is sent: with less than one receive
    // needs, the worker would wait for ever.
    let least_mib = BATCH_ENTRIES_MAX.saturating_mul(MESSAGE_BYTES_MAX) / MIB;
    let messages = BATCH_ENTRIES_MAX..=IN_FLIGHT_MESSAGES_MAX;
    let result_batches = [("single", ResultBatches::Single), ("in-kind", ResultBatches::InKind)];
    let lock_modes = [("always", LockMode::Always), ("after-conflict", LockMode::AfterConflict)];
    worker::Settings {
        // SQS: a visibility timeout is 0…43,200 whole seconds, a long poll 0…20.
        visibility: whole_seconds(reader, &settings::VISIBILITY, 1..=43_200),
        heartbeat: seconds(reader, &settings::HEARTBEAT, 100..=21_600_000),
        lease_margin: seconds(reader, &settings::LEASE_MARGIN, 0..=3_600_000),
        long_poll: whole_seconds(reader, &settings::LONG_POLL, 0..=20),
        pollers: count(reader, &settings::POLLERS, 1..=64, "pollers"),
        messages_in_flight_max: count(reader, &settings::IN_FLIGHT_MESSAGES, messages, "messages"),
        bytes_in_flight_max: count(reader, &settings::IN_FLIGHT_MIB, least_mib..=65_536, "MiB")
            .saturating_mul(MIB),
        batch_messages_max: count(
            reader,
            &settings::BATCH_MESSAGES,
            1..=BATCH_ENTRIES_MAX,
            "messages",
        ),
        lock_mode: reader
            .value(&settings::LOCKS, LockMode::Always, |text| parse::one_of(text, &lock_modes)),
        lock_ttl: seconds(reader, &settings::LOCK_TTL, 1_000..=3_600_000),
        lock_wait: seconds(reader, &settings::LOCK_WAIT, 0..=60_000),
        conflict_attempts: times(reader, &settings::CONFLICT_ATTEMPTS),
        isolate_after: times(reader, &settings::ISOLATION_RECEIVES),
        attempts_max: times(reader, &settings::MAX_ATTEMPTS),
        linger: seconds(reader, &settings::LINGER, 0..=1_000),
        result_batches: reader.value(&settings::RESULT_BATCHES, ResultBatches::Single, |text| {
            parse::one_of(text, &result_batches)
        }),
        transaction_items_max: TRANSACTION_ITEMS_MAX,
        commit_parallelism: count(reader, &settings::COMMIT_PARALLELISM, 1..=64, "transactions"),
        restock_parallelism: count(reader, &settings::RESTOCK_PARALLELISM, 1..=64, "chunks"),
        handler_timeout: seconds(reader, &settings::HANDLER_TIMEOUT, 1_000..=3_600_000),
        flush: seconds(reader, &settings::FLUSH, 0..=600_000),
        grace: seconds(reader, &settings::GRACE, 1_000..=7_200_000),
        limits: Limits {
            hold_seconds_max: reader.value(&settings::MAX_HOLD, 1, |text| {
                parse::whole(text, 1..=HOLD_SECONDS_MAX, "seconds")
            }),
            hold_total_seconds_max: reader.value(&settings::MAX_HOLD_TOTAL, 1, |text| {
                parse::whole(text, 1..=HOLD_TOTAL_SECONDS_MAX, "seconds")
            }),
            as_of_ahead_seconds_max: reader.value(&settings::MAX_AS_OF_AHEAD, 0, |text| {
                parse::whole(text, 0..=AS_OF_AHEAD_SECONDS_MAX, "seconds")
            }),
            reserve_entries_max: count(
                reader,
                &settings::MAX_ENTRIES,
                1..=RESERVE_ENTRIES_MAX,
                "seats and lines",
            ),
        },
    }
}

impl Section for sweeper::Settings {
    fn settings() -> Vec<&'static Setting> {
        settings::SWEEPER.to_vec()
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            interval: seconds(reader, &settings::SWEEPER_INTERVAL, 100..=3_600_000),
            margin: seconds(reader, &settings::SWEEPER_MARGIN, 0..=600_000),
            idle: seconds(reader, &settings::SWEEPER_IDLE, 100..=3_600_000),
        }
    }
}

pub(super) fn no_sweeper_settings() -> Vec<&'static Setting> {
    vec![&settings::NO_SWEEPER]
}

/// Unset, or one of the usual words for no, runs a sweeper; any other value does not.
pub(super) fn read_no_sweeper(reader: &mut Reader<'_>) -> bool {
    let is_set = |text: &str| {
        let no = ["0", "f", "false", "n", "no", "off"];
        Ok(!no.contains(&&*text.to_ascii_lowercase()))
    };
    reader.optional(&settings::NO_SWEEPER, is_set).unwrap_or(false)
}

/// What nothing set gives: the defaults of the declarations.
impl Default for sweeper::Settings {
    fn default() -> Self {
        reader::defaults()
    }
}

type Range<T> = std::ops::RangeInclusive<T>;

fn whole_seconds(
    reader: &mut Reader<'_>,
    setting: &'static Setting,
    range: Range<u64>,
) -> Duration {
    reader.value(setting, Duration::ZERO, |text| parse::whole_seconds(text, range))
}

fn seconds(reader: &mut Reader<'_>, setting: &'static Setting, range_ms: Range<u64>) -> Duration {
    reader.value(setting, Duration::ZERO, |text| parse::seconds(text, range_ms))
}

fn count(
    reader: &mut Reader<'_>,
    setting: &'static Setting,
    range: Range<usize>,
    what: &str,
) -> usize {
    reader.value(setting, 1, |text| parse::whole(text, range, what))
}

fn times(reader: &mut Reader<'_>, setting: &'static Setting) -> u32 {
    reader.value(setting, 1, |text| parse::whole(text, 1..=100, "times"))
}
