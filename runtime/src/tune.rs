//! How many images a session takes at once, and how the cores are shared.
//!
//! Small models scale by workers: an operator on a small tensor is over before a second thread has woken up, so every
//! core gets its own single-threaded session. Large models scale by threads inside an operator, and one session holds
//! the weights once. Which of the two a model is, a measurement of a few batches tells.
//!
//! The batch size follows from the image's size and the weights, never from a clock. Only the split of the cores is timed,
//! and it cannot change a result: workers share nothing but a queue, and ONNX Runtime divides its operators by
//! output elements, so that every element is computed in the same order whatever the number of threads.

use std::num::NonZero;
use std::time::{Duration, Instant};

use mimir_bundle::{Manifest, WeightUse};
use ndarray::Array2;

use crate::model::{Classifier, ModelError, ModelSource};
use crate::session::{Engine, OnnxModels, SessionPlan};

/// Largest batch. On CPUs the time per image is nearly flat from 8 to 64: convolutions and large networks like 8 and
/// 16, small networks 32 and more; what attacks keep of few images stays in the cache. Never measured, because a report
/// names it, and a resumed run must end with the same report.
const LARGEST_BATCH: usize = 16;

/// Largest batch where an image meets most weights once and they are many: reading them takes longer than computing with
/// them, and more images share it.
const LARGEST_BATCH_OF_ROWS: usize = 128;

/// Weights that stay in a core's second cache from batch to batch.
const MANY_WEIGHTS: u64 = 1 << 18;

/// Pixel values of a batch, at most: eight images of 3 × 224 × 224. Activations take some 30 times as much.
const LARGEST_INPUT: usize = 1_250_000;

/// A batch that takes less than this on one thread is too small to be worth splitting.
const SMALL: Duration = Duration::from_millis(15);

/// How much slower per core one session with all threads may be than single-threaded sessions, and still be chosen:
/// it holds the weights once.
const PREFERENCE: f64 = 1.15;

/// What the user decided already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--batch`
    pub batch: Option<NonZero<usize>>,
    /// `--workers`
    pub workers: Option<NonZero<usize>>,
    /// `--threads`
    pub threads: Option<NonZero<usize>>,
}

/// Chooses what the user left open, for this model on this machine.
///
/// # Errors
/// When the engine refuses or fails to run the model, or the model cannot take the batch that the user wants.
pub fn session_plan(
    engine: &Engine,
    manifest: &Manifest,
    weights: WeightUse,
    original: &[u8],
    overrides: Overrides,
) -> Result<SessionPlan, ModelError> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let batch = overrides.batch.map_or_else(|| batch_size(manifest, weights), NonZero::get);
    let (workers, threads) = match (overrides.workers, overrides.threads) {
        (Some(workers), Some(threads)) => (workers.get(), threads.get()),
        (Some(workers), None) => (workers.get(), (cores / workers).max(1)),
        (None, Some(threads)) => ((cores / threads).max(1), threads.get()),
        (None, None) => {
            let time = |threads| {
                let plan = SessionPlan { batch, workers: 1, threads };
                let models = OnnxModels::new(engine, manifest, original.to_vec(), plan)?;
                time_per_batch(models.classifier()?.as_mut())
            };
            split(cores, time)?
        }
    };
    Ok(SessionPlan { batch, workers, threads })
}

/// The largest power of two within the largest batch and [`LARGEST_INPUT`], or what the model takes.
fn batch_size(manifest: &Manifest, WeightUse { weights, products }: WeightUse) -> usize {
    if let Some(rows) = manifest.batch.rows() {
        return rows;
    }
    let is_of_rows = weights >= MANY_WEIGHTS && products < weights.saturating_mul(2);
    let largest = if is_of_rows { LARGEST_BATCH_OF_ROWS } else { LARGEST_BATCH };
    let fits = (LARGEST_INPUT / manifest.image.pixels().max(1)).clamp(1, largest);
    1 << fits.ilog2()
}

/// Workers and threads, from the time of a batch with a number of threads.
fn split(
    cores: usize,
    mut time: impl FnMut(usize) -> Result<Duration, ModelError>,
) -> Result<(usize, usize), ModelError> {
    if cores == 1 {
        return Ok((1, 1));
    }
    let alone = time(1)?;
    if alone < SMALL {
        return Ok((cores, 1));
    }
    // At best, single-threaded sessions on all cores finish a batch every `alone / cores`.
    let together = time(cores)?;
    let threads_win = together.as_secs_f64() * cores as f64 <= PREFERENCE * alone.as_secs_f64();
    Ok(if threads_win { (1, cores) } else { (cores, 1) })
}

/// The faster of two runs after a first one that allocates.
fn time_per_batch(classifier: &mut dyn Classifier) -> Result<Duration, ModelError> {
    let images = Array2::from_elem((classifier.batch(), classifier.image_shape().pixels()), 0.5);
    classifier.logits(images.view())?;
    let mut fastest = Duration::MAX;
    for _ in 0..2 {
        let start = Instant::now();
        classifier.logits(images.view())?;
        fastest = fastest.min(start.elapsed());
    }
    Ok(fastest)
}

#[cfg(test)]
mod tests {
    use mimir_bundle::{BatchMode, ChannelOrder, ImageShape, Layout, OutputKind, PixelType};

    use super::*;

    fn manifest(batch: BatchMode, channels: usize, size: usize) -> Manifest {
        Manifest {
            model_digest: String::new(),
            files: Vec::new(),
            opset: 20,
            ir_version: 9,
            producer: String::new(),
            image: ImageShape { channels, height: size, width: size },
            layout: Layout::Nchw,
            pixel_type: PixelType::Float,
            channel_order: ChannelOrder::Rgb,
            normalisation: None,
            classes: 10,
            batch,
            output_name: "logits".to_owned(),
            output: OutputKind::Logits,
        }
    }

    #[test]
    fn the_batch_follows_from_the_image_and_the_weights() {
        let convolutions = WeightUse { weights: 1 << 20, products: 1 << 26 };
        let rows = WeightUse { weights: 1 << 20, products: 1 << 20 };
        let few = WeightUse { weights: 1 << 10, products: 1 << 10 };
        for (mode, channels, size, weights, want) in [
            (BatchMode::Dynamic, 1, 28, convolutions, 16),
            (BatchMode::Dynamic, 3, 32, convolutions, 16),
            (BatchMode::Rebatched, 3, 224, convolutions, 8),
            (BatchMode::Dynamic, 3, 4096, convolutions, 1),
            (BatchMode::One, 3, 32, rows, 1),
            (BatchMode::Fixed(7), 3, 32, rows, 7),
            (BatchMode::Dynamic, 3, 32, rows, 128),
            (BatchMode::Dynamic, 3, 224, rows, 8),
            (BatchMode::Dynamic, 3, 32, few, 16),
            (BatchMode::Dynamic, 3, 32, WeightUse::default(), 16),
        ] {
            let found = batch_size(&manifest(mode, channels, size), weights);
            assert_eq!(found, want, "{mode:?} {channels} {size} {weights:?}");
        }
    }

    #[test]
    fn cores_are_split_by_how_well_threads_help() {
        struct Case {
            cores: usize,
            /// Milliseconds of a batch with one thread and with one a core.
            times: (u64, u64),
            want: (usize, usize),
        }
        let cases = [
            Case { cores: 1, times: (1000, 1000), want: (1, 1) },
            Case { cores: 4, times: (2, 0), want: (4, 1) },
            Case { cores: 4, times: (1000, 280), want: (1, 4) },
            Case { cores: 4, times: (1000, 400), want: (4, 1) },
        ];
        for Case { cores, times, want } in cases {
            let time = |threads| Ok(Duration::from_millis(if threads == 1 { times.0 } else { times.1 }));
            assert_eq!(split(cores, time), Ok(want), "{cores} cores, {times:?} ms");
        }
    }
}
