//! Names of queues, topics and tables: the rules of AWS for them, the defaults, and what is derived
//! from a name. It depends on nothing but [`Table`], so that the configuration and the adapters
//! share it.

use crate::ports::Table;

/// SQS and SNS: the suffix of every FIFO queue's and FIFO topic's name.
pub const FIFO_SUFFIX: &str = ".fifo";

/// The end of a dead-letter queue's name: `orders-dlq.fifo` for `orders.fifo`.
const DEAD_LETTER_SUFFIX: &str = "-dlq.fifo";

/// SQS: "A queue name can have up to 80 characters", the suffix included.
const QUEUE_NAME_MAX: usize = 80;

/// SNS: "up to 256 characters", the suffix included.
const TOPIC_NAME_MAX: usize = 256;

/// DynamoDB: "between 3 and 255 characters".
const TABLE_NAME_LEN: std::ops::RangeInclusive<usize> = 3..=255;

/// The default prefix of every default name.
pub const PREFIX: &str = "inventory-";

/// The longest prefix: with it, every derived name is short enough for SQS.
pub const PREFIX_MAX: usize = 40;

/// Whether a prefix can begin the names of queues, topics and tables, and ends where it can be told
/// from the rest of the name.
#[must_use]
pub fn is_prefix(prefix: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (2..=PREFIX_MAX).contains(&prefix.len())
        && prefix.bytes().all(is_plain)
        && prefix.starts_with(|first: char| first.is_ascii_alphanumeric())
        && prefix.ends_with(['-', '_'])
}

/// Default names, comma-separated, under another prefix.
#[must_use]
pub fn under(prefix: &str, names: &str) -> String {
    let name = |name: &str| match name.strip_prefix(PREFIX) {
        Some(rest) => format!("{prefix}{rest}"),
        None => name.to_owned(),
    };
    names.split(',').map(name).collect::<Vec<_>>().join(",")
}

/// The queue of a storm's own, for the results of its commands.
#[must_use]
pub fn storm_queue(prefix: &str, storm: &str) -> String {
    format!("{prefix}storm-{storm}{FIFO_SUFFIX}")
}

macro_rules! default_name {
    (commands) => {
        "inventory-commands.fifo"
    };
    (expiries) => {
        "inventory-expiries.fifo"
    };
    (restock) => {
        "inventory-restock.fifo"
    };
}

/// The default queue of reserves, confirms and cancels.
pub const COMMANDS_QUEUE: &str = default_name!(commands);

/// The default queue of expiries.
pub const EXPIRIES_QUEUE: &str = default_name!(expiries);

/// The default queue of restocks.
pub const RESTOCK_QUEUE: &str = default_name!(restock);

/// The default queues to consume, comma-separated.
pub const QUEUES: &str =
    concat!(default_name!(commands), ",", default_name!(expiries), ",", default_name!(restock));

/// The default topic of results.
pub const RESULTS_TOPIC: &str = "inventory-results.fifo";

/// The default table of seats.
pub const SEATS_TABLE: &str = "inventory-seats";

/// The default table of stock levels.
pub const STOCK_TABLE: &str = "inventory-stock";

/// The default table of reservations.
pub const RESERVATIONS_TABLE: &str = "inventory-reservations";

/// The default table of outcomes.
pub const LEDGER_TABLE: &str = "inventory-ledger";

/// A name that SQS or SNS does not accept for a FIFO resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} {name}: a FIFO {kind}'s name has at most {length_max} characters of A-Z a-z 0-9 - _ \
     and ends in {FIFO_SUFFIX}"
)]
pub struct InvalidName {
    kind: &'static str,
    name: String,
    length_max: usize,
}

/// Checks a FIFO queue's name, which is no URL.
///
/// # Errors
///
/// [`InvalidName`] says what SQS accepts.
pub fn check_queue_name(name: &str) -> Result<(), InvalidName> {
    check("queue", name, QUEUE_NAME_MAX)
}

/// Checks a FIFO topic's name, which is no ARN.
///
/// # Errors
///
/// [`InvalidName`] says what SNS accepts.
pub fn check_topic_name(name: &str) -> Result<(), InvalidName> {
    check("topic", name, TOPIC_NAME_MAX)
}

fn check(kind: &'static str, name: &str, length_max: usize) -> Result<(), InvalidName> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match name.strip_suffix(FIFO_SUFFIX) {
        Some(stem)
            if !stem.is_empty() && name.len() <= length_max && stem.bytes().all(is_plain) =>
        {
            Ok(())
        }
        _ => Err(InvalidName { kind, name: name.to_owned(), length_max }),
    }
}

/// Whether DynamoDB accepts the name for a table.
#[must_use]
pub fn is_table_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    TABLE_NAME_LEN.contains(&name.len()) && name.bytes().all(is_plain)
}

/// Whether a queue is given by its URL and not by its name.
#[must_use]
pub fn is_queue_url(name_or_url: &str) -> bool {
    name_or_url.starts_with("http://") || name_or_url.starts_with("https://")
}

/// The name in a queue's name or URL.
#[must_use]
pub fn queue_name(name_or_url: &str) -> &str {
    name_or_url.trim_end_matches('/').rsplit('/').next().unwrap_or(name_or_url)
}

/// Whether a topic is given by its ARN and not by its name.
#[must_use]
pub fn is_arn(name_or_arn: &str) -> bool {
    name_or_arn.starts_with("arn:")
}

/// The name in a topic's name or ARN.
#[must_use]
pub fn topic_name(name_or_arn: &str) -> &str {
    name_or_arn.rsplit(':').next().unwrap_or(name_or_arn)
}

/// The name of a queue's dead-letter queue: `orders-dlq.fifo` for `orders.fifo`.
#[must_use]
pub fn dead_letter_queue_name(name_or_url: &str) -> String {
    let name = queue_name(name_or_url);
    let stem = name.strip_suffix(FIFO_SUFFIX).unwrap_or(name);
    format!("{stem}{DEAD_LETTER_SUFFIX}")
}

/// The name of the queue whose dead letters go to the named queue; `None` where that is no
/// dead-letter queue.
#[must_use]
pub fn queue_of_dead_letters(name_or_url: &str) -> Option<String> {
    let stem = queue_name(name_or_url).strip_suffix(DEAD_LETTER_SUFFIX)?;
    Some(format!("{stem}{FIFO_SUFFIX}"))
}

/// The names of the four tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableNames {
    /// `DYNAMODB_TABLE_SEATS`
    pub seats: String,
    /// `DYNAMODB_TABLE_STOCK`
    pub stock: String,
    /// `DYNAMODB_TABLE_RESERVATIONS`
    pub reservations: String,
    /// `DYNAMODB_TABLE_LEDGER`
    pub ledger: String,
}

impl Default for TableNames {
    fn default() -> Self {
        Self {
            seats: SEATS_TABLE.to_owned(),
            stock: STOCK_TABLE.to_owned(),
            reservations: RESERVATIONS_TABLE.to_owned(),
            ledger: LEDGER_TABLE.to_owned(),
        }
    }
}

impl TableNames {
    /// The default names under another prefix than `inventory-`.
    #[must_use]
    pub fn prefixed(prefix: &str) -> Self {
        let name = |table: Table| format!("{prefix}{}", table.as_str());
        Self {
            seats: name(Table::Seats),
            stock: name(Table::Stock),
            reservations: name(Table::Reservations),
            ledger: name(Table::Ledger),
        }
    }

    /// A table's name.
    #[must_use]
    pub fn name(&self, table: Table) -> &str {
        match table {
            Table::Seats => &self.seats,
            Table::Stock => &self.stock,
            Table::Reservations => &self.reservations,
            Table::Ledger => &self.ledger,
        }
    }

    /// The table with that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| self.name(*table) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo";

    #[test]
    fn a_queue_is_named_by_the_last_part_of_its_url() {
        for (text, name) in [
            ("orders.fifo", "orders.fifo"),
            (URL, "orders.fifo"),
            ("http://127.0.0.1:4566/queue/us-east-1/000000000000/orders.fifo/", "orders.fifo"),
        ] {
            assert_eq!(queue_name(text), name);
            assert_eq!(is_queue_url(text), text != name);
        }
    }

    #[test]
    fn a_topic_is_named_by_the_last_part_of_its_arn() {
        let arn = "arn:aws:sns:eu-west-1:123456789012:results.fifo";
        assert_eq!((topic_name("results.fifo"), is_arn("results.fifo")), ("results.fifo", false));
        assert_eq!((topic_name(arn), is_arn(arn)), ("results.fifo", true));
    }

    #[test]
    fn a_dead_letter_queue_is_named_after_its_queue_and_names_it() {
        for queue in ["orders.fifo", URL] {
            assert_eq!(dead_letter_queue_name(queue), "orders-dlq.fifo");
        }
        assert_eq!(queue_of_dead_letters("orders-dlq.fifo").as_deref(), Some("orders.fifo"));
        assert_eq!(queue_of_dead_letters("orders.fifo"), None);
    }

    #[test]
    fn a_name_that_is_no_fifo_queues_or_topics_is_refused() {
        let queue = |length: usize| format!("{}{FIFO_SUFFIX}", "x".repeat(length - 5));
        for wrong in ["orders", ".fifo", "or ders.fifo", &queue(81)] {
            assert!(check_queue_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_queue_name("a-b_C9.fifo").is_ok() && check_queue_name(&queue(80)).is_ok());
        for wrong in ["results", ".fifo", "re sults.fifo", &queue(257)] {
            assert!(check_topic_name(wrong).is_err(), "{wrong}");
        }
        assert!(check_topic_name("results.fifo").is_ok() && check_topic_name(&queue(256)).is_ok());
    }

    #[test]
    fn the_default_tables_are_those_of_the_default_prefix() {
        assert_eq!(TableNames::default(), TableNames::prefixed(PREFIX));
    }

    #[test]
    fn every_name_under_the_longest_prefix_is_taken_by_aws() {
        let prefix = format!("{}-", "x".repeat(PREFIX_MAX - 1));
        assert!(is_prefix(&prefix) && !is_prefix(&format!("x{prefix}")));
        let queues = under(&prefix, QUEUES);
        let storm = storm_queue(&prefix, "0123456789ab");
        for queue in queues.split(',').chain([&*storm]) {
            check_queue_name(queue).unwrap();
            check_queue_name(&dead_letter_queue_name(queue)).unwrap();
        }
        check_topic_name(&under(&prefix, RESULTS_TOPIC)).unwrap();
        let tables = TableNames::prefixed(&prefix);
        assert!(Table::ALL.into_iter().all(|table| is_table_name(tables.name(table))));
    }

    #[test]
    fn a_prefix_ends_in_a_dash_or_an_underscore() {
        assert!(["staging-", "t_", "eu-1-b-"].into_iter().all(is_prefix));
        for wrong in ["", "-", "--", "staging", "stag.ing-", "sta ging-", "-a-", "größe-"] {
            assert!(!is_prefix(wrong), "{wrong:?}");
        }
        assert_eq!(under("staging-", "inventory-a,b,inventory-c"), "staging-a,b,staging-c");
    }
}
