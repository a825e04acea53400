//! Images as tensors: batches to train on, images held out, and the test set.

mod robustbench;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mimir_bundle::digest::RunningDigest;
use mimir_data::augment::{Augmentation, Evaluation};
use mimir_data::{
    Batch, DataError, DataSource, Loader, LoaderOptions, PictureSet, ReadOptions, Sample, Split, TrainingSet,
    open_pictures, split_held_out,
};
use tch::{Device, Tensor};

use crate::config::{ConfigError, DataConfig, EvaluatedPart, EvaluatedSet, Experiment};
use crate::random::BatchRng;
use crate::upload;

/// Batch size for held-out images.
const HELD_OUT_BATCH: usize = 128;

/// Of the sample of `evaluate.images`, for every seed of a run: results of several are of the same images.
const SAMPLE_SEED: u64 = 0;

/// The images of a training stage.
#[derive(Debug)]
pub struct TrainingImages {
    loader: Loader,
    held_out: Option<EvaluationSet>,
    class_names: Option<Vec<String>>,
    set: Arc<TrainingSet>,
    sha256: Mutex<Digest>,
    size: i64,
}

/// The digest of a training set: asking a million files for their lengths takes minutes where they are far away, and it is wanted with
/// the first checkpoint.
#[derive(Debug)]
enum Digest {
    /// Made beside the first steps.
    Running(JoinHandle<Result<String, DataError>>),
    /// To be made where it is wanted: there is no thread, or its attempt failed.
    Wanted,
    Known(String),
}

impl TrainingImages {
    /// The training set of an experiment without its held-out images, in batches of `batch` squares of the network's
    /// size.
    ///
    /// # Errors
    /// A set that cannot be read or does not fit the experiment.
    pub fn open(
        experiment: &Experiment,
        augmentation: &Augmentation,
        batch: usize,
    ) -> Result<Self, DataError> {
        let data = &experiment.data;
        let pictures = read(data, &data.source.parse()?, Split::Train)?;
        let class_names = pictures.names.clone();
        let (chosen, held_out) = split_held_out(pictures.count(), data.held_out, experiment.seed)?;
        let held_out = (!held_out.is_empty())
            .then(|| EvaluationSet::new(Arc::clone(&pictures), held_out, experiment, HELD_OUT_BATCH));
        let mut set = TrainingSet::subset(pictures, &chosen)?;
        if let (Some(generated), Some(share)) = (&data.generated, data.generated_share) {
            set = set.with_generated(read(data, &generated.parse()?, Split::Train)?, share)?;
        }
        let size = experiment.model.image_size;
        let options = LoaderOptions {
            batch,
            augmentation: *augmentation,
            threads: data.threads,
            broken: data.broken_images,
            ..LoaderOptions::new(experiment.seed, to_usize(size))
        };
        let set = Arc::new(set);
        let loader = Loader::new(Arc::clone(&set), options)?;
        let sha256 = Mutex::new(Digest::start(Arc::clone(&set)));
        Ok(Self { loader, held_out, class_names, set, sha256, size })
    }

    /// SHA-256 of the images that are trained on, as [`TrainingSet::identify`] describes them; in lowercase hexadecimal. Waits until
    /// it is made.
    ///
    /// # Errors
    /// Images that cannot be read.
    pub fn sha256(&self) -> Result<String, DataError> {
        let mut state = self.sha256.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match std::mem::replace(&mut *state, Digest::Wanted) {
            Digest::Known(found) => found,
            Digest::Wanted => digest(&self.set)?,
            Digest::Running(thread) => match thread.join() {
                Ok(found) => found?,
                Err(_) => digest(&self.set)?,
            },
        };
        *state = Digest::Known(found.clone());
        Ok(found)
    }

    /// Batches in an epoch.
    pub fn steps_per_epoch(&self) -> usize {
        self.loader.steps_per_epoch()
    }

    /// Names of the classes by label, where the set has them; empty for a label that no class has.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// The held-out images, which select the best checkpoint.
    pub fn held_out(&self) -> Option<&EvaluationSet> {
        self.held_out.as_ref()
    }

    /// Batches of an epoch from a step on, to its end.
    pub fn batches(&self, epoch: u64, step: usize) -> impl Iterator<Item = Result<Batch, DataError>> {
        self.loader.start(epoch, step).take(self.steps_per_epoch().saturating_sub(step))
    }

    /// The pixels of a batch, `[N, 3, S, S]` float32 on a device.
    pub fn tensor(&self, batch: &Batch, device: Device) -> Tensor {
        upload::pixels(&batch.pixels, device).reshape([-1, 3, self.size, self.size])
    }
}

impl Digest {
    fn start(set: Arc<TrainingSet>) -> Self {
        let thread = std::thread::Builder::new().name("mimir-digest".to_owned());
        thread.spawn(move || digest(&set)).map_or(Self::Wanted, Self::Running)
    }
}

fn digest(set: &TrainingSet) -> Result<String, DataError> {
    let mut digest = RunningDigest::default();
    set.identify(|piece| digest.update(piece))?;
    Ok(digest.finish("training images").sha256)
}

/// Images to evaluate on, as they are or resized and cropped by `evaluate.transform`.
#[derive(Debug)]
pub struct EvaluationSet {
    pictures: Arc<PictureSet>,
    positions: Vec<usize>,
    transform: Evaluation,
    batch: usize,
    threads: usize,
    seed: u64,
}

impl EvaluationSet {
    /// The images that `[evaluate]` names: of the test set, or those that are held out.
    ///
    /// # Errors
    /// A set that cannot be read or does not fit the experiment; training images in the place of test images.
    pub fn open(experiment: &Experiment) -> Result<Self, ConfigError> {
        let (data, evaluate) = (&experiment.data, &experiment.evaluate);
        let (pictures, positions) = match evaluate.on {
            EvaluatedSet::Test => {
                let pictures = read(data, &data.test_source()?, Split::Test)?;
                let all = (0..pictures.count()).collect();
                (pictures, all)
            }
            EvaluatedSet::HeldOut => {
                let pictures = read(data, &data.source.parse()?, Split::Train)?;
                let (_, held_out) = split_held_out(pictures.count(), data.held_out, experiment.seed)?;
                (pictures, held_out)
            }
        };
        let positions = part(&pictures, positions, evaluate.images)?;
        Ok(Self::new(pictures, positions, experiment, evaluate.batch))
    }

    /// Whether the set that these images are from is that of a training whose digest is `sha256`
    /// ([`TrainingImages::sha256`]).
    ///
    /// # Errors
    /// Images that cannot be read.
    pub fn is_training_set(&self, sha256: &str) -> Result<bool, DataError> {
        Ok(digest(&TrainingSet::new(Arc::clone(&self.pictures))?)? == sha256)
    }

    fn new(pictures: Arc<PictureSet>, positions: Vec<usize>, experiment: &Experiment, batch: usize) -> Self {
        let crop = to_usize(experiment.model.image_size);
        let transform = experiment.evaluate.transform.unwrap_or(Evaluation { resize: None, crop });
        let threads = experiment.data.threads;
        Self { pictures, positions, transform, batch, threads, seed: experiment.seed }
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.positions.len()
    }

    /// All images in order, on `device`.
    pub fn batches(&self, device: Device) -> impl Iterator<Item = Result<DeviceBatch, DataError>> {
        self.positions.chunks(self.batch).map(move |positions| self.batch(positions, device))
    }

    fn batch(&self, positions: &[usize], device: Device) -> Result<DeviceBatch, DataError> {
        let pixels = self.pictures.read_batch(positions, &self.transform, self.threads)?;
        let side = self.transform.crop as i64;
        let images = upload::pixels(&pixels, device).reshape([-1, 3, side, side]);
        let labels = positions.iter().map(|&position| self.pictures.labels[position] as i64).collect();
        let sample_ids = positions.iter().map(|&position| position as u64).collect();
        Ok(DeviceBatch::new(images, labels, sample_ids, self.seed))
    }
}

/// The part of the images at these places that is asked for.
fn part(
    pictures: &PictureSet,
    positions: Vec<usize>,
    part: Option<EvaluatedPart>,
) -> Result<Vec<usize>, DataError> {
    match part {
        None => Ok(positions),
        Some(EvaluatedPart::Sample(count)) if count > positions.len() => {
            let wanted = format!("at most the {} images that there are", positions.len());
            let found = count.to_string();
            Err(DataError::InvalidParameter { name: "evaluate.images", found, wanted })
        }
        Some(EvaluatedPart::Sample(count)) => {
            let labels: Vec<usize> = positions.iter().map(|&position| pictures.labels[position]).collect();
            let drawn = Sample { count, seed: SAMPLE_SEED }.draw(&labels);
            Ok(drawn.into_iter().map(|place| positions[place]).collect())
        }
        Some(EvaluatedPart::RobustBench) => robustbench::positions(pictures, &positions),
    }
}

fn read(data: &DataConfig, source: &DataSource, split: Split) -> Result<Arc<PictureSet>, DataError> {
    let pictures = open_pictures(source, &ReadOptions { split, first: None })?;
    check_classes(data, source, &pictures)?;
    if pictures.channels() != 3 {
        let (found, wanted) = (pictures.channels().to_string(), "3: the networks take colour images".into());
        return Err(DataError::InvalidParameter { name: "channels", found, wanted });
    }
    Ok(Arc::new(pictures))
}

/// That `data.classes` has a place for every label.
fn check_classes(data: &DataConfig, source: &DataSource, pictures: &PictureSet) -> Result<(), DataError> {
    let largest = pictures.labels.iter().copied().max().unwrap_or(0);
    if (largest as u64) < data.classes.unsigned_abs() {
        return Ok(());
    }
    let (found, wanted) =
        (data.classes.to_string(), format!("at least {}: {source} has labels up to {largest}", largest + 1));
    Err(DataError::InvalidParameter { name: "data.classes", found, wanted })
}

fn to_usize(image_size: i64) -> usize {
    usize::try_from(image_size).unwrap_or(0)
}

/// Images to evaluate on, on the device.
#[derive(Debug)]
pub struct DeviceBatch {
    /// `[N, 3, S, S]` float32 in `[0, 1]`.
    pub images: Tensor,
    /// `[N]` int64 on the same device.
    pub label_tensor: Tensor,
    /// The same as numbers.
    pub labels: Vec<i64>,
    sample_ids: Vec<u64>,
    seed: u64,
}

impl DeviceBatch {
    /// Images `[N, …]` with their labels and their places in their set.
    pub fn new(images: Tensor, labels: Vec<i64>, sample_ids: Vec<u64>, seed: u64) -> Self {
        let label_tensor = upload::values(&labels, images.device());
        Self { images, label_tensor, labels, sample_ids, seed }
    }

    /// The place of each image in its set, from 0.
    pub fn places(&self) -> &[u64] {
        &self.sample_ids
    }

    /// Random numbers for these images. The epoch in their key is fixed, so that evaluations after different epochs use
    /// the same numbers.
    pub fn rng(&self) -> BatchRng<'_> {
        BatchRng { seed: self.seed, epoch: u64::MAX, sample_ids: &self.sample_ids }
    }
}
