//! The images that the loss of an attack is computed with besides the attacked one: their pixels and features, read once.

use mimir_bundle::AttackSpec;

use crate::attack::{Attack, Reference};
use crate::error::{EvaluateError, PlanError};
use crate::evaluation_set::EvaluationSet;
use crate::model::Batches;
use crate::scheduler::Worker;

/// Gives an attack the images that it asks for, as they are.
pub(super) fn give_references(
    worker: &mut Worker,
    set: &EvaluationSet,
    spec: &AttackSpec,
    attack: &mut dyn Attack,
) -> Result<(), EvaluateError> {
    let wanted = attack.reference_images().to_vec();
    if wanted.is_empty() {
        return Ok(());
    }
    if let Some(image) = wanted.iter().copied().find(|image| *image >= set.count()) {
        let (attack, images) = (spec.name(), set.count());
        return Err(PlanError::NoSuchReference { attack, image, images }.into());
    }
    let model = worker.feature_model()?;
    let mut batches = Batches::new(model.batch(), set.pixels_per_image());
    let mut references = Vec::with_capacity(wanted.len());
    for part in wanted.chunks(batches.size()) {
        for (row, image) in part.iter().enumerate() {
            set.read(*image, batches.row_mut(row))?;
        }
        let answers = model.logits_and_features(batches.filled(part.len()))?;
        references.extend(part.iter().enumerate().map(|(row, image)| Reference {
            image: *image,
            pixels: batches.row(row).to_vec(),
            features: answers.features.row(row).to_vec(),
        }));
    }
    attack.take_references(references);
    Ok(())
}
