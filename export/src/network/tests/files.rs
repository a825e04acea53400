//! Files that are no checkpoint, or not the one that was asked for.

use mimir_bundle::architecture::Family;
use mimir_bundle::digest::FileDigest;
use safetensors::Dtype;

use super::{FAMILIES, by_name, file, listed, read, small, tensors_of};
use crate::network::{BuildOptions, Checkpoint, Network, Wanted, build, describe};

const HEADER: &str = r#"{"version": 1, "stage": "finetune", "architecture": {"family": "vit", "width": 8, "depth": 1,
    "heads": 2, "image_size": 8, "patch_size": 4}, "pooling": "mean", "classes": 3}"#;

fn described(checkpoint: &Checkpoint, wanted: &Wanted) -> Result<Network, String> {
    describe(checkpoint, wanted).map_err(|error| error.to_string())
}

#[test]
fn a_header_says_everything() {
    let bytes = file(&tensors_of(&small(Family::Vit)), Some(HEADER));
    let checkpoint = read(bytes.clone()).unwrap();
    assert_eq!(checkpoint.digest, FileDigest::new("test.safetensors", &bytes));
    assert_eq!(described(&checkpoint, &Wanted::default()), Ok(small(Family::Vit)));
}

#[test]
fn what_contradicts_the_header_is_refused() {
    let checkpoint = read(file(&tensors_of(&small(Family::Vit)), Some(HEADER))).unwrap();
    let cases = [
        (
            Wanted { classes: Some(4), ..Wanted::default() },
            "classes 4 is asked for, but the header of the file says 3",
        ),
        (Wanted { heads: Some(4), ..Wanted::default() }, "heads 4"),
        (Wanted { patch_size: Some(2), ..Wanted::default() }, "patch_size 2"),
        (Wanted { architecture: Some("vit_tiny_patch16_224".into()), ..Wanted::default() }, "width 192"),
        (Wanted { architecture: Some("cait_xxs24".into()), ..Wanted::default() }, "family cait"),
        (
            Wanted { image_size: Some(9), ..Wanted::default() },
            "patch_size 4; wanted a divisor of image_size 9",
        ),
    ];
    for (wanted, message) in cases {
        let error = described(&checkpoint, &wanted).unwrap_err();
        assert!(error.contains(message), "{error} lacks {message}");
    }
    let larger = Wanted { image_size: Some(12), ..Wanted::default() };
    assert_eq!(described(&checkpoint, &larger).unwrap().architecture.patches(), 9);
}

#[test]
fn a_small_file_cannot_ask_for_any_amount_of_memory() {
    let convit = small(Family::Convit);
    let architecture =
        mimir_bundle::architecture::Architecture { image_size: 4096, patch_size: 1, ..convit.architecture };
    let error = Network { architecture, ..convit }.check().unwrap_err();
    assert!(error.to_string().contains("between 16777216 patches"), "{error}");
    let largest = mimir_bundle::architecture::Architecture { image_size: 65536, ..architecture };
    assert!(Network { architecture: largest, ..convit }.check().is_err());
}

#[test]
fn files_without_a_header_show_their_network() {
    for family in FAMILIES {
        let network = small(family);
        let checkpoint = read(file(&tensors_of(&network), None)).unwrap();
        let wanted = Wanted { heads: Some(2), ..Wanted::default() };
        assert_eq!(described(&checkpoint, &wanted), Ok(network), "{family:?}");
        let heads = described(&checkpoint, &Wanted::default());
        match family {
            Family::Convit | Family::Cait => assert_eq!(heads, Ok(network)),
            Family::Vit | Family::VitConvStem => assert!(heads.unwrap_err().contains("--heads N")),
        }
    }
}

#[test]
fn one_error_lists_every_tensor_that_does_not_fit() {
    let network = small(Family::Vit);
    let mut tensors = by_name(&network);
    tensors.remove("blocks.0.attn.proj.bias");
    tensors.remove("head.weight");
    tensors.insert("blocks.0.ls1.gamma".into(), (Dtype::F32, vec![8]));
    tensors.insert("reg_token".into(), (Dtype::F32, vec![1, 4, 8]));
    tensors.insert("cls_token".into(), (Dtype::F64, vec![1, 1, 8]));
    tensors.insert("blocks.0.norm1.weight".into(), (Dtype::I64, vec![9]));
    tensors.insert("pos_embed".into(), (Dtype::F32, vec![1, 7, 8]));
    let checkpoint = read(file(&listed(tensors), None)).unwrap();
    let error = build(checkpoint, &network, &BuildOptions::default()).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r"
    the tensors of the file are not those of the network
    missing from the file (2):
      blocks.0.attn.proj.bias
      head.weight
    not in the network (2):
      blocks.0.ls1.gamma
      reg_token
    of another shape (2):
      pos_embed: [1, 7, 8] in the file, [1, 5, 8] wanted
      blocks.0.norm1.weight: [9] in the file, [8] wanted
    of another type (2):
      cls_token: F64 in the file; F32, F16 or BF16 wanted
      blocks.0.norm1.weight: I64 in the file; F32, F16 or BF16 wanted
    ");
}

/// A line of the list is a tensor, whatever it is called.
#[test]
fn names_in_the_list_stay_on_their_line() {
    let network = small(Family::Vit);
    let mut tensors = by_name(&network);
    tensors.insert("a\nPASS\u{1b}[2J".into(), (Dtype::F32, vec![8]));
    let checkpoint = read(file(&listed(tensors), None)).unwrap();
    let error = build(checkpoint, &network, &BuildOptions::default()).unwrap_err().to_string();
    assert!(error.ends_with("\nnot in the network (1):\n  a\\nPASS\\u{1b}[2J"), "{error:?}");
}

#[test]
fn networks_that_are_not_classifiers_of_ours_are_refused_by_name() {
    let mut tensors = by_name(&small(Family::Vit));
    tensors.insert("dist_token".into(), (Dtype::F32, vec![1, 1, 8]));
    let distilled = read(file(&listed(tensors), None)).unwrap();
    let error = described(&distilled, &Wanted::default()).unwrap_err();
    assert!(error.contains("has dist_token: a distilled DeiT"), "{error}");
    let pretraining = HEADER.replace("finetune", "pretrain");
    let autoencoder = read(file(&[], Some(&pretraining))).unwrap();
    let error = described(&autoencoder, &Wanted::default()).unwrap_err();
    assert!(error.contains("is a masked autoencoder"), "{error}");
    let error = described(&read(file(&[], None)).unwrap(), &Wanted::default()).unwrap_err();
    assert!(error.contains("--architecture NAME"), "{error}");
}

/// The file with this JSON in front of `data` bytes.
fn with_json(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.bytes());
    bytes.extend(vec![0; data]);
    bytes
}

#[test]
fn files_that_are_not_whole_or_not_clear_are_refused() {
    let good = file(&tensors_of(&small(Family::Vit)), Some(HEADER));
    assert!(read(good.clone()).is_ok());
    let a = r#""a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}"#;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "0 bytes where 8 are wanted"),
        (vec![255; 8], "bytes of header"),
        (good[..good.len() - 1].to_vec(), "the file is cut off"),
        ([good.clone(), vec![0]].concat(), "the file is cut off, or not a safetensors file"),
        (with_json("nothing", 0), "header: "),
        (with_json(&format!("{{{a}, {a}}}"), 4), "`a` stands twice"),
        (with_json(r#"{"__metadata__": {"mimir": "{}", "mimir": "{}"}}"#, 0), "`mimir` stands twice"),
        (with_json(r#"{"__metadata__": {"mimir": "{}"}}"#, 0), "missing field `stage`"),
        (with_json(&format!("{{{a}}}"), 0), "0 bytes of tensors, but the header needs 4"),
        (with_json(r#"{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}"#, 4), "header: "),
        (with_json(r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#, 8), "header: "),
        (
            with_json(
                &format!(r#"{{{a}, "b": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}}}"#),
                4,
            ),
            "header: ",
        ),
        (
            with_json(
                r#"{"a": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 4]}}"#,
                4,
            ),
            "header: ",
        ),
    ];
    for (bytes, message) in cases {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error} lacks {message}");
    }
}

#[test]
fn a_folder_or_a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("wanted a regular file"), "{error}");
    let missing = folder.path().join("missing.safetensors");
    let error = Checkpoint::read(&missing).unwrap_err().to_string();
    assert!(error.contains("missing.safetensors"), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let mut bytes = file(&[("head.bias".into(), Dtype::F32, vec![2])], None);
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let error = read(bytes).unwrap_err().to_string();
    assert_eq!(error, "tensor `head.bias`: element 1 is inf; wanted finite numbers");
}

#[test]
fn changing_any_byte_of_a_header_never_panics() {
    let good = file(&tensors_of(&small(Family::Vit)), Some(HEADER));
    let end = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for place in (0..end).step_by(3) {
        for flip in [0x01, 0x10, 0x80] {
            let mut bytes = good.clone();
            bytes[place] ^= flip;
            if let Ok(checkpoint) = read(bytes)
                && let Ok(network) = describe(&checkpoint, &Wanted::default())
            {
                let _ = build(checkpoint, &network, &BuildOptions::default());
            }
        }
    }
}
