//! Progress of operations that may take longer than two seconds: drawn on stderr if that is a
//! terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::Output;

/// The redraw interval without other updates.
const TICK: Duration = Duration::from_millis(200);

/// Progress towards an unknown end: a message, and the elapsed time.
///
/// # Errors
///
/// Never, as its template is valid.
pub fn spinner(errors: &Output) -> anyhow::Result<ProgressBar> {
    of(errors, None, "{spinner} {msg}  {elapsed}")
}

/// Progress towards a total, followed by a message.
///
/// # Errors
///
/// Never, as its template is valid.
pub fn bar(errors: &Output, whole: u64) -> anyhow::Result<ProgressBar> {
    of(errors, Some(whole), "{spinner} {elapsed} [{wide_bar}] {pos}/{len} {msg}")
}

fn of(errors: &Output, whole: Option<u64>, template: &str) -> anyhow::Result<ProgressBar> {
    if !errors.is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template(template)?.progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(whole, ProgressDrawTarget::stderr())
        .with_style(style)
        .with_finish(ProgressFinish::AndClear);
    bar.enable_steady_tick(TICK);
    Ok(bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_where_nobody_watches() {
        let (errors, _) = Output::captured();
        assert!(spinner(&errors).unwrap().is_hidden() && bar(&errors, 7).unwrap().is_hidden());
    }
}
