//! `completions` and `man`: what shells and `man` know of the command line, from its declaration.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, CliContext, ExitCode};

const BINARY: &str = "inventory-worker";

/// Arguments of `completions`.
#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell to complete for
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Args)]
pub struct ManArgs {
    /// Write one page for each subcommand to this directory, which is created where it is missing;
    /// without it, print the page of inventory-worker itself
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// Prints the completions of a shell.
///
/// # Errors
///
/// Where the output cannot be written.
#[expect(clippy::unused_async, reason = "every subcommand runs alike")]
pub async fn run(args: CompletionsArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), BINARY, &mut script);
    context.out.write(&String::from_utf8(script)?)?;
    Ok(ExitCode::Done)
}

/// Prints a manual page, or writes all of them to a directory.
///
/// # Errors
///
/// Where the output, the directory or a page cannot be written.
#[expect(clippy::unused_async, reason = "every subcommand runs alike")]
pub async fn man(args: ManArgs, context: &CliContext) -> anyhow::Result<ExitCode> {
    let mut command = Cli::command();
    command.build();
    let Some(directory) = args.directory else {
        context.out.write(&page(&command)?)?;
        return Ok(ExitCode::Done);
    };
    let name = directory.display();
    fs::create_dir_all(&directory).with_context(|| format!("the directory {name}"))?;
    for (name, text) in pages(&command)? {
        let path = directory.join(&name);
        fs::write(&path, text).with_context(|| format!("the page {}", path.display()))?;
    }
    Ok(ExitCode::Done)
}

/// The pages of a command and of all its visible subcommands, by file name.
fn pages(command: &clap::Command) -> anyhow::Result<Vec<(String, String)>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut pages = vec![(format!("{name}.1"), page(command)?)];
    let is_shown =
        |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
    for subcommand in command.get_subcommands().filter(is_shown) {
        pages.extend(self::pages(subcommand)?);
    }
    Ok(pages)
}

fn page(command: &clap::Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> clap::Command {
        let mut command = Cli::command();
        command.build();
        command
    }

    #[test]
    fn completions_of_every_shell_name_every_subcommand() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), BINARY, &mut script);
            let script = String::from_utf8(script).unwrap();
            for subcommand in Cli::command().get_subcommands().filter(|one| !one.is_hide_set()) {
                let name = subcommand.get_name();
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_every_subcommand_and_that_of_run_names_all_its_flags() {
        let command = command();
        let pages = pages(&command).unwrap();
        let text_of = |name: &str| {
            let page = pages.iter().find(|(file, _)| file == name);
            page.map(|(_, text)| text.replace('\\', "")).unwrap_or_else(|| panic!("{name}"))
        };
        for subcommand in command.get_subcommands().filter(|one| !one.is_hide_set()) {
            if subcommand.get_name() != "help" {
                text_of(&format!("{BINARY}-{}.1", subcommand.get_name()));
            }
        }
        let run = text_of("inventory-worker-run.1");
        for arg in command.find_subcommand("run").unwrap().get_arguments() {
            let flag = arg.get_long().unwrap();
            assert!(run.contains(&format!("--{flag}")), "{flag}");
        }
        assert!(text_of("inventory-worker-dlq-redrive.1").contains("--reason"));
    }
}
