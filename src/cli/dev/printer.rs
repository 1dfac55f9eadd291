//! Results as they are published, for people or programs.

use std::{fmt::Write as _, io, sync::Arc, time::Duration};

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    adapters::memory::MemoryQueue,
    domain::{
        CommandId, OrderLine, Rejection, ReservationId, RestockSummary, SeatNumber, Timestamp,
        UserId,
    },
    ports::{Entropy, Queue as _, ReceiveRequest, queue::BATCH_ENTRIES_MAX},
    terminal::{Output, Style},
};

/// Prints what comes into a queue that is subscribed to the results.
pub(super) struct Printer<'a> {
    pub(super) results: Arc<MemoryQueue>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) out: &'a Output,
    pub(super) json: bool,
}

impl Printer<'_> {
    /// Prints until `done`, and then what is still there.
    pub(super) async fn run(&self, done: &CancellationToken) -> anyhow::Result<()> {
        let mut has_hinted = false;
        loop {
            let was_done = done.is_cancelled();
            let request = ReceiveRequest {
                max: BATCH_ENTRIES_MAX,
                wait: Duration::from_millis(if was_done { 0 } else { 200 }),
                visibility: Duration::from_secs(60),
                attempt_id: self.entropy.uuid().to_string(),
            };
            let deliveries = self.results.receive(&request).await?;
            if deliveries.is_empty() && was_done {
                return Ok(());
            }
            for delivery in &deliveries {
                self.print(&delivery.body, &mut has_hinted)?;
            }
            let receipts: Vec<_> = deliveries.into_iter().map(|one| one.receipt).collect();
            if !receipts.is_empty() {
                self.results.delete(&receipts).await?;
            }
        }
    }

    fn print(&self, body: &str, has_hinted: &mut bool) -> io::Result<()> {
        if self.json {
            return self.out.line(body);
        }
        let result: Published = serde_json::from_str(body)?;
        self.out.line(&result.line(self.out.style()))?;
        if let Some(hint) = result.hint().filter(|_| !*has_hinted) {
            *has_hinted = true;
            let style = self.out.style();
            self.out.line(&format!("{}\n{hint}", style.faint("             Now confirm it:")))?;
        }
        Ok(())
    }
}

/// A result, as far as it is shown.
#[derive(Deserialize)]
struct Published {
    #[serde(rename = "type")]
    result_type: String,
    #[serde(default)]
    subject: String,
    time: Timestamp,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    command: CommandRef,
    event_id: Option<u64>,
    reservation: Option<Reservation>,
    restock: Option<RestockSummary>,
    rejection: Option<Rejection>,
}

#[derive(Deserialize)]
struct CommandRef {
    id: CommandId,
}

#[derive(Deserialize)]
struct Reservation {
    reservation_id: ReservationId,
    user_id: UserId,
    seats: Vec<SeatNumber>,
    lines: Vec<OrderLine>,
    expires_at: Timestamp,
}

impl Published {
    /// `inventory.reserved.v1` as `reserved`.
    fn word(&self) -> &str {
        self.result_type.trim_start_matches("inventory.").trim_end_matches(".v1")
    }

    fn line(&self, style: Style) -> String {
        let word = format!("{:<9}", self.word());
        let word = match self.word() {
            "rejected" => style.bad(&word),
            "cancelled" | "expired" => style.warn(&word),
            _ => style.good(&word),
        };
        let time = self.time.strftime("%H:%M:%S%.3f");
        let id = style.faint(&format!("({})", self.data.command.id));
        format!("{time} {word} {}{} {id}", self.subject, self.detail())
    }

    fn detail(&self) -> String {
        let mut detail = String::new();
        if let Some(reservation) = &self.data.reservation {
            for seat in &reservation.seats {
                let _ = write!(detail, " {seat}");
            }
            for line in &reservation.lines {
                let _ = write!(detail, " {}×{}", line.quantity, line.sku);
            }
            let _ = write!(detail, " for {}", reservation.user_id);
            if self.word() == "reserved" {
                let until = reservation.expires_at.strftime("%H:%M:%S");
                let _ = write!(detail, " until {until}");
            }
            let _ = write!(detail, ", reservation {}", reservation.reservation_id);
        }
        if let Some(restock) = &self.data.restock {
            let (seats, lines) = (restock.seats_applied, restock.lines_applied);
            let skipped = restock.seats_skipped + restock.lines_skipped;
            let _ = write!(detail, " seats {seats}, lines {lines}, skipped {skipped}");
        }
        if let Some(rejection) = &self.data.rejection {
            let _ = write!(detail, " {}: {}", rejection.code.as_str(), rejection.message);
            let seats = rejection.seats.iter().map(SeatNumber::as_str);
            let named: Vec<&str> =
                seats.chain(rejection.lines.iter().map(|line| line.sku.as_str())).collect();
            if !named.is_empty() {
                let _ = write!(detail, " [{}]", named.join(" "));
            }
        }
        detail
    }

    /// The command that confirms a hold on the event.
    fn hint(&self) -> Option<String> {
        let event_id = self.data.event_id.filter(|_| self.word() == "reserved")?;
        let reservation_id = self.data.reservation.as_ref()?.reservation_id;
        Some(format!(
            r#"{{"specversion":"1.0","id":"try-2","source":"/me","type":"inventory.confirm.v1","data":{{"event_id":{event_id},"reservation_id":"{reservation_id}","booking_id":"b-1"}}}}"#
        ))
    }
}
