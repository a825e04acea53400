//! What one certificate shows for one entry of `[[evaluation]]`, requirement by requirement.

use std::time::{Duration, SystemTime};

use super::contradiction::refutation;
use super::document::{AttackRule, EvaluationRule};
use super::evidence::Evidence;
use super::values::{Compared, Fraction};
use crate::attack::weaker;
use crate::certificate::{Certificate, Extent, INFORMATION, Processor};
use crate::digest::digest_model;
use crate::statistics::{clopper_pearson, fraction, percent, percent_in_full};
use crate::{Pixels, ThreatModel};

/// Warnings of a certificate: gradients that are not the derivative of the model.
const APPROXIMATIONS: [&str; 3] = ["gradient_approximation", "gradient_cut", "no_gradient"];

/// By how much the clock of an evaluation may be ahead.
const SKEW: Duration = Duration::from_secs(300);

/// A requirement before it is known which part of the policy and which certificate it is of.
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) wanted: String,
    pub(super) found: String,
    pub(super) met: bool,
}

impl Finding {
    pub(super) fn new(
        name: &'static str,
        wanted: impl Into<String>,
        found: impl Into<String>,
        met: bool,
    ) -> Self {
        Self { name, wanted: wanted.into(), found: found.into(), met }
    }
}

/// Everything that the rule asks for. Without a certificate nothing is found, and nothing met.
pub(super) fn findings(
    rule: &EvaluationRule,
    certificate: Option<&Certificate>,
    evidence: &Evidence<'_>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rows(rule).map(|row| row(rule, certificate, evidence)).collect();
    findings.extend(rule.attacks.iter().map(|attack| required_attack(attack, rule, certificate)));
    findings
}

type Row = fn(&EvaluationRule, Option<&Certificate>, &Evidence<'_>) -> Finding;

/// The rows that the rule asks for.
fn rows(rule: &EvaluationRule) -> impl Iterator<Item = Row> {
    let table: [(bool, Row); 17] = [
        (true, model),
        (true, norm),
        (true, epsilon),
        (!rule.accept_8bit, pixels),
        (rule.min_preset.is_some(), preset),
        (!rule.accept_gate_decided, extent),
        (rule.min_attacked_accuracy.is_some(), attacked_accuracy),
        (rule.gate_on == Compared::Lower, lower_limit),
        (rule.min_attacked_accuracy.is_some(), contradiction),
        (rule.min_clean_accuracy.is_some(), clean_accuracy),
        (rule.min_images.is_some(), images),
        (!rule.data.is_empty(), data),
        (rule.max_age.is_some(), age),
        (!rule.engines.is_empty(), engine),
        (!rule.accept_gradient_approximations, gradients),
        (rule.deny_warnings, warnings),
        (rule.same_processor_features, processor),
    ];
    table.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, row)| row)
}

/// A finding about a certificate, or one that is not met where there is none.
fn about(
    name: &'static str,
    wanted: impl Into<String>,
    certificate: Option<&Certificate>,
    look: impl FnOnce(&Certificate) -> (String, bool),
) -> Finding {
    let (found, met) = certificate.map_or_else(|| ("no certificate".into(), false), look);
    Finding::new(name, wanted, found, met)
}

fn model(_: &EvaluationRule, certificate: Option<&Certificate>, evidence: &Evidence<'_>) -> Finding {
    about("model", "the files of this bundle", certificate, |certificate| {
        let met = digest_model(&certificate.model.files) == evidence.model_digest();
        let word = if met { "" } else { "another model, " };
        (format!("{word}digest {}", certificate.model.model_digest), met)
    })
}

fn norm(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    about("norm", rule.norm.to_string(), certificate, |certificate| {
        let norm = certificate.threat_model.norm;
        (norm.to_string(), norm == rule.norm)
    })
}

fn epsilon(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let least = rule.min_epsilon.value();
    let shown = |epsilon: f64| {
        let ball = ThreatModel { norm: rule.norm, epsilon, pixels: Pixels::Continuous }.to_string();
        ball.split_once("epsilon ").map(|(_, radius)| radius.to_owned()).unwrap_or(ball)
    };
    about("min_epsilon", format!("at least {}", shown(least)), certificate, |certificate| {
        let epsilon = certificate.threat_model.epsilon;
        (shown(epsilon), epsilon.is_finite() && epsilon >= least)
    })
}

fn pixels(_: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    about("accept_8bit", "any pixel values", certificate, |certificate| {
        match certificate.threat_model.pixels {
            Pixels::Continuous => ("any pixel values".into(), true),
            Pixels::EightBit => ("8-bit levels only".into(), false),
        }
    })
}

fn names(certificate: &Certificate) -> String {
    let names: Vec<_> = certificate.attacks.iter().map(|record| record.parameters.name()).collect();
    if names.is_empty() { "no attack".into() } else { names.join(", ") }
}

fn preset(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let preset = rule.min_preset.map(|name| name.0);
    let wanted =
        preset.map_or_else(String::new, |preset| format!("at least the attacks of `{}`", preset.name()));
    about("min_preset", wanted, certificate, |certificate| {
        let missing = preset.and_then(|preset| preset.missing_of(&certificate.attack_specs(), rule.norm));
        let met = missing.is_none();
        (missing.unwrap_or_else(|| names(certificate)), met)
    })
}

fn required_attack(attack: &AttackRule, rule: &EvaluationRule, certificate: Option<&Certificate>) -> Finding {
    let wanted = attack.wanted(rule.norm);
    let shown = attack.parameters.iter().map(|(name, value)| match value {
        super::values::Number::Count(count) => format!(", {name} at least {count}"),
        super::values::Number::Real(number) => format!(", {name} {number}"),
    });
    let shown = attack.attack.clone() + &shown.collect::<String>();
    about("attacks", shown, certificate, |certificate| {
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(message) => return (message, false),
        };
        let same = certificate.attack_specs().into_iter().filter(|found| found.name() == wanted.name());
        let weaknesses: Vec<_> = same.map(|found| weaker(&found, &wanted, "wanted")).collect();
        match weaknesses.iter().find(|weakness| weakness.is_none()) {
            Some(_) => (format!("it ran, among {}", names(certificate)), true),
            None => {
                let weakness = weaknesses.into_iter().flatten().next();
                (weakness.unwrap_or_else(|| format!("it did not run; {} did", names(certificate))), false)
            }
        }
    })
}

fn extent(_: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    about("accept_gate_decided", "a complete evaluation", certificate, |certificate| {
        let unfinished = certificate.counts.unfinished;
        match certificate.extent {
            Extent::Complete if unfinished == 0 => ("complete".into(), true),
            Extent::Complete => (format!("{unfinished} images unfinished"), false),
            Extent::GateDecided => {
                (format!("stopped when its gate was decided, {unfinished} images unfinished"), false)
            }
        }
    })
}

/// `48.00 % (240 of 500 images)`, rounded down, so that nothing below a requirement looks like it.
fn shown(count: usize, images: usize) -> String {
    format!("{} ({count} of {images} images)", percent(fraction(count, images)))
}

fn least(fraction: Option<Fraction>) -> (f64, String) {
    // None is never asked for; whoever asked would not be satisfied.
    let least = fraction.map_or(f64::INFINITY, Fraction::value);
    (least, format!("at least {}", percent_in_full(least)))
}

/// Images count that every attack was done with and none broke.
fn attacked_accuracy(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let (least, wanted) = least(rule.min_attacked_accuracy);
    about("min_attacked_accuracy", wanted, certificate, |certificate| {
        let (robust, images) = (certificate.counts.still_robust, certificate.counts.images);
        (shown(robust, images), fraction(robust, images) >= least)
    })
}

fn lower_limit(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let (least, wanted) = least(rule.min_attacked_accuracy);
    let wanted = format!("lower end of the 95 % interval {wanted}");
    about("gate_on = \"lower\"", wanted, certificate, |certificate| {
        let (robust, images) = (certificate.counts.still_robust, certificate.counts.images);
        let lower = clopper_pearson(robust, images).lower;
        (format!("{} for {robust} of {images} images", percent(lower)), lower >= least)
    })
}

fn contradiction(
    rule: &EvaluationRule,
    certificate: Option<&Certificate>,
    evidence: &Evidence<'_>,
) -> Finding {
    let wanted = "no other certificate within this threat model shows less on these images";
    about("no contradiction", wanted, certificate, |certificate| {
        match refutation(rule, certificate, evidence.certificates) {
            None => ("none".into(), true),
            Some((name, left)) => (format!("{name} shows {}", percent(left)), false),
        }
    })
}

fn clean_accuracy(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let (least, wanted) = least(rule.min_clean_accuracy);
    about("min_clean_accuracy", wanted, certificate, |certificate| {
        let (correct, images) = (certificate.counts.clean_correct, certificate.counts.images);
        (shown(correct, images), fraction(correct, images) >= least)
    })
}

fn images(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let least = rule.min_images.unwrap_or_default();
    about("min_images", format!("at least {least}"), certificate, |certificate| {
        let images = certificate.counts.images;
        (images.to_string(), images >= least)
    })
}

fn data(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let pair = |images: &str, labels: &str| format!("images {images} with labels {labels}");
    let wanted: Vec<_> =
        rule.data.iter().map(|data| pair(data.images_digest.as_str(), data.labels_digest.as_str())).collect();
    about("data", wanted.join(", or "), certificate, |certificate| {
        let found = pair(&certificate.data.images_digest, &certificate.data.labels_digest);
        let met = wanted.contains(&found);
        (found, met)
    })
}

/// A certificate of the future has no age. Clocks may differ by [`SKEW`].
fn age(rule: &EvaluationRule, certificate: Option<&Certificate>, evidence: &Evidence<'_>) -> Finding {
    let most = rule.max_age.map(super::values::Age::duration).unwrap_or_default();
    let wanted = format!("at most {}", shown_age(most));
    about("max_age", wanted, certificate, |certificate| {
        let created_at = &certificate.created_at;
        let Some(age) = age_of(created_at, evidence.now) else {
            return (format!("made at {created_at}, which is in the future or no time"), false);
        };
        (format!("{}, made at {created_at}", shown_age(age)), age <= most)
    })
}

/// In days, or shorter in the words of clocks. Rounded up, so that nothing too old looks as if it were not.
fn shown_age(age: Duration) -> String {
    match age.as_secs() {
        seconds if seconds < 86_400 => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
        seconds => format!("{:.1} days", (seconds as f64 / 8640.0).ceil() / 10.0),
    }
}

fn age_of(created_at: &str, now: SystemTime) -> Option<Duration> {
    let made = humantime::parse_rfc3339(created_at).ok()?;
    match now.duration_since(made) {
        Ok(age) => Some(age),
        Err(ahead) => (ahead.duration() <= SKEW).then_some(Duration::ZERO),
    }
}

fn engine(rule: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let wanted: Vec<_> = rule.engines.iter().map(|(name, versions)| format!("{name} {versions}")).collect();
    about("engines", wanted.join(", or "), certificate, |certificate| {
        let execution = &certificate.execution;
        let versions = rule.engines.get(&execution.engine);
        let met = versions.is_some_and(|versions| versions.contain(&execution.engine_version));
        (format!("{} {}", execution.engine, execution.engine_version), met)
    })
}

fn kinds(certificate: &Certificate, is_wanted: impl Fn(&str) -> bool) -> (String, bool) {
    let kinds = certificate.warnings.iter().map(|warning| warning.kind.as_str());
    let kinds: Vec<_> = kinds.filter(|kind| is_wanted(kind)).collect();
    if kinds.is_empty() { ("none".into(), true) } else { (kinds.join(", "), false) }
}

fn gradients(_: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    let wanted = "no gradient that was approximated or cut";
    about("accept_gradient_approximations", wanted, certificate, |certificate| {
        kinds(certificate, |kind| APPROXIMATIONS.contains(&kind))
    })
}

/// A warning that this program does not know may weaken the numbers.
fn warnings(_: &EvaluationRule, certificate: Option<&Certificate>, _: &Evidence<'_>) -> Finding {
    about("deny_warnings", "no warning that weakens the numbers", certificate, |certificate| {
        kinds(certificate, |kind| !INFORMATION.contains(&kind) && !APPROXIMATIONS.contains(&kind))
    })
}

fn processor(_: &EvaluationRule, certificate: Option<&Certificate>, evidence: &Evidence<'_>) -> Finding {
    let listed = |features: &[String]| match features.is_empty() {
        true => "no special instruction sets".to_owned(),
        false => features.join(", "),
    };
    let here = evidence.processor;
    let wanted = here.map_or_else(
        || "those of the processor that the bundle is for, which is not known".into(),
        |here| listed(&here.features),
    );
    about("same_processor_features", wanted, certificate, |certificate| {
        let there: &Processor = &certificate.execution.processor;
        let met = here.is_some_and(|here| there.differing_features(here).is_empty());
        (listed(&there.features), met)
    })
}
