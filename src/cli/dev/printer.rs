//! Results as they are published, for people or programs.

use std::{fmt::Write as _, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    client::ResultSubscription,
    domain::{Outcome, PoolId, Rejection, Reservation, SeatNumber},
    message::{self, DecodedResult},
    terminal::{Output, Style},
};

/// How long a receive waits before it looks whether the session ends.
const LONG_POLL: Duration = Duration::from_millis(200);

/// Prints every result of a subscription.
pub(super) struct Printer<'a> {
    pub(super) results: ResultSubscription,
    pub(super) out: &'a Output,
    pub(super) json: bool,
}

impl Printer<'_> {
    /// Prints until `done`, and then what is still there.
    pub(super) async fn run(&self, done: &CancellationToken) -> anyhow::Result<()> {
        let mut has_hinted = false;
        loop {
            let was_done = done.is_cancelled();
            let wait = if was_done { Duration::ZERO } else { LONG_POLL };
            let received = self.results.receive(wait, |body| self.print(body, &mut has_hinted));
            if received.await? == 0 && was_done {
                return Ok(());
            }
        }
    }

    fn print(&self, body: &str, has_hinted: &mut bool) -> anyhow::Result<()> {
        if self.json {
            return Ok(self.out.line(body)?);
        }
        let result = message::decode_result(body)?;
        self.out.line(&line(&result, self.out.style()))?;
        if let Some(hint) = hint(&result).filter(|_| !*has_hinted) {
            *has_hinted = true;
            let style = self.out.style();
            self.out.line(&format!("{}\n{hint}", style.faint("             Now confirm it:")))?;
        }
        Ok(())
    }
}

/// `inventory.reserved.v1` as `reserved`.
fn word(result: &DecodedResult) -> &'static str {
    result.result_type().trim_start_matches("inventory.").trim_end_matches(".v1")
}

fn line(result: &DecodedResult, style: Style) -> String {
    let word = format!("{:<9}", word(result));
    let word = match &result.outcome {
        Outcome::Rejected { .. } => style.bad(&word),
        Outcome::Cancelled { .. } | Outcome::Expired { .. } => style.warn(&word),
        _ => style.good(&word),
    };
    let time = result.time.strftime("%H:%M:%S%.3f");
    let id = style.faint(&format!("({})", result.command.key.id));
    let pool = result.pool.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{time} {word} {pool}{} {id}", detail(&result.outcome))
}

fn detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reserved { reservation }
        | Outcome::Extended { reservation }
        | Outcome::Modified { reservation } => {
            let until = reservation.expires_at.strftime("%H:%M:%S");
            reservation_detail(reservation, &format!(" until {until}"))
        }
        Outcome::Confirmed { reservation }
        | Outcome::Fulfilled { reservation }
        | Outcome::Cancelled { reservation, .. }
        | Outcome::Expired { reservation } => reservation_detail(reservation, ""),
        Outcome::Restocked { restock, .. } => {
            let (seats, lines) = (restock.seats_applied, restock.lines_applied);
            let skipped = restock.seats_skipped + restock.lines_skipped;
            format!(" seats {seats}, lines {lines}, skipped {skipped}")
        }
        Outcome::Rejected { rejection } => rejection_detail(rejection),
    }
}

fn reservation_detail(reservation: &Reservation, until: &str) -> String {
    let mut detail = String::new();
    for seat in &reservation.seats {
        let _ = write!(detail, " {seat}");
    }
    for line in &reservation.lines {
        let _ = write!(detail, " {}×{}", line.quantity, line.sku);
    }
    let (user, id) = (&reservation.user_id, reservation.reservation_id);
    let _ = write!(detail, " for {user}{until}, reservation {id}");
    detail
}

fn rejection_detail(rejection: &Rejection) -> String {
    let seats = rejection.seats.iter().map(SeatNumber::as_str);
    let named: Vec<&str> =
        seats.chain(rejection.lines.iter().map(|line| line.sku().as_str())).collect();
    let named = if named.is_empty() { String::new() } else { format!(" [{}]", named.join(" ")) };
    format!(" {}: {}{named}", rejection.code.as_str(), rejection.message)
}

/// The command that confirms a hold on the event.
fn hint(result: &DecodedResult) -> Option<String> {
    let Outcome::Reserved { reservation } = &result.outcome else { return None };
    let PoolId::Event(event_id) = reservation.pool else { return None };
    let reservation_id = reservation.reservation_id;
    Some(format!(
        r#"{{"specversion":"1.0","id":"try-2","source":"/me","type":"inventory.confirm.v1","data":{{"event_id":{event_id},"reservation_id":"{reservation_id}","booking_id":"b-1"}}}}"#
    ))
}
