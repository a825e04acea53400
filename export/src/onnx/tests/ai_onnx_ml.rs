//! Files as scikit-learn's converter writes them: without operators of ONNX's own domain, and with outputs that are not
//! tensors.

use super::*;

const AI_ONNX_ML: &str = "ai.onnx.ml";

/// A node of the domain `ai.onnx.ml`.
fn ai_onnx_ml(name: &str, input: &[&str], output: &[&str]) -> NodeProto {
    NodeProto { domain: Some(AI_ONNX_ML.to_owned()), ..node(name, input, output) }
}

/// A file that imports only the domain `ai.onnx.ml`.
fn alone(nodes: Vec<NodeProto>) -> ModelProto {
    ModelProto { opset_import: vec![opset(AI_ONNX_ML, 1)], ..model(graph(nodes)) }
}

#[test]
fn a_file_without_operators_of_the_default_domain_need_not_import_it() {
    let file = read(&alone(vec![ai_onnx_ml("Binarizer", &["x"], &["y"])])).unwrap();
    assert_eq!(file.graph.nodes()[0].op_type, "ai.onnx.ml::Binarizer");
    let mixed = alone(vec![ai_onnx_ml("Binarizer", &["x"], &["z"]), node("Relu", &["z"], &["y"])]);
    let text = "imports no opset of the default domain: not an ONNX model, or it is truncated";
    assert_refused(read(&mixed), ErrorKind::Format, text);
    assert_refused(read(&alone(vec![])), ErrorKind::Format, text);
}

/// A value that is declared to be of that type.
fn output(name: &str, declared: TypeProto) -> ValueInfoProto {
    ValueInfoProto { name: Some(name.to_owned()), r#type: Some(declared), ..ValueInfoProto::default() }
}

fn tensor(elem_type: i32) -> TypeProto {
    let tensor_type = TensorTypeProto { elem_type: Some(elem_type), shape: None };
    TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }
}

fn map() -> TypeProto {
    TypeProto { map_type: Some(Box::default()), ..TypeProto::default() }
}

fn sequence() -> TypeProto {
    TypeProto { sequence_type: Some(Box::default()), ..TypeProto::default() }
}

const STRING: i32 = 8;

/// Names of outputs and operators of the file that has those outputs, made by a Relu `s`, a ZipMap `m` of it, and a
/// LabelEncoder `t`.
fn kept(outputs: Vec<ValueInfoProto>) -> Result<(Vec<String>, Vec<String>)> {
    let nodes = vec![
        node("Relu", &["x"], &["s"]),
        ai_onnx_ml("ZipMap", &["s"], &["m"]),
        ai_onnx_ml("LabelEncoder", &["s"], &["t"]),
    ];
    let graph = GraphProto { output: outputs, ..graph(nodes) };
    let file = ModelProto { opset_import: vec![opset("", 17), opset(AI_ONNX_ML, 1)], ..model(graph) };
    let graph = read(&file)?.graph;
    let outputs = graph.outputs().iter().map(|id| graph.value(*id).name.clone());
    Ok((outputs.collect(), graph.nodes().iter().map(|node| node.op_type.clone()).collect()))
}

#[test]
fn scores_take_the_place_of_their_map_and_labels_of_text_are_left_out() {
    let scores_alone = (vec!["s".to_owned()], vec!["Relu".to_owned()]);
    for outputs in [
        vec![output("m", map())],
        vec![output("t", tensor(STRING)), output("m", sequence())],
        vec![output("t", sequence()), output("s", tensor(1))],
        // The scores, and the map of them.
        vec![output("s", tensor(1)), output("m", map())],
    ] {
        assert_eq!(kept(outputs.clone()).unwrap(), scores_alone, "{outputs:?}");
    }
}

#[test]
fn outputs_are_left_as_they_are_where_none_is_a_text_or_none_is_a_number() {
    let all = ["Relu", "ai.onnx.ml::ZipMap", "ai.onnx.ml::LabelEncoder"].map(str::to_owned).to_vec();
    let (outputs, operators) = kept(vec![output("t", tensor(STRING))]).unwrap();
    assert_eq!((outputs, &operators), (vec!["t".to_owned()], &all));
    let (outputs, operators) = kept(vec![output("s", tensor(1)), output("t", tensor(7))]).unwrap();
    assert_eq!((outputs, &operators), (vec!["s".to_owned(), "t".to_owned()], &all));
}
