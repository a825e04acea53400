use super::super::key::Algorithm;
use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../../tests/fixtures/signing/", $name))
    };
}

const TYPE: &str = "application/vnd.in-toto+json";

fn keys() -> [PrivateKey; 2] {
    [fixture!("ed25519.key"), fixture!("p256.key")].map(|pem| PrivateKey::from_pem(pem).unwrap())
}

fn public_keys() -> [PublicKey; 2] {
    keys().map(|key| key.public())
}

/// The envelope of the payload of the fixtures, signed by both keys.
fn signed() -> Envelope {
    let mut envelope = Envelope::new(TYPE, fixture!("payload").as_bytes());
    keys().iter().for_each(|key| envelope.sign(key).unwrap());
    envelope
}

/// The example of the specification (protocol.md), and the message that the fixtures' script made in the shell.
#[test]
fn the_message_is_that_of_the_specification() {
    let message = pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(message, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    let message = pre_authentication_encoding(TYPE, fixture!("payload").as_bytes());
    assert_eq!(message, fixture!("message").as_bytes());
}

#[test]
fn an_envelope_of_openssl_is_verified() {
    for (id, signature) in
        [(fixture!("ed25519.id"), fixture!("ed25519.sig64")), (fixture!("p256.id"), fixture!("p256.sig64"))]
    {
        let mut envelope = Envelope::new(TYPE, fixture!("payload").as_bytes());
        envelope.signatures.push(EnvelopeSignature { keyid: id.trim().into(), sig: signature.into() });
        let verified = envelope.verify(TYPE, &public_keys()).unwrap();
        assert_eq!(verified.payload, fixture!("payload").as_bytes());
        assert_eq!(verified.keys.iter().map(KeyId::as_str).collect::<Vec<_>>(), [id.trim()]);
    }
}

#[test]
fn several_keys_sign_and_each_once() {
    let mut envelope = signed();
    envelope.sign(&keys()[0]).unwrap();
    assert_eq!(envelope.signatures.len(), 2);
    let read = Envelope::from_json(envelope.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(read, envelope);
    let both = read.verify(TYPE, &public_keys()).unwrap();
    assert_eq!((both.keys.len(), both.unchecked.len()), (2, 0));
    let one = read.verify(TYPE, &public_keys()[1..]).unwrap();
    assert_eq!(one.keys.into_iter().collect::<Vec<_>>(), [public_keys()[1].id()]);
    assert_eq!(one.unchecked, [public_keys()[0].id().to_string()]);
}

fn refusal(change: impl FnOnce(&mut Envelope), trusted: &[PublicKey]) -> String {
    let mut envelope = signed();
    change(&mut envelope);
    envelope.verify(TYPE, trusted).unwrap_err().to_string()
}

#[test]
fn what_was_changed_is_refused() {
    let both = public_keys();
    let other = PrivateKey::generate(Algorithm::Ed25519).unwrap().public();
    let payload = refusal(|e| e.payload = Base64::encode_string(b"{\"hello\": \"World\"}"), &both);
    assert!(payload.contains("is not one of this payload"), "{payload}");
    let kind = refusal(|e| e.payload_type = "application/json".into(), &both);
    assert!(kind.contains("payloadType is `application/json`, wanted"), "{kind}");
    let exchanged = refusal(
        |e| {
            let sig = e.signatures[0].sig.clone();
            e.signatures[1].sig = sig;
        },
        &both,
    );
    assert!(exchanged.contains(&format!("signature of key {} is not", both[1].id())), "{exchanged}");
    let renamed =
        refusal(|e| e.signatures.iter_mut().for_each(|one| one.keyid = other.id().to_string()), &both);
    assert!(renamed.contains("no trusted key signed"), "{renamed}");
    let claimed = refusal(|e| e.signatures[0].keyid = other.id().to_string(), std::slice::from_ref(&other));
    assert!(claimed.contains("is not one of this payload"), "a keyid is a claim: {claimed}");
    for (what, sig) in [("empty", ""), ("no base64", "%"), ("unpadded", "AAA"), ("spaces", "AAAA AAAA")] {
        let error = refusal(|e| e.signatures[0].sig = sig.into(), &both);
        assert!(error.contains("is not one of") || error.contains("not standard base64"), "{what}: {error}");
    }
    assert!(refusal(|e| e.payload.push('='), &both).contains("payload is not standard base64"));
    assert!(refusal(|e| e.signatures.clear(), &both).contains("no trusted key signed"));
    assert!(refusal(|_| {}, &[]).contains("no trusted key signed"));
}

#[test]
fn other_files_are_no_envelopes() {
    let text = signed().to_json().unwrap();
    let signature = r#"{"keyid": "a", "sig": ""}"#;
    let envelope = |fields: &str| format!(r#"{{"payload": "", "payloadType": "", {fields}}}"#);
    let cases = [
        (String::new(), "EOF"),
        (text.replacen("\"payload\"", "\"payload_\"", 1), "unknown field `payload_`"),
        (text.replacen('{', "{\"payload\": \"\", ", 1), "stands twice"),
        (format!("{text}{text}"), "trailing characters"),
        (envelope("\"signatures\": []"), "no signature"),
        (envelope(&format!("\"signatures\": [{signature}, {signature}]")), "key a signed twice"),
        (envelope(r#""signatures": [{"sig": ""}]"#), "missing field `keyid`"),
        (envelope(r#""signatures": [{"keyid": "", "sig": "", "cert": ""}]"#), "unknown field `cert`"),
    ];
    for (text, wanted) in cases {
        let error = Envelope::from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}
