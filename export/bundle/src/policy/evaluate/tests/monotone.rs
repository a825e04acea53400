//! A stricter policy is met by nothing that fails a laxer one, and nothing makes the evaluation panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::super::{AttackRule, Compared, DataRule, Fraction, Number, PresetName, Radius, Versions};
use super::*;

/// Two values, the laxer first.
fn ordered<T: PartialOrd + Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = (T, T)> {
    (values.clone(), values).prop_map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
}

/// A requirement that may be missing, the laxer first.
fn optional<T: PartialOrd + Clone + std::fmt::Debug + 'static>(
    values: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = (Option<T>, Option<T>)> {
    (ordered(values), 0..3).prop_map(|((lax, strict), there)| {
        (Some(lax).filter(|_| there > 1), Some(strict).filter(|_| there > 0))
    })
}

/// Whether something is accepted, the laxer first.
fn accepted() -> impl Strategy<Value = (bool, bool)> {
    (any::<bool>(), any::<bool>()).prop_map(|(a, b)| (a || b, a && b))
}

/// What is allowed, the laxer first; nothing in the list allows everything.
fn allowed<T: Clone + std::fmt::Debug + 'static>(all: Vec<T>) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    let size = all.len();
    subsequence(all, 1..=size)
        .prop_flat_map(|lax| {
            let size = lax.len();
            (Just(lax.clone()), subsequence(lax, 1..=size), 0..3)
        })
        .prop_map(|(lax, strict, there)| match there {
            0 => (Vec::new(), Vec::new()),
            1 => (Vec::new(), strict),
            _ => (lax, strict),
        })
}

fn data() -> Vec<DataRule> {
    let digest = |letter: &str| letter.repeat(64).try_into().unwrap();
    let rule = |images, labels| DataRule { images_digest: digest(images), labels_digest: digest(labels) };
    vec![rule("b", "c"), rule("d", "c"), rule("b", "d")]
}

fn attack_rules() -> impl Strategy<Value = (Vec<AttackRule>, Vec<AttackRule>)> {
    let rule = |attack: &str, name: &str, count| AttackRule {
        attack: attack.into(),
        parameters: BTreeMap::from([(name.to_owned(), Number::Count(count))]),
    };
    (ordered(select(vec![1_usize, 50, 100, 200])), 0..3, any::<bool>()).prop_map(
        move |((lax, strict), there, square)| {
            let more = square.then(|| rule("square", "queries", 5000));
            let lax = (there > 1).then(|| rule("apgd-ce", "steps", lax));
            let strict = (there > 0).then(|| rule("apgd-ce", "steps", strict));
            (lax.into_iter().collect(), strict.into_iter().chain(more).collect())
        },
    )
}

/// One of a laxer and a stricter value.
fn side<T: Clone>((lax, strict): &(T, T), is_strict: bool) -> T {
    if is_strict { strict.clone() } else { lax.clone() }
}

prop_compose! {
    /// An entry of `[[evaluation]]` and a stricter one.
    fn rules()(
        norm in select(vec![Norm::Linf, Norm::L2]),
        epsilon in ordered(select(vec![2.0, 4.0, 8.0, 9.0])),
        bits in accepted(),
        preset in optional(select(vec![0_u8])),
        attacks in attack_rules(),
        accuracy in optional(select(vec![0.0, 0.2, 0.48, 0.5, 1.0])),
        gate_on in ordered(select(vec![Compared::Estimate, Compared::Lower])),
        clean in optional(select(vec![0.0, 0.5, 0.9, 1.0])),
        images in optional(select(vec![1_usize, 400, 500, 501])),
        data in allowed(data()),
    )(
        // The longer, the laxer.
        days in optional(select(vec![-1000_i64, -30, -7, -1])),
        engines in allowed(vec![("onnxruntime", "*"), ("onnxruntime", ">=1.22"), ("rten", "*")]),
        approximations in accepted(),
        decided in accepted(),
        warnings in accepted(),
        processors in accepted(),
        values in Just((norm, epsilon, bits, preset, attacks, accuracy, gate_on, clean, images, data)),
    ) -> [EvaluationRule; 2] {
        let (norm, epsilon, bits, preset, attacks, accuracy, gate_on, clean, images, data) = values;
        [false, true].map(|strict| EvaluationRule {
            norm,
            min_epsilon: Radius::new(side(&epsilon, strict) / 255.0).unwrap(),
            accept_8bit: side(&bits, strict),
            min_preset: side(&preset, strict).map(|_| PresetName(Preset::Standard)),
            attacks: side(&attacks, strict),
            min_attacked_accuracy: side(&accuracy, strict).and_then(Fraction::new),
            gate_on: side(&gate_on, strict),
            min_clean_accuracy: side(&clean, strict).and_then(Fraction::new),
            min_images: side(&images, strict),
            data: side(&data, strict),
            max_age: side(&days, strict).map(|days| format!("{}d", -days).try_into().unwrap()),
            engines: versions(&engines, strict),
            accept_gradient_approximations: side(&approximations, strict),
            accept_gate_decided: side(&decided, strict),
            deny_warnings: !side(&warnings, strict),
            same_processor_features: !side(&processors, strict),
        })
    }
}

type NamedVersions = Vec<(&'static str, &'static str)>;

/// Of several versions of one engine the narrowest, and for the laxer side the widest.
fn versions(lists: &(NamedVersions, NamedVersions), strict: bool) -> BTreeMap<String, Versions> {
    let mut list = side(lists, strict);
    list.sort_by_key(|(_, versions)| if strict { versions.len() } else { usize::MAX - versions.len() });
    list.into_iter().map(|(name, versions)| (name.into(), versions.to_owned().try_into().unwrap())).collect()
}

const TIMES: [&str; 5] = ["2026-11-23T21:30:00Z", "2020-01-01T00:00:00Z", "2027-01-01T00:00:00Z", "", "9999"];

prop_compose! {
    fn certificates()(
        norm in select(vec![Norm::Linf, Norm::Linf, Norm::L2]),
        epsilon in select(vec![2.0, 4.0, 8.0, 16.0, f64::NAN, f64::INFINITY, 0.0]),
        pixels in select(vec![Pixels::Continuous, Pixels::EightBit]),
        count in 0..=4_usize,
        steps in select(vec![1_usize, 50, 100, 300]),
        robust in select(vec![0_usize, 200, 240, 300, 1 << 40]),
        images in select(vec![0_usize, 400, 500, 1 << 50]),
        unfinished in select(vec![0_usize, 10]),
        data in select(data()),
        created_at in select(TIMES.to_vec()),
    )(
        engine in select(vec!["onnxruntime", "rten", ""]),
        version in select(vec!["1.32.0", "1.21.0", "1.32.0-dev", "x"]),
        extent in select(vec![Extent::Complete, Extent::GateDecided]),
        warning in select(vec!["rebatched", "gradient_cut", "silent_units", "new"]),
        features in select(vec![&["avx2", "fma"][..], &[]]),
        values in Just((norm, epsilon, pixels, count, steps, robust, images, unfinished, data, created_at)),
    ) -> Certificate {
        let (norm, epsilon, pixels, count, steps, robust, images, unfinished, data, created_at) = values;
        let mut certificate = standard_certificate(&World::new().files);
        certificate.threat_model = ThreatModel { norm, epsilon: epsilon / 255.0, pixels };
        certificate.attacks.truncate(count);
        if let Some(first) = certificate.attacks.first_mut() {
            first.parameters.set("steps", crate::attack::Argument::Count(steps));
        }
        (certificate.counts.still_robust, certificate.counts.images) = (robust, images);
        (certificate.counts.unfinished, certificate.counts.clean_correct) = (unfinished, robust.max(450));
        certificate.data.images_digest = data.images_digest.as_str().into();
        certificate.data.labels_digest = data.labels_digest.as_str().into();
        certificate.created_at = created_at.into();
        (certificate.execution.engine, certificate.execution.engine_version) = (engine.into(), version.into());
        certificate.extent = extent;
        certificate.warnings = vec![WarningRecord { kind: warning.into(), message: String::new() }];
        certificate.execution.processor = processor(features);
        certificate
    }
}

fn signatures() -> impl Strategy<Value = (Option<SignatureRule>, Option<SignatureRule>)> {
    let keys: Vec<TrustedKey> = [ED25519, P256].map(|pem| pem.to_owned().try_into().unwrap()).into();
    (allowed(keys), ordered(0..3_usize)).prop_map(|((lax, strict), (fewer, more))| {
        let rule = |trusted: Vec<_>, least| {
            Some(SignatureRule { trusted, min_signatures: Some(least) })
                .filter(|rule| !rule.trusted.is_empty())
        };
        (rule(lax, fewer.max(1)), rule(strict, more.max(1)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn a_stricter_policy_is_met_by_nothing_that_fails_a_laxer_one(
        rules in proptest::collection::vec(rules(), 1..3),
        certificates in proptest::collection::vec(certificates(), 0..4),
        signature in signatures(),
        verified in subsequence(vec![ED25519, P256], 0..=2),
    ) {
        let names = ["certificate.json", "certificates/a.json", "certificates/b.json", "certificates/c.json"];
        let world = World {
            certificates: names.into_iter().zip(certificates).map(|(name, one)| named(name, one)).collect(),
            verified: verified.into_iter().map(key).collect(),
            ..World::new()
        };
        let (lax, strict): (Vec<_>, Vec<_>) = rules.into_iter().map(<(_, _)>::from).unzip();
        // Of two entries the laxer policy has one.
        let lax = Policy { version: 1, signature: signature.0, evaluation: lax[..1].to_vec(), ..Policy::default() };
        let strict = Policy { version: 1, signature: signature.1, evaluation: strict, ..Policy::default() };
        let (lax, strict) = (world.evaluate(&lax), world.evaluate(&strict));
        prop_assert!(lax.is_met() || !strict.is_met(), "lax:\n{lax}\nstrict:\n{strict}");
        prop_assert_eq!(lax.is_met(), lax.exit_code() == 0);
    }

    /// Numbers that no certificate of a file holds: NaN and infinite radii, no images, counts that do not add up.
    #[test]
    fn no_radius_that_is_no_number_passes(certificate in certificates()) {
        let epsilon = certificate.threat_model.epsilon;
        let world = World { certificates: vec![named("certificate.json", certificate)], ..World::new() };
        let verdict = world.evaluate(&rule("accept_8bit = true\naccept_gate_decided = true"));
        prop_assert!(epsilon.is_finite() || !verdict.is_met());
    }
}
