//! `log.jsonl`: one JSON object for each event of a run, in the order in which they happened.
//!
//! Every line has `kind` and `time` (Unix seconds). Kinds that the trainers write: `start`, `resume`, `step`, `epoch`,
//! `end`, `error`. A line that belongs to a step has `step`, the number of steps that are done. A number that is not
//! finite is written as `null`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::RunError;
use crate::checkpoint::write_atomically;

/// Its name in the folder of a run.
pub(super) const FILE: &str = "log.jsonl";

/// The most bytes of a log.
const MOST_BYTES: u64 = 1 << 32;

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    kind: &'a str,
    time: f64,
    #[serde(flatten)]
    fields: &'a T,
}

impl Log {
    /// Whether the last event of the run in a folder is of that kind.
    ///
    /// # Errors
    /// [`RunError::Io`]; a folder without a log has no event.
    pub fn ends_with(folder: &Path, kind: &str) -> Result<bool, RunError> {
        let path = folder.join(FILE);
        let bytes = match mimir_files::read(&path, MOST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(RunError::io(&path)(error)),
        };
        let last = bytes.split(|&byte| byte == b'\n').rev().find(|line| !line.is_empty());
        let last: Option<Value> = last.and_then(|line| serde_json::from_slice(line).ok());
        Ok(last.is_some_and(|line| line.get("kind").and_then(Value::as_str) == Some(kind)))
    }

    pub(super) fn open(path: PathBuf) -> Result<Self, RunError> {
        let file = mimir_files::append_to_ours(&path).map_err(RunError::io(&path))?;
        Ok(Self { path, file })
    }

    /// Appends one line. `fields` is a struct or a map. When this returns, the line survives the death of the process.
    ///
    /// Lines of a step are to be written before a state of that step is saved: then a run that is killed and resumed
    /// logs each step once.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn write(&mut self, kind: &str, fields: &impl Serialize) -> Result<(), RunError> {
        let line = Line { kind, time: unix_seconds(), fields };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| RunError::io(&self.path)(error.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).map_err(RunError::io(&self.path))
    }

    /// Drops what a run wrote after the state that it is resumed from: lines of a later step than `step`, and a last
    /// line that was cut off.
    ///
    /// # Errors
    /// [`RunError::Io`], [`RunError::Log`] for a line other than the last that is not a JSON object.
    pub fn cut_after(&mut self, step: u64) -> Result<(), RunError> {
        let bytes = mimir_files::read_unlinked(&self.path, MOST_BYTES).map_err(RunError::io(&self.path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let mut kept = Vec::new();
        for (number, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            if step_number(line).map_err(|found| self.bad_line(number, found))? <= Some(step) {
                kept.extend_from_slice(line);
            }
        }
        if kept.len() < bytes.len() {
            let path = self.path.clone();
            let failed = RunError::io(&path);
            write_atomically(&path, &failed, |sink| sink.write_all(&kept).map_err(&failed))?;
            *self = Self::open(path.clone())?;
        }
        Ok(())
    }

    fn bad_line(&self, number: usize, found: String) -> RunError {
        RunError::Log { path: self.path.clone(), line: number + 1, found }
    }
}

/// The step of a line; `None`, which is less than all steps, where it belongs to none.
fn step_number(line: &[u8]) -> Result<Option<u64>, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("no object")?;
    Ok(object.get("step").and_then(Value::as_u64))
}

/// Seconds since 1970, 0 on a clock before that.
pub(super) fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::json;

    #[derive(Serialize)]
    struct Step {
        step: u64,
        loss: f64,
    }

    fn log(folder: &tempfile::TempDir) -> Log {
        Log::open(folder.path().join("log.jsonl")).unwrap()
    }

    fn lines(log: &Log) -> Vec<Value> {
        let text = fs::read_to_string(&log.path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_last_event_tells_how_a_run_ended() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!Log::ends_with(folder.path(), "end").unwrap());
        let mut log = log(&folder);
        log.write("end", &json!({ "step": 8 })).unwrap();
        assert!(Log::ends_with(folder.path(), "end").unwrap());
        log.write("resume", &json!({ "step": 8 })).unwrap();
        assert!(!Log::ends_with(folder.path(), "end").unwrap());
    }

    #[test]
    fn lines_have_kind_time_and_fields_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder);
        log.write("start", &json!({ "version": "0.1.0" })).unwrap();
        log.write("step", &Step { step: 1, loss: 0.5 }).unwrap();
        log.write("step", &Step { step: 2, loss: f64::NAN }).unwrap();
        let text = fs::read_to_string(&log.path).unwrap();
        assert!(text.starts_with("{\"kind\":\"start\",\"time\":"), "{text}");
        let lines = lines(&log);
        assert_eq!((&lines[1]["step"], &lines[1]["loss"]), (&json!(1), &json!(0.5)));
        assert_eq!(lines[2]["loss"], Value::Null);
        assert!(lines[0]["time"].as_f64().unwrap() > 1.7e9);
    }

    #[test]
    fn a_resumed_run_tells_each_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = log(&folder);
        first.write("start", &json!({ "seed": 0 })).unwrap();
        for step in 1..=5 {
            first.write("step", &Step { step, loss: 1.0 }).unwrap();
        }
        // Killed while it wrote step 6; the last state is that of step 3.
        first.file.write_all(b"{\"kind\":\"step\",\"ti").unwrap();
        let mut second = log(&folder);
        second.cut_after(3).unwrap();
        second.write("resume", &json!({ "step": 3 })).unwrap();
        for step in 4..=6 {
            second.write("step", &Step { step, loss: 1.0 }).unwrap();
        }
        let told: Vec<_> = lines(&second).iter().map(|line| line["step"].as_u64()).collect();
        let wanted = [None, Some(1), Some(2), Some(3), Some(3), Some(4), Some(5), Some(6)];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_log_that_fits_is_left_alone_and_a_strange_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder);
        log.cut_after(0).unwrap();
        log.write("step", &Step { step: 1, loss: 1.0 }).unwrap();
        let before = fs::read(&log.path).unwrap();
        log.cut_after(1).unwrap();
        assert_eq!(fs::read(&log.path).unwrap(), before);
        log.file.write_all(b"hello\n").unwrap();
        log.write("step", &Step { step: 2, loss: 1.0 }).unwrap();
        let error = log.cut_after(2).unwrap_err().to_string();
        assert!(error.contains("log.jsonl, line 2: "), "{error}");
    }

    #[test]
    fn a_number_alone_is_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = log(&folder);
        assert!(log.write("step", &7).is_err());
        assert_eq!(lines(&log), Vec::<Value>::new());
    }
}
