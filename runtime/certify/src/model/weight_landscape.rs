//! Losses on a plane around the weights of a model.

use std::sync::atomic::{AtomicBool, Ordering};

use mimir_bundle::tensor_names;
use mimir_runtime::evaluate::EvaluationSet;
use mimir_runtime::landscape::WeightLandscape;
use mimir_runtime::session::{Data, Input, RawSession, SessionOptions};

use super::CalibratedModel;
use crate::error::{Error, ErrorKind, OrKind, Result};

/// Images whose loss is averaged, at most: the first of the set.
const IMAGES: usize = 64;

/// Images a call, where the graph takes any: the same in every run, because the last bits of a loss follow the size of a batch.
const ROWS: usize = 8;

/// Steps on each side of the weights, up to as far as they are long.
const STEPS: i32 = 5;

/// The images of the sample, in batches that the graph takes.
struct Sample {
    /// Images of each batch, and their pixels, filled up where the graph takes a fixed number.
    batches: Vec<(usize, Vec<f32>)>,
    labels: Vec<usize>,
    rows: Option<usize>,
}

impl CalibratedModel {
    /// Mean losses and accuracies of the first images where the weights are moved along two random directions; `None` where the
    /// model has no weights that could be moved. Costs 121 forward passes for each image.
    ///
    /// # Errors
    /// [`ErrorKind::Model`] when the graph cannot be built or run, [`ErrorKind::Data`] when an image cannot be read,
    /// [`ErrorKind::Interrupted`] when somebody wants it to end.
    pub fn weight_landscape(
        &self,
        set: &EvaluationSet,
        seed: u64,
        interrupted: &AtomicBool,
    ) -> Result<Option<WeightLandscape>> {
        let Some(graph) = self.classifier.directions_graph(seed).or_kind(ErrorKind::Model)? else {
            return Ok(None);
        };
        let options = SessionOptions { threads: self.plan.threads, ..SessionOptions::default() };
        let mut session = RawSession::new(&self.engine, &graph.onnx, options).or_kind(ErrorKind::Model)?;
        let sample = self.sample(set)?;
        let axis: Vec<f64> = (-STEPS..=STEPS).map(|step| f64::from(step) / f64::from(STEPS)).collect();
        let (mut losses, mut accuracies) = (Vec::new(), Vec::new());
        for second in &axis {
            let (mut row, mut shares) = (Vec::new(), Vec::new());
            for first in &axis {
                if interrupted.load(Ordering::Relaxed) {
                    return Err(Error::new(
                        ErrorKind::Interrupted,
                        "the landscape of the weights was interrupted",
                    ));
                }
                let (loss, share) = self.loss_at(&mut session, &sample, [*first as f32, *second as f32])?;
                row.push(Some(loss).filter(|loss| loss.is_finite()));
                shares.push(share);
            }
            losses.push(row);
            accuracies.push(shares);
        }
        let images = sample.labels.len();
        Ok(Some(WeightLandscape { images, tensors: graph.weights, axis, losses, accuracies }))
    }

    fn sample(&self, set: &EvaluationSet) -> Result<Sample> {
        let count = set.count().min(IMAGES);
        let rows = self.manifest().batch.rows();
        let size = set.pixels_per_image();
        let images: Vec<usize> = (0..count).collect();
        let read = |chunk: &[usize]| {
            let mut pixels = vec![0.0; rows.unwrap_or(chunk.len()) * size];
            for (image, row) in chunk.iter().cycle().zip(pixels.chunks_mut(size)) {
                set.read(*image, row).or_kind(ErrorKind::Data)?;
            }
            Ok((chunk.len(), pixels))
        };
        let batches = images.chunks(rows.unwrap_or(ROWS)).map(read).collect::<Result<_>>()?;
        Ok(Sample { batches, labels: set.labels()[..count].to_vec(), rows })
    }

    /// Mean cross-entropy and accuracy with the weights moved by so much.
    fn loss_at(&self, session: &mut RawSession, sample: &Sample, lengths: [f32; 2]) -> Result<(f64, f64)> {
        let shape = self.manifest().image;
        let classes = self.manifest().classes;
        let [first, second] = lengths.map(|length| [length]);
        let (mut loss, mut correct, mut done) = (0.0, 0, 0);
        for (count, pixels) in &sample.batches {
            let dims = [sample.rows.unwrap_or(*count), shape.channels, shape.height, shape.width];
            let inputs = [
                Input { name: tensor_names::IMAGES, dims: &dims, data: Data::F32(pixels) },
                Input { name: tensor_names::FIRST_DIRECTION, dims: &[1], data: Data::F32(&first) },
                Input { name: tensor_names::SECOND_DIRECTION, dims: &[1], data: Data::F32(&second) },
            ];
            let outputs = session.run(&inputs).or_kind(ErrorKind::Model)?;
            let logits = outputs.first().map(|output| output.data.as_slice()).unwrap_or_default();
            for (row, label) in logits.chunks(classes).take(*count).zip(&sample.labels[done..]) {
                let (cross_entropy, is_correct) = cross_entropy(row, *label);
                loss += cross_entropy;
                correct += usize::from(is_correct);
            }
            done += count;
        }
        let images = sample.labels.len().max(1) as f64;
        Ok((loss / images, correct as f64 / images))
    }
}

/// The cross-entropy of one image, and whether its label has the highest score.
fn cross_entropy(logits: &[f32], label: usize) -> (f64, bool) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let first = logits.iter().position(|logit| *logit == highest);
    (sum.ln() - f64::from(logits[label] - highest), first == Some(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cross_entropy_is_that_of_the_softmax() {
        let (loss, is_correct) = cross_entropy(&[0.0, 0.0, 0.0, 0.0], 2);
        assert!((loss - 4.0_f64.ln()).abs() < 1e-12 && !is_correct, "of ties the first class is named");
        let (loss, is_correct) = cross_entropy(&[1000.0, 0.0], 0);
        assert!(loss.abs() < 1e-12 && is_correct);
        assert!((cross_entropy(&[1000.0, 0.0], 1).0 - 1000.0).abs() < 1e-9);
        assert!(!cross_entropy(&[f32::NAN, 0.0], 1).0.is_finite());
    }
}
