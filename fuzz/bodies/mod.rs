//! What each fuzz target does with some bytes. It returns, or panics: that is a finding.
//!
//! The programs in `fuzz_targets` hand libFuzzer's bytes to these functions. `tests/suite/fuzzing.rs` hands them the
//! inputs of `corpus` and `found`, so that an ordinary `cargo test` compiles them and keeps what was fixed fixed.

pub(crate) mod bundle;
pub(crate) mod composed;
pub(crate) mod documents;
pub(crate) mod gradients;
pub(crate) mod graphs;
pub(crate) mod images;
pub(crate) mod journal;
pub(crate) mod onnx;
pub(crate) mod place;
pub(crate) mod settings;

/// Each target by its name, which is that of its folders.
pub(crate) const TARGETS: [(&str, fn(&[u8])); 14] = [
    ("bundle", bundle::run),
    ("certificate", documents::run),
    ("cifar", images::cifar),
    ("composed", composed::run),
    ("gradients", gradients::run),
    ("idx", images::idx),
    ("journal", journal::run),
    ("npz", images::npz),
    ("onnx", onnx::read),
    ("picture", images::picture),
    ("prepare", onnx::prepare),
    ("settings", settings::run),
    ("shapes", onnx::shapes),
    ("tar", images::tar),
];
