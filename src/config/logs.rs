//! What is logged, and how it looks. Read by every command, from the environment alone.

use tracing_subscriber::EnvFilter;

use super::{Environment, Reader, Section, Setting, parse, reader::Given};

const HEADING: &str = "Logs";

static FILTER: Setting = Setting::variable(
    HEADING,
    "RUST_LOG",
    "FILTER",
    "What is logged: a level, or levels by module such as info,inventory_worker=debug",
)
.or("info");

static FORMAT: Setting = Setting::variable(
    HEADING,
    "INVENTORY_LOG_FORMAT",
    "FORMAT",
    "How logs are written to stderr: text, json, or auto for text on a terminal",
)
.or("auto");

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The settings of the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `RUST_LOG`: a valid filter.
    pub filter: String,
    /// `INVENTORY_LOG_FORMAT`
    pub format: LogFormat,
}

impl LogConfig {
    /// The settings with the default in place of what is wrong, so that there are logs from the
    /// start; what is wrong is reported when the command loads its configuration.
    #[must_use]
    pub fn lenient(environment: &dyn Environment) -> Self {
        Self::read(&mut Reader::new(environment, &Given::new()))
    }
}

impl Section for LogConfig {
    fn settings() -> Vec<&'static Setting> {
        vec![&FILTER, &FORMAT]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let words =
            [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("text", LogFormat::Text)];
        Self {
            filter: reader.value(&FILTER, "info".to_owned(), |text| {
                EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| {
                    "a level (error, warn, info, debug, trace) or comma-separated module=level"
                        .to_owned()
                })
            }),
            format: reader.value(&FORMAT, LogFormat::Auto, |text| parse::one_of(text, &words)),
        }
    }
}
