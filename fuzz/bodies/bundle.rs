//! Bundles in one file, and checkpoints.

use mimir_bundle::bundle::Bundle;
use mimir_export::network::Checkpoint;
use mimir_export::onnx::check_bundled;

use super::onnx::LIMITS;

/// Reads a checkpoint where the first byte is odd, else a bundle. A bundle that was read is written to the same bytes.
pub(crate) fn run(bytes: &[u8]) {
    let Some((kind, content)) = bytes.split_first() else { return };
    if kind % 2 == 1 {
        let _ = Checkpoint::from_reader("fuzzed", content, content.len() as u64);
        return;
    }
    let Ok(bundle) = Bundle::from_bytes(content.to_vec()) else { return };
    let _ = check_bundled(&bundle, &LIMITS);
    let mut written = Vec::new();
    bundle.to_archive(&mut written).expect("a bundle that was read can be written");
    assert_eq!(written, content);
}
