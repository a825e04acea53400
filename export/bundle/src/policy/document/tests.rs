use super::*;

/// Every key once.
pub(crate) const FULL: &str = r#"
version = 1

[signature]
trusted = ["robustness.pub", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
min_signatures = 2

[model]
digest = ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]

[[evaluation]]
norm = "linf"
min_epsilon = "8/255"
accept_8bit = true
min_preset = "standard"
attacks = [{ attack = "apgd-ce", steps = 200 }, { attack = "square", queries = 10000 }]
min_attacked_accuracy = 0.40
gate_on = "lower"
min_clean_accuracy = 0.8
min_images = 500
max_age = "90d"
engines = { onnxruntime = ">=1.22, <2", rten = "=0.27.0" }
accept_gradient_approximations = true
accept_gate_decided = true
deny_warnings = true
same_processor_features = true

[[evaluation.data]]
images_digest = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
labels_digest = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

[[evaluation]]
norm = "l2"
min_epsilon = 0.5
"#;

fn key(name: &str) -> Result<String, String> {
    match name {
        "robustness.pub" => Ok(include_str!("../../../../../tests/fixtures/signing/ed25519.pub").into()),
        "private.key" => Ok(include_str!("../../../../../tests/fixtures/signing/ed25519.key").into()),
        _ => Err(format!("{name}: no such file")),
    }
}

fn read(text: &str) -> Result<Policy, PolicyError> {
    Policy::from_toml(text, &mut key)
}

#[test]
fn every_key_is_read() {
    let policy = read(FULL).unwrap();
    let signature = policy.signature.unwrap();
    let ids: Vec<_> = signature.trusted.iter().map(|key| key.id().unwrap().to_string()).collect();
    assert_eq!(ids[0], include_str!("../../../../../tests/fixtures/signing/ed25519.id").trim());
    assert_eq!((ids[1].len(), signature.min_signatures()), (64, 2));
    assert_eq!(policy.model.unwrap().digest[0].as_str(), "a".repeat(64));
    let [rule, second] = &policy.evaluation[..] else { panic!("two entries") };
    assert_eq!((rule.norm, rule.min_epsilon.value()), (Norm::Linf, 8.0 / 255.0));
    assert_eq!((rule.min_attacked_accuracy.unwrap().value(), rule.gate_on), (0.4, Compared::Lower));
    assert_eq!(rule.max_age.unwrap().duration().as_secs(), 90 * 24 * 3600);
    assert!(rule.engines["onnxruntime"].contain("1.32.0") && !rule.engines["onnxruntime"].contain("2.0.0"));
    let wanted = rule.attacks[0].wanted(rule.norm).unwrap();
    assert_eq!(wanted.get("steps"), Some(Argument::Count(200)));
    // What a policy does not say is refused, not accepted.
    assert!(!second.accept_8bit && !second.accept_gate_decided && !second.accept_gradient_approximations);
    assert_eq!((second.norm, second.min_epsilon.value()), (Norm::L2, 0.5));
}

#[test]
fn customary_parameters_follow_the_norm() {
    let rule = AttackRule { attack: "apgd-ce".into(), parameters: BTreeMap::new() };
    assert_eq!(rule.wanted(Norm::Linf).unwrap(), AttackSpec::named("apgd-ce").unwrap());
    let l1 = rule.wanted(Norm::L1).unwrap();
    let standard = Preset::Standard.attacks(Norm::L1);
    assert_eq!(crate::attack::weaker(&standard[0], &l1, "wanted"), None);
}

fn evaluation(lines: &str) -> String {
    format!("version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = \"8/255\"\n{lines}\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn what_cannot_be_meant_is_refused() {
    let signature = |lines: &str| format!("version = 1\n[signature]\n{lines}\n");
    let (id, other) = ("a".repeat(64), "b".repeat(64));
    let cases = [
        (String::new(), "missing field `version`"),
        ("version = 2".into(), "version is 2, this program reads version 1"),
        ("version = 1".into(), "asks for nothing: give [signature], [model] or [[evaluation]], or say"),
        ("version = 1\nallow_anything = false".into(), "asks for nothing"),
        (evaluation("") + "[x]", "unknown field `x`"),
        (
            format!("{}\n[model]\ndigest = [\"{id}\"]", "version = 1\nallow_anything = true"),
            "excludes everything",
        ),
        (evaluation("min_epsilom = 1"), "did you mean `min_epsilon`?"),
        (evaluation("min_epsilom = 1"), "line 5"),
        (evaluation("min_images = 0"), "evaluation 1: min_images is 0"),
        (evaluation("min_images = -1"), "invalid value"),
        (evaluation("min_clean_accuracy = 40"), "40: wanted a share from 0 to 1"),
        (evaluation("min_clean_accuracy = nan"), "NaN: wanted a share from 0 to 1"),
        (evaluation("min_clean_accuracy = inf"), "inf: wanted a share from 0 to 1"),
        (evaluation("min_attacked_accuracy = 0.4"), "give min_preset or attacks"),
        (evaluation("gate_on = \"lower\""), "gate_on has no effect without min_attacked_accuracy"),
        (evaluation("gate_on = \"upper\""), "unknown variant `upper`"),
        (
            evaluation("min_preset = \"standart\""),
            "there is no preset `standart`: standard, plus, rand, fast, mimir",
        ),
        (evaluation("max_age = \"90 parsecs\""), "wanted a time span"),
        (evaluation("max_age = 90"), "expected a string"),
        (evaluation("engines = { onnxruntime = \"new\" }"), "wanted versions, such as"),
        (evaluation("engines = { onnxrutime = \"*\" }"), "did you mean `onnxruntime`?"),
        (evaluation("engines = {}"), "is empty: name at least one, or omit the key"),
        (evaluation("attacks = []"), "is empty: name at least one"),
        (evaluation("data = []"), "is empty: name at least one"),
        (
            evaluation("attacks = [{ attack = \"squar\" }]"),
            "there is no attack `squar`, did you mean `square`?",
        ),
        (evaluation("attacks = [{ attack = \"square\", steps = 9 }]"), "square has no number `steps`"),
        (
            evaluation("attacks = [{ attack = \"square\", queries = 0 }]"),
            "queries is 0, must be 1 to 1000000",
        ),
        (evaluation("attacks = [{ attack = \"apgd-ce\", rho = nan }]"), "rho is NaN"),
        (
            evaluation("attacks = [{ attack = \"apgd-ce\", steps = 1.5 }]"),
            "steps is 1.5, must be a whole number",
        ),
        (evaluation("attacks = [{ steps = 5 }]"), "missing field `attack`"),
        (evaluation("[[evaluation.data]]\nimages_digest = \"x\""), "`x` is not a SHA-256 digest"),
        (
            evaluation(&format!("[[evaluation.data]]\nimages_digest = \"{id}\"")),
            "missing field `labels_digest`",
        ),
        (evaluation("min_images = 1\nmin_images = 2"), "duplicate key"),
        (evaluation("").replace("8/255", "0/255"), "radius 0/255: wanted a positive number"),
        (evaluation("").replace("8/255", "8/0"), "radius 8/0: wanted"),
        (evaluation("").replace("\"8/255\"", "nan"), "radius NaN: wanted"),
        (evaluation("").replace("\"8/255\"", "8"), "no L∞ radius is larger than 1"),
        (evaluation("").replace("norm = \"linf\"", ""), "missing field `norm`"),
        ("version = 1\n[model]\ndigest = []".into(), "digest is empty"),
        (signature("trusted = []"), "signature: trusted is empty"),
        (signature("trusted = [\"\"]"), "an empty name is no key"),
        (signature("trusted = [\"absent.pub\"]"), "absent.pub: no such file"),
        (
            signature("trusted = [\"private.key\"]"),
            "private.key: found PEM `PRIVATE KEY`, wanted `PUBLIC KEY`",
        ),
        (signature(&format!("trusted = [\"{id}\"]\nmin_signatures = 0")), "min_signatures is 0"),
        (
            signature(&format!("trusted = [\"{id}\", \"{id}\"]\nmin_signatures = 2")),
            "min_signatures is 2, but 1 different keys",
        ),
        (
            signature(&format!("trusted = [\"{id}\", \"{other}\"]\nmin_signatures = 3")),
            "min_signatures is 3, but 2 different keys",
        ),
    ];
    for (text, wanted) in cases {
        let error = read(&text).expect_err(&text).to_string();
        assert!(error.contains(wanted), "{text}\n{error}");
    }
}

/// A key that is named in two ways is one key.
#[test]
fn one_key_cannot_sign_twice() {
    let id = include_str!("../../../../../tests/fixtures/signing/ed25519.id").trim();
    let text =
        format!("version = 1\n[signature]\ntrusted = [\"robustness.pub\", \"{id}\"]\nmin_signatures = 2");
    let error = read(&text).unwrap_err().to_string();
    assert!(error.contains("min_signatures is 2, but 1 different keys"), "{error}");
}

#[test]
fn allowing_anything_must_be_said() {
    assert!(read("version = 1\nallow_anything = true").unwrap().allow_anything);
}

/// The example of the documentation is a policy.
#[test]
fn the_example_of_the_documentation_is_read() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md")).unwrap();
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let policy = read(example).unwrap();
    assert_eq!(policy.evaluation.len(), 2);
    for key in ["min_signatures", "accept_8bit", "same_processor_features", "allow_anything"] {
        assert!(text.contains(&format!("`{key}`")), "docs/policy.md does not describe `{key}`");
    }
}

/// Editors and other programs read it. `MIMIR_BLESS=1 cargo test` rewrites the file.
#[test]
fn committed_schema_is_the_schema_of_the_type() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.schema.json");
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Policy)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(committed, schema, "docs/policy.schema.json: MIMIR_BLESS=1 rewrites it");
}

#[test]
fn counts_that_are_none_are_named() {
    for (value, wanted) in [("-5", "-5"), ("nan", "NaN"), ("1.5", "1.5"), ("inf", "inf")] {
        let text = format!(
            "version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilon = 0.01\nattacks = [{{ attack = \"square\", queries \
             = {value} }}]\n"
        );
        let error = Policy::from_toml(&text, &mut |_| Err("none".into())).unwrap_err().to_string();
        let wanted = format!("square: queries is {wanted}, must be a whole number from 1");
        assert!(error.contains(&wanted), "{value}: {error}");
    }
}
