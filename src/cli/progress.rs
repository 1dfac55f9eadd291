//! Progress of what may take longer than two seconds: on stderr, and on a terminal alone; a pipe is
//! told nothing in between.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use super::CliContext;

/// How often it moves where nothing else moves it.
const TICK: Duration = Duration::from_millis(200);

/// Progress whose end is not known: a message, and how long it has been.
///
/// # Errors
///
/// Never, as its template is right.
pub fn spinner(context: &CliContext) -> anyhow::Result<ProgressBar> {
    of(context, None, "{spinner} {msg}  {elapsed}")
}

/// Progress towards a whole, with a message behind it.
///
/// # Errors
///
/// Never, as its template is right.
pub fn bar(context: &CliContext, whole: u64) -> anyhow::Result<ProgressBar> {
    of(context, Some(whole), "{spinner} {elapsed} [{wide_bar}] {pos}/{len} {msg}")
}

fn of(context: &CliContext, whole: Option<u64>, template: &str) -> anyhow::Result<ProgressBar> {
    if !context.errors.is_terminal() {
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
    use crate::{cli::Output, config::ProcessEnvironment};

    #[test]
    fn nothing_is_drawn_where_nobody_watches() {
        let ((out, _), (errors, _)) = (Output::captured(), Output::captured());
        let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
        assert!(spinner(&context).unwrap().is_hidden() && bar(&context, 7).unwrap().is_hidden());
    }
}
