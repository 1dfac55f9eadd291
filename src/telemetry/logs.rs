//! Logs on stderr: JSON for programs, text for terminals.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::IsTerminal as _,
    panic::{self, PanicHookInfo},
};

use tracing::{Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter, layer::SubscriberExt as _};

use crate::config::{LogConfig, LogFormat};

/// The embedded DynamoDB warns of every answer other than success; a missing table and a condition
/// that does not hold are normal. A configured filter that names dynoxide overrides this.
const DEPENDENCY_LEVEL: &str = "dynoxide=error";

/// Sends logs to stderr from here on. Once per process.
///
/// # Errors
///
/// A logger is installed already.
pub fn init(config: &LogConfig) -> Result<(), SetGlobalDefaultError> {
    let is_terminal = std::io::stderr().is_terminal();
    tracing::subscriber::set_global_default(subscriber(config, is_terminal, std::io::stderr))?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic as any other event: where, and what for if the code says so literally. A message
/// that was put together at run time may hold anything, such as a part of a request.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let reason = panic.payload().downcast_ref::<&'static str>().copied();
    // As RUST_BACKTRACE says.
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    let backtrace = backtrace.as_ref().map(tracing::field::display);
    tracing::error!(location, reason, backtrace, "a panic");
}

/// Writes logs to `writer`; `is_terminal` decides what `auto` means, and whether output is
/// coloured.
fn subscriber<W>(
    config: &LogConfig,
    is_terminal: bool,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    // The filter was validated when it was parsed.
    let filter = EnvFilter::try_new(&config.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = match DEPENDENCY_LEVEL.parse() {
        Ok(quiet) if !config.filter.contains("dynoxide") => filter.add_directive(quiet),
        _ => filter,
    };
    let registry = tracing_subscriber::registry().with(filter);
    if json {
        let layer = fmt::layer().json().flatten_event(true).with_span_list(false);
        return Box::new(registry.with(layer.with_writer(writer)));
    }
    // The layer honours NO_COLOR: https://no-color.org
    let layer = fmt::layer().with_writer(writer);
    Box::new(registry.with(if is_terminal { layer } else { layer.with_ansi(false) }))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
        time::Duration,
    };

    use super::*;
    use crate::{
        domain::{CommandType, Outcome, Rejection, RejectionCode},
        telemetry::Metrics,
        worker::{Event, Observer as _},
    };

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged.
    pub(crate) fn logged(
        filter: &str,
        format: LogFormat,
        is_terminal: bool,
        log: impl FnOnce(),
    ) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let config = LogConfig { filter: filter.to_owned(), format };
        let subscriber = subscriber(&config, is_terminal, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(captured.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_a_process_did_is_logged_in_numbers() {
        let metrics = Metrics::new().unwrap();
        let rejection = Rejection::new(RejectionCode::NotOwner, "no");
        let outcome = Outcome::Rejected { rejection };
        for replayed in [false, false, true] {
            metrics.observe(&Event::Decided {
                command_type: Some(CommandType::Confirm),
                outcome: &outcome,
                replayed,
                took: Duration::from_millis(12),
            });
        }
        metrics.observe(&Event::DeadLettered { reason: "POISON" });
        metrics.observe(&Event::LeaseLost(4));
        metrics.observe(&Event::Released { reason: "unreadable", messages: 5 });
        let log = || metrics.log_totals(Duration::from_millis(61_500));
        let text = logged("info", LogFormat::Json, false, log);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "drained, in all");
        for (name, value) in [
            ("ran_s", 61),
            ("commands", 2),
            ("rejected", 2),
            ("duplicates", 1),
            ("dead_lettered", 1),
            ("released", 5),
            ("leases_lost", 4),
            ("in_flight", 0),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
    }

    #[test]
    fn numbers_are_numbers_in_json() {
        let text = logged("info", LogFormat::Json, false, || {
            let (count, bytes, ahead_s) = (u64::MAX, 7_usize, -1_800.25);
            tracing::info!(count, bytes, ahead_s, is_dry = true, "numbers");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["count"], &line["bytes"]), (&u64::MAX.into(), &7.into()), "{line}");
        assert_eq!((&line["ahead_s"], &line["is_dry"]), (&(-1_800.25).into(), &true.into()));
    }

    #[test]
    fn logs_are_json_objects_where_nobody_watches() {
        let text = logged("info", LogFormat::Auto, false, || {
            tracing::info_span!("batch", group = "event-42").in_scope(|| {
                tracing::warn!(attempt = 2, "version conflict, deciding again");
            });
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "version conflict, deciding again");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["span"]["group"], "event-42");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn logs_are_text_on_a_terminal_unless_told_otherwise() {
        let log = || tracing::info!("ready");
        assert!(!logged("info", LogFormat::Auto, true, log).starts_with('{'));
        assert!(logged("info", LogFormat::Json, true, log).starts_with('{'));
        let plain = logged("info", LogFormat::Text, false, log);
        assert!(plain.contains("INFO") && !plain.contains('\u{1b}'), "{plain:?}");
    }

    #[test]
    fn a_panic_is_logged_without_what_was_put_together_at_run_time() {
        let log = |panics: fn()| {
            logged("info", LogFormat::Json, false, || {
                let before = panic::take_hook();
                panic::set_hook(Box::new(log_panic));
                let ended = panic::catch_unwind(panics);
                panic::set_hook(before);
                assert!(ended.is_err());
            })
        };
        let text = log(|| panic!("a literal"));
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["level"], &line["reason"]), (&"ERROR".into(), &"a literal".into()));
        assert!(line["location"].as_str().unwrap().contains("logs.rs:"), "{line}");
        let text = log(|| panic!("{}", "of user 7".to_owned()));
        assert!(text.contains("logs.rs:") && !text.contains("user"), "{text}");
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        let log = || {
            tracing::info!("loud");
            tracing::debug!("quiet");
        };
        let text = logged("info", LogFormat::Text, false, log);
        assert!(text.contains("loud") && !text.contains("quiet"));
        assert_eq!(logged("off", LogFormat::Text, false, log), "");
    }
}
