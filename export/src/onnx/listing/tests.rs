use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::{Listing, read_listing, read_listing_bytes};
use crate::error::{ErrorKind, Result};
use crate::onnx::proto::*;
use crate::onnx::{Limits, read_model, write_model};
use crate::vit::{VitConfig, vit};

const SMALL: VitConfig = VitConfig {
    image_size: 4,
    patch_size: 2,
    channels: 1,
    dim: 8,
    depth: 1,
    heads: 2,
    mlp_ratio: 2,
    classes: 3,
};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

fn list(model: &ModelProto) -> Result<Listing> {
    read_listing_bytes(Bytes::from(model.encode_to_vec()), None, &Limits::default())
}

fn node(operator: &str, domain: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto {
        op_type: Some(operator.to_owned()),
        domain: (!domain.is_empty()).then(|| domain.to_owned()),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: output.iter().map(|name| (*name).to_owned()).collect(),
        ..NodeProto::default()
    }
}

fn model(graph: GraphProto) -> ModelProto {
    let opset = OperatorSetIdProto { domain: None, version: Some(21) };
    ModelProto {
        ir_version: Some(10),
        graph: Some(graph),
        opset_import: vec![opset],
        ..ModelProto::default()
    }
}

fn tensor(name: &str, data_type: i32, dims: &[i64], raw: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        data_type: Some(data_type),
        dims: dims.to_vec(),
        raw_data: Some(Bytes::copy_from_slice(raw)),
        ..TensorProto::default()
    }
}

fn output(name: &str) -> ValueInfoProto {
    ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() }
}

#[test]
fn the_text_of_a_graph_is_that_of_its_file() {
    let graph = vit(SMALL, 7).unwrap();
    let file = read_listing_bytes(write_model(&graph).unwrap().into(), None, &Limits::default()).unwrap();
    assert_eq!(graph.to_string(), file.to_string());
    let last = "%logits: f32[N, 3] = Gemm(%norm/LayerNormalization, %head.weight, %head.bias) {transB = 1}  # head/Gemm\n\
        output %logits\n";
    assert!(graph.to_string().ends_with(last), "{graph}");
}

#[test]
fn every_file_that_is_read_can_be_shown() {
    for folder in ["", "tiny", "quantised", "sklearn"] {
        for entry in std::fs::read_dir(fixture(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "onnx") {
                continue;
            }
            let text = read_listing(&path, &Limits::default()).unwrap().to_string();
            let Ok(model) = read_model(&path, &Limits::default()) else { continue };
            assert!(text.starts_with(&format!("graph (opset {}", model.graph.opset)), "{text}");
        }
    }
}

#[test]
fn bodies_stand_in_their_node() {
    let text = read_listing(&fixture("control_flow.onnx"), &Limits::default()).unwrap().to_string();
    assert!(text.contains("then_branch = {\n    "), "{text}");
}

/// Custom operators, functions, packed and exotic types, strings, NaN: the reader of models refuses them all.
#[test]
fn what_the_reader_refuses_is_shown() {
    let mut custom = node("Fused", "com.example", &["x", "", "w"], &["y"]);
    custom.attribute = vec![AttributeProto {
        name: Some("mode".to_owned()),
        r#type: Some(attribute_type::STRING),
        s: Some(Bytes::from_static(b"a\"b\xff")),
        ..AttributeProto::default()
    }];
    let mut strings = tensor("s", 8, &[2], &[]);
    strings.raw_data = None;
    strings.string_data = vec![Bytes::from_static(b"cat"), Bytes::from_static(b"dog\x1b[31m")];
    let graph = GraphProto {
        initializer: vec![
            tensor("w", 22, &[3], &[0x21, 0x03]),
            tensor("nan", 1, &[1], &f32::NAN.to_le_bytes()),
            tensor("half", 10, &[2], &[0x00, 0x3c, 0x00, 0x7c]),
            strings,
        ],
        node: vec![custom],
        input: vec![output("x")],
        output: vec![output("y")],
        ..GraphProto::default()
    };
    let function = FunctionProto {
        name: Some("Fused".to_owned()),
        domain: Some("com.example".to_owned()),
        input: vec!["a".to_owned()],
        output: vec!["b".to_owned()],
        attribute: vec!["mode".to_owned()],
        node: vec![node("Relu", "", &["a"], &["b"])],
        ..FunctionProto::default()
    };
    let mut file = model(graph);
    file.functions = vec![function];
    let text = list(&file).unwrap().to_string();
    insta::assert_snapshot!(text, @r#"
    graph (opset 21)
    input %x
    const %w: int4[3] = sha256:3bd9484dd8e6405b6bd15765277196ad7dc2fd5ed6e8e88d7719891bbae17c70
    const %nan: f32[1] = [NaN]
    const %half: f16[2] = [1.0, inf]
    const %s: string[2] = ["cat", "dog\u{1b}[31m"]
    %y = com.example::Fused(%x, _, %w) {mode = "a\"b\\xff"}
    output %y
    function com.example::Fused () {mode}
      input %a
      %b = Relu(%a)
      output %b
    "#);
}

#[test]
fn names_cannot_command_a_terminal_or_forge_lines() {
    let name = "y\n%z = Relu(%x)\x1b[2J";
    let graph = GraphProto {
        node: vec![node("Relu", "", &["x"], &[name])],
        output: vec![output(name)],
        ..GraphProto::default()
    };
    let text = list(&model(graph)).unwrap().to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains(r#"%"y\n%z = Relu(%x)\u{1b}[2J" = Relu(%x)"#), "{text}");
}

#[test]
fn a_weight_that_changes_shows() {
    let with = |last: f32| {
        let raw: Vec<u8> =
            (0..9).map(|index| if index == 8 { last } else { 1.0 }).flat_map(f32::to_le_bytes).collect();
        let graph = GraphProto {
            initializer: vec![tensor("w", 1, &[9], &raw)],
            output: vec![output("w")],
            ..GraphProto::default()
        };
        list(&model(graph)).unwrap().to_string()
    };
    assert_eq!(with(1.0), with(1.0));
    assert_ne!(with(1.0), with(f32::from_bits(1.0_f32.to_bits() + 1)));
}

#[test]
fn hostile_files_are_refused() {
    let graph = |constants: Vec<TensorProto>, nodes: Vec<NodeProto>| {
        list(&model(GraphProto { initializer: constants, node: nodes, ..GraphProto::default() }))
    };
    let external = |location: &str| {
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        };
        TensorProto {
            raw_data: None,
            data_location: Some(EXTERNAL),
            external_data: vec![entry("location", location)],
            ..tensor("w", 1, &[1], &[])
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let outside = model(GraphProto { initializer: vec![external("../secret")], ..GraphProto::default() });
    let outside = read_listing_bytes(outside.encode_to_vec().into(), Some(folder.path()), &Limits::default());
    let twice = vec![node("Relu", "", &["x"], &["y"]), node("Relu", "", &["x"], &["y"])];
    let cases = [
        (
            graph(vec![tensor("w", 1, &[2], &[0; 4])], vec![]),
            "4 bytes of data, but dimensions [2] of f32 need 8",
        ),
        (graph(vec![tensor("w", 1, &[i64::MAX, 8], &[])], vec![]), "overflow"),
        (graph(vec![tensor("w", 1, &[-1], &[])], vec![]), "dimension -1 is negative"),
        (graph(vec![tensor("w", 99, &[1], &[0])], vec![]), "element type number 99"),
        (graph(vec![tensor("w", 0, &[1], &[0])], vec![]), "element type number 0"),
        (graph(vec![], twice), "tensor `y`: is defined twice"),
        (outside, "outside the model's folder"),
        (read_listing_bytes(Bytes::from_static(b"\x00\x01"), None, &Limits::default()), "not an ONNX file"),
        (list(&ModelProto { graph: None, ..model(GraphProto::default()) }), "has no graph"),
    ];
    for (found, wanted) in cases {
        let error = found.expect_err(wanted).to_string();
        assert!(error.contains(wanted), "{error}: wanted {wanted}");
    }
}

/// Many tensors may name one range of a file: what is digested stays under the cap.
#[test]
fn the_bytes_of_all_tensors_are_capped() {
    let many = (0..10).map(|index| tensor(&format!("w{index}"), 2, &[100], &[0; 100])).collect();
    let file = model(GraphProto { initializer: many, ..GraphProto::default() });
    let limits = Limits { tensor_bytes: 999, ..Limits::default() };
    let error = read_listing_bytes(file.encode_to_vec().into(), None, &limits).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}

/// Consumers validate against the committed schema: it changes only together with [`Listing::VERSION`].
#[test]
fn the_committed_schema_is_that_of_the_type() {
    crate::testing::assert_schema::<Listing>("show.schema.json");
}
