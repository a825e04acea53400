//! Signed bundles whose files agree with each other, and not with what was signed.

use super::*;
use crate::signature::{PrivateKey, PublicKey};
use crate::statement::{sign, verify};

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem).unwrap()
}

fn ours() -> PrivateKey {
    key(include_str!("../../../../../../tests/fixtures/signing/ed25519.key"))
}

fn theirs() -> PrivateKey {
    key(include_str!("../../../../../../tests/fixtures/signing/p256.key"))
}

/// A bundle with a signature, whatever its files are, in the place of the one that it has.
fn signed_by(bundle: &Bundle, key: &PrivateKey) -> Bundle {
    let tool = description().provenance.tool;
    let signed = sign(&bundle.without_signature(), key, tool, "2026-11-30T00:00:00Z".into()).unwrap();
    bundle.with_signature(signed.envelope.to_json().unwrap().into_bytes()).unwrap()
}

fn files_of(bundle: &Bundle) -> Files {
    bundle.files().map(|file| (file.name().to_owned(), file.bytes().to_vec())).collect()
}

/// What opens, and is not what was signed.
const CASES: [(&str, fn(&mut Files), &str); 8] = [
    (
        "another seed in a certificate",
        |f| replace(f, CERTIFICATE, "\"seed\": 0", "\"seed\": 1"),
        "signature.json: certificate.json: SHA-256 is",
    ),
    (
        "a space in a certificate",
        |f| replace(f, CERTIFICATE, "{", "{ "),
        "signature.json: certificate.json: SHA-256 is",
    ),
    ("a certificate less", |f| drop(f.remove(CERTIFICATE)), "certificate.json: the statement names it"),
    (
        "a certificate more",
        |f| {
            let again = String::from_utf8(f[CERTIFICATE].clone()).unwrap();
            let again = again.replace("\"norm\": \"linf\"", "\"norm\": \"l2\"");
            f.insert("certificates/l2.json".into(), again.into_bytes());
        },
        "certificates/l2.json: the statement does not name it",
    ),
    (
        "certificates that change their names",
        |f| {
            let (one, other) = (f[CERTIFICATE].clone(), f["certificates/linf-4_255.json"].clone());
            f.insert(CERTIFICATE.into(), other);
            f.insert("certificates/linf-4_255.json".into(), one);
        },
        "signature.json: certificate.json: SHA-256 is",
    ),
    (
        "classes that change their names",
        |f| replace(f, MANIFEST, "\"cat\",\n      \"dog\"", "\"dog\",\n      \"cat\""),
        "signature.json: manifest.json: SHA-256 is",
    ),
    (
        "another origin",
        |f| replace(f, MANIFEST, &"a".repeat(64), &"b".repeat(64)),
        "signature.json: manifest.json: SHA-256 is",
    ),
    ("no signature", |f| drop(f.remove(SIGNATURE)), "the bundle is not signed"),
];

#[test]
fn files_that_agree_with_each_other_and_not_with_the_signature() {
    let signed = signed_by(&complete(), &ours());
    verify(&signed, &[ours().public()]).unwrap();
    for (case, tamper, wanted) in CASES {
        let mut files = files_of(&signed);
        tamper(&mut files);
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &files);
        for opened in [Bundle::open(folder.path()).unwrap(), Bundle::from_bytes(archive(&files)).unwrap()] {
            refuse(case, &opened, &[ours().public()], wanted);
        }
    }
}

fn refuse(case: &str, bundle: &Bundle, trusted: &[PublicKey], wanted: &str) {
    let error = verify(bundle, trusted).expect_err(case).to_string();
    assert!(error.contains(wanted), "{case}: {error}");
}

#[test]
fn signatures_of_others() {
    let signed = signed_by(&complete(), &theirs());
    refuse("another key", &signed, &[ours().public()], "no trusted key signed");

    // The signature of a bundle that differs in one certificate.
    let other = complete();
    let mut newer = other.certificates()[0].certificate.clone();
    newer.seed = 9;
    let other = signed_by(&other.replacing_certificate(&newer).unwrap(), &ours());
    let swapped = complete().with_signature(other.signature().unwrap().bytes().clone()).unwrap();
    refuse("of another bundle", &swapped, &[ours().public()], "certificate.json: SHA-256 is");
}

/// Bytes of the envelope: the payload, the signature, and the type of what is signed.
#[test]
fn envelopes_that_were_changed() {
    let signed = signed_by(&complete(), &ours());
    let text = String::from_utf8(signed.signature().unwrap().bytes().to_vec()).unwrap();
    let changed = |key: &str| {
        let at = text.find(&format!("\"{key}\"")).unwrap() + key.len() + 20;
        let mut text = text.clone().into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        signed.with_signature(text).unwrap()
    };
    for field in ["payload", "sig"] {
        refuse(field, &changed(field), &[ours().public()], "signature.json: the signature of key");
    }
    let other = text.replace("in-toto+json", "other+json");
    let other = signed.with_signature(other.into_bytes()).unwrap();
    refuse("another type", &other, &[ours().public()], "payloadType is");
}
