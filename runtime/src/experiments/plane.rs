//! Margins on planes around images.

use mimir_bundle::Norm;

use super::subset::Subset;
use crate::archive::Archive;
use crate::error::EvaluateError;
use crate::evaluate::{Control, Plan, evaluate};
use crate::evaluation_set::EvaluationSet;
use crate::journal::CounterexampleStore;
use crate::landscape::InputLandscape;
use crate::logits::{margin, predicted_class};
use crate::model::{Batches, Classifier, ModelSource};
use crate::monitor::Silent;
use crate::random::{Key, Stream};

/// Steps on each side of the image, and how far the last is, in radii: as far as counterexamples are looked for first.
const STEPS: i32 = 10;
const FURTHEST: f64 = 4.0;

/// Counterexamples of those images by a plan, the nearest that it finds within its radius: `None` for an image that it leaves.
pub(super) fn adversarial_points(
    source: &dyn ModelSource,
    set: &EvaluationSet,
    images: &[usize],
    plan: &Plan,
) -> Result<Vec<Option<Vec<f32>>>, EvaluateError> {
    let subset = Subset { set, images };
    let labels: Vec<usize> = images.iter().map(|image| set.labels()[*image]).collect();
    let few = EvaluationSet::new(&subset, &labels)?.with_pixels(plan.threat_model.pixels);
    let store =
        CounterexampleStore::anonymous(set.pixels_per_image()).map_err(crate::archive::ArchiveError::from)?;
    let archive = Archive::none().with_counterexamples(store);
    let evaluation = evaluate(source, &few, plan, &Control::new(&Silent, &archive))?;
    let Some(store) = archive.counterexamples() else { return Ok(vec![None; images.len()]) };
    let read = |slot: &Option<u64>| {
        slot.map(|slot| {
            let mut pixels = vec![0.0; set.pixels_per_image()];
            store.read(slot, &mut pixels).map_err(crate::archive::ArchiveError::from)?;
            Ok(pixels)
        })
        .transpose()
    };
    evaluation.slots.iter().map(read).collect()
}

/// The margins of one image on the plane of the direction to an adversarial point and a random one.
pub(super) fn plane(
    classifier: &mut dyn Classifier,
    set: &EvaluationSet,
    image: usize,
    adversarial: &[f32],
    plan: &Plan,
) -> Result<InputLandscape, EvaluateError> {
    let (clean, label) = (set.image(image)?, set.labels()[image]);
    let (norm, radius) = (plan.threat_model.norm, plan.threat_model.epsilon);
    let mut towards: Vec<f32> =
        adversarial.iter().zip(&clean[..]).map(|(point, pixel)| point - pixel).collect();
    let key = Key { seed: plan.seed, image, attack: "plane", target: None, restart: 0 };
    let mut aside = vec![0.0; clean.len()];
    Stream::new(&key).fill_normal(&mut aside);
    if norm == Norm::Linf {
        // As a corner of the ball, as adversarial directions nearly are.
        aside.iter_mut().for_each(|value| *value = value.signum());
    }
    scale(&mut towards, norm, radius);
    scale(&mut aside, norm, radius);
    let axis: Vec<f64> = (-STEPS..=STEPS).map(|step| FURTHEST * f64::from(step) / f64::from(STEPS)).collect();
    let mut batches = Batches::for_classifier(classifier);
    let mut found: Vec<Option<f32>> = Vec::new();
    let steps: Vec<(f64, f64)> =
        axis.iter().flat_map(|row| axis.iter().map(move |column| (*row, *column))).collect();
    for chunk in steps.chunks(batches.size()) {
        let point = |(row, column): &(f64, f64)| -> Vec<f32> {
            let moved = clean.iter().zip(towards.iter().zip(&aside));
            let moved = moved.map(|(pixel, (towards, aside))| {
                (f64::from(*pixel) + column * f64::from(*towards) + row * f64::from(*aside)).clamp(0.0, 1.0)
                    as f32
            });
            moved.collect()
        };
        let points: Vec<Vec<f32>> = chunk.iter().map(point).collect();
        let logits = batches.logits(classifier, points.iter().map(Vec::as_slice))?;
        found.extend(logits.rows().into_iter().map(|row| {
            let row = row.to_slice().unwrap_or_default();
            predicted_class(row).map(|_| margin(row, label)).filter(|margin| margin.is_finite())
        }));
    }
    let margins = found.chunks(axis.len()).map(<[_]>::to_vec).collect();
    Ok(InputLandscape { image, label, axis, margins })
}

/// Brings a direction to that length; one of no length stays.
fn scale(direction: &mut [f32], norm: Norm, length: f64) {
    let sizes = direction.iter().map(|value| f64::from(value.abs()));
    let found = match norm {
        Norm::Linf => sizes.fold(0.0, f64::max),
        Norm::L2 => sizes.map(|size| size * size).sum::<f64>().sqrt(),
        Norm::L1 => sizes.sum(),
    };
    if found > 0.0 {
        direction.iter_mut().for_each(|value| *value = (f64::from(*value) * length / found) as f32);
    }
}
