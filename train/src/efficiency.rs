//! Seconds and memory of an epoch of each method, network and image size: table 12 of the paper, on the machine at hand and with
//! made-up images.

mod flops;
mod memory;
mod work;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor};

pub use work::{Images, Work};

use crate::config::{Experiment, Precision};
use crate::model::Preset;
use crate::optim::{AdamW, AdamWOptions, FlatParameters, ParameterGroups, clip};
use crate::random::BatchRng;
use crate::stage::{Finetuning, MicroBatch, Pretraining, Task};

/// What is measured, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Measurement {
    /// What a step does.
    pub work: Work,
    /// On which network.
    pub network: Preset,
    /// On images of which size.
    pub images: Images,
    /// Images in a step.
    pub batch: usize,
    /// Steps that are timed; one before them warms up.
    pub steps: usize,
    /// Type of matrix products.
    pub precision: Precision,
    /// Where.
    pub device: Device,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row {
    /// Of an epoch of as many images as the data set has, by the median step.
    pub seconds: f64,
    /// Images in a second.
    pub images_per_second: f64,
    /// Operations in a second, in units of 10¹², by counting those of matrix products and attention.
    pub tera_operations: f64,
    /// The most memory that the process has had since its start, in bytes; on a GPU what it holds there.
    pub memory: Option<u64>,
}

impl Measurement {
    /// Takes the steps.
    ///
    /// # Errors
    /// A network that does not fit the images.
    pub fn take(&self) -> Result<Row> {
        let model = self.images.model(self.network);
        let experiment = self.work.experiment(&model, self.images.classes(), self.batch, self.precision)?;
        let times = step_times(&experiment, self.steps, self.device)?;
        let median = median(times).context("no step was taken")?;
        let images_per_second = self.batch as f64 / median;
        let architecture = experiment.model.architecture()?;
        Ok(Row {
            seconds: self.images.count() as f64 / images_per_second,
            images_per_second,
            tera_operations: self.work.operations(&architecture) * images_per_second / 1e12,
            memory: memory::peak(self.device),
        })
    }
}

/// Seconds of each of `steps` steps of the stage of an experiment, after one that warms up, on made-up images: loss, gradient and AdamW,
/// as the training loop takes them, without loader and log.
///
/// # Errors
/// A network that does not fit the images; a gradient that is not finite.
pub fn step_times(experiment: &Experiment, steps: usize, device: Device) -> Result<Vec<f64>> {
    let (task, batch) = task(experiment, device)?;
    let groups = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
    let flat = FlatParameters::bind(task.parameters(), &groups);
    let mut optimizer = AdamW::new(&flat, AdamWOptions::default());
    let size = experiment.model.image_size;
    let images = Tensor::rand([batch as i64, 3, size, size], (Kind::Float, device));
    let labels = Tensor::arange(batch as i64, (Kind::Int64, device)).remainder(experiment.data.classes);
    let ids: Vec<u64> = (0..batch as u64).collect();
    let mut times = Vec::new();
    for step in 0..=steps {
        let start = Instant::now();
        flat.zero_gradients();
        let rng = BatchRng { seed: 0, epoch: step as u64, sample_ids: &ids };
        let (images, labels) = (images.shallow_clone(), labels.shallow_clone());
        let kept = task.parameters().keep_casts();
        task.loss(&MicroBatch { images, labels, rng, epoch: 0.5 })?.total.backward();
        drop(kept);
        let norm = clip::clip_on_device(&flat, None);
        optimizer.step(&flat, 1e-5);
        // Waits for the device.
        if !norm.double_value(&[]).is_finite() {
            bail!("the gradient of made-up images is not finite");
        }
        if step > 0 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(times)
}

/// The stage of an experiment that has one, and images in its batch.
fn task(experiment: &Experiment, device: Device) -> Result<(Box<dyn Task>, usize)> {
    let architecture = experiment.model.architecture()?;
    if let Some(config) = experiment.pretrain.clone() {
        let batch = config.training.batch;
        return Ok((Box::new(Pretraining::new(experiment, architecture, config, device)?), batch));
    }
    let config = experiment.finetune.clone().context("neither stage")?;
    let batch = config.training.batch;
    Ok((Box::new(Finetuning::new(experiment, architecture, config, device)), batch))
}

fn median(mut times: Vec<f64>) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

/// Operations in a second of one large matrix product, in units of 10¹²: what the device reaches at best.
pub fn product_rate(device: Device, precision: Precision) -> f64 {
    let side: i64 = if device.is_cuda() { 8192 } else { 1024 };
    let matrix = Tensor::rand([side, side], (Kind::Float, device)).to_kind(precision.compute());
    let product = || {
        let start = Instant::now();
        let _ = matrix.matmul(&matrix).get(0).get(0).double_value(&[]);
        start.elapsed().as_secs_f64()
    };
    // The first one warms up.
    let least = (0..5).map(|_| product()).skip(1).fold(f64::INFINITY, f64::min);
    2.0 * (side as f64).powi(3) / least / 1e12
}

/// What the device is called.
pub fn device_name(device: Device) -> String {
    let found = match device {
        Device::Cuda(number) => memory::nvidia_smi(&["--query-gpu=name", &format!("--id={number}")]),
        _ => mimir_files::read_text(Path::new("/proc/cpuinfo"), 1 << 24).ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        }),
    };
    found.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_times_counts() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]), Some(3.0));
        assert_eq!(median(Vec::new()), None);
    }
}
