//! Completions of shells and manual pages, made from the definition of the arguments.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;

/// The completion script of a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// Writes `mimir-export.1`, and `mimir-export-COMMAND.1` for each command.
///
/// # Errors
/// When the folder cannot be made, or a page cannot be written.
pub(crate) fn write_manual(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_pages(&command, folder)
}

/// The page of a command, and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let (page, mut text) = (Man::new(command.clone()), Vec::new());
    page.render(&mut text)?;
    mimir_files::replace(&folder.join(page.get_filename()), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_script_knows_commands_and_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions(shell)).unwrap();
            for word in ["export", "diff", "tolerance", "opset", "float16"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write_manual(&folder.path().join("man")).unwrap();
        for command in Cli::command().get_subcommands() {
            let page = folder.path().join("man").join(format!("mimir-export-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(text.contains(".SH NAME"), "{}", page.display());
        }
    }
}
