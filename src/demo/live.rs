//! The demo's display while it runs: a picture on a terminal, one line per second elsewhere.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    expectations::{Expectations, ExpectedSeat, result},
    venue::{self, BLOCKED, LAWN, ROW_SEATS, SECTIONS, seat_name, text},
};
use crate::{
    domain::{LineKey, SeatNumber},
    terminal::{Output, Style},
};

/// The interval between two pictures.
const FRAME: Duration = Duration::from_millis(100);
/// The interval between two lines.
const LINE: Duration = Duration::from_secs(1);

/// Switches to the alternate screen without cursor and wrapping, and back. DEC private modes 1049,
/// 25 and 7 of xterm's control sequences.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// Moves to the upper left corner; clears to the end of the line, and of the screen.
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// The part of the demo that is playing.
#[derive(Default)]
pub struct Stage(Mutex<String>);

impl Stage {
    /// The next part begins.
    pub fn begin(&self, what: &str) {
        what.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn now(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// How the demo is shown while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// An animated picture. It hides what was printed before, so it says itself where the page is.
    Screen {
        /// The page's address.
        page: String,
    },
    /// One line per second.
    Lines,
    /// Nothing.
    Nothing,
}

/// Restores the terminal, however the demo ends.
struct Screen<'a>(&'a Output);

impl<'a> Screen<'a> {
    fn enter(out: &'a Output) -> Self {
        // A closed terminal is no reason to stop the demo.
        let _ = out.write(ENTER);
        Self(out)
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let _ = self.0.write(LEAVE);
    }
}

/// Shows the state of the sale for as long as it is polled.
pub async fn watch(view: &View, frame: impl Fn() -> Frame, stage: &Stage, out: &Output) {
    let begun = Instant::now();
    let screen = matches!(view, View::Screen { .. }).then(|| Screen::enter(out));
    let mut ticks = tokio::time::interval(if screen.is_some() { FRAME } else { LINE });
    let mut said = String::new();
    loop {
        ticks.tick().await;
        let elapsed = begun.elapsed();
        match view {
            View::Nothing => return std::future::pending().await,
            View::Screen { page } => {
                let picture = frame().picture(page, &stage.now(), elapsed, out.style());
                let picture = picture.replace('\n', &format!("{CLEAR_LINE}\n"));
                let _ = out.write(&format!("{HOME}{picture}{CLEAR_BELOW}"));
            }
            View::Lines => {
                let now = stage.now();
                if now != said {
                    let _ = out.line(&now);
                    said = now;
                }
                if !elapsed.is_zero() && elapsed >= LINE {
                    let _ = out.line(&frame().line(elapsed));
                }
            }
        }
    }
}

/// The state of the sale at one moment.
pub struct Frame {
    seats: BTreeMap<SeatNumber, ExpectedSeat>,
    lawn: (u64, u64),
    outcomes: BTreeMap<String, u64>,
    rejections: BTreeMap<String, u64>,
}

/// The counts shown beside the map, by name.
const COUNTED: [(&str, &str); 5] = [
    ("reserved", result::RESERVED),
    ("confirmed", result::CONFIRMED),
    ("cancelled", result::CANCELLED),
    ("expired", result::EXPIRED),
    ("rejected", result::REJECTED),
];

/// The most codes shown beside the map.
const CODES_MAX: usize = 8;

impl Frame {
    /// The state that follows from the results so far.
    #[must_use]
    pub fn of(expectations: &Expectations) -> Self {
        let lawn =
            text(LAWN.0).map(|sku| expectations.taken(&LineKey { pool: venue::event(), sku }));
        Self {
            seats: expectations.seats(),
            lawn: lawn.unwrap_or_default(),
            outcomes: expectations.outcomes.clone(),
            rejections: expectations.rejections.clone(),
        }
    }

    fn count(&self, result_type: &str) -> u64 {
        self.outcomes.get(result_type).copied().unwrap_or(0)
    }

    fn decided(&self) -> u64 {
        self.outcomes.values().sum()
    }

    fn sold(&self) -> usize {
        self.seats.values().filter(|state| **state == ExpectedSeat::Sold).count()
    }

    /// One line, for logs and pipes.
    #[must_use]
    pub fn line(&self, elapsed: Duration) -> String {
        let mut line = format!("{:>4.0} s  {:>5} commands ", elapsed.as_secs_f64(), self.decided());
        for (name, result_type) in COUNTED {
            let _ = write!(line, "  {name} {:>3}", self.count(result_type));
        }
        let _ = write!(line, "   seats sold {:>3}", self.sold());
        line
    }

    /// The picture for a terminal: where the page is while there is one, the seats on the left,
    /// counts on the right.
    #[must_use]
    pub fn picture(&self, page: &str, stage: &str, elapsed: Duration, style: Style) -> String {
        let mut map = self.seat_map(style);
        map.push(String::new());
        map.push(self.lawn(style));
        let counts = self.counts(elapsed, style);
        let name = style.heading("inventory-worker");
        let live = if page.is_empty() { String::new() } else { format!(", live at {page}") };
        let mut picture = format!("{name}  an on-sale in one process{live}\n\n");
        for index in 0..map.len().max(counts.len()) {
            let left = map.get(index).map_or("", String::as_str);
            let right = counts.get(index).map_or("", String::as_str);
            // The left column is already padded, except if it is empty.
            let gap = if left.is_empty() { MAP_WIDTH } else { 0 };
            let _ = writeln!(picture, "{left}{:gap$}  {right}", "");
        }
        let _ = write!(
            picture,
            "\n{} free   {} held   {} sold   {} off sale\n",
            style.faint("·"),
            style.warn("○"),
            style.good("■"),
            style.bad("×")
        );
        if !stage.is_empty() {
            let _ = write!(picture, "\n{stage}\n");
        }
        picture
    }

    /// One line per row, [`MAP_WIDTH`] columns wide.
    fn seat_map(&self, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        for section in &SECTIONS {
            for (index, row) in section.rows.iter().enumerate() {
                let name = if index == 0 { section.name } else { "" };
                let mut line = format!("{name:<8} {}  ", style.faint(row));
                for seat in 0..ROW_SEATS {
                    line.push_str(if seat == ROW_SEATS / 2 { "  " } else { "" });
                    line.push_str(&self.seat(&seat_name(row, seat), style));
                    line.push(' ');
                }
                lines.push(line);
            }
        }
        lines
    }

    fn seat(&self, name: &str, style: Style) -> String {
        let state = text(name).ok().and_then(|number: SeatNumber| self.seats.get(&number));
        match state {
            Some(ExpectedSeat::Held) => style.warn("○"),
            Some(ExpectedSeat::Sold) => style.good("■"),
            None if name == BLOCKED => style.bad("×"),
            None => style.faint("·"),
        }
    }

    fn lawn(&self, style: Style) -> String {
        let (held, sold) = self.lawn;
        let bar = |places: u64| usize::try_from(places * LAWN_BAR / LAWN.1).unwrap_or(0);
        let (held_bar, sold_bar) = (bar(held), bar(sold));
        let free_bar = bar(LAWN.1).saturating_sub(held_bar + sold_bar);
        format!(
            "Lawn        {}{}{}  {sold:>2} of {} sold",
            style.good(&"■".repeat(sold_bar)),
            style.warn(&"○".repeat(held_bar)),
            style.faint(&"·".repeat(free_bar)),
            LAWN.1,
        )
    }

    fn counts(&self, elapsed: Duration, style: Style) -> Vec<String> {
        let decided = self.decided();
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let rate = decided as f64 / elapsed.as_secs_f64().max(0.1);
        let mut counts = vec![
            format!("{:<16}{:>8.1}", "seconds", elapsed.as_secs_f64()),
            format!("{:<16}{decided:>8}", "commands"),
            format!("{:<16}{rate:>8.0}", "a second"),
            String::new(),
        ];
        for (name, result_type) in COUNTED {
            counts.push(format!("{name:<16}{:>8}", self.count(result_type)));
        }
        let mut codes: Vec<_> = self.rejections.iter().collect();
        codes.sort_by_key(|(code, count)| (std::cmp::Reverse(**count), code.as_str()));
        for (code, count) in codes.into_iter().take(CODES_MAX) {
            counts.push(style.faint(&format!("{:<21}{count:>3}", in_words(code))));
        }
        counts
    }
}

/// `SEATS_UNAVAILABLE` as `seats unavailable`. No code is longer than 21 characters.
fn in_words(code: &str) -> String {
    code.to_ascii_lowercase().replace('_', " ")
}

/// Columns of the map: the section, the row, a seat and a blank for each seat, the aisle.
const MAP_WIDTH: usize = 8 + 1 + 1 + 2 + 2 * ROW_SEATS + 2;
/// Columns of the lawn's bar; with its label, as wide as the map.
const LAWN_BAR: u64 = 27;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_picture_that_hides_what_was_printed_says_where_the_page_is() {
        let (out, captured) = Output::captured();
        let view = View::Screen { page: "http://127.0.0.1:8080/".to_owned() };
        let (frame, stage) = (|| Frame::of(&Expectations::default()), Stage::default());
        let watching = watch(&view, frame, &stage, &out);
        assert!(tokio::time::timeout(FRAME, watching).await.is_err(), "it goes on");
        let text = captured.text();
        let (_, picture) = text.split_once(ENTER).unwrap();
        let heading = picture.lines().next().unwrap();
        assert!(heading.contains("live at http://127.0.0.1:8080/"), "{heading}");
    }
}
