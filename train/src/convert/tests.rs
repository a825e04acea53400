//! Files of `torch.save` (tests/fixtures/pth), and what was done to them.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pth").join(name)
}

fn read(name: &str) -> Result<Conversion, ConvertError> {
    Conversion::read(&fixture(name), None)
}

fn values(conversion: &Conversion, name: &str) -> (Vec<i64>, Vec<f32>) {
    let tensor = &conversion.tensors[name];
    (tensor.size(), Vec::try_from(tensor.flatten(0, -1)).unwrap())
}

/// The fixture with the bytes of some entries changed.
fn changed(name: &str, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("changed.pth");
    let mut archive = ZipArchive::new(File::open(fixture(name)).unwrap()).unwrap();
    let mut writer = ZipWriter::new(File::create(&path).unwrap());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        writer.start_file(entry.name().to_owned(), SimpleFileOptions::default()).unwrap();
        writer.write_all(&change(entry.name(), bytes)).unwrap();
    }
    writer.finish().unwrap();
    (folder, path)
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the bytes are there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn views_of_storages_become_tensors() {
    for name in ["state_dict.pth", "bfloat16.pth", "float64.pth", "wrapped.pth", "mae.pth"] {
        let conversion = read(name).unwrap();
        assert_eq!(
            values(&conversion, "cls_token"),
            (vec![1, 1, 4], vec![-1.0, -0.75, -0.5, -0.25]),
            "{name}"
        );
        // An offset, a shared storage, strides, a parameter.
        assert_eq!(values(&conversion, "blocks.0.norm1.weight").1, [8.0, 9.0, 10.0, 11.0], "{name}");
        assert_eq!(values(&conversion, "blocks.0.norm1.bias").1, [0.0, 1.0, 2.0, 3.0], "{name}");
        assert_eq!(
            values(&conversion, "head.weight"),
            (vec![2, 3], vec![0.0, 2.0, 4.0, 1.0, 3.0, 5.0]),
            "{name}"
        );
        assert_eq!(values(&conversion, "head.bias"), (vec![2], vec![0.0, 0.25]), "{name}");
        assert_eq!(conversion.counts(), (5, 20));
    }
}

#[test]
fn the_report_says_what_became_of_every_key() {
    let report = read("unknown.pth").unwrap().report.to_string();
    let wanted = "unknown: 3\n  dist_token: no network here has it\n  num_batches: numbers of type int64\n  \
                  epoch: of type int, not a tensor\n";
    assert!(
        report.starts_with("kept: 5\n  cls_token: [1, 1, 4] float32\n") && report.ends_with(wanted),
        "{report}"
    );
    let report = read("mae.pth").unwrap().report;
    let beside: Vec<&str> = report.dropped.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(beside, ["optimizer", "epoch", "scaler", "args"]);
    let report = read("wrapped.pth").unwrap().report;
    assert_eq!(
        report.renamed[0],
        ("module.base_model.cls_token".to_owned(), "cls_token [1, 1, 4] float16".to_owned())
    );
}

#[test]
fn the_key_of_the_weights_can_be_named() {
    let path = fixture("ema.pth");
    assert_eq!(Conversion::read(&path, Some("model_ema")).unwrap().counts(), (5, 20));
    assert_eq!(Conversion::read(&path, None).unwrap().counts(), (0, 0));
    let error = Conversion::read(&path, Some("other")).unwrap_err().to_string();
    assert_eq!(error, "no weights under `other`; keys of the file: model, model_ema");
}

#[test]
fn files_that_are_no_checkpoints_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.pth");
    std::fs::write(&text, b"not a checkpoint").unwrap();
    let empty = folder.path().join("empty.pth");
    ZipWriter::new(File::create(&empty).unwrap()).finish().unwrap();
    for (path, wanted) in [
        (fixture("missing.pth"), "missing.pth: "),
        (text, "wanted a file of torch.save"),
        (empty, "without data.pkl"),
        (fixture("list.pth"), "found a list, wanted a dictionary"),
        (fixture("no_weights.pth"), "no weights found (--take names their key); keys of the file: epoch"),
        (fixture("twice.pth"), "two keys of the file become `cls_token`; the second is `module.cls_token`"),
        (fixture("command.pth"), "posix.system; only tensors and plain values"),
    ] {
        let error = Conversion::read(&path, None).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn damaged_archives_are_refused() {
    type Change = fn(&str, Vec<u8>) -> Vec<u8>;
    let cases: [(Change, &str); 6] = [
        (
            |name, bytes| if name.ends_with("data/0") { bytes[1..].to_vec() } else { bytes },
            "15 bytes in data/0 for 4",
        ),
        (|name, bytes| if name.ends_with("byteorder") { b"big".to_vec() } else { bytes }, "big-endian"),
        (|name, bytes| if name.ends_with(".pkl") { bytes[..60].to_vec() } else { bytes }, "ends at byte 60"),
        // Storage key 0 is no longer there.
        (
            |name, bytes| {
                if name.ends_with(".pkl") { replaced(&bytes, b"\x000q\x06", b"\x00xq\x06") } else { bytes }
            },
            "no data/x",
        ),
        // The offset 8 of `blocks.0.norm1.weight` becomes 9: its last element is the 13th of 12.
        (
            |name, bytes| {
                if name.ends_with(".pkl") { replaced(&bytes, b"QK\x08K\x04", b"QK\x09K\x04") } else { bytes }
            },
            "leaves data/1",
        ),
        // More elements than the storage has, by a stride of 0.
        (
            |name, bytes| {
                if name.ends_with(".pkl") {
                    replaced(&bytes, b"K\x04\x85q\x11K\x01\x85", b"K\xc8\x85q\x11K\x00\x85")
                } else {
                    bytes
                }
            },
            "leaves data/1",
        ),
    ];
    for (change, wanted) in cases {
        let (_folder, path) = changed("state_dict.pth", change);
        let error = Conversion::read(&path, None).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error} lacks {wanted}");
    }
}

#[test]
fn what_is_written_is_read_as_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.safetensors");
    read("state_dict.pth").unwrap().write(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!((metadata.len(), metadata["format"].as_str()), (1, "pt"));
    let head = file.tensor("head.weight").unwrap();
    assert_eq!((head.shape(), head.dtype()), (&[2, 3][..], safetensors::Dtype::F32));
    assert_eq!(head.data()[4..8], 2.0_f32.to_le_bytes());
}
