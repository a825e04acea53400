//! Whole files: round trips.

use std::path::PathBuf;

use bytes::Bytes;
use prost::Message;

use super::proto::ModelProto;
use super::*;

/// The ONNX files below `folder` of the checkout, or none, with the reason printed.
fn files_below(folder: &str) -> Vec<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let Ok(entries) = std::fs::read_dir(&root) else {
        eprintln!("skipped: {} is absent", root.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    paths.sort();
    paths
}

fn models_at_hand() -> Vec<PathBuf> {
    [files_below("../shared/models"), files_below("tests/fixtures")].concat()
}

#[test]
fn decoding_and_encoding_is_byte_identical() {
    for path in models_at_hand() {
        let bytes = Bytes::from(std::fs::read(&path).unwrap());
        let model = ModelProto::decode(bytes.clone()).unwrap();
        assert!(model.encode_to_vec() == bytes, "{} differs after a round trip", path.display());
    }
}

#[test]
fn models_at_hand_are_read_and_written() {
    for path in models_at_hand() {
        let model = read_model(&path, &Limits::default()).unwrap();
        let written = Bytes::from(write_model(&model.graph).unwrap());
        let again = read_model_bytes(written, None, &Limits::default()).unwrap();
        assert_eq!(again.graph.to_string(), model.graph.to_string());
        eprintln!("{}: IR {}, {}, {}", path.display(), model.ir_version, model.producer, model.digest);
    }
}
