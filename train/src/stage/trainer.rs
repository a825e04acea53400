//! The loop: batch, loss, gradient, step, log, checkpoint.
//!
//! A run can be stopped after any step and resumed with identical results: the state holds weights, optimizer state and
//! the step number, and random numbers are keyed by their use.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use mimir_bundle::checkpoint::CheckpointHeader;
use mimir_data::Batch;
use serde_json::{Map, Value, json};
use tch::{Kind, Tensor};

use crate::checkpoint;
use crate::checkpoint::state::{self, Best, Position, TrainingState};
use crate::config::{OptimizerConfig, ScheduleConfig, TrainingConfig};
use crate::images::TrainingImages;
use crate::optim::{
    AdamW, AdamWOptions, Annealing, EmaDecay, FlatParameters, ModelEma, ParameterGroups, Schedule, clip,
};
use crate::penalty::Unread;
use crate::random::BatchRng;
use crate::run::{Events, Log, Progress, RunFolder, StepMetrics, StopReason, StopSignal};
use crate::stage::autosave::Autosave;
use crate::stage::log_window::LogWindow;
use crate::stage::readings::{Measured, Reading, Readings};
use crate::stage::{MicroBatch, Task};
use crate::upload;

/// The settings and inputs of a run, without the network.
pub struct Trainer<'a> {
    /// Batches, duration, clipping.
    pub training: &'a TrainingConfig,
    /// AdamW.
    pub optimizer: &'a OptimizerConfig,
    /// Learning rate.
    pub schedule: &'a ScheduleConfig,
    /// Which parameters decay, and how fast each layer learns.
    pub groups: ParameterGroups,
    /// Decay of the exponential moving average of the weights, if there is one.
    pub ema_decay: Option<f64>,
    /// Batches, and images held out.
    pub images: &'a TrainingImages,
    /// Where results go.
    pub folder: &'a RunFolder,
    /// Seed of the run.
    pub seed: u64,
    /// Digest of the configuration, kept in the state.
    pub config_digest: String,
    /// How exactly a state is written.
    pub state_precision: state::Precision,
    /// Whether to resume from the state in the folder.
    pub resume: bool,
    /// Whether the numbers of a step are read when the next one is queued, so that a GPU does not wait. A loss that is not
    /// finite is then seen one step late, and the state before it is the last one that was saved.
    pub read_late: bool,
    /// Signals and the time limit.
    pub stop: &'a StopSignal,
}

/// How a run ended.
#[derive(Debug, PartialEq)]
pub enum RunEnd {
    /// All epochs are done.
    Done {
        /// The best held-out result, if any was taken.
        best: Option<Best>,
    },
    /// Stopped after the state was saved; `--resume` continues.
    Stopped {
        /// Why.
        reason: StopReason,
        /// Steps that are done.
        step: u64,
    },
}

/// A loss or gradient norm that is not finite. The state before that step is saved, or the last one that was is kept.
#[derive(Debug, thiserror::Error)]
#[error(
    "the {what} of step {step} is {value}; {} {}. Try a lower base_learning_rate, training.clip_norm, or precision = \
     \"float32\"", if *late { "a state from before it, if one was due, is in" } else { "the state before it is saved in" },
    state.display()
)]
pub struct Failure {
    /// Loss or gradient norm.
    pub what: &'static str,
    /// The step, from 0.
    pub step: u64,
    /// What it was.
    pub value: f64,
    /// The file.
    pub state: std::path::PathBuf,
    /// Whether it was seen after the weights had changed, so that no state was saved.
    pub late: bool,
}

/// Trains until the last epoch, a signal or the time limit.
///
/// # Errors
/// [`Failure`] for a loss that is not finite; images that cannot be read; files that cannot be written.
pub fn train(task: &dyn Task, trainer: Trainer<'_>) -> Result<RunEnd> {
    let mut run = Run::open(task, trainer)?;
    while run.position.epoch < run.trainer.training.epochs {
        if let Some(reason) = run.epoch()? {
            return run.stopped(reason);
        }
        run.finish_epoch()?;
    }
    run.done()
}

struct Run<'a> {
    task: &'a dyn Task,
    trainer: Trainer<'a>,
    flat: FlatParameters,
    optimizer: AdamW,
    average: Option<ModelEma>,
    schedule: Schedule,
    position: Position,
    log: Log,
    events: Events,
    progress: Progress,
    since_log: LogWindow,
    autosave: Autosave,
    readings: Readings,
}

impl<'a> Run<'a> {
    fn open(task: &'a dyn Task, trainer: Trainer<'a>) -> Result<Self> {
        let flat = FlatParameters::bind(task.parameters(), &trainer.groups);
        let [beta1, beta2] = trainer.optimizer.betas;
        let options = AdamWOptions { beta1, beta2, epsilon: trainer.optimizer.epsilon };
        let mut optimizer = AdamW::new(&flat, options);
        let mut average =
            trainer.ema_decay.map(|rate| ModelEma::new(&flat, EmaDecay { rate, warm_up: true }));
        let mut log = trainer.folder.log()?;
        let position = match trainer.resume {
            true => resumed(task, &trainer, &flat, &mut optimizer, average.as_mut())?,
            false => start(&trainer),
        };
        // A killed run, even one without a state, may have logged steps that will be computed and logged again.
        log.cut_after(position.step)?;
        if trainer.resume {
            log.write("resume", &json!({ "step": position.step }))?;
        }
        let events = Events::open(trainer.folder.path(), position.step)?;
        let total = trainer.training.epochs * trainer.images.steps_per_epoch() as u64;
        let schedule = schedule(trainer.schedule, trainer.training);
        let progress = Progress::new(total, position.step);
        Ok(Self {
            task,
            flat,
            optimizer,
            average,
            schedule,
            position,
            log,
            events,
            progress,
            since_log: LogWindow::start(),
            autosave: Autosave::start(Instant::now()),
            readings: Readings::default(),
            trainer,
        })
    }

    /// The rest of the current epoch; a reason where it was cut short.
    fn epoch(&mut self) -> Result<Option<StopReason>> {
        let steps = self.trainer.images.steps_per_epoch() as u64;
        let done = self.position.step - self.position.epoch * steps;
        let mut from = Instant::now();
        for batch in self.trainer.images.batches(self.position.epoch, done as usize) {
            if let Some(reason) = self.trainer.stop.requested() {
                return Ok(Some(reason));
            }
            let batch = batch?;
            self.name_skipped(&batch)?;
            self.step(&batch, steps, from)?;
            if self.is_state_due() {
                self.catch_up()?;
                self.save_state()?;
            }
            from = Instant::now();
        }
        Ok(None)
    }

    fn is_state_due(&self) -> bool {
        let every = self.trainer.training.checkpoint_every;
        every.is_some_and(|every| self.position.step.is_multiple_of(every))
            || self.autosave.is_due(Instant::now())
    }

    /// Logs images that could not be decoded and were skipped.
    fn name_skipped(&mut self, batch: &Batch) -> Result<()> {
        for skipped in &batch.skipped {
            self.position.skipped += 1;
            self.progress.println(&format!("skipped {}: {}", skipped.location, skipped.reason));
            let (file, reason) = (&skipped.location, &skipped.reason);
            self.log.write(
                "skipped",
                &json!({ "step": self.position.step + 1, "file": file, "reason": reason }),
            )?;
        }
        Ok(())
    }

    /// `from` is when the wait for the batch began.
    fn step(&mut self, batch: &Batch, steps_per_epoch: u64, from: Instant) -> Result<()> {
        let (waited, epoch) = (from.elapsed(), self.position.step as f64 / steps_per_epoch as f64);
        self.flat.zero_gradients();
        let (loss, penalties) = self.accumulate(batch, epoch)?;
        let norm = clip::clip_on_device(&self.flat, self.trainer.training.clip_norm);
        let learning_rate = self.schedule.learning_rate(epoch);
        let images = batch.labels.len();
        let now = Measured::new(self.position.step, &loss, &norm);
        let measured = Measured { penalties, images, waited, learning_rate, ..now };
        if !self.trainer.read_late {
            // Before the weights change.
            let mut reading = measured.read();
            self.require_finite(&reading)?;
            self.change_weights(learning_rate);
            reading.measured.time = from.elapsed();
            return self.report(&reading);
        }
        self.change_weights(learning_rate);
        let before = self.readings.push(measured);
        self.readings.took(from.elapsed());
        match before {
            None => Ok(()),
            Some(reading) => {
                self.require_finite(&reading)?;
                self.report(&reading)
            }
        }
    }

    fn change_weights(&mut self, learning_rate: f64) {
        self.optimizer.step(&self.flat, learning_rate);
        if let Some(average) = &mut self.average {
            average.update(&self.flat);
        }
        self.position.step += 1;
    }

    /// Reads what is still on the device: before a state, a line about an epoch, and the end.
    fn catch_up(&mut self) -> Result<()> {
        match self.readings.flush() {
            None => Ok(()),
            Some(reading) => {
                self.require_finite(&reading)?;
                self.report(&reading)
            }
        }
    }

    /// Gradients of all parts of a batch, added up; returns the loss of the batch, a scalar on the device.
    fn accumulate(&self, batch: &Batch, epoch: f64) -> Result<(Tensor, Vec<Unread>)> {
        let device = self.task.parameters().device();
        let images = self.trainer.images.tensor(batch, device);
        let labels = upload::values(&batch.labels, device);
        // The weights are the same until the optimiser's step: in bfloat16 they are made once.
        let _kept = self.task.parameters().keep_casts();
        let (parts, rows) =
            (self.trainer.training.accumulate, batch.labels.len() / self.trainer.training.accumulate);
        let mut loss = Tensor::zeros([], (Kind::Double, device));
        let mut penalties = Vec::new();
        for (i, ids) in batch.sample_ids.chunks_exact(rows).enumerate() {
            let micro_batch = MicroBatch {
                images: images.narrow(0, (i * rows) as i64, rows as i64),
                labels: labels.narrow(0, (i * rows) as i64, rows as i64),
                rng: BatchRng { seed: self.trainer.seed, epoch: self.position.epoch, sample_ids: ids },
                epoch,
            };
            let found = self.task.loss(&micro_batch)?;
            let share = &found.total / parts as f64;
            share.backward();
            loss += share.detach();
            penalties.extend(found.penalties);
        }
        Ok((loss, penalties))
    }

    fn require_finite(&mut self, reading: &Reading) -> Result<()> {
        let numbers = [("loss", reading.loss), ("gradient norm", reading.norm)];
        let Some((what, value)) = numbers.into_iter().find(|(_, value)| !value.is_finite()) else {
            return Ok(());
        };
        let late = self.trainer.read_late;
        if !late {
            self.save_state()?;
        }
        let step = reading.measured.step;
        let failure = Failure { what, step, value, state: self.trainer.folder.state(), late };
        self.log.write("error", &json!({ "step": step, "message": failure.to_string() }))?;
        Err(failure.into())
    }

    /// Counts a step in, shows it, and writes a line of the log where one is due.
    fn report(&mut self, reading: &Reading) -> Result<()> {
        let Reading { loss, norm, ref measured, .. } = *reading;
        self.position.epoch_loss += loss;
        self.since_log.add(reading);
        // Steps are counted when they are done.
        let (step, epoch, learning_rate) = (measured.step + 1, self.position.epoch, measured.learning_rate);
        let images_per_second = self.since_log.images_per_second();
        self.progress.update(&StepMetrics { step, epoch, loss, learning_rate, images_per_second });
        if !step.is_multiple_of(self.trainer.training.log_every) {
            return Ok(());
        }
        let mut fields = self.since_log.fields();
        fields.extend([
            ("step".to_string(), json!(step)),
            ("epoch".to_string(), json!(epoch)),
            ("lr".to_string(), json!(learning_rate)),
            ("gradient_norm".to_string(), json!(norm)),
        ]);
        self.scalars(&fields, step)?;
        self.log.write("step", &fields)?;
        self.since_log = LogWindow::start();
        Ok(())
    }

    fn scalars(&mut self, fields: &Map<String, Value>, step: u64) -> Result<()> {
        for (name, value) in fields {
            if let Some(value) = value.as_f64().filter(|_| name != "step" && name != "epoch") {
                self.events.scalar(name, step, value)?;
            }
        }
        Ok(())
    }

    /// Held-out images, log, checkpoints.
    fn finish_epoch(&mut self) -> Result<()> {
        self.catch_up()?;
        let (epoch, steps) = (self.position.epoch, self.trainer.images.steps_per_epoch());
        self.position.epoch += 1;
        let mut fields = Map::from_iter([
            ("epoch".to_string(), json!(self.position.epoch)),
            ("step".to_string(), json!(self.position.step)),
            ("train_loss".to_string(), json!(std::mem::take(&mut self.position.epoch_loss) / steps as f64)),
        ]);
        let best = self.select(epoch, &mut fields)?;
        self.scalars(&fields, self.position.step)?;
        self.events.flush()?;
        self.log.write("epoch", &fields)?;
        self.progress.println(&summary(&fields));
        self.save_weights(best)?;
        self.save_state()
    }

    /// Evaluates the held-out images if it is time to; whether the current weights are the best so far.
    fn select(&mut self, epoch: u64, fields: &mut Map<String, Value>) -> Result<bool> {
        let Some(held_out) = self.trainer.images.held_out() else {
            return Ok(false);
        };
        if !self.task.is_evaluation_due(epoch, self.trainer.training.epochs) {
            return Ok(false);
        }
        let task = self.task;
        let result = with_kept_weights(&mut self.average, &self.flat, || task.evaluate_held_out(held_out))?;
        fields.extend(result.fields);
        let better = is_better(result.metric, self.position.best);
        if better {
            self.position.best = Some(Best { metric: result.metric, epoch });
        }
        Ok(better)
    }

    fn save_weights(&mut self, best: bool) -> Result<()> {
        let folder = self.trainer.folder;
        let metadata = serde_json::to_value(self.header()?)?;
        let parameters = self.task.parameters();
        with_kept_weights(&mut self.average, &self.flat, || {
            checkpoint::save(&folder.last(), parameters, &metadata)?;
            if best {
                checkpoint::save(&folder.best(), parameters, &metadata)?;
            }
            Ok(())
        })
    }

    /// What the weights are, and where they come from.
    fn header(&self) -> Result<CheckpointHeader> {
        let header = self.task.header();
        let names = self.trainer.images.class_names();
        let class_names = names.filter(|names| Some(names.len()) == header.classes).map(<[String]>::to_vec);
        Ok(CheckpointHeader {
            class_names,
            epoch: Some(self.position.epoch),
            epochs: Some(self.trainer.training.epochs),
            step: Some(self.position.step),
            seed: Some(self.trainer.seed),
            experiment: Some(self.trainer.folder.config_sha256()?),
            data: Some(self.trainer.images.sha256()?),
            ..header
        })
    }

    fn save_state(&mut self) -> Result<()> {
        let training = TrainingState {
            parameters: self.task.parameters(),
            flat: &self.flat,
            optimizer: &mut self.optimizer,
            average: self.average.as_mut(),
        };
        state::save(&self.trainer.folder.state(), &training, &self.position, self.trainer.state_precision)?;
        self.autosave.saved(Instant::now());
        Ok(())
    }

    fn stopped(mut self, reason: StopReason) -> Result<RunEnd> {
        self.catch_up()?;
        self.save_state()?;
        let step = self.position.step;
        self.log.write("stopped", &json!({ "step": step, "reason": reason.to_string() }))?;
        self.events.flush()?;
        self.progress.finish();
        Ok(RunEnd::Stopped { reason, step })
    }

    fn done(mut self) -> Result<RunEnd> {
        self.log.write(
            "end",
            &json!({
                "step": self.position.step,
                "best": self.position.best,
                "skipped_images": self.position.skipped,
            }),
        )?;
        self.events.flush()?;
        self.progress.finish();
        Ok(RunEnd::Done { best: self.position.best })
    }
}

/// The position before the first step.
fn start(trainer: &Trainer<'_>) -> Position {
    Position {
        step: 0,
        epoch: 0,
        epoch_loss: 0.0,
        skipped: 0,
        best: None,
        seed: trainer.seed,
        config_digest: trainer.config_digest.clone(),
    }
}

/// Loads the state of the folder into network, optimizer and average; returns its position.
fn resumed(
    task: &dyn Task,
    trainer: &Trainer<'_>,
    flat: &FlatParameters,
    optimizer: &mut AdamW,
    average: Option<&mut ModelEma>,
) -> Result<Position> {
    let mut training = TrainingState { parameters: task.parameters(), flat, optimizer, average };
    let position = state::load(&trainer.folder.state(), &mut training).context("cannot resume")?;
    ensure!(
        position.config_digest == trainer.config_digest,
        "{} is the state of another experiment than the folder's config.toml",
        trainer.folder.state().display()
    );
    Ok(position)
}

/// A NaN is never the best: JSON cannot store it, and no later metric would compare as better.
fn is_better(metric: f64, best: Option<Best>) -> bool {
    metric.is_finite() && best.is_none_or(|best| metric > best.metric)
}

/// Runs `act` with the weights that are evaluated and saved: the moving average if there is one.
fn with_kept_weights<R>(average: &mut Option<ModelEma>, flat: &FlatParameters, act: impl FnOnce() -> R) -> R {
    match average {
        Some(average) => average.with_average(flat, act),
        None => act(),
    }
}

fn schedule(config: &ScheduleConfig, training: &TrainingConfig) -> Schedule {
    Schedule {
        peak: config.peak(training.batch),
        start: config.start_learning_rate,
        minimum: config.min_learning_rate,
        warm_up_epochs: config.warmup_epochs,
        epochs: training.epochs as f64,
        annealing: Annealing::Cosine,
    }
}

fn summary(fields: &Map<String, Value>) -> String {
    let parts = fields.iter().filter(|(name, _)| *name != "step").map(|(name, value)| match value.as_f64() {
        Some(number) if value.is_f64() => format!("{name} {number:.4}"),
        _ => format!("{name} {value}"),
    });
    parts.collect::<Vec<_>>().join("  ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::run::config_digest;
    use crate::stage::Pretraining;
    use crate::testing;

    /// 80 images of CIFAR-10's form.
    fn write_images(folder: &Path) {
        let record = |image: u32| {
            let pixels =
                (0..3072u32).map(move |pixel| ((pixel * 31 + image * 97 + pixel / 32 * 7) % 251) as u8);
            std::iter::once((image % 2) as u8).chain(pixels)
        };
        for batch in 1..=5 {
            let bytes: Vec<u8> = (0..16).flat_map(|image| record(batch * 16 + image)).collect();
            std::fs::write(folder.join(format!("data_batch_{batch}.bin")), bytes).unwrap();
        }
    }

    /// The steps of a small pre-training as the log has them, and the weights after it.
    fn run(read_late: bool) -> (Vec<Value>, Vec<u8>) {
        let root = tempfile::tempdir().unwrap();
        write_images(root.path());
        let source = format!("[data]\nsource = \"cifar10:{}\"\n", root.path().display());
        let experiment = testing::experiment(&source);
        let config = experiment.pretrain.clone().unwrap();
        let images = TrainingImages::open(&experiment, &config.augmentation, config.training.batch).unwrap();
        let architecture = experiment.model.architecture().unwrap();
        let task = Pretraining::new(&experiment, architecture, config.clone(), tch::Device::Cpu).unwrap();
        let folder = RunFolder::create(&root.path().join("run"), &experiment.to_toml()).unwrap();
        let stop = StopSignal::watch(None, Duration::ZERO).unwrap();
        let groups = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
        let trainer = Trainer {
            training: &config.training,
            optimizer: &config.optimizer,
            schedule: &config.schedule,
            groups,
            ema_decay: None,
            images: &images,
            folder: &folder,
            seed: 1,
            config_digest: config_digest(&experiment.to_toml(), &[]).unwrap(),
            state_precision: state::Precision::Exact,
            resume: false,
            read_late,
            stop: &stop,
        };
        train(&task, trainer).unwrap();
        let log = std::fs::read_to_string(folder.path().join("log.jsonl")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines = lines.map(|mut line| {
            // What depends on the clock.
            for key in ["time", "images_per_second", "waiting_share"] {
                line.as_object_mut().unwrap().remove(key);
            }
            line
        });
        // The header names the folder of the images.
        let file = std::fs::read(folder.last()).unwrap();
        let header = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        (lines.collect(), file[8 + header..].to_vec())
    }

    /// As on a GPU, where a step is read when the next one is queued.
    #[test]
    fn numbers_that_are_read_late_are_the_same() {
        let (at_once, late) = (run(false), run(true));
        assert_eq!(at_once.0, late.0);
        assert!(at_once.0.iter().filter(|line| line["kind"] == "step").count() == 16, "{:?}", at_once.0);
        assert!(at_once.1 == late.1, "the weights differ");
    }

    #[test]
    fn the_best_is_the_first_of_the_highest_and_always_a_number() {
        let best = Some(Best { metric: 0.5, epoch: 0 });
        assert!(is_better(0.1, None) && is_better(0.6, best));
        assert!(!is_better(0.5, best) && !is_better(0.4, best));
        assert!(!is_better(f64::NAN, None) && !is_better(f64::NEG_INFINITY, None));
    }
}
