//! Lines that an answer shows.

use super::{Moment, Shown};
use crate::checks::{Violation, ensure, model::Model};
use inventory_worker::{domain::LineKey, gateway::queries::LineInfo};

/// Checks a line that an answer shows.
pub(crate) fn check(
    model: &Model,
    shown: &mut Shown,
    moment: &Moment,
    key: &LineKey,
    line: &LineInfo,
) -> Result<(), Violation> {
    let mut states = model.lines.states(key).filter(|state| state.from <= moment.at);
    let found = states.find(|state| state.item.version == line.version);
    let Some(state) = found else {
        return Err(Violation::new("committed", format!("{line:?} of {key:?} never was")));
    };
    let is = state.item;
    let holds = (line.available, line.reserved, line.committed)
        == (is.available, is.reserved, is.committed)
        && line.quantity == is.available + is.reserved + is.committed
        && line.updated_at == is.updated_at;
    ensure(holds, "committed", || format!("{line:?} of {key:?} was {is:?}"))?;
    ensure(state.until >= moment.since, "age", || {
        let (at, since) = (moment.at, moment.since);
        format!("{line:?} of {key:?} was replaced at {}, and is shown at {at} as of {since}", {
            state.until
        })
    })?;
    shown.line(moment, key, line.version)
}
