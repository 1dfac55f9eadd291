//! Asks before something that cannot be taken back.

use std::io::IsTerminal as _;

use super::{BadUsage, CliContext};

/// Asks on a terminal, unless `yes` was given; without a terminal `yes` is required.
///
/// # Errors
///
/// [`BadUsage`] with the text `refused` where the answer is not yes, or cannot be given.
pub(super) fn ask(
    yes: bool,
    question: &str,
    refused: &str,
    context: &CliContext,
) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() || !context.errors.is_terminal() {
        return Err(BadUsage(refused.to_owned()).into());
    }
    context.errors.write(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(BadUsage(refused.to_owned()).into()),
    }
}
