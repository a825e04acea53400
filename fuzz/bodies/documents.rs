//! Documents that come with a model: the first byte says which.

use mimir_bundle::Certificate;
use mimir_bundle::bundle::BundleManifest;
use mimir_bundle::checkpoint::CheckpointHeader;
use mimir_bundle::policy::Policy;
use mimir_bundle::signature::{Envelope, PrivateKey, PublicKey};
use mimir_bundle::statement::Statement;

/// Reads one. A certificate that was read is written and read again to the same one.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(content);
    match kind % 8 {
        0 | 1 => certificate(&text),
        2 => manifest(content),
        3 => drop(Policy::from_toml(&text, &mut |_| Err("no keys here".to_owned()))),
        4 => drop(Envelope::from_json(content)),
        5 => drop(Statement::from_json(content)),
        6 => drop(CheckpointHeader::parse(&text)),
        _ => {
            let _ = PublicKey::from_pem(&text);
            let _ = PrivateKey::from_pem(&text);
        }
    }
}

fn certificate(text: &str) {
    let Ok(certificate) = Certificate::from_json(text) else { return };
    let written = serde_json::to_string(&certificate).expect("a certificate that was read can be written");
    assert_eq!(Certificate::from_json(&written).expect("and read again"), certificate);
}

fn manifest(text: &[u8]) {
    let Ok(manifest) = BundleManifest::from_json(text) else { return };
    let written = manifest.to_json().expect("a manifest that was read can be written");
    assert_eq!(BundleManifest::from_json(&written).expect("and read again"), manifest);
}
