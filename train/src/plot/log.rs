//! Reads what a plot needs of `log.jsonl`: one JSON object in a line, with a `kind`. Other kinds and other
//! fields are ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::PlotError;

/// Name of the log in a run folder.
const FILE: &str = "log.jsonl";

/// The most bytes of a log.
const MOST_BYTES: u64 = 1 << 32;

/// The log of one run.
#[derive(Debug, Default)]
pub(super) struct RunLog {
    pub(super) steps: BTreeMap<u64, StepLine>,
    pub(super) epochs: BTreeMap<u64, EpochLine>,
}

/// A line of kind `step`. A number that was not finite is `null`.
#[derive(Debug, Deserialize)]
pub(super) struct StepLine {
    step: u64,
    pub(super) loss: Option<f64>,
    pub(super) penalty: Option<f64>,
}

/// A line of kind `epoch`.
#[derive(Debug, Deserialize)]
pub(super) struct EpochLine {
    epoch: u64,
    pub(super) step: Option<u64>,
    pub(super) train_loss: Option<f64>,
    pub(super) held_out_loss: Option<f64>,
    pub(super) clean_accuracy: Option<f64>,
    pub(super) robust_accuracy: Option<f64>,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Step(StepLine),
    Epoch(EpochLine),
    #[serde(other)]
    Other,
}

/// Whether a folder has a log.
pub(super) fn is_in(folder: &Path) -> bool {
    folder.join(FILE).is_file()
}

impl RunLog {
    /// Reads the log of a run folder. An unfinished last line of a killed run is ignored.
    pub(super) fn read(folder: &Path) -> Result<Self, PlotError> {
        let path = folder.join(FILE);
        let bytes = match mimir_files::read(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(source) => return Err(PlotError::Io { path, source }),
        };
        Self::parse(&bytes, &path)
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, PlotError> {
        let mut log = Self::default();
        let mut lines = bytes.split(|&byte| byte == b'\n').enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(line) {
                Ok(line) => log.add(line),
                // Without a line break behind it.
                Err(_) if lines.peek().is_none() => {}
                Err(source) => {
                    let path = PathBuf::from(path);
                    return Err(PlotError::Line { path, line: index + 1, source });
                }
            }
        }
        Ok(log)
    }

    /// A run that was resumed repeats the steps after its checkpoint: what it says now replaces what it said before.
    fn add(&mut self, line: Line) {
        match line {
            Line::Step(line) => {
                self.steps.split_off(&line.step);
                self.steps.insert(line.step, line);
            }
            Line::Epoch(line) => {
                self.epochs.split_off(&line.epoch);
                self.epochs.insert(line.epoch, line);
            }
            Line::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RunLog, String> {
        RunLog::parse(text.as_bytes(), Path::new("run/log.jsonl")).map_err(|error| error.to_string())
    }

    #[test]
    fn other_kinds_and_fields_are_left_alone() {
        let log = parse(
            "{\"kind\":\"start\",\"step\":\"x\"}\n\
             {\"kind\":\"step\",\"step\":10,\"epoch\":0,\"loss\":0.5,\"penalty\":null,\"lr\":1e-3}\r\n\n\
             {\"step\":20,\"kind\":\"step\",\"loss\":null}\n\
             {\"kind\":\"epoch\",\"epoch\":1,\"step\":20,\"train_loss\":0.4,\"clean_accuracy\":0.3}\n",
        )
        .unwrap();
        let losses: Vec<_> = log.steps.iter().map(|(step, line)| (*step, line.loss)).collect();
        assert_eq!(losses, [(10, Some(0.5)), (20, None)]);
        assert_eq!((log.epochs[&1].step, log.epochs[&1].clean_accuracy), (Some(20), Some(0.3)));
        assert_eq!(log.epochs[&1].robust_accuracy, None);
    }

    #[test]
    fn only_an_unfinished_last_line_is_forgiven() {
        let good = "{\"kind\":\"step\",\"step\":1,\"loss\":0.5}";
        let cut = "{\"kind\":\"step\",\"st";
        assert_eq!(parse(&format!("{good}\n{cut}")).unwrap().steps.len(), 1);
        assert_eq!(parse(good).unwrap().steps.len(), 1);
        for (text, wanted) in [
            (format!("{good}\n{cut}\n"), "run/log.jsonl, line 2: "),
            (format!("{cut}\n{good}\n"), "run/log.jsonl, line 1: "),
            ("{\"step\":1}\n".to_owned(), "run/log.jsonl, line 1: missing field `kind`"),
            ("{\"kind\":\"step\",\"loss\":1}\n".to_owned(), "run/log.jsonl, line 1: missing field `step`"),
            (
                "{\"kind\":\"step\",\"step\":1,\"loss\":\"low\"}\n".to_owned(),
                "run/log.jsonl, line 1: invalid type",
            ),
            ("[]\n".to_owned(), "run/log.jsonl, line 1: "),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
        // Cut inside a character.
        let mut bytes = format!("{good}\n{{\"kind\":\"é").into_bytes();
        bytes.pop();
        assert_eq!(RunLog::parse(&bytes, Path::new("x")).unwrap().steps.len(), 1);
    }

    #[test]
    fn a_resumed_run_replaces_what_came_after_its_checkpoint() {
        let line = |step: u64, loss: f64| format!("{{\"kind\":\"step\",\"step\":{step},\"loss\":{loss}}}\n");
        let text = [line(1, 9.0), line(2, 8.0), line(4, 7.0), line(2, 6.0), line(3, 5.0)].concat();
        let log = parse(&text).unwrap();
        let losses: Vec<_> = log.steps.iter().map(|(step, line)| (*step, line.loss.unwrap())).collect();
        assert_eq!(losses, [(1, 9.0), (2, 6.0), (3, 5.0)]);
    }
}
