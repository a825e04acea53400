use super::*;
use crate::testing::certificate;

fn files() -> Vec<FileDigest> {
    [
        ("model.onnx", "graph"),
        ("manifest.json", "{}"),
        ("certificates/l2.json", "2"),
        ("certificate.json", "1"),
    ]
    .map(|(name, bytes)| FileDigest::new(name, bytes.as_bytes()))
    .into()
}

fn certificates() -> Vec<BundleCertificate> {
    let mut l2 = certificate();
    l2.threat_model = ThreatModel::new(crate::Norm::L2, 0.5).unwrap();
    [("certificates/l2.json", l2), ("certificate.json", certificate())]
        .map(|(name, certificate)| BundleCertificate { name: name.into(), certificate })
        .into()
}

fn statement() -> Statement {
    let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
    Statement::new(&files(), &certificates(), tool, "2026-11-30T00:00:00Z".into())
}

#[test]
fn a_statement_names_every_file_and_repeats_the_certificates() {
    let value: serde_json::Value = serde_json::from_slice(&statement().to_json().unwrap()).unwrap();
    assert_eq!(value["_type"], "https://in-toto.io/Statement/v1");
    let names: Vec<_> = value["subject"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["certificate.json", "certificates/l2.json", "manifest.json", "model.onnx"]);
    // printf graph | sha256sum
    let digest = "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d";
    assert_eq!(value["subject"][3]["digest"]["sha256"], digest);
    let record = &value["predicate"]["evaluations"][0];
    assert_eq!(record["file"], "certificate.json");
    assert_eq!(
        (&record["clean_accuracy"]["value"], &record["attacked_accuracy"]["value"]),
        (&0.8.into(), &0.5.into())
    );
    // Clopper-Pearson for 5 of 10, as in statistics.rs.
    let upper = record["attacked_accuracy"]["interval"]["upper"].as_f64().unwrap();
    assert!((upper - 0.812_913_971_552_601_5).abs() < 1e-12);
    assert_eq!(record["certificate"]["seed"], 0);
}

#[test]
fn what_was_written_is_read_and_checked() {
    let read = Statement::from_json(&statement().to_json().unwrap()).unwrap();
    assert_eq!(read, statement());
    read.check(&files(), &certificates()).unwrap();
    let reversed = |mut list: Vec<FileDigest>| {
        list.reverse();
        list
    };
    read.check(&reversed(files()), &certificates()).unwrap();
}

fn changed(change: impl FnOnce(&mut Statement, &mut Vec<FileDigest>, &mut Vec<BundleCertificate>)) -> String {
    let (mut statement, mut files, mut certificates) = (statement(), files(), certificates());
    change(&mut statement, &mut files, &mut certificates);
    statement.check(&files, &certificates).unwrap_err().to_string()
}

#[test]
fn a_bundle_that_differs_is_refused_with_the_place() {
    let digest = |letter: &str| SubjectDigest { sha256: letter.repeat(64) };
    let cases = [
        (changed(|_, files, _| files[0] = FileDigest::new("model.onnx", b"Graph")), "model.onnx: SHA-256 is"),
        (
            changed(|_, files, _| files.push(FileDigest::new("x.onnx", b""))),
            "x.onnx: the statement does not name it",
        ),
        (
            changed(|_, files, _| drop(files.pop())),
            "certificate.json: the statement names it, but it is not in",
        ),
        (
            changed(|said, _, _| said.subject.push(Subject { name: "a".into(), digest: digest("a") })),
            "a: the statement names it, but it is not in the bundle",
        ),
        (changed(|said, _, _| drop(said.subject.remove(2))), "manifest.json: the statement does not name it"),
        (changed(|said, _, _| said.subject[3].digest = digest("0")), "but 000"),
        (changed(|said, _, _| said.subject[3].digest = digest("G")), "has no SHA-256"),
        (
            changed(|said, _, _| said.subject.push(said.subject[0].clone())),
            "certificate.json: the statement names it twice",
        ),
        (
            changed(|said, _, _| said.predicate.evaluations[0].attacked_accuracy.value = 0.9),
            "certificate.json: the statement says something else",
        ),
        (
            changed(|said, _, _| said.predicate.evaluations[1].certificate.counts.broken = 0),
            "certificates/l2.json: the statement says something else",
        ),
        (
            changed(|_, _, certificates| certificates[0].certificate.seed = 1),
            "certificates/l2.json: the statement says something else",
        ),
        (
            changed(|said, _, _| drop(said.predicate.evaluations.pop())),
            "the statement has the certificates certificate.json;",
        ),
        (changed(|_, _, certificates| certificates.clear()), "the bundle has, in ascending order, none"),
        (changed(|said, _, _| said.predicate.evaluations.reverse()), "in ascending order"),
        (changed(|said, _, _| said.predicate.meaning = "proven".into()), "predicate.meaning"),
        (changed(|said, _, _| said.predicate_type.push('0')), "is of type"),
    ];
    for (message, wanted) in cases {
        assert!(message.contains(wanted), "{message}");
    }
}

/// A program on another system may compute the ends of an interval with another last digit.
#[test]
fn intervals_agree_up_to_their_last_digits() {
    for (change, is_same) in [(1e-12, true), (1e-6, false)] {
        let mut said = statement();
        said.predicate.evaluations[0].attacked_accuracy.interval.upper += change;
        assert_eq!(said.check(&files(), &certificates()).is_ok(), is_same, "{change}");
        said = statement();
        said.predicate.evaluations[1].clean_accuracy.interval.lower -= change;
        assert_eq!(said.check(&files(), &certificates()).is_ok(), is_same, "{change}");
    }
}

#[test]
fn other_statements_are_refused() {
    let text = String::from_utf8(statement().to_json().unwrap()).unwrap();
    let cases = [
        (text.replace("Statement/v1", "Statement/v2"), "_type is `https://in-toto.io/Statement/v2`"),
        (text.replace("robustness-evaluation/v1", "robustness-evaluation/v2"), "predicateType is"),
        (text.replacen("{\"_type\"", "{\"extra\":1,\"_type\"", 1), "unknown field `extra`"),
        (text.replacen("\"meaning\":", "\"meaning\":\"\",\"meaning\":", 1), "stands twice"),
        (text.replacen("\"effective\":{", "\"effective\":{\"quiet\":true,", 1), "key `quiet` stands twice"),
        (text.replacen("\"sha256\":", "\"sha512\":\"\",\"sha256\":", 1), "unknown field `sha512`"),
        ("[]".to_owned(), "not a statement"),
        (format!("{text}{text}"), "trailing characters"),
    ];
    for (text, wanted) in cases {
        let error = Statement::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem).unwrap()
}

fn keys() -> [PrivateKey; 2] {
    [
        key(include_str!("../../../../tests/fixtures/signing/ed25519.key")),
        key(include_str!("../../../../tests/fixtures/signing/p256.key")),
    ]
}

fn signed_at(bundle: &Bundle, key: &PrivateKey, now: &str) -> (Bundle, Signed) {
    let tool = Tool { name: "mimir-certify".into(), version: "0.1.0".into(), commit: None };
    let signed = sign(bundle, key, tool, now.into()).unwrap();
    (bundle.with_signature(signed.envelope.to_json().unwrap().into_bytes()).unwrap(), signed)
}

#[test]
fn several_keys_sign_one_statement() {
    let [first, second] = keys();
    let bundle = crate::bundle::tests::complete().without_signature();
    let (once, _) = signed_at(&bundle, &first, "2026-11-30T00:00:00Z");
    let (twice, signed) = signed_at(&once, &second, "2026-12-01T00:00:00Z");
    assert_eq!((signed.created_at.as_str(), signed.dropped.len()), ("2026-11-30T00:00:00Z", 0));
    let verified = verify(&twice, &[first.public(), second.public()]).unwrap();
    assert_eq!((verified.keys.len(), verified.unchecked.len()), (2, 0));
    assert_eq!(verified.statement.subject.len(), bundle.subjects().count());
    let verified = verify(&twice, &[second.public()]).unwrap();
    assert_eq!(verified.unchecked, [first.public().id().to_string()]);
    let error = verify(&once, &[second.public()]).unwrap_err().to_string();
    assert!(error.contains("signature.json: no trusted key signed"), "{error}");
}

#[test]
fn a_signature_of_another_content_is_left_out() {
    let [first, second] = keys();
    let bundle = crate::bundle::tests::complete().without_signature();
    let (signed, _) = signed_at(&bundle, &first, "2026-11-30T00:00:00Z");
    let mut certificate = bundle.certificates()[0].certificate.clone();
    certificate.seed += 1;
    let changed = signed.replacing_certificate(&certificate).unwrap();
    assert!(verify(&changed, &[first.public()]).unwrap_err().to_string().contains("not signed"));
    let stale = changed.with_signature(signed.signature().unwrap().bytes().clone()).unwrap();
    let error = verify(&stale, &[first.public()]).unwrap_err().to_string();
    assert!(error.contains("signature.json: certificate.json: SHA-256 is"), "{error}");
    let (signed, how) = signed_at(&stale, &second, "2026-12-01T00:00:00Z");
    assert_eq!(how.dropped, [first.public().id().to_string()]);
    assert_eq!(how.created_at, "2026-12-01T00:00:00Z");
    verify(&signed, &[second.public()]).unwrap();
    verify(&signed, &[first.public()]).unwrap_err();
}
