//! Margins of the clean images in float64.

use super::outcome::Evaluation;
use crate::error::EvaluateError;
use crate::evaluation_set::EvaluationSet;
use crate::model::Float64Margins;
use crate::scheduler::StopSignal;

/// Writes `clean_margin_float64` into every outcome, unless the evaluation is interrupted meanwhile.
pub(super) fn measure_clean_margins(
    evaluation: &mut Evaluation,
    set: &EvaluationSet,
    float64: &dyn Float64Margins,
    stop: &StopSignal,
) -> Result<(), EvaluateError> {
    for outcomes in evaluation.outcomes.chunks_mut(float64.batch()) {
        if stop.is_interrupted() {
            return Ok(());
        }
        let mut pixels = vec![vec![0.0; set.pixels_per_image()]; outcomes.len()];
        for (outcome, row) in outcomes.iter().zip(&mut pixels) {
            set.read(outcome.image, row)?;
        }
        let rows: Vec<&[f32]> = pixels.iter().map(Vec::as_slice).collect();
        let labels: Vec<usize> = outcomes.iter().map(|outcome| outcome.label).collect();
        let Some(margins) = float64.margins(&rows, &labels) else { return Ok(()) };
        for (outcome, margin) in outcomes.iter_mut().zip(margins) {
            outcome.clean_margin_float64 = margin;
        }
    }
    Ok(())
}
