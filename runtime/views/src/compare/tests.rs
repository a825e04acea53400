use mimir_bundle::ThreatModel;

use super::*;
use crate::testing::report;

fn compared(old: &str, new: &str, limit: Option<MaxRegression>) -> Result<Comparison, CompareError> {
    let (old, new) = (report(old), report(new));
    compare(Named { file: "old", report: &old }, Named { file: "new", report: &new }, limit)
}

fn at_most(most: f64, compared: Compared) -> Option<MaxRegression> {
    MaxRegression::new(most, compared)
}

#[test]
fn images_are_compared_one_by_one() {
    let found = compared("mmaasrrrrr", "marasmasrr", None).unwrap();
    assert_eq!((found.clean.worse, found.clean.better, found.clean.p_value), (1, 1, 1.0));
    assert_eq!((found.attacked.worse, found.attacked.better), (3, 1));
    assert_eq!((found.attacked.old, found.attacked.new), (0.5, 0.3));
    assert!((found.attacked.difference + 0.2).abs() < 1e-12);
    assert!(found.attacked.interval.lower < -0.2 && found.attacked.interval.upper > 0.0);
    assert_eq!(found.attacked.p_value, mcnemar(3, 1));
    let changes: Vec<(usize, Direction, Outcome, Outcome)> = found
        .changes
        .iter()
        .map(|change| (change.image, change.direction, change.old.outcome, change.new.outcome))
        .collect();
    assert_eq!(
        changes,
        [
            (1, Direction::Better, Outcome::Misclassified, Outcome::Broken),
            (2, Direction::Better, Outcome::Broken, Outcome::Robust),
            (5, Direction::Worse, Outcome::Robust, Outcome::Misclassified),
            (6, Direction::Worse, Outcome::Robust, Outcome::Broken),
            (7, Direction::Worse, Outcome::Robust, Outcome::Broken),
        ]
    );
    let seventh = &found.changes[4];
    assert_eq!((seventh.file.as_deref(), seventh.class.as_deref()), (Some("7.png"), Some("dog")));
    assert_eq!(
        (seventh.new.attack.as_deref(), seventh.new.predicted.as_deref()),
        (Some("square"), Some("fox"))
    );
    let classes: Vec<(usize, usize, usize, usize)> =
        found.classes.iter().map(|class| (class.label, class.images, class.worse, class.better)).collect();
    assert_eq!(classes, [(0, 5, 1, 1), (1, 5, 2, 0)]);
}

#[test]
fn the_change_is_split_by_attack() {
    let found = compared("assrrf", "saasrf", None).unwrap();
    assert_eq!(found.broken_by_another_attack, 3);
    let after: Vec<(&str, f64, f64)> = found
        .attacks
        .iter()
        .map(|attack| (attack.name.as_str(), attack.robust.old, attack.robust.new))
        .collect();
    // As in the reports themselves, which count what only rounding breaks as robust after each attack.
    let (old, new) = (report("assrrf"), report("saasrf"));
    let wanted: Vec<(&str, f64, f64)> = old
        .attacks
        .iter()
        .zip(&new.attacks)
        .map(|(old, new)| (old.name.as_str(), old.robust_accuracy, new.robust_accuracy))
        .collect();
    assert_eq!(after, wanted);
    assert_eq!((found.attacked.old, found.attacked.new), (old.attacked_accuracy, new.attacked_accuracy));
}

#[test]
fn a_limit_makes_it_a_gate() {
    use Compared::{LowerLimit, PointEstimate};
    let (worse, same) = (("rrrrrrrrrr", "arrrrrrrrr"), ("rrrrrrrrra", "rrrrrrrrra"));
    let cases = [
        (worse, None, Conclusion::NoRequirement, 0, "DONE  attacked accuracy 100.00 % → 90.00 % (−10.00)"),
        (worse, at_most(0.1, PointEstimate), Conclusion::Holds, 0, "PASS  "),
        (worse, at_most(0.09, PointEstimate), Conclusion::DoesNotHold, 10, "FAIL  "),
        (worse, at_most(0.1, LowerLimit), Conclusion::Inconclusive, 11, "INCONCLUSIVE  "),
        (worse, at_most(0.9, LowerLimit), Conclusion::Holds, 0, "PASS  "),
        (same, at_most(0.0, PointEstimate), Conclusion::Holds, 0, "PASS  "),
        (("rrrrrrrrra", "rrrrrrrrrm"), at_most(0.05, PointEstimate), Conclusion::DoesNotHold, 10, "FAIL  "),
    ];
    for ((old, new), limit, conclusion, exit_code, text) in cases {
        let found = compared(old, new, limit).unwrap();
        assert_eq!((found.gate.conclusion, found.gate.exit_code), (conclusion, exit_code), "{limit:?}");
        assert!(found.to_string().starts_with(text), "{found}");
        assert!(found.markdown().starts_with(&format!("## {}", text.split("  ").next().unwrap())));
    }
    assert_eq!([f64::NAN, -0.1, 1.5].map(|most| at_most(most, PointEstimate)), [None; 3]);
}

/// A limit just below what was lost does not look like it.
#[test]
fn limits_are_written_in_full() {
    let found = compared("rrrrrrrrrr", "arrrrrrrrr", at_most(0.09999, Compared::PointEstimate)).unwrap();
    assert!(
        found.to_string().contains("(−10.00)") && found.to_string().contains("at most 9.999 % may be lost"),
        "{found}"
    );
}

#[test]
fn reports_of_other_things_are_refused_by_name() {
    let old = report("arr");
    let refused = |change: fn(&mut Report), limit| {
        let mut new = report("arr");
        change(&mut new);
        let found =
            compare(Named { file: "a/report.json", report: &old }, Named { file: "b", report: &new }, limit);
        found.map_err(|error| error.to_string())
    };
    let gate = at_most(0.1, Compared::PointEstimate);
    let cases: [(fn(&mut Report), Option<MaxRegression>, &str); 5] = [
        (|report| report.data.images_digest = "e".repeat(64), None, "different images (SHA-256): bbb"),
        (|report| report.data.labels_digest = "e".repeat(64), None, "different labels (SHA-256): ccc"),
        (
            |report| report.threat_model = ThreatModel { epsilon: 0.1, ..report.threat_model },
            None,
            "different threat models",
        ),
        (|report| drop(report.attacks.pop()), gate, "different attacks"),
        (|report| report.counts.broken = 3, None, "b: the report contradicts itself"),
    ];
    for (change, limit, expected) in cases {
        let error = refused(change, limit).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let other_attacks = refused(|report| drop(report.attacks.pop()), None).unwrap();
    assert!(!other_attacks.same_attacks && other_attacks.attacks.is_empty());
    assert!(other_attacks.to_string().contains("The attacks differ (apgd-ce, square → apgd-ce)"));
    assert!(
        compared("arr", "aru", None)
            .unwrap_err()
            .to_string()
            .contains("new: the report is not complete (1 images")
    );
}

#[test]
fn text_and_markdown_say_what_changed() {
    let found = compared("rrrraamm", "rrrsarrm", None).unwrap();
    insta::assert_snapshot!(found.to_string(), @r#"
    DONE  attacked accuracy 50.00 % → 62.50 % (+12.50), clean accuracy 75.00 % → 87.50 % (+12.50), no limit was set

    old                model.onnx (sha256 9372c470eead…), 2026-11-23T21:30:00Z, old
    new                model.onnx (sha256 9372c470eead…), 2026-11-23T21:30:00Z, new
    images             8
    threat model       Linf, epsilon 2/255 = 0.00784 in pixels of [0, 1]

                             old       new     change  95 % interval        worse better         p
    clean accuracy       75.00 %   87.50 %     +12.50  −22.79 to +45.87         0      1     1.000
      after apgd-ce      50.00 %   75.00 %     +25.00  −12.57 to +53.92         0      2     0.500
      after square       50.00 %   62.50 %     +12.50  −30.28 to +49.62         1      2     1.000
    attacked accuracy    50.00 %   62.50 %     +12.50  −30.28 to +49.62         1      2     1.000

    worse, better: images that lost or gained it. p: McNemar's exact test, two-sided. The interval is Newcombe's
    for paired data (1998, method 10), of the population that the images are a random sample of.

    Both reports are of one model: what changed is due to normalisation, attacks, seed, engine or processor.

    classes            images  worse  better
      cat                   4      0       1
      dog                   4      1       1

    worse: 1 image
      image 3 3.png (dog): robust → broken by square as fox

    better: 2 images
      image 5 5.png (dog): broken by apgd-ce as fox → robust
      image 6 6.png (cat): misclassified as fox → robust
    "#);
    insta::assert_snapshot!(found.markdown(), @r#"
    ## DONE  attacked accuracy 50.00 % → 62.50 % \(+12.50\), clean accuracy 75.00 % → 87.50 % \(+12.50\), no limit was set

    8 images, Linf, epsilon 2/255 = 0.00784 in pixels of \[0, 1\].

    - Old: model.onnx, SHA-256 9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4, 2026-11-23T21:30:00Z, old
    - New: model.onnx, SHA-256 9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4, 2026-11-23T21:30:00Z, new

    | | old | new | change | 95 % interval | worse | better | p |
    | --- | --: | --: | --: | --- | --: | --: | --: |
    | clean accuracy | 75.00 % | 87.50 % | +12.50 | −22.79 to +45.87 | 0 | 1 | 1.000 |
    | after apgd-ce | 50.00 % | 75.00 % | +25.00 | −12.57 to +53.92 | 0 | 2 | 0.500 |
    | after square | 50.00 % | 62.50 % | +12.50 | −30.28 to +49.62 | 1 | 2 | 1.000 |
    | **attacked accuracy** | 50.00 % | 62.50 % | +12.50 | −30.28 to +49.62 | 1 | 2 | 1.000 |

    worse, better: images that lost or gained it. p: McNemar's exact test, two-sided. The interval is Newcombe's for paired data (1998, method 10), of the population that the images are a random sample of.

    Both reports are of one model: what changed is due to normalisation, attacks, seed, engine or processor.

    <details><summary>1 image became worse</summary>

    | image | class | old | new |
    | --- | --- | --- | --- |
    | 3 3.png | dog | robust | broken by square as fox |

    </details>

    <details><summary>2 images became better</summary>

    | image | class | old | new |
    | --- | --- | --- | --- |
    | 5 5.png | dog | broken by apgd-ce as fox | robust |
    | 6 6.png | cat | misclassified as fox | robust |

    </details>
    "#);
}

#[test]
fn text_of_the_reports_means_only_itself() {
    let old = report("rr");
    let mut new = report("ar");
    let hostile = "<script>alert(1)</script>|x\n# y";
    new.model.file = hostile.into();
    new.data.class_names = Some(vec![hostile.into(); 3]);
    new.data.image_files = Some(vec![hostile.into(); 2]);
    let page =
        compare(Named { file: hostile, report: &old }, Named { file: hostile, report: &new }, None).unwrap();
    let page = page.markdown();
    assert!(page.contains("\\<script\\>"), "{page}");
    let unescaped = page.replace("\\<", "");
    assert!(!unescaped.contains("<script") && !page.contains("\n# y"), "{page}");
}

#[test]
fn what_did_not_change_differs_by_nothing() {
    let found = compared("amr", "amr", at_most(0.0, Compared::PointEstimate)).unwrap();
    assert!(found.same_model && found.same_attacks && found.changes.is_empty() && found.classes.is_empty());
    assert_eq!((found.attacked.difference, found.attacked.p_value), (0.0, 1.0));
    assert!(found.to_string().contains("±0.00"), "{found}");
}

/// Consumers validate against the committed schema. `MIMIR_BLESS=1 cargo test` rewrites the file.
#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compare.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Comparison)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, schema, "docs/compare.schema.json: run with MIMIR_BLESS=1");
}
