//! The minimum time a message is hidden, by its receive count.

use std::time::Duration;

/// From this receive count on, the delay grows.
const BACKOFF_FROM_RECEIVES: u32 = 100;
/// The factor between consecutive delays.
const BACKOFF_GROWTH: f64 = 1.011;
/// SQS limits a visibility timeout to 12 hours from the receive.
const REDELIVERY_BACKOFF_MAX: Duration = Duration::from_secs(6 * 3_600);

/// The minimum time to hide a message with this receive count. Every receive counts towards the
/// queue's own redrive (1,000, the most SQS allows), whatever its cause: the receives from the
/// hundredth to the thousandth are stretched over more than the 14 days that a queue keeps a
/// message, while the wait after an outage stays near a hundredth of the outage.
pub(super) fn redelivery_backoff(receive_count: u32) -> Duration {
    let Some(beyond) =
        receive_count.checked_sub(BACKOFF_FROM_RECEIVES).filter(|beyond| *beyond > 0)
    else {
        return Duration::ZERO;
    };
    let seconds = BACKOFF_GROWTH.powf(f64::from(beyond));
    Duration::try_from_secs_f64(seconds)
        .unwrap_or(REDELIVERY_BACKOFF_MAX)
        .min(REDELIVERY_BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_fails_for_14_days_is_received_less_than_a_thousand_times() {
        let waited: Duration = (0..1_000).map(redelivery_backoff).sum();
        assert!(waited > Duration::from_secs(14 * 86_400), "{waited:?}");
        assert_eq!(redelivery_backoff(BACKOFF_FROM_RECEIVES), Duration::ZERO);
        assert!(redelivery_backoff(u32::MAX) <= REDELIVERY_BACKOFF_MAX);
    }

    #[test]
    fn what_is_waited_after_an_outage_is_a_hundredth_of_it() {
        let mut outage = Duration::ZERO;
        for count in 0..1_000 {
            let next = redelivery_backoff(count);
            let bound = outage.mul_f64(0.012) + Duration::from_secs(2);
            assert!(next <= bound, "{next:?} after {outage:?}");
            outage += next;
        }
    }
}
