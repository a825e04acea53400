use super::*;
use crate::attack::{Argument, Preset};
use crate::testing::{certificate, processor};
use crate::{AttackSpec, Norm, PixelType};

#[test]
fn processors_differ_by_what_only_one_of_them_has() {
    let (old, new) = (processor(&["avx2", "fma"]), processor(&["avx2", "avx512vnni", "avxvnni"]));
    assert_eq!(old.differing_features(&new), ["avx512vnni", "avxvnni", "fma"]);
    assert_eq!(new.differing_features(&old), old.differing_features(&new));
    assert!(old.differing_features(&old).is_empty());
    assert!(old.may_saturate() && !new.may_saturate() && !processor(&["dotprod"]).may_saturate());
}

#[test]
fn round_trips_through_json() {
    let text = serde_json::to_string_pretty(&certificate()).unwrap();
    assert_eq!(Certificate::from_json(&text).unwrap(), certificate());
}

#[test]
fn refuses_what_it_does_not_know() {
    let json = serde_json::to_value(certificate()).unwrap();
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change, &str); 8] = [
        ("a field too many", |json| json["proof"] = true.into(), "unknown field `proof`"),
        ("a nested field too many", |json| json["data"]["x"] = 1.into(), "unknown field `x`"),
        (
            "a parameter too many",
            |json| json["attacks"][0]["parameters"]["x"] = 1.into(),
            "unknown field `x`",
        ),
        (
            "a missing field",
            |json| drop(json.as_object_mut().unwrap().remove("seed")),
            "missing field `seed`",
        ),
        ("an unknown attack", |json| json["attacks"][0]["parameters"]["attack"] = "magic".into(), "`magic`"),
        ("a later version", |json| json["schema_version"] = 5.into(), "schema version 5"),
        (
            "an earlier version",
            |json| json["schema_version"] = 3.into(),
            "does not bind the certificate to one",
        ),
        ("no version", |json| json["schema_version"] = 0.into(), "schema version 0, this program reads"),
    ];
    for (name, change, expected) in cases {
        let mut changed = json.clone();
        change(&mut changed);
        let error = Certificate::from_json(&changed.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refuses_fields_that_cannot_all_be_true() {
    type Change = fn(&mut Certificate);
    let cases: [(Change, &str); 47] = [
        (|c| c.counts.images = 0, "no images"),
        (|c| c.counts.images = 7, "of 8 correct of 7 images"),
        (|c| c.counts.broken = 4, "4 broken, 5 still robust"),
        (|c| c.counts.broken = usize::MAX, "of 8 correct"),
        (|c| c.attacks[0].attacked = 9, "attacked 9"),
        (|c| c.attacks.clear(), "left 8 images"),
        (|c| (c.counts.still_robust, c.counts.unfinished) = (4, 1), "1 images are unfinished in a complete"),
        (|c| c.counts.non_finite = 11, "11 not finite"),
        (|c| c.counts.unfinished = usize::MAX, "unfinished"),
        (|c| c.attacks[0].non_finite = 1, "found 1 not finite"),
        (|c| c.attacks[0].unfinished = 6, "left 5 of 8"),
        (|c| c.model.model_digest = "A".repeat(64), "not a SHA-256"),
        (|c| c.counterexamples.as_mut().unwrap().digest.clear(), "not a SHA-256"),
        (|c| c.model.files[1].sha256 = "A".repeat(64), "not a SHA-256"),
        (|c| c.settings.files[0].sha256 = "e".repeat(63), "not a SHA-256"),
        (|c| c.execution.library.as_mut().unwrap().sha256.clear(), "not a SHA-256"),
        (|c| drop(c.data.image_files.as_mut().unwrap().pop()), "9 files of 10 images"),
        (|c| c.gate.exit_code = 10, "`holds`, and its exit code 10"),
        (|c| c.gate.min_attacked_accuracy = Some(0.6), "0.5 of the images are robust and 0.6 is required"),
        (|c| c.gate.conclusion = "no_requirement".into(), "0.4 is required"),
        (|c| c.gate.conclusion = "open".into(), "no conclusion `open`"),
        (|c| c.model.files.clear(), "has no files"),
        (|c| c.model.files[1].bytes += 1, "but the files of the model give"),
        (|c| c.model.files[1].name = "other.bin".into(), "but the files of the model give"),
        (|c| c.model.files.push(c.model.files[1].clone()), "`weights.bin` is listed twice"),
        (|c| c.threat_model.epsilon = 8.0, "radius of 8"),
        (|c| c.threat_model.epsilon = 0.0, "radius of 0"),
        (|c| c.execution.batch = usize::MAX, "batch is"),
        (|c| c.execution.threads = 0, "threads is 0"),
        (|c| c.cross_check.as_mut().unwrap().confirmed = 3, "3 confirmed and 1 disagreements of 3"),
        (|c| c.cross_check.as_mut().unwrap().attacks[0].counterexamples = 4, "of 3 counterexamples"),
        (|c| c.cross_check.as_mut().unwrap().attacks[0].confirmed = usize::MAX, "2 confirmed"),
        (|c| set(c, "epsilon", "9/255".into()), "effective.epsilon is \"9/255\", but the run had"),
        (|c| set(c, "norm", "l1".into()), "effective.norm is \"l1\", but the run had linf"),
        (|c| set(c, "seed", 77.into()), "effective.seed is 77, but the run had"),
        (|c| set(c, "min-attacked-accuracy", 0.1.into()), "effective.min-attacked-accuracy is 0.1, but"),
        (|c| set(c, "pixels", "8bit".into()), "effective.pixels is \"8bit\", but the run had continuous"),
        (|c| set(c, "layout", "flat".into()), "effective.layout is \"flat\", but"),
        (|c| set(c, "channels", "bgr".into()), "effective.channels is \"bgr\", but"),
        (|c| set(c, "output", "other".into()), "effective.output is \"other\", but"),
        (|c| set(c, "input-shape", vec![1, 2, 3].into()), "effective.input-shape is [1,2,3], but"),
        (|c| set(c, "precision", "mixed".into()), "effective.precision is \"mixed\", but"),
        (|c| set(c, "split", "train".into()), "effective.split is \"train\", but"),
        (|c| set(c, "attacks", vec!["fgsm"].into()), "effective.attacks is [\"fgsm\"], but the run had"),
        (|c| set(c, "attacks", vec!["standard"].into()), "effective.attacks is [\"standard\"], but"),
        (|c| set(c, "attacks", "apgd-ce".into()), "effective.attacks is \"apgd-ce\", but"),
        (
            |c| {
                let names: Vec<_> = c.attacks.iter().map(|attack| attack.name.clone()).collect();
                set(c, "attacks", names.into());
                set(c, "steps", 7.into());
            },
            "effective.steps is 7, but the run had",
        ),
    ];
    for (change, expected) in cases {
        let mut changed = certificate();
        change(&mut changed);
        let error = changed.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    certificate().check().unwrap();
}

/// A setting of the run, by the name of its flag.
fn set(certificate: &mut Certificate, flag: &str, value: serde_json::Value) {
    certificate.settings.effective.insert(flag.to_owned(), value);
}

#[test]
fn settings_that_say_what_the_fields_say_are_accepted_in_every_spelling() {
    let mut certificate = certificate();
    certificate.threat_model.epsilon = 8.0 / 255.0;
    for spelling in ["8/255", " 8 / 255 ", "0.03137254901960784"] {
        set(&mut certificate, "epsilon", spelling.into());
        certificate.check().unwrap();
    }
    set(&mut certificate, "norm", "linf".into());
    certificate.check().unwrap();
}

/// The standard attacks in order, each of which breaks one image, and then another attack.
fn standard_and_more() -> Certificate {
    let mut certificate = certificate();
    let more = AttackSpec::named("pgd").unwrap();
    let specs = Preset::Standard.attacks(Norm::Linf).into_iter().chain([more]);
    let first = certificate.attacks[0].clone();
    let record = |(index, spec): (usize, AttackSpec)| AttackRecord {
        name: spec.name().into(),
        attacked: 8 - index.min(3),
        broken: usize::from(index < 3),
        still_robust: 8 - (index + 1).min(3),
        backwards: 0,
        parameters: spec,
        ..first.clone()
    };
    certificate.attacks = specs.enumerate().map(record).collect();
    (certificate.preset, certificate.standard_still_robust) = (Some("standard".into()), Some(5));
    certificate.cross_check = None;
    certificate
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refuses_fields_that_say_something_else_than_those_they_follow_from() {
    type Change = fn(&mut Certificate);
    let cases: [(Change, &str); 34] = [
        (|c| c.accepted_differences = vec![accepted(0.5, 3)], "has 1 entries, and there is no warning"),
        (|c| c.warnings.push(approximate()), "has 0 entries, and there is a warning `approximate_search`"),
        (
            |c| c.accepted_differences = vec![accepted(0.001, 3)],
            "a difference of 0.001 in 3 of 8 comparisons",
        ),
        (|c| c.accepted_differences = vec![accepted(0.5, 9)], "in 9 of 8 comparisons of `forward`"),
        (|c| c.statement = "This model is robust.".into(), "statement is not what certificates mean"),
        (|c| c.created_at = "yesterday".into(), "created_at is `yesterday`, wanted a time such as"),
        (|c| c.created_at = "2026-13-01T00:00:00Z".into(), "created_at is `2026-13-01T00:00:00Z`"),
        (|c| c.created_at = "2026-11-30".into(), "created_at is `2026-11-30`"),
        (|c| c.preset = None, "preset is none, but the attacks are those of `standard`"),
        (|c| c.preset = Some("plus".into()), "preset is `plus`, but the attacks are those of `standard`"),
        (
            |c| assert!(c.attacks[0].parameters.set("steps", Argument::Count(50))),
            "preset is `standard`, but the attacks are those of none",
        ),
        (|c| c.threat_model.norm = Norm::L1, "preset is `standard`, but the attacks are those of none"),
        (|c| c.attacks[4].name = "apgd-t".into(), "called `apgd-t`, but its parameters are those of pgd"),
        (|c| assert!(c.attacks[4].parameters.set("steps", Argument::Count(0))), "pgd: steps is 0"),
        (|c| c.attacks[3].backwards = 1, "square asks for no gradient, but took 1"),
        (|c| c.standard_still_robust = None, "standard_still_robust is none"),
        (|c| c.standard_still_robust = Some(6), "standard_still_robust is 6"),
        (|c| c.standard_still_robust = Some(4), "with others after them, left 5"),
        (|c| drop(c.attacks.pop()), "standard_still_robust is 5"),
        (|c| c.attacks[4].unfinished = 1, "pgd was not done with 1 images of a complete evaluation"),
        (|c| c.data.first = Some(9), "10 images of the first 9"),
        (
            |c| c.data.sample = Some(SampleRecord { count: 9, seed: 0, method: "by chance".into() }),
            "10 images of a sample of 9",
        ),
        (|c| c.model.pixel_type = PixelType::Uint8, "the model takes levels"),
        (|c| c.cross_check = checked("onnxruntime", "pgd", 0), "onnxruntime was checked against itself"),
        (|c| c.cross_check = checked("rten", "fgsm", 0), "3 counterexamples of fgsm were checked"),
        (|c| c.cross_check = checked("rten", "apgd-ce", 0), "3 counterexamples of apgd-ce were checked"),
        (|c| c.counterexamples.as_mut().unwrap().file = "../x.npz".into(), "`../x.npz` is not the name"),
        (|c| c.counterexamples.as_mut().unwrap().file.clear(), "`` is not the name of a file"),
        (|c| c.gate.sentence = "DONE  attacked accuracy 50.00 %".into(), "does not begin with PASS"),
        (|c| c.gate.sentence.clear(), "does not begin with PASS"),
        (
            |c| c.gate.sentence = "PASS  attacked accuracy 90.00 % is not below the required 40.00 %".into(),
            "another attacked accuracy than 50.00 %",
        ),
        (
            |c| c.gate.sentence = "PASS  attacked accuracy 50.00 % is not below the required 45.00 %".into(),
            "another required than 40.00 %",
        ),
        (|c| c.gate.sentence = "PASS  clean accuracy 99.00 %".into(), "another clean accuracy than 80.00 %"),
        (|c| c.gate.sentence = "PASS  attacked accuracy 5".into(), "another attacked accuracy"),
    ];
    for (change, expected) in cases {
        let mut changed = standard_and_more();
        change(&mut changed);
        let error = changed.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    standard_and_more().check().unwrap();
    let mut foreign = certificate();
    foreign.cross_check.as_mut().unwrap().disagreements[0].image = 10;
    let error = foreign.check().unwrap_err().to_string();
    assert!(error.contains("image 10 has a counterexample that no attack found"), "{error}");
}

/// A difference of the forward graph in `differing` of 8 comparisons, of which 0.001 is explained.
fn accepted(difference: f64, differing: usize) -> AcceptedDifference {
    let quantity = ComparedQuantity::Scores;
    AcceptedDifference {
        graph: "forward".into(),
        quantity,
        difference,
        explained: 0.001,
        differing,
        compared: 8,
    }
}

fn approximate() -> WarningRecord {
    WarningRecord { kind: APPROXIMATE_SEARCH.into(), message: "not the function of the file".into() }
}

#[test]
fn accepted_differences_are_read_back_and_absent_where_there_are_none() {
    let text = serde_json::to_string(&certificate()).unwrap();
    assert!(!text.contains("accepted_differences"), "{text}");
    let mut differing = certificate();
    differing.accepted_differences = vec![accepted(0.5, 8)];
    differing.warnings.push(approximate());
    let text = serde_json::to_string(&differing).unwrap();
    assert_eq!(Certificate::from_json(&text).unwrap(), differing);
}

/// Three counterexamples of one attack before that engine.
fn checked(engine: &str, attack: &str, confirmed: usize) -> Option<CrossCheck> {
    let disagreement = |image| Disagreement { image, attack: attack.into(), prediction: None };
    Some(CrossCheck {
        engine: engine.into(),
        engine_version: "1".into(),
        counterexamples: 3,
        confirmed,
        attacks: vec![CrossCheckedAttack { name: attack.into(), counterexamples: 3, confirmed }],
        disagreements: (0..3 - confirmed).map(disagreement).collect(),
    })
}

#[test]
fn what_was_not_done_and_what_was_not_finite_add_up() {
    let mut stopped = certificate();
    stopped.extent = Extent::GateDecided;
    (stopped.counts.still_robust, stopped.counts.unfinished) = (0, 5);
    (stopped.gate.conclusion, stopped.gate.exit_code) = ("does_not_hold".into(), 10);
    stopped.gate.sentence = "FAIL  attacked accuracy at most 50.00 % is below the required 40.00 %".into();
    stopped.attacks[0].unfinished = 5;
    stopped.check().unwrap();
    assert_eq!(stopped.counts.not_broken(), 5);

    // One clean image was not finite; one lost its logits to an attack; one its gradient, which the attack leaves.
    let mut spoilt = certificate();
    spoilt.cross_check = None;
    spoilt.counts = Counts { broken: 2, still_robust: 4, non_finite: 3, ..spoilt.counts };
    spoilt.attacks[0].broken = 2;
    spoilt.attacks[0].non_finite = 1;
    spoilt.gate.sentence = "PASS  attacked accuracy 40.00 % is not below the required 40.00 %".into();
    spoilt.check().unwrap();
}

/// Consumers validate against the committed schema: it changes only together with `CERTIFICATE_VERSION`, or by
/// documentation. `MIMIR_BLESS=1 cargo test` rewrites the file.
#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/certificate.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Certificate)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        schema,
        "docs/certificate.schema.json: run with MIMIR_BLESS=1"
    );
}

#[test]
fn preprocessing_is_read_aloud() {
    let interpolation = Interpolation::Bicubic;
    let cases = [
        (
            Some(Resize::ShorterSide(256)),
            Some([224, 224]),
            "resized to 256 (shorter side, bicubic), middle 224 x 224",
        ),
        (Some(Resize::Exact([32, 48])), None, "resized to 32 x 48 (bicubic)"),
        (None, Some([28, 28]), "middle 28 x 28"),
    ];
    for (resize, crop, wanted) in cases {
        assert_eq!(Preprocessing { resize, crop, interpolation }.to_string(), wanted);
    }
}
