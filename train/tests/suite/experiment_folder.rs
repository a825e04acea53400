//! A folder with a small set of images and an experiment, and the command to run in it.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A folder that is gone after the test.
pub(crate) struct ExperimentFolder {
    folder: TempDir,
}

impl ExperimentFolder {
    /// With 80 training and 40 test images of CIFAR-10's form, two classes of different colours, and `experiment.toml`.
    pub(crate) fn new() -> Self {
        let experiment = Self { folder: TempDir::new().unwrap() };
        let images = experiment.path("cifar");
        std::fs::create_dir(&images).unwrap();
        for batch in 1..=5 {
            std::fs::write(images.join(format!("data_batch_{batch}.bin")), records(16, batch)).unwrap();
        }
        std::fs::write(images.join("test_batch.bin"), records(40, 9)).unwrap();
        experiment.write("experiment.toml", EXPERIMENT);
        experiment
    }

    /// With the same training images as files of a class folder each, `images/red/0.png` and so on, in place of records.
    pub(crate) fn of_files() -> Self {
        let experiment = Self::new();
        for (class, salt) in [("red", 0), ("blue", 1)] {
            let folder = experiment.path("images").join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for image in 0..24 {
                let record = &records(2, image)[3073 * salt..][1..3073];
                let pixel = |x: u32, y: u32| {
                    let at = (y * 32 + x) as usize;
                    image::Rgb([record[at], record[at + 1024], record[at + 2048]])
                };
                image::RgbImage::from_fn(32, 32, pixel).save(folder.join(format!("{image:02}.png"))).unwrap();
            }
        }
        experiment.edit("cifar10:cifar", "folder:images");
        experiment.edit("held_out = 16", "held_out = 0");
        experiment
    }

    /// A path inside.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a text file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Replaces text in the experiment; it must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("experiment.toml")).unwrap();
        assert!(text.contains(from), "the experiment has no `{from}`");
        self.write("experiment.toml", &text.replacen(from, to, 1));
    }

    /// `mimir-train ARGUMENTS` in the folder, with one thread: tests run side by side.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::cargo_bin("mimir-train").unwrap();
        command.current_dir(self.folder.path()).env("OMP_NUM_THREADS", "1").args(arguments);
        command
    }

    /// A training stage in the folder `run`.
    pub(crate) fn stage(&self, stage: &str, run: &str, more: &[&str]) -> Command {
        let mut command = self.command(&[stage, "experiment.toml", "--run", run, "--threads", "1"]);
        command.args(more);
        command
    }

    /// The lines of a run's log of that kind.
    pub(crate) fn log(&self, run: &str, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(run).join("log.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["kind"] == kind).collect()
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// What a failed command said.
pub(crate) fn stderr_of(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

/// Records of CIFAR-10's binary form: class 0 is dark red and class 1 bright blue, with a texture of their own each.
fn records(count: usize, salt: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count * 3073);
    for image in 0..count {
        let label = image % 2;
        bytes.push(label as u8);
        for channel in 0..3 {
            let base = if label == 0 { [120, 40, 40] } else { [90, 150, 200] }[channel];
            bytes.extend((0..1024).map(|pixel| {
                let texture = (pixel * 31 + image * 17 + salt * 7 + (pixel / 32) * channel) % 40;
                (base + texture) as u8
            }));
        }
    }
    bytes
}

const EXPERIMENT: &str = include_str!("../fixtures/experiment.toml");
