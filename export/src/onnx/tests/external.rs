//! External data: what is read, and every way out of the folder.

use std::fs;
use std::path::Path;

use mimir_bundle::digest::{FileDigest, digest_model};
use proptest::prelude::*;

use super::*;
use crate::graph::{Attribute, Graph};
use crate::onnx::external::Place;
use crate::onnx::read_model;
use crate::onnx::tensor::TensorReader;

/// A float tensor `name: [4]` at `entries` of an external file.
pub(super) fn external(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some((*key).to_owned()),
        value: Some((*value).to_owned()),
    };
    TensorProto {
        name: Some(name.to_owned()),
        raw_data: None,
        data_location: Some(EXTERNAL),
        external_data: entries.iter().map(entry).collect(),
        ..weight(&[4], &[])
    }
}

/// Writes a model with those initialisers and reads it from its path.
fn read_in(folder: &Path, initializer: Vec<TensorProto>) -> Result<ModelFile> {
    let model = model(GraphProto { initializer, ..relu_graph() });
    fs::write(folder.join("model.onnx"), model.encode_to_vec()).unwrap();
    read_model(&folder.join("model.onnx"), &Limits::default())
}

pub(super) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn external_tensors_are_read_and_digested_in_the_order_of_their_use() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (floats(&[9.0, 1.0, 2.0, 3.0, 4.0]), floats(&[5.0, 6.0, 7.0, 8.0]));
    fs::create_dir(folder.path().join("weights")).unwrap();
    fs::write(folder.path().join("weights/b.bin"), &b).unwrap();
    fs::write(folder.path().join("a.bin"), &a).unwrap();
    let tensors = vec![
        external("second", &[("location", "./weights/b.bin"), ("length", "16"), ("checksum", "0123")]),
        external("first", &[("location", "a.bin"), ("offset", "4")]),
        external("again", &[("location", "weights/b.bin")]),
    ];
    let file = read_in(folder.path(), tensors).unwrap();
    let value = |name| file.graph.constant(file.graph.find(name).unwrap()).unwrap().to_f32().unwrap();
    assert_eq!(value("first"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(value("second"), [5.0, 6.0, 7.0, 8.0]);
    assert_eq!(value("again"), value("second"));
    let model = fs::read(folder.path().join("model.onnx")).unwrap();
    let files = [("model.onnx", &model), ("weights/b.bin", &b), ("a.bin", &a)];
    assert_eq!(file.files, files.map(|(name, bytes)| FileDigest::new(name, bytes)));
}

/// Thirty kilobytes of a gigabyte, which takes no room on the disk: what is in memory is what tensors name.
#[test]
fn of_a_huge_file_only_what_tensors_name_is_kept() {
    const LENGTH: u64 = 1 << 30;
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("w.bin")).unwrap();
    file.set_len(LENGTH).unwrap();
    let offsets = [0, 4096, (1 << 29) + 8, LENGTH - 7680];
    let tensors = offsets.map(|offset| {
        let offset = offset.to_string();
        TensorProto { dims: vec![1920], ..external("w", &[("location", "w.bin"), ("offset", &offset)]) }
    });
    let model = model(GraphProto { initializer: tensors.clone().into(), ..relu_graph() });
    let mut reader = TensorReader::new(Place::Folder(folder.path()), &model, &Limits::default());
    for tensor in &tensors {
        assert_eq!(reader.read(tensor).unwrap().to_f32().unwrap(), [0.0; 1920]);
    }
    assert_eq!(reader.held(), 4 * 7680 - (7680 - 4096), "the first two overlap");
    assert_eq!(reader.external_files().next().unwrap().bytes, LENGTH);
}

/// Every place of a file in which a tensor may stand.
#[test]
fn external_tensors_of_bodies_and_functions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), floats(&[1.0, 2.0, 3.0, 4.0])).unwrap();
    let constant = |name: &str| NodeProto {
        op_type: Some("Constant".to_owned()),
        output: vec![name.to_owned()],
        attribute: vec![AttributeProto {
            name: Some("value".to_owned()),
            r#type: Some(attribute_type::TENSOR),
            t: Some(Box::new(external("", &[("location", "w.bin")]))),
            ..AttributeProto::default()
        }],
        ..NodeProto::default()
    };
    let body = || GraphProto {
        node: vec![constant("inner")],
        output: vec![ValueInfoProto { name: Some("inner".to_owned()), ..ValueInfoProto::default() }],
        ..GraphProto::default()
    };
    let branch = |name: &str| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_type::GRAPH),
        g: Some(Box::new(body())),
        ..AttributeProto::default()
    };
    let choice = NodeProto {
        op_type: Some("If".to_owned()),
        input: vec!["condition".to_owned()],
        output: vec!["chosen".to_owned()],
        attribute: vec![branch("then_branch"), branch("else_branch")],
        ..NodeProto::default()
    };
    let call = NodeProto {
        op_type: Some("weights".to_owned()),
        domain: Some("own".to_owned()),
        output: vec!["called".to_owned()],
        ..NodeProto::default()
    };
    let import = |domain: &str, version| OperatorSetIdProto {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    let function = FunctionProto {
        name: Some("weights".to_owned()),
        domain: Some("own".to_owned()),
        output: vec!["out".to_owned()],
        node: vec![constant("out")],
        opset_import: vec![import("", 17)],
        ..FunctionProto::default()
    };
    let condition = TensorProto {
        name: Some("condition".to_owned()),
        dims: Vec::new(),
        data_type: Some(9),
        int32_data: vec![1],
        ..TensorProto::default()
    };
    let graph = relu_graph();
    let node = graph.node.iter().cloned().chain([constant("own"), choice, call]).collect();
    let graph = GraphProto { initializer: vec![condition], node, ..graph };
    let mut proto = model(graph);
    proto.opset_import.push(import("own", 1));
    proto.functions.push(function);
    fs::write(folder.path().join("model.onnx"), proto.encode_to_vec()).unwrap();
    let file = read_model(&folder.path().join("model.onnx"), &Limits::default()).unwrap();
    let value =
        |graph: &Graph, name: &str| graph.constant(graph.find(name).unwrap()).unwrap().to_f32().unwrap();
    assert_eq!(value(&file.graph, "own"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(value(&file.graph, "called"), [1.0, 2.0, 3.0, 4.0]);
    let choice = file.graph.nodes().iter().find(|node| node.op_type == "If").unwrap();
    let Some(Attribute::Graph(branch)) = choice.attributes.0.get("else_branch") else { panic!("{choice:?}") };
    assert_eq!(value(&branch.graph, "inner"), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(file.files.len(), 2);
}

/// The digest of a model with two data files, whose tensors lie at those places.
fn digest_of(files: [(&str, &[u8]); 2], offsets: [usize; 2]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let tensors = [("first", 0), ("second", 1)].map(|(name, index)| {
        let offset = offsets[index].to_string();
        external(name, &[("location", files[index].0), ("offset", &offset), ("length", "16")])
    });
    digest_model(&read_in(folder.path(), tensors.into()).unwrap().files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The same bytes, cut elsewhere into two files, are another model.
    #[test]
    fn bytes_that_move_between_files_change_the_digest(
        bytes in prop::collection::vec(any::<u8>().prop_map(|byte| byte & 0x3f), 48..80),
        (a, b) in (16_usize..32, 16_usize..32),
    ) {
        let cut_at = |cut: usize| [("a.bin", &bytes[..cut]), ("b.bin", &bytes[cut..])];
        let digest = digest_of(cut_at(a), [0, 0]);
        prop_assert_eq!(digest == digest_of(cut_at(b), [0, 0]), a == b);
        // Bytes that no tensor uses count too, and so do the names.
        let mut unused = bytes.clone();
        unused[a - 1] ^= u8::from(a > 16);
        let changed = digest_of([("a.bin", &unused[..a]), ("b.bin", &unused[a..])], [0, 0]);
        prop_assert_eq!(digest == changed, a == 16);
        prop_assert_ne!(digest_of([("a.bin", &bytes[..a]), ("c.bin", &bytes[a..])], [0, 0]), digest);
    }
}

#[cfg(unix)]
#[test]
fn a_link_and_a_copy_are_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("real.bin"), floats(&[1.0; 4])).unwrap();
    std::os::unix::fs::symlink("real.bin", folder.path().join("w.bin")).unwrap();
    let read = || read_in(folder.path(), vec![external("w", &[("location", "w.bin")])]).unwrap().files;
    let linked = read();
    fs::remove_file(folder.path().join("w.bin")).unwrap();
    fs::copy(folder.path().join("real.bin"), folder.path().join("w.bin")).unwrap();
    assert_eq!(read(), linked);
}

#[test]
fn external_data_that_does_not_fit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), floats(&[0.0; 4])).unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    let at = |entries: &[(&str, &str)]| external("w", entries);
    let cases = [
        (
            "past the end",
            at(&[("location", "w.bin"), ("offset", "4096")]),
            ErrorKind::Format,
            "needs 16 bytes at offset 4096 of `w.bin`, which has 16",
        ),
        (
            "across the end",
            at(&[("location", "w.bin"), ("offset", "1")]),
            ErrorKind::Format,
            "needs 16 bytes at offset 1 of `w.bin`, which has 16",
        ),
        (
            "an end that overflows",
            at(&[("location", "w.bin"), ("offset", "18446744073709551615")]),
            ErrorKind::Format,
            "needs 16 bytes at offset 18446744073709551615 of `w.bin`, which has 16",
        ),
        (
            "a negative offset",
            at(&[("location", "w.bin"), ("offset", "-4")]),
            ErrorKind::Format,
            "external data offset `-4`; wanted a number of bytes, 0 or more",
        ),
        (
            "another length",
            at(&[("location", "w.bin"), ("length", "12")]),
            ErrorKind::Format,
            "12 bytes of external data, but its dimensions need 16",
        ),
        (
            "dimensions that overflow",
            TensorProto { dims: vec![1 << 62, 8], ..at(&[("location", "w.bin")]) },
            ErrorKind::Format,
            "dimensions [4611686018427387904, 8] of f32 overflow",
        ),
        ("no location", at(&[("offset", "0")]), ErrorKind::Format, "external data without a location"),
        (
            "two locations",
            at(&[("location", "w.bin"), ("location", "v.bin")]),
            ErrorKind::Format,
            "external data key `location` appears twice",
        ),
        (
            "an unknown key",
            at(&[("location", "w.bin"), ("prepacked", "1")]),
            ErrorKind::Unsupported,
            "external data key `prepacked`; supported are location, offset, length and checksum",
        ),
        (
            "data in both places",
            TensorProto { float_data: vec![0.0; 4], ..at(&[("location", "w.bin")]) },
            ErrorKind::Format,
            "has data both in the file and in an external one",
        ),
        (
            "a folder",
            at(&[("location", "folder")]),
            ErrorKind::Io,
            "its data is in `folder`, which cannot be read: is a folder, wanted a regular file",
        ),
        (
            "a missing file",
            at(&[("location", "gone.bin")]),
            ErrorKind::Io,
            "its data is in `gone.bin`, which cannot be read: No such file or directory (os error 2)",
        ),
    ];
    for (case, tensor, kind, text) in cases {
        eprintln!("{case}");
        assert_refused(read_in(folder.path(), vec![tensor]), kind, &format!("tensor `w`: {text}"));
    }
}

#[cfg(unix)]
#[test]
fn external_data_stays_in_the_folder() {
    use std::os::unix::fs::symlink;
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("model");
    fs::create_dir(&folder).unwrap();
    for place in [outer.path(), &folder] {
        fs::write(place.join("w.bin"), floats(&[0.0; 4])).unwrap();
    }
    symlink("../w.bin", folder.join("file_link")).unwrap();
    symlink("..", folder.join("folder_link")).unwrap();
    symlink("w.bin", folder.join("inner_link")).unwrap();
    let absolute = folder.join("w.bin").display().to_string();
    for location in [
        "../w.bin",
        "../model/w.bin",
        "folder/../w.bin",
        &absolute,
        "file_link",
        "folder_link/w.bin",
        "folder_link/model/../w.bin",
        "",
        ".",
    ] {
        let error = read_in(&folder, vec![external("w", &[("location", location)])]).expect_err(location);
        assert_eq!(error.kind(), ErrorKind::Format, "{location}: {error}");
    }
    assert_refused(
        read_in(&folder, vec![external("w", &[("location", "../w.bin")])]),
        ErrorKind::Format,
        "tensor `w`: its data is in `../w.bin`, which is outside the model's folder: put the file beside the model",
    );
    assert_refused(
        read_in(&folder, vec![external("w", &[("location", "file_link")])]),
        ErrorKind::Format,
        "tensor `w`: its data is in `file_link`, which is outside the model's folder: put the file beside the model",
    );
    read_in(&folder, vec![external("w", &[("location", "inner_link")])]).unwrap();
}

#[test]
fn a_model_without_a_folder_has_no_external_data() {
    assert_refused(
        read(&model(graph_with(external("w", &[("location", "w.bin")])))),
        ErrorKind::Unsupported,
        "tensor `w`: its data is in the file `w.bin`, but the model was read from memory: read it from its path",
    );
}

#[test]
fn external_files_count_against_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), vec![0; 100]).unwrap();
    let model = model(graph_with(external("w", &[("location", "w.bin")])));
    let limits = Limits { tensor_bytes: 99, ..Limits::default() };
    assert_refused(
        read_model_bytes(model.encode_to_vec().into(), Some(folder.path()), &limits),
        ErrorKind::Limit,
        "tensor `w`: its data is in `w.bin`: more than 99 bytes of external data; raise `Limits::tensor_bytes` if you \
         trust the file",
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let limits = Limits { file_bytes: 4, ..Limits::default() };
    let place = path.display();
    assert_refused(
        read_model(&path, &limits),
        ErrorKind::Io,
        &format!("{place}: cannot be read: No such file or directory (os error 2)"),
    );
    fs::create_dir(&path).unwrap();
    assert_refused(
        read_model(&path, &limits),
        ErrorKind::Io,
        &format!("{place}: cannot be read: is a folder, wanted a regular file"),
    );
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "hello").unwrap();
    assert_refused(
        read_model(&path, &limits),
        ErrorKind::Limit,
        &format!("{place}: more than 4 bytes; raise `Limits::file_bytes` if you trust the file"),
    );
    assert_refused(
        read_model(&path, &Limits::default()),
        ErrorKind::Format,
        &format!("{place}: is not an ONNX file, or it is truncated: byte 2 has wire type 4"),
    );
}
