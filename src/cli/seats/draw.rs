//! The house as text: sections as blocks, rows as lines, seats as letters.

use std::fmt::Write as _;

use super::natural::{compare, compare_names};
use crate::{
    domain::Timestamp,
    gateway::view::{Availability, Counts, PoolView, Reason},
    terminal::{Style, printable},
};

/// The most seats of one line, which with the widest name has 80 columns; a longer row goes on in
/// the next.
const LINE_SEATS: usize = 60;

/// The widest name of a row, characters; longer ones are cut.
const NAME_MAX: usize = 16;

/// A seat where it is drawn.
struct Drawn<'a> {
    section: Option<&'a str>,
    row: Option<&'a str>,
    number: &'a str,
    reason: Reason,
}

/// Draws an event as it is at `now`, the counts below.
pub(super) fn house(
    view: &PoolView,
    availability: &Availability,
    now: Timestamp,
    style: Style,
) -> String {
    let mut seats: Vec<Drawn<'_>> = drawn(view, now).collect();
    seats.sort_by(|a, b| {
        compare_names(a.section, b.section)
            .then_with(|| compare_names(a.row, b.row))
            .then_with(|| compare(a.number, b.number))
    });
    let mut text = String::new();
    for block in seats.chunk_by(|a, b| a.section == b.section) {
        section(&mut text, block, style);
    }
    counts(&mut text, &availability.counts, style);
    text
}

fn drawn(view: &PoolView, now: Timestamp) -> impl Iterator<Item = Drawn<'_>> {
    view.seats().iter().enumerate().filter_map(move |(position, entry)| {
        let place = view.layout().place(position)?;
        Some(Drawn {
            section: place.section.map(AsRef::as_ref),
            row: place.row_number.map(AsRef::as_ref),
            number: place.number.as_str(),
            reason: entry.reason_at(now),
        })
    })
}

fn section(text: &mut String, block: &[Drawn<'_>], style: Style) {
    let name = block.first().and_then(|seat| seat.section);
    let heading = name.map_or_else(|| "without a section".to_owned(), printable);
    let _ = writeln!(text, "{}", style.heading(&heading));
    let rows: Vec<(String, &[Drawn<'_>])> =
        block.chunk_by(|a, b| a.row == b.row).map(|row| (name_of(row), row)).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, row) in &rows {
        let mut name = name.as_str();
        for line in row.chunks(LINE_SEATS) {
            let _ = writeln!(text, "  {name:>width$}  {}", letters(line, style));
            name = "";
        }
    }
    text.push('\n');
}

fn name_of(row: &[Drawn<'_>]) -> String {
    let name = row.first().and_then(|seat| seat.row).unwrap_or("-");
    printable(name).chars().take(NAME_MAX).collect()
}

/// A letter a seat, coloured by runs.
fn letters(line: &[Drawn<'_>], style: Style) -> String {
    let run = |run: &[Drawn<'_>]| {
        let Some(reason) = run.first().map(|seat| seat.reason) else { return String::new() };
        coloured(reason, &letter(reason).repeat(run.len()), style)
    };
    line.chunk_by(|a, b| a.reason == b.reason).map(run).collect()
}

fn letter(reason: Reason) -> &'static str {
    match reason {
        Reason::Available => "A",
        Reason::Held => "H",
        Reason::HoldEnded => "E",
        Reason::Booked => "B",
        Reason::Blocked => "X",
    }
}

fn coloured(reason: Reason, text: &str, style: Style) -> String {
    match reason {
        Reason::Available | Reason::HoldEnded => style.good(text),
        Reason::Held => style.warn(text),
        Reason::Booked => style.bad(text),
        Reason::Blocked => style.faint(text),
    }
}

/// The counts, which are the legend too.
fn counts(text: &mut String, counts: &Counts, style: Style) {
    let all = [
        (Reason::Available, counts.available, "available"),
        (Reason::Held, counts.held, "held"),
        (Reason::HoldEnded, counts.hold_ended, "hold ended"),
        (Reason::Booked, counts.booked, "booked"),
        (Reason::Blocked, counts.blocked, "blocked"),
    ];
    let shown = all.map(|(reason, count, name)| {
        format!("{} {count} {name}", coloured(reason, letter(reason), style))
    });
    let Counts { total, sellable, .. } = counts;
    let _ = writeln!(text, "{}", shown.join("   "));
    let _ = writeln!(text, "{sellable} of {total} seats can be reserved now");
}
