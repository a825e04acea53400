//! Errors of plots.

use std::io;
use std::path::PathBuf;

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// No run was named.
    #[error("no run to plot: name at least one run folder")]
    NoRun,
    /// The log could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line of a log is not what the format says, and not an unfinished last one.
    #[error("{}, line {line}: {source}", path.display())]
    Line {
        /// The log.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A log has nothing to plot.
    #[error("{}: no line of kind `step` or `epoch` yet", path.display())]
    Empty {
        /// The run folder.
        path: PathBuf,
    },
    /// A folder has no log, and none of its folders has one.
    #[error("{}: no log.jsonl, and none in a folder below it; wanted a stage such as runs/NAME/seed-0/finetune, or the folder of one", path.display())]
    NoLog {
        /// The folder.
        path: PathBuf,
    },
    /// The drawing failed.
    #[error("cannot draw: {reason}")]
    Draw {
        /// What the drawing library says.
        reason: String,
    },
}
