//! Lines that no command could have left.

use inventory_worker::audit::Invariant::{CommittedIsSum, LineWithinBounds, ReservedIsSum};

use super::*;

pub fn all() -> Vec<Tampered> {
    vec![
        tampered(
            "less than nothing reserved",
            &[(LineWithinBounds, &line("z")), (ReservedIsSum, &line("z"))],
            |tables| tables.line("z").reserved = -1,
        ),
        tampered("more on hand than can be", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").available = 8_999_999_999_999_999;
        }),
        tampered("a line without a version", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").version = 0;
        }),
        tampered("stock still reserved", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.line("x").reserved = 3;
        }),
        tampered("stock given back twice", &[(ReservedIsSum, &line("y"))], |tables| {
            tables.line("y").reserved = 0;
        }),
        tampered(
            "less than nothing committed",
            &[(LineWithinBounds, &line("z")), (CommittedIsSum, &line("z"))],
            |tables| tables.line("z").committed = -1,
        ),
        tampered("goods fulfilled twice", &[(CommittedIsSum, &line("z"))], |tables| {
            tables.line("z").committed = 0;
        }),
        tampered("a line that vanished", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.items.lines.remove(&line_key("x"));
        }),
    ]
}
