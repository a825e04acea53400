//! What was typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

const AFTER_HELP: &str = "\
Examples:
  mimir-export show model.onnx                # the graph as text: one line an input, weight, node, output
  mimir-export diff old.onnx new.onnx         # what differs: nodes, and each weight with its differences

Exit codes:
   0  done; `diff`: equal
   1  `diff`: different
   2  usage, or a file that cannot be read, written or understood";

/// Shows and compares ONNX models.
#[derive(Debug, Parser)]
#[command(
    name = "mimir-export",
    bin_name = "mimir-export",
    version,
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print what stands in an ONNX file, as canonical text
    Show(ShowArgs),
    /// Compare two ONNX files: graph and weights
    Diff(DiffArgs),
    /// Print a completion script, e.g. `mimir-export completions bash`
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The ONNX file
    pub(crate) model: PathBuf,
    /// Print JSON in place of text (docs/snapshots.md)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The ONNX file before
    pub(crate) before: PathBuf,
    /// The ONNX file after
    pub(crate) after: PathBuf,
    /// Weights of the same type count as equal where no element differs by more than this
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, value_parser = tolerance)]
    pub(crate) tolerance: f64,
    /// Print JSON in place of text (docs/snapshots.md)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for mimir-export.1 and a page for each command; it is made where it is missing
    pub(crate) folder: PathBuf,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("wanted a number of 0 or more, such as 1e-6".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let cases: [(&[&str], &str); 4] = [
            (&["mimir-export", "diff", "a.onnx"], "<AFTER>"),
            (&["mimir-export", "diff", "a", "b", "--tolerance", "-1"], "--tolerance"),
            (&["mimir-export", "diff", "a", "b", "--tolerance", "NaN"], "1e-6"),
            (&["mimir-export", "show", "a", "--jsom"], "--json"),
        ];
        for (words, expected) in cases {
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
