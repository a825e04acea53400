//! Keys, signatures, policies and descriptions of bundles.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::assert::Assert;
use mimir_bundle::Certificate;
use mimir_bundle::bundle::{
    BUNDLE_FORMAT, BUNDLE_VERSION, Bundle, BundleManifest, Classes, InputFacts, MODEL, Provenance,
};
use mimir_bundle::certificate::Tool;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, starts_with};
use serde_json::Value;

use super::{Demo, certify};

/// The certificate of a short run on the demo's model, made once.
fn certificate() -> &'static Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let demo = Demo::new();
        demo.run(&["--quiet"]).success();
        demo.certificate()
    })
}

/// A folder with a bundle of the demo's model and its certificate, and a pair of keys.
struct Signing {
    demo: Demo,
    name: &'static str,
}

impl Signing {
    fn new(name: &'static str) -> Self {
        let this = Self { demo: Demo::new(), name };
        this.unsigned().write_new(&this.bundle()).unwrap();
        certify().arg("keygen").arg(this.path("maker")).assert().success();
        this
    }

    fn signed(name: &'static str) -> Self {
        let this = Self::new(name);
        this.sign("maker").success().stdout(starts_with("signed "));
        this
    }

    fn unsigned(&self) -> Bundle {
        let model = fs::read(self.demo.path("model.onnx")).unwrap();
        let bundle = Bundle::new(description(), [(MODEL.to_owned(), model.into())]).unwrap();
        bundle.with_certificate(certificate()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.demo.path(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path(self.name)
    }

    fn sign(&self, key: &str) -> Assert {
        certify().arg("sign").arg(self.bundle()).arg("--key").arg(self.path(&format!("{key}.key"))).assert()
    }

    fn verify(&self, keys: &[&str]) -> Assert {
        let mut command = certify();
        command.arg("verify").arg(self.bundle());
        for key in keys {
            command.arg("--trust").arg(self.path(&format!("{key}.pub")));
        }
        command.assert()
    }

    fn check(&self, policy: &str, flags: &[&str]) -> Assert {
        fs::write(self.path("policy.toml"), policy).unwrap();
        let mut command = certify();
        command.arg("check").arg(self.bundle()).arg("--policy").arg(self.path("policy.toml"));
        command.args(flags).assert()
    }

    /// Changes a file of the bundle's folder.
    fn edit(&self, file: &str, change: impl FnOnce(&mut Value)) {
        let path = self.bundle().join(file);
        let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    }
}

/// What the certificate says of the model.
fn description() -> BundleManifest {
    let model = &certificate().model;
    BundleManifest {
        format: BUNDLE_FORMAT.into(),
        version: BUNDLE_VERSION.into(),
        architecture: None,
        input: InputFacts {
            image: model.image,
            layout: model.layout,
            pixel_type: model.pixel_type,
            channel_order: model.channel_order,
            range: [0.0, 1.0],
            normalisation: model.normalisation.clone(),
        },
        preprocessing: certificate().data.preprocessing,
        output: model.output_name.clone(),
        classes: Classes { count: model.classes, names: None },
        features: Vec::new(),
        provenance: Provenance {
            checkpoint: None,
            experiment: None,
            data: None,
            parent: None,
            tool: Tool { name: "a test".into(), version: "1".into(), commit: None },
            created_at: Some("2026-11-30T00:00:00Z".into()),
        },
        files: Vec::new(),
    }
}

#[test]
fn keygen_writes_two_files_that_only_it_made() {
    use std::os::unix::fs::PermissionsExt as _;
    let demo = Demo::new();
    for algorithm in ["ed25519", "ecdsa-p256"] {
        let name = demo.path(algorithm);
        let keygen = || certify().arg("keygen").arg(&name).args(["--algorithm", algorithm]).assert();
        keygen().success().stdout(contains("keep it secret").and(contains("key id   ")));
        let (private, public) =
            (demo.path(&format!("{algorithm}.key")), demo.path(&format!("{algorithm}.pub")));
        assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&private).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(fs::read_to_string(&public).unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        let before = fs::read(&private).unwrap();
        keygen().code(2).stderr(contains("exists, and keys are not overwritten"));
        fs::remove_file(&public).unwrap();
        keygen().code(2);
        assert_eq!(fs::read(&private).unwrap(), before);
        assert!(!public.exists());
    }
}

#[test]
fn a_signed_bundle_is_verified_in_both_forms() {
    for name in ["bundle", "bundle.mimir"] {
        let signing = Signing::signed(name);
        let verified = signing.verify(&["maker"]).success();
        verified.stdout(
            starts_with("PASS  ")
                .and(
                    contains("subject        ")
                        .and(contains(" certificate.json\n"))
                        .and(contains(" model.onnx\n")),
                )
                .and(contains("maker.pub (ed25519)"))
                .and(contains("certificate.json: Linf, epsilon 8/255")),
        );
        certify().args(["keygen", "--algorithm", "ecdsa-p256"]).arg(signing.path("other")).assert().success();
        let refused = signing.verify(&["other"]).code(10);
        refused.stdout(starts_with("FAIL  ").and(contains("no trusted key signed; signatures are of ")));
        signing.sign("other").success().stdout(contains("also there     a signature that names "));
        signing.verify(&["maker", "other"]).success().stdout(contains("other.pub (ecdsa-p256)"));
        signing.verify(&["other"]).success().stdout(contains("not checked    a signature of key"));
        // Again by the same key: one signature, not two.
        signing.sign("maker").success();
        let bundle = Bundle::open(&signing.bundle()).unwrap();
        let envelope: Value = serde_json::from_slice(bundle.signature().unwrap().bytes()).unwrap();
        assert_eq!(envelope["signatures"].as_array().unwrap().len(), 2);
        assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
        let beside = fs::read_dir(signing.demo.folder.path()).unwrap();
        let mut names = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!names.any(|name| name.contains("signature-")), "no signature was set aside");
    }
}

#[test]
fn what_is_not_signed_is_not_vouched_for() {
    let signing = Signing::new("bundle");
    signing
        .verify(&["maker"])
        .code(10)
        .stdout(contains("the bundle is not signed: it has no signature.json"));
    certify().arg("verify").arg(signing.bundle()).assert().code(2).stderr(contains("--trust"));
    let private = signing.path("maker.key");
    let verify = |key: &Path| certify().arg("verify").arg(signing.bundle()).arg("--trust").arg(key).assert();
    verify(&private).code(2).stderr(contains("this is a secret"));
    verify(&signing.path("absent.pub")).code(2).stderr(contains("absent.pub"));
    let sign = |key: &Path| certify().arg("sign").arg(signing.bundle()).arg("--key").arg(key).assert();
    sign(&signing.path("maker.pub")).code(2).stderr(contains("only the private key signs"));
    let encrypted = super::root().join("tests/fixtures/signing/encrypted.key");
    sign(&encrypted).code(2).stderr(contains("is encrypted; decrypt it with `openssl pkey"));
    certify().arg("sign").arg(signing.path("absent")).arg("--key").arg(&private).assert().code(3);
}

type Change = (&'static str, fn(&Signing), i32, &'static str);

/// Each changes one thing of a signed bundle: the exit code, and what the message names.
const TAMPERED: [Change; 17] = [
    (
        "a field of a certificate",
        |s| s.edit("certificate.json", |c| c["created_at"] = "2026-01-01T00:00:00Z".into()),
        10,
        "certificate.json: SHA-256 is",
    ),
    (
        "a field of the manifest",
        |s| s.edit("manifest.json", |m| m["provenance"]["created_at"] = Value::Null),
        10,
        "manifest.json: SHA-256 is",
    ),
    (
        "no certificate",
        |s| fs::remove_file(s.bundle().join("certificate.json")).unwrap(),
        10,
        "certificate.json: the statement names it, but it is not in the bundle",
    ),
    (
        "another certificate",
        |s| {
            fs::create_dir(s.bundle().join("certificates")).unwrap();
            let mut other = certificate().clone();
            other.threat_model.epsilon /= 2.0;
            other.settings.effective.remove("epsilon");
            let text = serde_json::to_vec(&other).unwrap();
            fs::write(s.bundle().join("certificates/linf-4_255.json"), text).unwrap();
        },
        10,
        "certificates/linf-4_255.json: the statement does not name it",
    ),
    (
        "a byte of the model",
        |s| {
            let path = s.bundle().join("model.onnx");
            let mut bytes = fs::read(&path).unwrap();
            bytes[100] ^= 1;
            fs::write(&path, bytes).unwrap();
        },
        3,
        "model.onnx",
    ),
    ("a file too many", |s| fs::write(s.bundle().join("extra.txt"), "x").unwrap(), 3, "extra.txt"),
    (
        "the payload",
        |s| edit_payload(s, |p| p["predicate"]["created_at"] = "2030-01-01T00:00:00Z".into()),
        10,
        "is not one of this payload",
    ),
    (
        "a subject too many",
        |s| {
            edit_payload(s, |p| {
                let first = p["subject"][0].clone();
                p["subject"].as_array_mut().unwrap().push(first);
            });
        },
        10,
        "is not one of this payload",
    ),
    (
        "the payloadType",
        |s| s.edit("signature.json", |e| e["payloadType"] = "application/json".into()),
        10,
        "payloadType is `application/json`",
    ),
    (
        "the keyid",
        |s| s.edit("signature.json", |e| e["signatures"][0]["keyid"] = "0".repeat(64).into()),
        10,
        "no trusted key signed",
    ),
    (
        "the signature",
        |s| {
            s.edit("signature.json", |e| {
                let sig = e["signatures"][0]["sig"].as_str().unwrap().replacen(
                    ['A', 'B', 'C', 'D', 'E', 'F'],
                    "z",
                    1,
                );
                e["signatures"][0]["sig"] = format!("z{}", &sig[1..]).into();
            });
        },
        10,
        "is not one of this payload",
    ),
    (
        "no signatures",
        |s| s.edit("signature.json", |e| e["signatures"] = Value::Array(Vec::new())),
        10,
        "there is no signature in the envelope",
    ),
    (
        "a signature twice",
        |s| {
            s.edit("signature.json", |e| {
                let first = e["signatures"][0].clone();
                e["signatures"].as_array_mut().unwrap().push(first);
            });
        },
        10,
        "signed twice",
    ),
    (
        "a field too many",
        |s| s.edit("signature.json", |e| e["cert"] = "x".into()),
        10,
        "unknown field `cert`",
    ),
    (
        "a key twice",
        |s| {
            let path = s.bundle().join("signature.json");
            let text = fs::read_to_string(&path).unwrap().replacen('{', "{\"payloadType\": \"\",", 1);
            fs::write(&path, text).unwrap();
        },
        3,
        "stands twice",
    ),
    (
        "another bundle's signature",
        |s| {
            let other = Signing::new("bundle");
            other.edit("manifest.json", |m| m["provenance"]["created_at"] = Value::Null);
            certify()
                .arg("sign")
                .arg(other.bundle())
                .arg("--key")
                .arg(s.path("maker.key"))
                .assert()
                .success();
            fs::copy(other.bundle().join("signature.json"), s.bundle().join("signature.json")).unwrap();
        },
        10,
        "manifest.json: SHA-256 is",
    ),
    (
        "no signature",
        |s| fs::remove_file(s.bundle().join("signature.json")).unwrap(),
        10,
        "the bundle is not signed",
    ),
];

fn edit_payload(signing: &Signing, change: impl FnOnce(&mut Value)) {
    use mimir_bundle::signature::Envelope;
    let path = signing.bundle().join("signature.json");
    let envelope = Envelope::from_json(&fs::read(&path).unwrap()).unwrap();
    let mut payload = serde_json::from_slice(&envelope.payload().unwrap()).unwrap();
    change(&mut payload);
    let changed = Envelope::new(&envelope.payload_type, &serde_json::to_vec(&payload).unwrap());
    let changed = Envelope { signatures: envelope.signatures, ..changed };
    fs::write(&path, changed.to_json().unwrap()).unwrap();
}

#[test]
fn tampered_bundles_are_refused_with_the_place() {
    for (what, change, code, wanted) in TAMPERED {
        let signing = Signing::signed("bundle");
        change(&signing);
        let output = signing.verify(&["maker"]).get_output().clone();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{what}: {text}");
        assert!(text.contains(wanted), "{what}: {text}");
    }
}

const POLICY: &str = "version = 1\n[signature]\ntrusted = [\"maker.pub\"]\n[[evaluation]]\nnorm = \"linf\"\n\
    min_epsilon = \"8/255\"\nattacks = [{ attack = \"apgd-ce\", steps = 10 }]\nmin_attacked_accuracy = 0.05\n\
    min_images = 24\n";

#[test]
fn a_policy_is_a_gate() {
    let signing = Signing::signed("bundle");
    let met = signing.check(POLICY, &[]).success();
    met.stdout(starts_with("PASS  the bundle meets the policy").and(contains("met      min_images")));
    let strict = POLICY.replace("min_images = 24", "min_images = 25");
    let missed = signing.check(&strict, &[]).code(10);
    missed.stdout(
        starts_with("FAIL  the bundle does not meet the policy: 1 of ")
            .and(contains("NOT MET  min_images                     wanted at least 25; found 24\n")),
    );
    let output = signing.check(&strict, &["--json"]).code(10).get_output().stdout.clone();
    let json: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!((&json["conclusion"], &json["exit_code"]), (&"does_not_hold".into(), &10.into()));
    let missed: Vec<_> =
        json["requirements"].as_array().unwrap().iter().filter(|row| row["met"] == false).collect();
    assert_eq!(
        (missed.len(), &missed[0]["wanted"], &missed[0]["found"]),
        (1, &"at least 25".into(), &"24".into())
    );
    let standard =
        POLICY.replace("attacks = [{ attack = \"apgd-ce\", steps = 10 }]", "min_preset = \"standard\"");
    signing.check(&standard, &[]).code(10).stdout(contains("apgd-ce: steps is 10, the preset has 100"));
}

#[test]
fn a_policy_asks_who_signed() {
    let signing = Signing::signed("bundle");
    certify().arg("keygen").arg(signing.path("other")).assert().success();
    let other = POLICY.replace("maker.pub", "other.pub");
    signing
        .check(&other, &[])
        .code(10)
        .stdout(contains("NOT MET  trusted").and(contains("no trusted key signed")));
    let maker = signing.path("maker.pub").display().to_string();
    // A key on the command line widens nothing.
    signing.check(&other, &["--trust", &maker]).code(10);
    let id = mimir_bundle::signature::PublicKey::from_pem(&fs::read_to_string(&maker).unwrap()).unwrap().id();
    let by_id = POLICY.replace("maker.pub", id.as_str());
    signing.check(&by_id, &[]).code(10);
    signing.check(&by_id, &["--trust", &maker]).success();
    let unsigned = POLICY.replace("[signature]\ntrusted = [\"maker.pub\"]\n", "");
    signing.check(&unsigned, &[]).success().stdout(contains("asks for no signature: whoever can write"));
    signing.check(&unsigned, &["--trust", &maker]).success().stdout(contains("met      trusted"));
    signing.edit("certificate.json", |certificate| certificate["attacks"][0]["forwards"] = 7.into());
    signing
        .check(POLICY, &[])
        .code(10)
        .stdout(contains("none: signature.json: certificate.json: SHA-256 is"));
    signing.check(&unsigned, &["--trust", &maker]).code(10);
}

#[test]
fn what_is_no_policy_is_refused() {
    let signing = Signing::new("bundle");
    let cases = [
        ("version = 1", "asks for nothing"),
        ("version = 1\n[[evaluation]]\nnorm = \"linf\"\nmin_epsilom = 1", "did you mean `min_epsilon`?"),
        ("version = 1\n[signature]\ntrusted = [\"absent.pub\"]", "absent.pub"),
        ("", "missing field `version`"),
    ];
    for (policy, wanted) in cases {
        signing.check(policy, &[]).code(2).stderr(contains("policy.toml").and(contains(wanted)));
    }
    let ignored = signing.check(POLICY, &["--epsilon", "8/255"]).code(2);
    ignored.stderr(contains("--epsilon has no effect with --policy"));
    signing.check("version = 1\nallow_anything = true", &[]).success();
}

fn described(signing: &Signing, format: &str) -> String {
    let run =
        || certify().arg("describe").arg(signing.bundle()).args(["--format", format]).assert().success();
    let output = run().get_output().stdout.clone();
    assert_eq!(run().get_output().stdout, output, "the same bundle has the same description");
    String::from_utf8(output).unwrap()
}

#[test]
fn a_bundle_is_described_in_the_words_of_others() {
    let signing = Signing::signed("bundle.mimir");
    let counts = certificate().counts;
    let bill: Value = serde_json::from_str(&described(&signing, "cyclonedx")).unwrap();
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    let model = &bill["metadata"]["component"];
    assert_eq!((&model["type"], &model["name"]), (&"machine-learning-model".into(), &"bundle".into()));
    let metric = &model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][1];
    assert_eq!(metric["type"], "attacked accuracy (upper bound of the robust accuracy)");
    assert_eq!(metric["value"], (counts.not_broken() as f64 / counts.images as f64).to_string());
    assert!(metric["slice"].as_str().unwrap().contains("Linf, epsilon 8/255"));
    assert_eq!(bill["components"].as_array().unwrap().len(), 4);
    let card = described(&signing, "model-card");
    assert!(card.starts_with("---\nlibrary_name: onnx\n"), "{card}");
    for line in
        ["\nmodel-index:\n- name: \"bundle\"\n", "\n    - type: attacked_accuracy\n", "\n---\n\n# bundle\n"]
    {
        assert!(card.contains(line), "{line}: {card}");
    }
    let page = described(&signing, "markdown");
    assert!(card.ends_with(&page) && page.starts_with("# bundle\n"));
    for text in [bill.to_string(), card] {
        assert!(
            text.contains("upper bound of the robust accuracy") && text.contains("never a proof"),
            "{text}"
        );
        assert!(!text.to_lowercase().contains("proven"), "{text}");
    }
}

#[test]
fn a_signature_of_another_program_is_replaced_only_where_that_is_asked_for() {
    let signing = Signing::new("bundle");
    let place = signing.bundle().join("signature.json");
    let foreign = ["{}", "{\"payload\": \"e30=\", \"payloadType\": \"text/plain\", \"signatures\": []}"];
    for text in foreign {
        fs::write(&place, text).unwrap();
        let said = contains("is not one that this program made").and(contains("--replace-signature"));
        signing.sign("maker").code(2).stderr(said);
        assert_eq!(fs::read_to_string(&place).unwrap(), text);
    }
    let mut command = certify();
    command.arg("sign").arg(signing.bundle()).arg("--key").arg(signing.path("maker.key"));
    command
        .arg("--replace-signature")
        .assert()
        .success()
        .stdout(contains("kept           the signature.json"));
    signing.verify(&["maker"]).success();
    assert_eq!(set_aside(&signing), [foreign[1]]);
}

#[test]
fn signatures_of_what_the_bundle_was_are_kept_beside_it() {
    let signing = Signing::signed("bundle");
    certify().arg("keygen").arg(signing.path("other")).assert().success();
    let before = fs::read_to_string(signing.bundle().join("signature.json")).unwrap();
    // Another content, by another way than this program.
    let name = signing.bundle().join("certificate.json");
    fs::write(&name, fs::read_to_string(&name).unwrap() + "\n").unwrap();
    let said = contains("left out").and(contains("kept           the signature.json"));
    signing.sign("other").success().stdout(said);
    assert_eq!(set_aside(&signing), [before]);
    // A second signature of the same content takes nothing from the first.
    signing.sign("maker").success().stdout(contains("kept").not());
    signing.verify(&["maker", "other"]).success();
}

/// The signatures that lie beside the bundle.
fn set_aside(signing: &Signing) -> Vec<String> {
    let folder = signing.bundle();
    let beside = fs::read_dir(folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("bundle.signature-");
    beside.filter(|path| is_one(path)).map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn a_key_that_a_policy_names_by_its_id_is_asked_for() {
    let signing = Signing::signed("bundle");
    let id = "0".repeat(64);
    let policy = |trusted: &str| format!("version = 1\n[signature]\ntrusted = [{trusted}]\n");
    let said =
        || contains(format!("names the key {id} by its id")).and(contains("give it with --trust FILE"));
    signing.check(&policy(&format!("\"{id}\"")), &[]).code(10).stdout(said());
    // Enough others are there.
    signing.check(&policy(&format!("\"{id}\", \"maker.pub\"")), &[]).success().stdout(said());
    signing.check(&policy("\"maker.pub\""), &[]).success().stdout(contains("--trust").not());
}
