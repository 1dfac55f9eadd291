//! `reservation`: one reservation.

use std::{io, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::{CliContext, ExitCode, OutputFormat, run::AWS_VARIABLES};
use crate::{
    adapters::system::SystemClock,
    app,
    config::{AwsConfig, Flags},
    domain::{Goods, Reservation, ReservationId, ReservationStatus, Timestamp},
    gateway::{Caller, Queries, QueryError, QuerySettings, queries::ReservationAnswer},
    terminal::printable,
};

/// Arguments of `reservation`.
#[derive(Args)]
#[command(after_long_help = AWS_VARIABLES)]
pub struct ReservationArgs {
    /// The reservation's id, a UUID
    #[arg(value_name = "ID")]
    pub id: ReservationId,
    /// Whether to print JSON.
    #[command(flatten)]
    pub format: OutputFormat,
    /// Queues, topic and tables.
    #[command(flatten)]
    pub settings: Flags<AwsConfig>,
}

/// Reads a reservation from the tables, and prints it.
///
/// # Errors
///
/// There is no such reservation, the configuration is wrong, or the tables cannot be read.
pub async fn run(args: ReservationArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let config = args.settings.load(&*context.environment)?;
    let store = app::store(&app::aws().await?, &config);
    let queries = Queries::new(store, Arc::new(SystemClock), QuerySettings::default());
    show(&queries, args.id, args.format, context).await
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    reservation: &'a Reservation,
    now: Timestamp,
}

async fn show(
    queries: &Queries,
    id: ReservationId,
    format: OutputFormat,
    context: &CliContext,
) -> anyhow::Result<ExitCode> {
    let found = queries.reservation(&Caller::local(), id).await;
    let ReservationAnswer { reservation, freshness } = found.map_err(|error| match error {
        QueryError::NotFound { .. } => anyhow::anyhow!("there is no reservation {id}"),
        error => error.into(),
    })?;
    let shown = Shown { reservation: &reservation, now: freshness.now };
    format.print(context, &shown, || print(&reservation, freshness.now, context))?;
    Ok(ExitCode::Done)
}

fn print(reservation: &Reservation, now: Timestamp, context: &CliContext) -> io::Result<()> {
    let style = context.out.style();
    context.out.line(&style.heading(&reservation.reservation_id.to_string()))?;
    let seats: Vec<&str> = reservation.seats.iter().map(|seat| seat.as_str()).collect();
    let lines: Vec<String> =
        reservation.lines.iter().map(|line| format!("{} × {}", line.quantity, line.sku)).collect();
    let text = |at: &Timestamp| format!("{at:.3}");
    let fields = [
        ("pool", Some(reservation.pool.to_string())),
        ("status", Some(status(reservation, now))),
        ("user", Some(reservation.user_id.to_string())),
        ("source", Some(reservation.source.to_string())),
        ("seats", Some(seats.join(", ")).filter(|seats| !seats.is_empty())),
        ("lines", Some(lines.join(", ")).filter(|lines| !lines.is_empty())),
        ("booking", reservation.booking_id.as_ref().map(ToString::to_string)),
        ("goods", reservation.goods.map(Goods::as_str).map(str::to_owned)),
        ("created", Some(text(&reservation.created_at))),
        ("expires", Some(text(&reservation.expires_at))),
        ("ended", reservation.ended_at.as_ref().map(text)),
        ("fulfilled", reservation.fulfilled_at.as_ref().map(text)),
        ("version", Some(reservation.version.to_string())),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            context.out.line(&format!("  {name:<10}{}", printable(&value)))?;
        }
    }
    Ok(())
}

/// The status as stored; and where a hold has run out, that it has.
fn status(reservation: &Reservation, now: Timestamp) -> String {
    let status = reservation.status.as_str();
    let has_ended =
        reservation.status == ReservationStatus::Active && reservation.expires_at <= now;
    if has_ended { format!("{status}, its hold has run out") } else { status.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        adapters::memory::TokioClock,
        config::ProcessEnvironment,
        domain::OrderLine,
        gateway::view::fixtures::{Tables, at, epoch, event},
        ports::{Expected, Write},
        terminal::{Output, wider_than_80},
    };

    const ID: ReservationId = ReservationId(uuid::Uuid::from_u128(7));

    async fn shown(id: ReservationId, json: bool) -> (anyhow::Result<ExitCode>, String) {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        let reservation = Reservation {
            reservation_id: ID,
            pool: event(),
            source: "/services/booking".parse().unwrap(),
            user_id: "user-7".parse().unwrap(),
            status: ReservationStatus::Active,
            version: 1,
            seats: vec!["A-1".parse().unwrap(), "A-2".parse().unwrap()],
            lines: vec![OrderLine { sku: "lawn".parse().unwrap(), quantity: 2 }],
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: epoch(),
            expires_at: at("2026-11-22T10:10:00Z"),
            ended_at: None,
        };
        tables.write(Write::Reservation { expected: Expected::Absent, reservation }).await;
        tokio::time::advance(Duration::from_secs(600)).await;
        let queries = Queries::new(tables, clock, QuerySettings::default());
        let ((out, text), (errors, _)) = (Output::captured(), Output::captured());
        let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
        let ended = show(&queries, id, OutputFormat { json }, &context).await;
        (ended, text.text())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_is_shown_with_what_it_holds() {
        let (ended, text) = shown(ID, false).await;
        assert_eq!(ended.unwrap(), ExitCode::Done);
        assert_eq!(wider_than_80(&text), Vec::<&str>::new());
        insta::assert_snapshot!(text, @"
        00000000-0000-0000-0000-000000000007
          pool      event#42
          status    ACTIVE, its hold has run out
          user      user-7
          source    /services/booking
          seats     A-1, A-2
          lines     2 × lawn
          created   2026-11-22T10:00:00.000Z
          expires   2026-11-22T10:10:00.000Z
          version   1
        ");
    }

    #[tokio::test(start_paused = true)]
    async fn json_is_the_reservation_and_the_time() {
        let (_, text) = shown(ID, true).await;
        let found: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(found["reservation"]["reservation_id"], ID.to_string());
        assert_eq!(found["now"], "2026-11-22T10:10:00Z");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reservation_that_is_not_there_fails_with_a_line_that_says_so() {
        let (failed, text) = shown(ReservationId(uuid::Uuid::nil()), false).await;
        let expected = "there is no reservation 00000000-0000-0000-0000-000000000000";
        assert_eq!((failed.unwrap_err().to_string().as_str(), text.as_str()), (expected, ""));
    }
}
