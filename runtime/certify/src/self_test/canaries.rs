//! The canaries: what each is, and what must be found.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mimir_bundle::AttackSpec;
use mimir_bundle::{Norm, ThreatModel};
use mimir_export::InputSpec;
use mimir_runtime::attack::Preset;
use mimir_runtime::evaluate::{Silent, Verdict};
use mimir_runtime::report::{Report, Rule, RuleAnswer, RuleVerdict, Severity, Warning};

use super::images::{COUNT, is_within_reach, radius, source};
use super::networks::{
    Network, masked, mixing, of_other_pixels, plain, quantised, random, saturated, staircase,
};
use crate::certify::certify;
use crate::check::{CheckOptions, check};
use crate::error::{ErrorKind, OrKind, Result};
use crate::model_input::ModelInput;
use crate::options::{ApproximateSearch, CertifyOptions, EngineOptions, ImageSource};

/// Says what is wrong with what was found; none where it is what must be found.
type Examine = fn(&Path, &EngineOptions, &AtomicBool) -> Result<Option<String>>;

/// A model whose answer is known.
pub(super) struct Canary {
    pub(super) name: &'static str,
    pub(super) model: &'static str,
    pub(super) wanted: &'static str,
    pub(super) network: Network,
    pub(super) examine: Examine,
}

/// All of them.
pub(super) const CANARIES: [Canary; 10] = [
    Canary {
        name: "linear-linf",
        model: "a linear function",
        wanted: "the images within epsilon of the plane are broken and no others, by Linf",
        network: plain,
        examine: |model, engine, interrupted| linear(model, engine, interrupted, Norm::Linf),
    },
    Canary {
        name: "linear-l2",
        model: "a linear function",
        wanted: "the same by L2",
        network: plain,
        examine: |model, engine, interrupted| linear(model, engine, interrupted, Norm::L2),
    },
    Canary {
        name: "linear-l1",
        model: "a linear function",
        wanted: "the same by L1",
        network: plain,
        examine: |model, engine, interrupted| linear(model, engine, interrupted, Norm::L1),
    },
    Canary {
        name: "gradient-masked",
        model: "pixels are rounded, so that every derivative is zero",
        wanted: "the images are broken all the same, and the report names the rounding",
        network: masked,
        examine: |model, engine, interrupted| {
            let report = run(model, engine, interrupted, Preset::Standard)?;
            Ok(wrong_images(&report, is_within_reach).or_else(|| {
                lacks(&report, "a stand-in for a gradient", |it| {
                    matches!(it, Warning::GradientApproximation { .. })
                })
                .or_else(|| passes(&report, Rule::DifferentiableOperators))
            }))
        },
    },
    Canary {
        name: "misleading",
        model: "a staircase of steep sigmoids, so that derivatives are not zero and say nothing of a step",
        wanted: "the report says that gradients mislead, of attacks that follow nothing else",
        network: staircase,
        examine: |model, engine, interrupted| {
            let mut options = options(model, engine, Norm::Linf, Preset::Standard)?;
            options.attacks.retain(|attack| !matches!(attack, AttackSpec::Square(_)));
            let report = certify(&options, &Silent, interrupted)?.report;
            Ok(lacks(&report, "misleading gradients", |it| matches!(it, Warning::MisleadingGradients { .. }))
                .or_else(|| passes(&report, Rule::GradientsPredict)))
        },
    },
    Canary {
        name: "quantised",
        model: "pixels are quantised to 8 bits",
        wanted: "the images are broken all the same, and the report names the quantisation",
        network: quantised,
        examine: |model, engine, interrupted| {
            let report = run(model, engine, interrupted, Preset::Standard)?;
            Ok(wrong_images(&report, is_within_reach).or_else(|| {
                lacks(&report, "a stand-in for a gradient", |it| {
                    matches!(it, Warning::GradientApproximation { .. })
                })
                .or_else(|| passes(&report, Rule::DifferentiableOperators))
            }))
        },
    },
    Canary {
        name: "random",
        model: "noise is added to the scores",
        wanted: "refused without averaged gradients; with them, images far from epsilon are judged rightly, as draws",
        network: random,
        examine: noisy,
    },
    Canary {
        name: "batch-mixing",
        model: "scores depend on the other images of a batch",
        wanted: "images are evaluated one by one, and the report says why",
        network: mixing,
        examine: |model, engine, interrupted| {
            let report = run(model, engine, interrupted, Preset::Standard)?;
            Ok(wrong_images(&report, is_within_reach)
                .or_else(|| lacks(&report, "mixed images", |it| matches!(it, Warning::MixesImages { .. })))
                .or_else(|| passes(&report, Rule::IndependentImages)))
        },
    },
    Canary {
        name: "saturated",
        model: "probabilities that are all 0 or 1",
        wanted: "attacks see the scores behind them: the same images are broken",
        network: saturated,
        examine: |model, engine, interrupted| {
            let report = run(model, engine, interrupted, Preset::Standard)?;
            Ok(wrong_images(&report, is_within_reach)
                .or_else(|| lacks(&report, "probabilities", |it| matches!(it, Warning::ProbabilityOutput)))
                .or_else(|| passes(&report, Rule::ScoresOfClasses)))
        },
    },
    Canary {
        name: "wrongly-normalised",
        model: "made for pixels in [-1, 1], and given pixels in [0, 1]",
        wanted: "a run warns of an accuracy by chance, and a check names the right normalisation",
        network: of_other_pixels,
        examine: other_pixels,
    },
];

fn options(model: &Path, engine: &EngineOptions, norm: Norm, preset: Preset) -> Result<CertifyOptions> {
    let threat_model = ThreatModel::new(norm, radius(norm)).or_kind(ErrorKind::Internal)?;
    let mut options = CertifyOptions::new(model.to_path_buf(), source(COUNT), threat_model);
    options.attacks = preset.attacks(norm);
    options.engine = engine.clone();
    Ok(options)
}

fn run(model: &Path, engine: &EngineOptions, interrupted: &AtomicBool, preset: Preset) -> Result<Report> {
    Ok(certify(&options(model, engine, Norm::Linf, preset)?, &Silent, interrupted)?.report)
}

fn linear(
    model: &Path,
    engine: &EngineOptions,
    interrupted: &AtomicBool,
    norm: Norm,
) -> Result<Option<String>> {
    let options = options(model, engine, norm, Preset::Standard)?;
    let report = certify(&options, &Silent, interrupted)?.report;
    Ok(wrong_images(&report, is_within_reach).or_else(|| weakened(&report)).or_else(|| fails(&report)))
}

/// Noise moves the plane by a little: images within a quarter of the radius of it are not asked for.
fn noisy(model: &Path, engine: &EngineOptions, interrupted: &AtomicBool) -> Result<Option<String>> {
    match run(model, engine, interrupted, Preset::Standard) {
        Err(error) if error.kind() == ErrorKind::Model => (),
        Err(error) => return Err(error),
        Ok(_) => return Ok(Some("it was attacked as if it were not random".to_owned())),
    }
    let report = run(model, engine, interrupted, Preset::Rand)?;
    let wrong = report.outcomes.iter().enumerate().find(|(image, outcome)| {
        let far = !(COUNT * 3 / 8..COUNT * 5 / 8).contains(image);
        far && (outcome.verdict != Verdict::StillRobust) != is_within_reach(*image)
    });
    Ok(wrong
        .map(|(image, outcome)| format!("image {image}: {:?}", outcome.verdict))
        .or_else(|| lacks(&report, "randomness", |it| matches!(it, Warning::Random { .. })))
        .or_else(|| passes(&report, Rule::Deterministic)))
}

/// Images of a check: enough to tell half of them from all.
const CHECKED: usize = 4 * COUNT;

fn other_pixels(model: &Path, engine: &EngineOptions, interrupted: &AtomicBool) -> Result<Option<String>> {
    let report = run(model, engine, interrupted, Preset::Standard)?;
    if let Some(fault) = lacks(&report, "an accuracy by chance", |it| {
        matches!(it, Warning::NearChance { .. } | Warning::FewImages { .. })
    }) {
        return Ok(Some(fault));
    }
    let names_it = |answer: &RuleAnswer| answer.found.contains("pixels in [-1, 1]");
    if let Some(fault) = passes(&report, Rule::InputScaling) {
        return Ok(Some(fault));
    }
    if !report.diagnosis.iter().any(names_it) {
        return Ok(Some(format!("no rule names the right normalisation: {:?}", report.diagnosis)));
    }
    let threat_model = ThreatModel::new(Norm::Linf, radius(Norm::Linf)).or_kind(ErrorKind::Internal)?;
    let checked = check(&CheckOptions {
        model: ModelInput::open(model)?,
        images: Some(ImageSource::new(source(CHECKED))),
        input: InputSpec::default(),
        threat_model,
        attacks: Preset::Standard.attacks(Norm::Linf),
        feature: None,
        approximate_search: ApproximateSearch::Refuse,
        engine: engine.clone(),
    })?;
    let found = checked.on_images.and_then(|images| images.suspicious_normalisation).map(|other| other.name);
    Ok(match found.as_deref() {
        Some("pixels in [-1, 1]") => None,
        found => Some(format!("the check names {found:?}")),
    })
}

/// The first image that is broken and should not be, or the other way round.
fn wrong_images(report: &Report, is_within_reach: fn(usize) -> bool) -> Option<String> {
    let wrong = report.outcomes.iter().enumerate().find(|(image, outcome)| {
        matches!(outcome.verdict, Verdict::Broken { .. }) != is_within_reach(*image)
    });
    wrong.map(|(image, outcome)| format!("image {image}: {:?}", outcome.verdict))
}

fn weakened(report: &Report) -> Option<String> {
    let weakens = report.warnings.iter().find(|notice| notice.severity == Severity::WeakensVerdict);
    weakens.map(|notice| format!("a warning without a reason: {}", notice.message))
}

/// The first rule that fails.
fn fails(report: &Report) -> Option<String> {
    let failing = report.diagnosis.iter().find(|answer| answer.verdict == RuleVerdict::Fail);
    failing.map(|answer| format!("a rule that fails without a reason: {}: {}", answer.id(), answer.found))
}

/// That a rule neither warns nor fails.
fn passes(report: &Report, rule: Rule) -> Option<String> {
    let answer = report.diagnosis.iter().find(|answer| answer.rule == rule)?;
    let is_odd = matches!(answer.verdict, RuleVerdict::Warn | RuleVerdict::Fail);
    (!is_odd).then(|| format!("the rule {} says: {}: {}", answer.id(), answer.verdict, answer.found))
}

fn lacks(report: &Report, what: &str, is_it: fn(&Warning) -> bool) -> Option<String> {
    let found = report.warnings.iter().any(|notice| is_it(&notice.warning));
    (!found).then(|| {
        let others: Vec<&str> = report.warnings.iter().map(|notice| notice.message.as_str()).collect();
        format!("no warning of {what}; warnings: {others:?}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::EngineChoice;
    use crate::self_test::write;

    /// What is asked of a canary is not met by attacks that find nothing.
    #[test]
    fn a_run_without_attacks_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("canary.onnx");
        write(&model, plain).unwrap();
        let engine = EngineOptions { choice: EngineChoice::Rten, ..EngineOptions::default() };
        let options = CertifyOptions {
            attacks: Vec::new(),
            ..options(&model, &engine, Norm::Linf, Preset::Standard).unwrap()
        };
        let report = certify(&options, &Silent, &AtomicBool::new(false)).unwrap().report;
        assert_eq!(report.counts.clean_correct, COUNT);
        assert_eq!(wrong_images(&report, is_within_reach).as_deref(), Some("image 0: StillRobust"));
        assert!(lacks(&report, "randomness", |it| matches!(it, Warning::Random { .. })).is_some());
    }
}
