//! Good files: what is kept, and that reading undoes writing.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::graph::Graph;
use crate::onnx::{read_model, write_model};
use crate::tensor::{DataType, Tensor};

/// The ONNX files in a folder of the checkout, or none, with the reason printed.
fn files_in(folder: &str) -> Vec<PathBuf> {
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
    [files_in("../shared/models"), files_in("tests/fixtures")].concat()
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
        assert_eq!(again.graph.to_string(), model.graph.to_string(), "{}", path.display());
    }
}

/// The schema has messages that no model at hand uses: these bytes hold one field of each kind, in order of number.
#[test]
fn explicit_zeros_and_rare_fields_survive() {
    let device = NodeDeviceConfigurationProto {
        configuration_id: Some(String::new()),
        sharding_spec: vec![ShardingSpecProto {
            device: vec![0, -1],
            index_to_device_group_map: vec![IntIntListEntryProto { key: Some(0), value: vec![1] }],
            sharded_dim: vec![ShardedDimProto {
                axis: Some(0),
                simple_sharding: vec![SimpleShardedDimProto { num_shards: Some(2), ..Default::default() }],
            }],
            ..Default::default()
        }],
        pipeline_stage: Some(0),
    };
    let optional = TypeProto {
        denotation: Some("IMAGE".to_owned()),
        optional_type: Some(Box::default()),
        ..Default::default()
    };
    let mut graph =
        graph(vec![NodeProto { device_configurations: vec![device], ..node("Relu", &["x"], &["y"]) }]);
    graph.value_info = vec![ValueInfoProto { r#type: Some(optional), ..Default::default() }];
    let bytes = ModelProto { model_version: Some(0), ..model(graph) }.encode_to_vec();
    let decoded = ModelProto::decode(bytes.as_slice()).unwrap();
    assert_eq!(decoded.encode_to_vec(), bytes);
    // `denotation` (6) stands before `optional_type` (9), as every other serialiser writes it.
    let type_bytes = [0x12, 0x09, 0x32, 0x05, b'I', b'M', b'A', b'G', b'E', 0x4a, 0x00];
    assert!(bytes.windows(type_bytes.len()).any(|window| window == type_bytes), "{bytes:x?}");
}

#[test]
fn initialisers_are_no_inputs_and_constants_are_no_nodes() {
    let value = AttributeProto { ints: vec![2, -1], ..attribute("value_ints", attribute_type::INTS) };
    let constant = NodeProto { attribute: vec![value], ..node("Constant", &[], &["shape"]) };
    let mut graph = graph_with(weight(&[4], &[1.0; 4]));
    graph.input.push(input("w", vec![fixed_dim(4)]));
    graph.node[0].output = strings(&["sum"]);
    // In front of what they wait for, and without a name.
    graph.node.insert(0, NodeProto { name: None, ..node("Reshape", &["sum", "shape"], &["y"]) });
    graph.node.push(constant);
    let file = read(&ModelProto { ir_version: Some(3), ..model(graph) }).unwrap();
    insta::assert_snapshot!(file.graph, @r"
    graph (opset 17)
    input %x: f32[N, 4]
    const %w: f32[4] = [1.0, 1.0, 1.0, 1.0]
    const %shape: i64[2] = [2, -1]
    %sum = Add(%x, %w)  # add
    %y = Reshape(%sum, %shape)
    output %y
    ");
    assert_eq!((file.ir_version, file.producer.as_str()), (3, ""));
    assert_eq!(file.graph.nodes()[1].name, "y");
}

#[test]
fn the_first_dimension_is_the_batch_whatever_its_name() {
    let unknown = DimensionProto::default;
    let cases = [
        (vec![named_dim("batch_size"), fixed_dim(3)], "[N, 3]"),
        (vec![unknown(), fixed_dim(3)], "[N, 3]"),
        (vec![fixed_dim(0), fixed_dim(3)], "[N, 3]"),
        (vec![fixed_dim(-1), fixed_dim(3)], "[N, 3]"),
        (vec![named_dim("512"), fixed_dim(3)], "[N, 3]"),
        (vec![named_dim("2b"), named_dim("b"), named_dim("16b")], "[2N, N, 16N]"),
        (vec![fixed_dim(1), fixed_dim(784), fixed_dim(1)], "[1, 784, 1]"),
        (vec![], "[]"),
    ];
    for (dims, wanted) in cases {
        let file = read(&model(GraphProto { input: vec![input("x", dims)], ..relu_graph() })).unwrap();
        let x = file.graph.inputs()[0];
        assert_eq!(file.graph.shape(x).unwrap().to_string(), wanted);
    }
}

#[test]
fn equal_names_of_nodes_are_counted_up() {
    let nodes =
        vec![node("Relu", &["x"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["b"], &["y"])];
    let file = read(&model(graph(nodes))).unwrap();
    let names: Vec<&str> = file.graph.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["relu", "relu_2", "relu_3"]);
}

#[test]
fn files_over_two_gibibytes_are_not_written() {
    let mut graph = Graph::new("large", 17);
    let shared = Tensor::new(DataType::Uint8, vec![1 << 28], vec![0; 1 << 28].into()).unwrap();
    for _ in 0..8 {
        graph.add_constant("w", shared.clone());
    }
    let error = write_model(&graph).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    let text = error.to_string();
    let wanted = "bytes, and one ONNX file holds at most 2147483647: use a smaller model";
    assert!(text.starts_with("the graph needs 2147483") && text.ends_with(wanted), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reading_undoes_writing(graph in generated::graph()) {
        let bytes = Bytes::from(write_model(&graph).unwrap());
        let file = read_model_bytes(bytes.clone(), None, &Limits::default()).unwrap();
        prop_assert_eq!(&file.graph, &graph);
        prop_assert_eq!(write_model(&file.graph).unwrap(), bytes.clone());
        prop_assert_eq!(ModelProto::decode(bytes.clone()).unwrap().encode_to_vec(), bytes);
    }
}

/// Images may have no shape of their own in a file: until they fix it, no file can be written.
#[test]
fn an_input_without_a_type_is_not_written() {
    let mut graph = Graph::new("g", 18);
    let x = graph.add_value("x", None).unwrap();
    graph.add_input(x);
    graph.add_output(x);
    let error = write_model(&graph).unwrap_err().to_string();
    assert!(error.contains("tensor `x`: this input has no type"), "{error}");
}
