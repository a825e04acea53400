//! Bytes that are no protobuf, or too much of it.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::onnx::write_model;

fn read_raw(bytes: &[u8]) -> Result<ModelFile> {
    read_model_bytes(Bytes::copy_from_slice(bytes), None, &Limits::default())
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty", b"", "the file is empty: wanted an ONNX model"),
        (
            "text",
            b"version https://git-lfs",
            "is not an ONNX file, or it is truncated: byte 0 has wire type 6",
        ),
        ("zeros", &[0; 64], "is not an ONNX file, or it is truncated: byte 0 starts field number 0"),
        (
            "a zip, as PyTorch saves it",
            b"PK\x03\x04\x14\x00\x06\x00",
            "is not an ONNX file, or it is truncated: byte 2 starts field number 0",
        ),
        (
            "a number without an end",
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            "is not an ONNX file, or it is truncated: byte 1 starts a number without an end",
        ),
        (
            "a length of 2^63",
            &[0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
            "is not an ONNX file, or it is truncated: byte 11 announces 9223372036854775808 bytes, but its message \
             has \
             0 left",
        ),
        ("only an unknown field", &[0xfa, 0x3f, 0x00], "has no `ir_version`: not an ONNX model"),
        (
            "a name that is no text",
            &[0x12, 0x02, 0xff, 0xfe],
            "is not an ONNX file, or it is truncated: failed to \
             decode Protobuf message: ModelProto.producer_name: invalid string value: data is not UTF-8 encoded",
        ),
    ];
    for (case, bytes, text) in cases {
        eprintln!("{case}");
        assert_refused(read_raw(bytes), ErrorKind::Format, text);
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = model(graph_with(weight(&[4], &[1.0; 4]))).encode_to_vec();
    read_raw(&bytes).unwrap();
    for length in 0..bytes.len() {
        let error = read_raw(&bytes[..length]).expect_err("a cut file");
        assert_eq!(error.kind(), ErrorKind::Format, "{length}: {error}");
    }
    let text = read_raw(&bytes[..20]).unwrap_err().to_string();
    assert_eq!(
        text,
        "is not an ONNX file, or it is truncated: byte 4 announces 85 bytes, but its message has 16 left"
    );
}

#[test]
fn a_bomb_of_unknown_groups_is_refused_without_descending() {
    // 0x0b starts a group of field 1: parsers that follow each of them overflow their stack (RUSTSEC-2024-0437).
    assert_refused(
        read_raw(&[0x0b; 400_000]),
        ErrorKind::Format,
        "is not an ONNX file, or it is truncated: byte 0 has wire type 3",
    );
}

#[test]
fn deep_nesting_is_refused() {
    let nested = |levels: usize| {
        (0..levels).fold(TypeProto::default(), |inner, _| {
            let sequence = SequenceTypeProto { elem_type: Some(Box::new(inner)) };
            TypeProto { sequence_type: Some(Box::new(sequence)), ..TypeProto::default() }
        })
    };
    let with_input_of = |r#type| {
        let deep =
            ValueInfoProto { name: Some("x".to_owned()), r#type: Some(r#type), ..ValueInfoProto::default() };
        model(GraphProto { input: vec![deep], ..relu_graph() })
    };
    // Each level is two messages, and model, graph, input and its type are four.
    for levels in [15, 200] {
        let text = "more than 32 nested messages; raise `Limits::nesting` if you trust the file";
        assert_refused(read(&with_input_of(nested(levels))), ErrorKind::Limit, text);
    }
    assert_refused(
        read(&with_input_of(nested(14))),
        ErrorKind::Unsupported,
        "tensor `x`: this input has the type sequence; wanted a tensor",
    );
    // One message too many.
    let limits = Limits { nesting: 31, ..Limits::default() };
    assert_refused(
        read_under(&with_input_of(nested(14)), &limits),
        ErrorKind::Limit,
        "more than 31 nested messages; raise `Limits::nesting` if you trust the file",
    );
}

#[test]
fn subgraphs_in_subgraphs_are_refused_before_they_are_decoded() {
    let nest = |inner: GraphProto, _| {
        let branch =
            AttributeProto { g: Some(Box::new(inner)), ..attribute("then_branch", attribute_type::GRAPH) };
        graph(vec![NodeProto { attribute: vec![branch], ..node("If", &["x"], &["y"]) }])
    };
    assert_refused(
        read(&model((0..300).fold(relu_graph(), nest))),
        ErrorKind::Limit,
        "more than 32 nested messages; raise `Limits::nesting` if you trust the file",
    );
}

#[test]
fn caps_are_counted_before_decoding() {
    let small = model(graph((0..50).map(|_| NodeProto::default()).collect()));
    let bytes = small.encoded_len();
    let cases = [
        (
            Limits { nodes: 49, ..Limits::default() },
            "more than 49 nodes; raise `Limits::nodes` if you trust the file".to_owned(),
        ),
        (
            Limits { fields: 60, ..Limits::default() },
            "more than 60 protobuf fields; raise `Limits::fields` if you trust the file".to_owned(),
        ),
        (
            Limits { file_bytes: bytes as u64 - 1, ..Limits::default() },
            format!("more than {} bytes; raise `Limits::file_bytes` if you trust the file", bytes - 1),
        ),
    ];
    for (limits, text) in cases {
        assert_refused(read_under(&small, &limits), ErrorKind::Limit, &text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever the bytes, the answer is a graph that can be written again, one with open sizes, or an error.
    #[test]
    fn damaged_files_are_read_or_refused(
        graph in generated::graph(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = write_model(&graph).unwrap();
        for (place, byte) in damage {
            *place.get_mut(&mut bytes) = byte;
        }
        match read_raw(&bytes) {
            // Without the images nobody knows the types of all inputs.
            Ok(file) if !file.open_inputs.is_empty() => {}
            Ok(file) => prop_assert!(read_raw(&write_model(&file.graph).unwrap()).is_ok()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
