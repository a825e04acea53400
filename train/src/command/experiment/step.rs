//! One step of a grid: what it runs, and whether it is finished.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use mimir_bundle::checkpoint::Stage;
use mimir_bundle::digest::digest_bytes;
use serde_json::{Value, json};

use super::programs::Programs;
use crate::args::GridArguments;
use crate::command::finetune::folder_name;
use crate::command::stage;
use crate::config::{ConfigError, Experiment, GridCertify, GridMethod, InitialWeights};
use crate::run::{EXIT_STOPPED, Log, RunError, config_differences};

/// The most bytes of a result, and of weights.
const MOST_BYTES: u64 = 1 << 36;

/// A step of one method and seed.
#[derive(Debug)]
pub(super) struct Step<'a> {
    kind: Kind<'a>,
    method: &'a GridMethod,
    experiment: Experiment,
    arguments: &'a GridArguments,
    /// Of the run: `METHOD/seed-SEED`.
    folder: PathBuf,
    /// Of the fine-tuning, inside it.
    finetune: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind<'a> {
    Pretrain,
    Finetune,
    Evaluate,
    Export,
    Certify(&'a GridCertify),
}

/// How a step ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Done,
    Stopped,
    Failed(ExitStatus),
}

impl<'a> Step<'a> {
    /// The steps of a method and seed, in their order.
    pub(super) fn of(
        method: &'a GridMethod,
        experiment: &Experiment,
        certify: Option<&'a GridCertify>,
        arguments: &'a GridArguments,
        folder: &Path,
    ) -> Result<Vec<Self>> {
        let stage = experiment.finetune.as_ref().map_or("finetune", folder_name);
        let finetune = folder.join(stage);
        if certify.is_some() {
            // Exported networks are attacked on the test set, whatever `evaluate` looks at.
            experiment.data.test_source().with_context(|| format!("[certify], method {}", method.name))?;
        }
        let pretrain = pretrains(experiment).then_some(Kind::Pretrain);
        let after = certify.map(|certify| [Kind::Export, Kind::Certify(certify)]);
        let kinds =
            pretrain.into_iter().chain([Kind::Finetune, Kind::Evaluate]).chain(after.into_iter().flatten());
        let step = |kind| Self {
            kind,
            method,
            experiment: experiment.clone(),
            arguments,
            folder: folder.to_owned(),
            finetune: finetune.clone(),
        };
        Ok(kinds.map(step).collect())
    }

    /// Whether its result is there, and from the same experiment.
    pub(super) fn is_done(&self) -> Result<bool> {
        match self.kind {
            Kind::Pretrain => self.has_trained(&self.folder.join("pretrain"), Stage::Pretrain),
            Kind::Finetune => self.has_trained(&self.finetune, Stage::Finetune),
            Kind::Evaluate => self.has_evaluated(),
            Kind::Export => Ok(is_newer(&self.model(), &self.weights())),
            Kind::Certify(_) => Ok(self.has_certified()),
        }
    }

    /// A stage of another experiment is an error: its result must not stand in the table of this one.
    fn has_trained(&self, folder: &Path, stage: Stage) -> Result<bool> {
        let Ok(before) = mimir_files::read_text(&folder.join("config.toml"), 1 << 20) else {
            return Ok(false);
        };
        let differences = config_differences(&before, &self.experiment.to_toml(), &stage::may_differ(stage))?;
        if !differences.is_empty() {
            return Err(RunError::Different { path: folder.to_owned(), differences }.into());
        }
        Ok(Log::ends_with(folder, "end")?)
    }

    fn has_evaluated(&self) -> Result<bool> {
        let Ok(bytes) = mimir_files::read(&self.finetune.join("evaluation.json"), MOST_BYTES) else {
            return Ok(false);
        };
        let found: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let weights = mimir_files::read(&self.weights(), MOST_BYTES).context("weights to evaluate")?;
        let same = |key: &str, wanted: &Value| found.get(key) == Some(wanted);
        Ok(same("attack", &json!(self.experiment.evaluate))
            && same("weights_sha256", &json!(digest_bytes(&weights))))
    }

    /// The model is no measure: its certificate is written into it.
    fn has_certified(&self) -> bool {
        let report = self.certified().join("report.json");
        let found = mimir_files::read(&report, MOST_BYTES).ok();
        let found: Value = found.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        found.get("ending") == Some(&json!("complete")) && is_newer(&report, &self.weights())
    }

    /// The best weights where images are held out, else the last: those that `evaluate` takes.
    fn weights(&self) -> PathBuf {
        let best = self.finetune.join("best.safetensors");
        if best.is_file() { best } else { self.finetune.join("last.safetensors") }
    }

    fn model(&self) -> PathBuf {
        self.finetune.join("model.mimir")
    }

    fn certified(&self) -> PathBuf {
        self.finetune.join("certified")
    }

    /// Runs it to its end. Training stops in order before `left` is over.
    pub(super) fn run(&self, programs: &Programs, left: Option<Duration>) -> Result<Outcome> {
        let mut command = self.command(programs, left)?;
        // Standard output is for the table.
        command.stdout(std::io::stderr());
        let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        Ok(match status.code() {
            Some(0) => Outcome::Done,
            Some(code) if code == i32::from(EXIT_STOPPED) => Outcome::Stopped,
            _ => Outcome::Failed(status),
        })
    }

    fn command(&self, programs: &Programs, left: Option<Duration>) -> Result<Command> {
        let seconds = left.map(|left| format!("{}s", left.as_secs()));
        let mut command = match (self.kind, &programs.others) {
            (Kind::Pretrain, _) => self.train("pretrain", programs),
            (Kind::Finetune, _) => self.train("finetune", programs),
            (Kind::Evaluate, _) => self.train("evaluate", programs),
            (Kind::Export, Some([export, _])) => {
                let mut command = Command::new(export);
                // What is there was made from other weights.
                let _ = std::fs::remove_file(self.model());
                command.arg(self.weights()).arg("-o").arg(self.model());
                command
            }
            (Kind::Certify(certify), Some([_, program])) => self.certify(program, certify)?,
            (Kind::Export | Kind::Certify(_), None) => {
                anyhow::bail!("the programs of [certify] were not looked for; this is a bug in Mimir")
            }
        };
        match (self.kind, seconds) {
            (Kind::Pretrain | Kind::Finetune | Kind::Certify(_), Some(seconds)) => {
                command.args(["--time-limit", &seconds]);
            }
            (Kind::Evaluate | Kind::Export, _) | (_, None) => {}
        }
        Ok(command)
    }

    fn train(&self, stage: &str, programs: &Programs) -> Command {
        let GridMethod { file, variant, initial_weights, .. } = self.method;
        let mut command = Command::new(&programs.train);
        command.arg(stage).arg(file).arg("--seed").arg(self.experiment.seed.to_string());
        command.arg("--run").arg(&self.folder).arg("--data").arg(&self.experiment.data.source);
        let device = self.arguments.device.to_string();
        let threads = self.arguments.threads.map(|threads| threads.to_string());
        for (name, value) in [
            ("--variant", variant.as_deref()),
            ("--test", self.experiment.data.test.as_deref()),
            ("--device", Some(device.as_str())),
            ("--threads", threads.as_deref()),
        ] {
            if let Some(value) = value {
                command.args([name, value]);
            }
        }
        match stage {
            "evaluate" => {
                command.arg("--weights").arg(self.weights());
            }
            "finetune" => {
                if let Some(initial) = initial_weights {
                    let value = clap::ValueEnum::to_possible_value(initial);
                    command.arg("--initial-weights").args(value.map(|value| value.get_name().to_owned()));
                }
            }
            _ => {}
        }
        let begun = match self.kind {
            Kind::Pretrain => self.folder.join("pretrain/config.toml").is_file(),
            Kind::Finetune => self.finetune.join("config.toml").is_file(),
            Kind::Evaluate | Kind::Export | Kind::Certify(_) => false,
        };
        if begun {
            command.arg("--resume");
        }
        command
    }

    fn certify(&self, program: &Path, certify: &GridCertify) -> Result<Command, ConfigError> {
        let mut command = Command::new(program);
        let epsilon = certify.epsilon.unwrap_or(self.experiment.evaluate.epsilon);
        command.arg(self.model()).arg("--data").arg(self.experiment.data.test_source()?.to_string());
        command.args(["--norm", "linf", "--epsilon", &epsilon.to_string()]);
        if let Some(sample) = certify.sample {
            command.args(["--sample", &sample.to_string()]);
        }
        if let Some(attacks) = &certify.attacks {
            command.args(["--attacks", attacks]);
        }
        command.arg("--report").arg(self.certified());
        if self.certified().join("journal.bin").is_file() {
            command.arg("--resume");
        }
        Ok(command)
    }
}

/// Whether the method pre-trains.
fn pretrains(experiment: &Experiment) -> bool {
    experiment.finetune.as_ref().is_some_and(|stage| stage.initial_weights == InitialWeights::Pretrained)
}

/// Whether the first file is there, and not older than the second.
fn is_newer(file: &Path, than: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    modified(file).is_some_and(|file| modified(than).is_none_or(|than| file >= than))
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Pretrain => "pretrain",
            Kind::Finetune => "finetune",
            Kind::Evaluate => "evaluate",
            Kind::Export => "export",
            Kind::Certify(_) => "certify",
        };
        write!(f, "{}, seed {}: {what}", self.method.name, self.experiment.seed)
    }
}
