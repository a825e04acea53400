//! Shows every counterexample to another engine. It changes no verdict: the engine that ran the attacks decides.

use mimir_bundle::certificate::{CrossCheck, CrossCheckedAttack, Disagreement};

use crate::evaluate::{Evaluation, Verdict};
use crate::journal::CounterexampleStore;
use crate::logits::predicted_class;
use crate::model::{Batches, Classifier};
use crate::session::Engine;
use crate::verify::VerifyError;

/// A counterexample to show.
struct StoredCounterexample<'a> {
    image: usize,
    label: usize,
    attack: &'a str,
    slot: u64,
}

/// What the original model on the engine `other`, a session of which is `classifier`, says about the counterexamples of
/// an evaluation, whose pixels are in `store`.
///
/// # Errors
/// When one cannot be read back, or the engine fails.
pub fn cross_check(
    other: &Engine,
    classifier: &mut dyn Classifier,
    evaluation: &Evaluation,
    store: &CounterexampleStore,
) -> Result<CrossCheck, VerifyError> {
    let shown = shown(evaluation);
    let mut disagreements = Vec::new();
    let mut batches = Batches::for_classifier(classifier);
    let pixels = classifier.image_shape().pixels();
    for chunk in shown.chunks(batches.size()) {
        let mut rows = vec![vec![0.0; pixels]; chunk.len()];
        for (row, shown) in rows.iter_mut().zip(chunk) {
            store.read(shown.slot, row)?;
        }
        let logits = batches.logits(classifier, rows.iter().map(Vec::as_slice))?;
        for (shown, logits) in chunk.iter().zip(logits.rows()) {
            disagreements.extend(disagreement(shown, logits.as_slice().unwrap_or_default()));
        }
    }
    let attacks: Vec<CrossCheckedAttack> =
        evaluation.attacks.iter().map(|attack| count(&attack.name, &shown, &disagreements)).collect();
    Ok(CrossCheck {
        engine: other.kind().name().to_owned(),
        engine_version: other.version().to_owned(),
        counterexamples: shown.len(),
        confirmed: shown.len() - disagreements.len(),
        attacks,
        disagreements,
    })
}

fn shown(evaluation: &Evaluation) -> Vec<StoredCounterexample<'_>> {
    let pairs = evaluation.outcomes.iter().zip(&evaluation.slots);
    let broken = pairs.filter_map(|(outcome, slot)| match (&outcome.verdict, slot) {
        (Verdict::Broken { attack, .. }, Some(slot)) => {
            Some(StoredCounterexample { image: outcome.image, label: outcome.label, attack, slot: *slot })
        }
        _ => None,
    });
    broken.collect()
}

fn disagreement(shown: &StoredCounterexample, logits: &[f32]) -> Option<Disagreement> {
    let prediction = predicted_class(logits);
    let confirmed = prediction.is_some_and(|prediction| prediction != shown.label);
    let attack = shown.attack.to_owned();
    (!confirmed).then_some(Disagreement { image: shown.image, attack, prediction })
}

fn count(name: &str, shown: &[StoredCounterexample], disagreements: &[Disagreement]) -> CrossCheckedAttack {
    let counterexamples = shown.iter().filter(|shown| shown.attack == name).count();
    let refused = disagreements.iter().filter(|disagreement| disagreement.attack == name).count();
    CrossCheckedAttack { name: name.to_owned(), counterexamples, confirmed: counterexamples - refused }
}

#[cfg(test)]
mod tests {
    use mimir_bundle::AttackSpec;

    use super::*;
    use crate::evaluate::{AttackResult, AttackSigns, Ending, ImageOutcome, PassCounts};

    use crate::testing::threshold;

    fn broken(image: usize, label: usize, attack: &str) -> ImageOutcome {
        let verdict = Verdict::Broken {
            attack: attack.into(),
            target: None,
            restart: 0,
            step: 0,
            prediction: 1 - label,
            distance: 0.1,
            margin: -1.0,
            margin_float64: None,
            fragile: false,
        };
        let passes = PassCounts::default();
        ImageOutcome {
            image,
            label,
            clean_prediction: Some(label),
            clean_margin: Some(1.0),
            clean_margin_float64: None,
            verdict,
            closest: Some(0.1),
            passes,
        }
    }

    fn attack(name: &str) -> AttackResult {
        AttackResult {
            name: name.into(),
            spec: AttackSpec::named(name).unwrap(),
            uses_margin: false,
            attacked: 0,
            broken: 0,
            non_finite: 0,
            still_robust: 0,
            unfinished: 0,
            zero_gradients: 0,
            non_finite_gradients: 0,
            signs: AttackSigns::default(),
            trace: Vec::new(),
            seconds: 0.0,
            model_seconds: 0.0,
            passes: PassCounts::default(),
        }
    }

    /// The other engine says class 1 where the pixel is above one half; batches of two.
    #[test]
    fn each_counterexample_is_shown_and_counted_for_its_attack() {
        let mut other = threshold();
        let store = CounterexampleStore::anonymous(1).unwrap();
        for pixel in [0.6, 0.4, 0.3, f32::NAN] {
            store.append(&[pixel]).unwrap();
        }
        let robust = ImageOutcome { verdict: Verdict::StillRobust, ..broken(1, 0, "apgd-ce") };
        let evaluation = Evaluation {
            outcomes: vec![
                broken(0, 0, "apgd-ce"),
                robust,
                broken(2, 0, "square"),
                broken(3, 1, "square"),
                broken(4, 1, "square"),
            ],
            attacks: vec![attack("apgd-ce"), attack("square")],
            ending: Ending::Complete,
            clean: PassCounts::default(),
            undecided: 0,
            slots: vec![Some(0), None, Some(1), Some(2), Some(3)],
        };
        let found = cross_check(&Engine::rten(), &mut other, &evaluation, &store).unwrap();
        assert_eq!((found.engine.as_str(), found.counterexamples, found.confirmed), ("rten", 4, 2));
        let counts: Vec<(usize, usize)> =
            found.attacks.iter().map(|attack| (attack.counterexamples, attack.confirmed)).collect();
        assert_eq!(counts, [(1, 1), (3, 1)]);
        let square = |image, prediction| Disagreement { image, attack: "square".into(), prediction };
        assert_eq!(found.disagreements, [square(2, Some(0)), square(4, None)]);
    }
}
