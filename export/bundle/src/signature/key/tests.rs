use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../../tests/fixtures/signing/", $name))
    };
}

const MESSAGE: &[u8] = fixture!("message").as_bytes();

/// Private key, public key, its id by `sha256sum`, and a signature of [`MESSAGE`]: all made by openssl.
const OPENSSL: [(Algorithm, &str, &str, &str, &str); 2] = [
    (
        Algorithm::Ed25519,
        fixture!("ed25519.key"),
        fixture!("ed25519.pub"),
        fixture!("ed25519.id"),
        fixture!("ed25519.sig64"),
    ),
    (
        Algorithm::EcdsaP256,
        fixture!("p256.key"),
        fixture!("p256.pub"),
        fixture!("p256.id"),
        fixture!("p256.sig64"),
    ),
];

fn base64(text: &str) -> Vec<u8> {
    use base64ct::Encoding as _;
    base64ct::Base64::decode_vec(text).unwrap()
}

#[test]
fn keys_and_signatures_of_openssl_are_read() {
    for (algorithm, private, public, id, signature) in OPENSSL {
        let (private, public) =
            (PrivateKey::from_pem(private).unwrap(), PublicKey::from_pem(public).unwrap());
        assert_eq!((private.public(), public.algorithm()), (public.clone(), algorithm));
        assert_eq!(public.id().as_str(), id.trim());
        let signature = base64(signature);
        assert!(public.verifies(MESSAGE, &signature), "{algorithm}");
        assert!(public.verifies(MESSAGE, &private.sign(MESSAGE)), "{algorithm}");
        if algorithm == Algorithm::Ed25519 {
            assert_eq!(private.sign(MESSAGE), signature, "Ed25519 has one signature of each message");
        }
        assert_eq!(private.sign(MESSAGE), private.sign(MESSAGE), "{algorithm}: no random number");
    }
}

/// Also what is written is what openssl writes, so that every reader of its keys reads ours.
#[test]
fn written_keys_are_those_of_openssl() {
    for (algorithm, private, public, ..) in OPENSSL {
        let read = PrivateKey::from_pem(private).unwrap();
        assert_eq!(read.to_pem().unwrap().as_str(), private, "{algorithm}");
        assert_eq!(read.public().to_pem().unwrap(), public, "{algorithm}");
    }
}

#[test]
fn new_keys_are_new_and_can_be_read_again() {
    for algorithm in Algorithm::ALL {
        let [first, second] = [0; 2].map(|_| PrivateKey::generate(algorithm).unwrap());
        assert_ne!(first.public(), second.public());
        let read = PrivateKey::from_pem(&first.to_pem().unwrap()).unwrap();
        assert_eq!((read.public(), read.public().algorithm()), (first.public(), algorithm));
        assert!(!first.public().verifies(MESSAGE, &second.sign(MESSAGE)), "another key's signature");
        assert!(first.public().verifies(MESSAGE, &read.sign(MESSAGE)));
    }
}

#[test]
fn no_changed_byte_verifies() {
    for (algorithm, private, public, _, _) in OPENSSL {
        let public = PublicKey::from_pem(public).unwrap();
        let signature = PrivateKey::from_pem(private).unwrap().sign(MESSAGE);
        for index in 0..signature.len() {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert!(!public.verifies(MESSAGE, &changed), "{algorithm}: byte {index} of the signature");
        }
        for index in 0..MESSAGE.len() {
            let mut changed = MESSAGE.to_vec();
            changed[index] ^= 1;
            assert!(!public.verifies(&changed, &signature), "{algorithm}: byte {index} of the message");
        }
        for length in 0..signature.len() {
            assert!(!public.verifies(MESSAGE, &signature[..length]), "{algorithm}: {length} bytes");
        }
        assert!(
            !public.verifies(MESSAGE, &[signature.clone(), vec![0]].concat()),
            "{algorithm}: a byte more"
        );
    }
    let [ed25519, p256] = OPENSSL.map(|(_, _, public, _, _)| PublicKey::from_pem(public).unwrap());
    let [of_ed25519, of_p256] = OPENSSL.map(|(_, _, _, _, signature)| base64(signature));
    assert!(!ed25519.verifies(MESSAGE, &of_p256) && !p256.verifies(MESSAGE, &of_ed25519));
}

#[test]
fn a_debug_print_shows_no_secret() {
    for (_, private, ..) in OPENSSL {
        let read = PrivateKey::from_pem(private).unwrap();
        assert_eq!(format!("{read:?}"), format!("PrivateKey(of {})", read.public().id()));
    }
}

#[test]
fn other_private_keys_are_refused_with_the_way_out() {
    let cases = [
        (fixture!("encrypted.key"), "is encrypted; decrypt it with `openssl pkey -in FILE"),
        (fixture!("sec1.key"), "found PEM `EC PRIVATE KEY`, wanted `PRIVATE KEY`; `openssl pkcs8 -topk8"),
        (fixture!("ed25519.pub"), "found PEM `PUBLIC KEY`, wanted `PRIVATE KEY`; only the private key signs"),
        (fixture!("p384.key"), "1.2.840.10045.2.1 with curve 1.3.132.0.34; wanted ed25519 or ecdsa-p256"),
        (fixture!("certificate.pem"), "found PEM `CERTIFICATE`"),
        ("", "there is no `-----BEGIN PRIVATE KEY-----`"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a key in PEM"),
        ("-----BEGIN PRIVATE KEY-----", "not a key in PEM"),
        ("-----BEGIN ", "there is no"),
    ];
    for (text, wanted) in cases {
        let error = PrivateKey::from_pem(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn other_public_keys_are_refused_with_the_way_out() {
    let cases = [
        (fixture!("certificate.pem"), "`openssl x509 -in FILE -noout -pubkey`"),
        (fixture!("p256.key"), "this is a secret: `openssl pkey -in FILE -pubout`"),
        (fixture!("sec1.key"), "this is a secret"),
        (fixture!("rsa.pub"), "of algorithm RSA; wanted ed25519 or ecdsa-p256"),
        // A point of small order (the identity), for which a signature of every message is easily made.
        (
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
             -----END PUBLIC KEY-----\n",
            "small order",
        ),
    ];
    for (text, wanted) in cases {
        let error = PublicKey::from_pem(text).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn key_ids_have_one_spelling() {
    let id = "0123456789abcdef".repeat(4);
    assert_eq!(id.parse::<KeyId>().unwrap().to_string(), id);
    for other in [&id[1..], &id.to_uppercase(), "", "robustness.pub"] {
        assert!(other.parse::<KeyId>().is_err(), "{other}");
    }
}
