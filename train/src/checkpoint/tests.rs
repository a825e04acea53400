//! Weights to a file and back; files that do not fit.

mod parts;
mod state;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use super::*;
use crate::parameters::{Init, Scope};

fn network(seed: u64, build: impl Fn(&mut Scope<'_>)) -> Parameters {
    let mut parameters = Parameters::new(seed, Device::Cpu);
    build(&mut parameters.root());
    parameters
}

fn add(scope: &mut Scope<'_>, tensors: &[(&str, &[i64])]) {
    for (name, shape) in tensors {
        let _ = scope.parameter(name, shape, Init::Normal(1.0));
    }
}

/// What a pre-training saves, in small.
fn autoencoder(scope: &mut Scope<'_>) {
    let tensors: [(&str, &[i64]); 8] = [
        ("cls_token", &[1, 1, 2]),
        ("blocks.0.attn.qkv.weight", &[6, 2]),
        ("blocks.0.attn.qkv.bias", &[6]),
        ("norm.weight", &[2]),
        ("mask_token", &[1, 1, 2]),
        ("decoder_embed.weight", &[2, 2]),
        ("decoder_blocks.0.norm1.weight", &[2]),
        ("decoder_pred.bias", &[3]),
    ];
    add(scope, &tensors);
    let _ = scope.buffer("pos_embed", &Tensor::ones([1, 5, 2], (Kind::Float, Device::Cpu)));
}

/// A classifier over the same encoder; `norm` is `fc_norm` for the mean of patches and `norm` for the class token.
fn classifier(norm: &'static str) -> impl Fn(&mut Scope<'_>) {
    move |scope| {
        let tensors: [(&str, &[i64]); 5] = [
            ("cls_token", &[1, 1, 2]),
            ("pos_embed", &[1, 5, 2]),
            ("blocks.0.attn.qkv.weight", &[6, 2]),
            ("blocks.0.attn.qkv.bias", &[6]),
            ("head.weight", &[3, 2]),
        ];
        add(scope, &tensors);
        add(&mut scope.child(norm), &[("weight", &[2])]);
    }
}

fn values(parameters: &Parameters) -> Vec<(String, Vec<f32>)> {
    let flat = |tensor: &Tensor| Vec::try_from(tensor.flatten(0, -1)).unwrap();
    parameters.iter().map(|parameter| (parameter.name.clone(), flat(&parameter.tensor))).collect()
}

fn file_of(folder: &tempfile::TempDir, parameters: &Parameters) -> PathBuf {
    let path = folder.path().join("weights.safetensors");
    save(&path, parameters, &json!({ "architecture": { "width": 2 } })).unwrap();
    path
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn weights_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (network(1, autoencoder), network(2, autoencoder));
    let path = file_of(&folder, &from);
    assert_ne!(values(&from), values(&to));
    let report = load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).unwrap();
    assert_eq!(values(&from), values(&to));
    assert_eq!((report.used.len(), report.dropped.len(), report.initialised.len()), (9, 0, 0));
    assert_eq!(metadata(&path).unwrap(), json!({ "architecture": { "width": 2 } }));
    assert!(to.get("cls_token").unwrap().requires_grad());
}

#[test]
fn the_same_weights_give_the_same_bytes_and_other_readers_find_their_mark() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(file_of(&folder, &network(1, autoencoder))).unwrap();
    for _ in 0..8 {
        assert_eq!(fs::read(file_of(&folder, &network(1, autoencoder))).unwrap(), bytes);
    }
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    assert_eq!(header % 8, 0);
}

#[test]
fn an_encoder_goes_into_a_classifier_and_the_report_says_what_became_of_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let from = network(1, autoencoder);
    let path = file_of(&folder, &from);
    let decoder =
        ["decoder_blocks.0.norm1.weight", "decoder_embed.weight", "decoder_pred.bias", "mask_token"];
    let encoder = ["blocks.0.attn.qkv.bias", "blocks.0.attn.qkv.weight", "cls_token"];
    let cases = [
        (
            "fc_norm",
            [&encoder[..], &["pos_embed"]].concat(),
            [&decoder[..], &["norm.weight"]].concat(),
            vec!["fc_norm.weight", "head.weight"],
        ),
        (
            "norm",
            [&encoder[..], &["norm.weight", "pos_embed"]].concat(),
            decoder.to_vec(),
            vec!["head.weight"],
        ),
    ];
    for (norm, used, dropped, initialised) in cases {
        let to = network(2, classifier(norm));
        let started = values(&to);
        let report = load(&path, &to, LoadMode::EncoderOnly, FloatTypes::Float32Only).unwrap();
        assert_eq!(
            report,
            LoadReport {
                used: owned(&used),
                interpolated: Vec::new(),
                dropped: owned(&dropped),
                initialised: owned(&initialised)
            }
        );
        for ((name, now), (_, before)) in values(&to).into_iter().zip(started) {
            let pre_trained = || values(&from).into_iter().find(|(other, _)| *other == name).unwrap().1;
            assert_eq!(now, if report.used.contains(&name) { pre_trained() } else { before }, "{name}");
        }
    }
    let report =
        load(&path, &network(2, classifier("fc_norm")), LoadMode::EncoderOnly, FloatTypes::Float32Only)
            .unwrap();
    assert_eq!(
        report.to_string(),
        "used 4 tensors of the file; dropped 5: decoder_blocks (1), decoder_embed (1), decoder_pred (1), \
         mask_token (1), norm (1); newly initialised 2: fc_norm (1), head (1)"
    );
}

#[test]
fn every_difference_is_in_one_error_and_nothing_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(&folder, &network(1, autoencoder));
    let to = network(2, |scope| {
        let tensors: [(&str, &[i64]); 5] = [
            ("cls_token", &[1, 1, 2]),
            ("pos_embed", &[1, 16, 2]),
            ("blocks.0.attn.qkv.weight", &[6, 3]),
            ("blocks.1.attn.qkv.weight", &[6, 2]),
            ("head.weight", &[3, 2]),
        ];
        add(scope, &tensors);
    });
    let before = values(&to);
    let error = load(&path, &to, LoadMode::EncoderOnly, FloatTypes::Float32Only).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} does not fit this network\n\
             missing from the file (1):\n  blocks.1.attn.qkv.weight\n\
             not in the network (1):\n  blocks.0.attn.qkv.bias\n\
             of another shape (2):\n  blocks.0.attn.qkv.weight: [6, 2] in the file, [6, 3] wanted\n  \
             pos_embed: [1, 5, 2] in the file, [1, 16, 2] wanted; made for another number of patches: use the \
             image_size and patch_size of the file",
            path.display()
        )
    );
    assert_eq!(values(&to), before);
    // A strict load allows nothing.
    let strict = load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).unwrap_err().to_string();
    assert!(
        strict.contains("not in the network (6)") && strict.contains("missing from the file (2)"),
        "{strict}"
    );
}

#[test]
fn positions_of_another_grid_are_interpolated_into_a_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let path = file_of(&folder, &network(1, autoencoder));
    let to = network(2, |scope| {
        let tensors: [(&str, &[i64]); 5] = [
            ("cls_token", &[1, 1, 2]),
            ("pos_embed", &[1, 17, 2]),
            ("blocks.0.attn.qkv.weight", &[6, 2]),
            ("blocks.0.attn.qkv.bias", &[6]),
            ("head.weight", &[3, 2]),
        ];
        add(scope, &tensors);
    });
    let report = load(&path, &to, LoadMode::EncoderOnly, FloatTypes::Float32Only).unwrap();
    assert_eq!(report.interpolated, ["pos_embed from 2 x 2 to 4 x 4 patches"]);
    assert!(report.to_string().contains("; interpolated pos_embed from 2 x 2 to 4 x 4 patches"), "{report}");
    // The file's table is 1 everywhere.
    let difference = (to.get("pos_embed").unwrap() - 1.0).abs().max().double_value(&[]);
    assert!(difference < 1e-6, "{difference}");
    assert!(load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).is_err());
}

#[test]
fn long_lists_are_cut_and_counted() {
    let missing = (0..25).map(|i| format!("w{i:02}")).collect();
    let text = Mismatch { missing, ..Mismatch::default() }.to_string();
    assert!(text.starts_with("missing from the file (25):\n  w00\n"), "{text}");
    assert!(text.ends_with("w19\n  and 5 more"), "{text}");
}

#[test]
fn half_precision_is_taken_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.safetensors");
    let tensor = Tensor::from_slice(&[1.5f32, -2.0]);
    format::save(&path, vec![("w".to_owned(), tensor.to_kind(Kind::BFloat16))], &Value::Null).unwrap();
    let to = network(0, |scope| add(scope, &[("w", &[2])]));
    let error = load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).unwrap_err().to_string();
    assert!(error.contains("w: BF16 in the file; half precision is not accepted here"), "{error}");
    load(&path, &to, LoadMode::Strict, FloatTypes::WithHalf).unwrap();
    assert_eq!(to.get("w"), Some(&tensor));
}

#[test]
fn integers_are_never_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("integers.safetensors");
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![2], &[0; 16]).unwrap();
    fs::write(&path, safetensors::serialize([("w", view)], None).unwrap()).unwrap();
    let to = network(0, |scope| add(scope, &[("w", &[2])]));
    let error = load(&path, &to, LoadMode::Strict, FloatTypes::WithHalf).unwrap_err().to_string();
    assert!(error.contains("w: I64 in the file, F32 wanted"), "{error}");
}

#[test]
fn files_that_are_not_whole_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let to = network(2, autoencoder);
    let path = file_of(&folder, &network(1, autoencoder));
    let whole = fs::read(&path).unwrap();
    let before = values(&to);
    for length in [0, 7, 8, 100, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).unwrap_err();
        assert!(matches!(error, CheckpointError::Format { .. }), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
    assert_eq!(values(&to), before);
    fs::remove_file(&path).unwrap();
    let error = load(&path, &to, LoadMode::Strict, FloatTypes::Float32Only).unwrap_err();
    assert!(matches!(error, CheckpointError::Read { .. }), "{error}");
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere").join("x.safetensors");
    let error = save(&path, &network(0, autoencoder), &Value::Null).unwrap_err();
    assert!(matches!(error, CheckpointError::Write { .. }), "{error}");
    assert!(error.to_string().contains("the previous file is unchanged"), "{error}");
}
