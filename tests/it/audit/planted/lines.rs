//! Lines that no command could have left.

use inventory_worker::audit::Invariant::{LineWithinBounds, ReservedIsSum};

use super::*;

pub fn all() -> Vec<Planted> {
    vec![
        planted(
            "less than nothing reserved",
            &[(LineWithinBounds, &line("z")), (ReservedIsSum, &line("z"))],
            |tables| tables.line("z").reserved = -1,
        ),
        planted("more on hand than can be", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").available = 8_999_999_999_999_999;
        }),
        planted("a line without a version", &[(LineWithinBounds, &line("x"))], |tables| {
            tables.line("x").version = 0;
        }),
        planted("stock still reserved", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.line("x").reserved = 3;
        }),
        planted("stock given back twice", &[(ReservedIsSum, &line("y"))], |tables| {
            tables.line("y").reserved = 0;
        }),
        planted("a line that vanished", &[(ReservedIsSum, &line("x"))], |tables| {
            tables.items.lines.remove(&line_key("x"));
        }),
    ]
}
