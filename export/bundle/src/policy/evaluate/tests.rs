use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::*;
use crate::attack::Preset;
use crate::bundle::BundleCertificate;
use crate::certificate::{AttackRecord, Extent, Processor, WarningRecord};
use crate::digest::FileDigest;
use crate::signature::{KeyId, PublicKey};
use crate::testing::{certificate, processor};
use crate::{Norm, Pixels, ThreatModel};

mod monotone;

const ED25519: &str = include_str!("../../../../../tests/fixtures/signing/ed25519.pub");
const P256: &str = include_str!("../../../../../tests/fixtures/signing/p256.pub");

/// Everything that a policy is held against, owned.
#[derive(Debug, Clone)]
struct World {
    files: Vec<FileDigest>,
    certificates: Vec<BundleCertificate>,
    verified: BTreeSet<KeyId>,
    now: SystemTime,
    processor: Option<Processor>,
}

impl World {
    /// A bundle with one certificate: AutoAttack standard, L∞ 8/255, 500 images, 240 still robust.
    fn new() -> Self {
        let files =
            vec![FileDigest::new("model.onnx", b"graph"), FileDigest::new("model.onnx.data", b"weights")];
        Self {
            certificates: vec![named("certificate.json", standard_certificate(&files))],
            files,
            verified: BTreeSet::from([key(ED25519)]),
            now: humantime::parse_rfc3339("2026-11-30T00:00:00Z").unwrap(),
            processor: Some(processor(&["avx2", "fma"])),
        }
    }

    fn evaluate(&self, policy: &Policy) -> Verdict {
        let evidence = Evidence {
            model_files: self.files.clone(),
            certificates: &self.certificates,
            verified: &self.verified,
            signature_fault: None,
            now: self.now,
            processor: self.processor.as_ref(),
        };
        evaluate(policy, &evidence)
    }
}

fn named(name: &str, certificate: Certificate) -> BundleCertificate {
    BundleCertificate { name: name.into(), certificate }
}

fn key(pem: &str) -> KeyId {
    PublicKey::from_pem(pem).unwrap().id()
}

fn standard_certificate(files: &[FileDigest]) -> Certificate {
    let mut certificate = certificate();
    certificate.model.files = files.to_vec();
    certificate.model.model_digest = crate::digest::digest_model(files);
    certificate.threat_model = ThreatModel::new(Norm::Linf, 8.0 / 255.0).unwrap();
    let record = certificate.attacks[0].clone();
    let attacks = Preset::Standard.attacks(Norm::Linf).into_iter();
    certificate.attacks = attacks
        .map(|parameters| AttackRecord { name: parameters.name().into(), parameters, ..record.clone() })
        .collect();
    set_counts(&mut certificate, 240, 500);
    certificate
}

fn set_counts(certificate: &mut Certificate, robust: usize, images: usize) {
    let counts = &mut certificate.counts;
    (counts.images, counts.clean_correct, counts.still_robust) = (images, images - 50, robust);
    (counts.broken, counts.unfinished) = (images - 50 - robust, 0);
}

fn policy(text: &str) -> Policy {
    Policy::from_toml(text, &mut |name| Err(format!("{name}: no such file"))).expect(text)
}

fn rule(lines: &str) -> Policy {
    policy(&format!("version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"8/255\"\n{lines}"))
}

/// What is found for that requirement, and whether it is met. Everything else is met where `others_met`.
fn found(verdict: &Verdict, name: &str) -> (String, bool) {
    let requirement = verdict.requirements().iter().find(|requirement| requirement.name == name);
    let requirement = requirement.unwrap_or_else(|| panic!("nothing is asked about {name}: {verdict}"));
    (requirement.found.clone(), requirement.met)
}

/// The policy is met, and after the change only that requirement is missed.
fn assert_decides(policy: &Policy, name: &str, expected: &str, change: impl FnOnce(&mut World)) {
    let mut world = World::new();
    let before = world.evaluate(policy);
    assert!(before.is_met(), "{name}: {before}");
    change(&mut world);
    let after = world.evaluate(policy);
    let (text, met) = found(&after, name);
    assert!(!met && text.contains(expected), "{name}: {text}\n{after}");
    let missed = after.requirements().iter().filter(|requirement| !requirement.met).count();
    assert_eq!((missed, after.exit_code()), (1, 10), "{after}");
}

fn only(world: &mut World) -> &mut Certificate {
    &mut world.certificates[0].certificate
}

#[test]
fn each_requirement_decides() {
    let any = rule("");
    assert_decides(&any, "norm", "L2", |w| only(w).threat_model.norm = Norm::L2);
    assert_decides(&any, "min_epsilon", "4/255", |w| only(w).threat_model.epsilon = 4.0 / 255.0);
    assert_decides(&any, "min_epsilon", "NaN", |w| only(w).threat_model.epsilon = f64::NAN);
    assert_decides(&any, "accept_8bit", "8-bit levels", |w| only(w).threat_model.pixels = Pixels::EightBit);
    assert_decides(&any, "model", "another model", |w| w.files[0] = FileDigest::new("model.onnx", b"x"));
    assert_decides(&any, "model", "another model", |w| w.files[1] = FileDigest::new("model.onnx.data", b"x"));
    assert_decides(&any, "model", "another model", |w| drop(w.files.pop()));
    assert_decides(&any, "accept_gate_decided", "stopped when its gate", |w| {
        only(w).extent = Extent::GateDecided;
    });
    let preset = rule("min_preset = \"standard\"");
    assert_decides(&preset, "min_preset", "square is missing", |w| drop(only(w).attacks.pop()));
    assert_decides(&preset, "min_preset", "steps is 99, the preset has 100", |w| {
        only(w).attacks[0].parameters.set("steps", crate::attack::Argument::Count(99));
    });
    let attacks = rule("attacks = [{ attack = \"square\", queries = 5000 }]");
    assert_decides(&attacks, "attacks", "it did not run; apgd-ce, apgd-t, fab-t did", |w| {
        only(w).attacks.pop();
    });
    assert_decides(&attacks, "attacks", "queries is 4999, wanted 5000", |w| {
        only(w).attacks[3].parameters.set("queries", crate::attack::Argument::Count(4999));
    });
    // A name is a claim; what ran is in the parameters.
    assert_decides(&attacks, "attacks", "it did not run", |w| {
        only(w).attacks[3].parameters = crate::AttackSpec::named("noise").unwrap();
    });
    let images = rule("min_images = 500");
    assert_decides(&images, "min_images", "499", |w| only(w).counts.images = 499);
    let clean = rule("min_clean_accuracy = 0.9");
    assert_decides(&clean, "min_clean_accuracy", "89.80 % (449 of 500", |w| {
        only(w).counts.clean_correct = 449;
    });
}

#[test]
fn each_requirement_of_circumstances_decides() {
    let (b, c) = ("b".repeat(64), "c".repeat(64));
    let data = rule(&format!("data = [{{ images_digest = \"{b}\", labels_digest = \"{c}\" }}]"));
    assert_decides(&data, "data", "images ddd", |w| only(w).data.images_digest = "d".repeat(64));
    assert_decides(&data, "data", "with labels ddd", |w| only(w).data.labels_digest = "d".repeat(64));
    let age = rule("max_age = \"30d\"");
    let day = Duration::from_secs(24 * 3600);
    assert_decides(&age, "max_age", "36.2 days", |w| w.now += 30 * day);
    assert_decides(&age, "max_age", "in the future", |w| w.now -= 8 * day);
    assert_decides(&age, "max_age", "no time", |w| only(w).created_at = "yesterday".into());
    let engines = rule("engines = { onnxruntime = \">=1.22, <2\" }");
    for (version, name) in
        [("1.21.9", "onnxruntime"), ("2.0.0", "onnxruntime"), ("1.32.0-dev", "onnxruntime")]
    {
        assert_decides(&engines, "engines", version, |w| {
            only(w).execution.engine_version = version.into();
            only(w).execution.engine = name.into();
        });
    }
    assert_decides(&engines, "engines", "rten 1.32.0", |w| only(w).execution.engine = "rten".into());
    assert_decides(&engines, "engines", "newest", |w| only(w).execution.engine_version = "newest".into());
    let warn = |kind: &str| WarningRecord { kind: kind.into(), message: String::new() };
    for kind in ["gradient_approximation", "gradient_cut", "no_gradient"] {
        assert_decides(&rule(""), "accept_gradient_approximations", kind, |w| {
            only(w).warnings.push(warn(kind));
        });
    }
    for kind in ["silent_units", "of_a_later_program"] {
        let denied = rule("deny_warnings = true");
        assert_decides(&denied, "deny_warnings", kind, |w| only(w).warnings.push(warn(kind)));
    }
    let same = rule("same_processor_features = true");
    assert_decides(&same, "same_processor_features", "avx2, fma", |w| {
        w.processor = Some(processor(&["avx2"]));
    });
    assert_decides(&same, "same_processor_features", "avx2, fma", |w| w.processor = None);
}

#[test]
fn the_bundle_as_a_whole_decides() {
    let digest = crate::digest::digest_model(&World::new().files);
    let pinned = policy(&format!("version = 1\n[model]\ndigest = [\"{digest}\"]"));
    assert_decides(&pinned, "digest", "", |w| w.files[0] = FileDigest::new("model.onnx.data", b"x"));
    let signed = policy(&format!("version = 1\n[signature]\ntrusted = ['''{ED25519}''']"));
    assert_decides(&signed, "trusted", "none", |w| w.verified.clear());
    assert_decides(&signed, "trusted", "none", |w| w.verified = BTreeSet::from([key(P256)]));
    let two =
        format!("version = 1\n[signature]\ntrusted = ['''{ED25519}''', '''{P256}''']\nmin_signatures = 2");
    let (two, mut world) = (policy(&two), World::new());
    assert!(!world.evaluate(&two).is_met());
    world.verified.insert(key(P256));
    assert!(world.evaluate(&two).is_met());
}

#[test]
fn the_attacked_accuracy_decides_by_estimate_or_lower_limit() {
    let estimate = rule("min_preset = \"standard\"\nmin_attacked_accuracy = 0.48");
    assert!(World::new().evaluate(&estimate).is_met());
    let mut world = World::new();
    set_counts(only(&mut world), 239, 500);
    let verdict = world.evaluate(&estimate);
    assert_eq!(found(&verdict, "min_attacked_accuracy"), ("47.80 % (239 of 500 images)".into(), false));
    // Nothing that is missed by little looks as if it were not.
    let more = rule("min_preset = \"standard\"\nmin_attacked_accuracy = 0.48001");
    let verdict = World::new().evaluate(&more);
    let missed = verdict.requirements().iter().find(|requirement| !requirement.met).unwrap();
    assert_eq!((&*missed.wanted, &*missed.found), ("at least 48.001 %", "48.00 % (240 of 500 images)"));
    // The lower end for 240 of 500 is 43.54 %.
    for (least, met) in [("0.4354", true), ("0.4355", false)] {
        let text = format!("min_preset = \"standard\"\nmin_attacked_accuracy = {least}\ngate_on = \"lower\"");
        let verdict = World::new().evaluate(&rule(&text));
        assert_eq!(found(&verdict, "gate_on = \"lower\"").1, met, "{verdict}");
        assert_eq!(verdict.is_met(), met);
    }
    // Images that an evaluation was not done with are not robust, whoever accepts that it stopped.
    let mut world = World::new();
    only(&mut world).extent = Extent::GateDecided;
    (only(&mut world).counts.still_robust, only(&mut world).counts.unfinished) = (200, 40);
    let text = "accept_gate_decided = true\nmin_preset = \"standard\"\nmin_attacked_accuracy = 0.48";
    assert_eq!(found(&world.evaluate(&rule(text)), "min_attacked_accuracy").0, "40.00 % (200 of 500 images)");
}

/// One certificate has the radius, another the images: neither has both.
#[test]
fn no_requirements_are_met_by_several_certificates_together() {
    let policy = rule("min_images = 500");
    let mut world = World::new();
    let mut small = world.certificates[0].certificate.clone();
    small.counts.images = 400;
    only(&mut world).threat_model.epsilon = 4.0 / 255.0;
    world.certificates.push(named("certificates/large.json", small));
    let verdict = world.evaluate(&policy);
    assert!(!verdict.is_met(), "{verdict}");
    world.certificates[1].certificate.counts.images = 500;
    let verdict = world.evaluate(&policy);
    assert!(verdict.is_met(), "{verdict}");
    assert_eq!(verdict.requirements()[0].certificate.as_deref(), Some("certificates/large.json"));
}

/// Of several seeds nobody can keep the best.
#[test]
fn another_certificate_can_refute() {
    let policy = rule("min_preset = \"standard\"\nmin_attacked_accuracy = 0.48");
    let add = |change: &dyn Fn(&mut Certificate)| {
        let mut world = World::new();
        let mut other = world.certificates[0].certificate.clone();
        set_counts(&mut other, 200, 500);
        change(&mut other);
        world.certificates.push(named("certificates/other.json", other));
        world.evaluate(&policy)
    };
    let verdict = add(&|_| ());
    assert_eq!(found(&verdict, "no contradiction"), ("certificates/other.json shows 40.00 %".into(), false));
    assert!(!add(&|other| other.threat_model.epsilon = 4.0 / 255.0).is_met(), "in a smaller ball");
    assert!(!add(&|other| other.threat_model.pixels = Pixels::EightBit).is_met(), "with fewer perturbations");
    assert!(add(&|other| other.threat_model.epsilon = 9.0 / 255.0).is_met(), "outside the ball");
    assert!(add(&|other| other.threat_model.norm = Norm::L2).is_met());
    assert!(add(&|other| other.data.images_digest = "e".repeat(64)).is_met(), "on other images");
    assert!(add(&|other| set_counts(other, 240, 500)).is_met());
}

#[test]
fn without_certificates_nothing_is_shown() {
    let mut world = World::new();
    world.certificates.clear();
    let verdict = world.evaluate(&rule("min_preset = \"standard\"\nmin_attacked_accuracy = 0.0"));
    assert!(verdict.requirements().iter().all(|requirement| !requirement.met));
    assert_eq!(verdict.exit_code(), 10);
    assert_eq!(found(&verdict, "norm").0, "no certificate");
}

#[test]
fn text_and_json_are_views_of_one_verdict() {
    let verdict = World::new().evaluate(&rule("min_images = 501"));
    let text = verdict.to_string();
    assert!(text.starts_with("FAIL  the bundle does not meet the policy: 1 of 7 requirements\n"), "{text}");
    assert!(text.contains("\nevaluation 1 by certificate.json\n"), "{text}");
    assert!(
        text.contains("  NOT MET  min_images                     wanted at least 501; found 500\n"),
        "{text}"
    );
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!((&json["conclusion"], &json["exit_code"]), (&"does_not_hold".into(), &10.into()));
    assert_eq!(json["requirements"].as_array().unwrap().len(), verdict.requirements().len());
    let anything = World::new().evaluate(&policy("version = 1\nallow_anything = true"));
    assert!(anything.is_met() && anything.to_string().starts_with("PASS  the bundle meets the policy"));
    let nothing = World::new().evaluate(&Policy::default());
    assert!(!nothing.is_met(), "a policy that asks for nothing and does not say so");
}
