//! Small graphs in a short notation, and ONNX Runtime to run them, for the tests of shapes and rewrites.

use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

use crate::graph::{Attribute, Attributes, Dim, Graph, Node, Shape, TensorType, ValueId};
use crate::onnx::{Limits, read_model_bytes, write_model};
use crate::tensor::{DataType, Tensor};

/// `f32[N, 3]` for an input of that type, `=[1, 2]` or `=3` for an `int64` constant, `#[2, 3]` for a `float` constant
/// of that shape, `#0.5` for a `float` scalar; empty for an input left out.
pub(crate) fn add(graph: &mut Graph, text: &str) -> Option<ValueId> {
    if let Some(constant) = text.strip_prefix('=') {
        let values = numbers(constant);
        let dims = if constant.starts_with('[') { vec![values.len()] } else { Vec::new() };
        return Some(graph.add_constant("constant", Tensor::from_i64(&dims, &values)));
    }
    if let Some(constant) = text.strip_prefix('#') {
        return Some(graph.add_constant("weights", floats(constant)));
    }
    (!text.is_empty()).then(|| {
        let id = graph.add_fresh_value("input", Some(parse(text)));
        graph.add_input(id);
        id
    })
}

fn floats(text: &str) -> Tensor {
    if !text.starts_with('[') {
        return Tensor::scalar_f32(text.parse().unwrap());
    }
    let dims: Vec<usize> = numbers(text).into_iter().map(|dim| dim as usize).collect();
    // Positive, so that they can be variances and divisors too; without `sin`, which differs between machines.
    let value = |index: usize| 0.5 + (index * 37 % 101) as f32 / 64.0;
    let values: Vec<f32> = (0..dims.iter().product()).map(value).collect();
    Tensor::from_f32(&dims, &values)
}

fn numbers(text: &str) -> Vec<i64> {
    let inner = text.trim_matches(['[', ']']);
    inner.split(',').filter(|part| !part.is_empty()).map(|part| part.trim().parse().unwrap()).collect()
}

/// `f32[N, 3]`
pub(crate) fn parse(text: &str) -> TensorType {
    let (dtype, dims) = text.split_once('[').unwrap();
    let dtype = match dtype {
        "f32" => DataType::Float32,
        "f64" => DataType::Float64,
        "i64" => DataType::Int64,
        "bool" => DataType::Bool,
        other => panic!("{other}"),
    };
    let dim = |text: &str| match text.trim().strip_suffix('N') {
        Some("") => Dim::N,
        Some(k) => Dim::Batch(k.parse().unwrap()),
        None => Dim::Fixed(text.trim().parse().unwrap()),
    };
    let dims = dims.trim_end_matches(']').split(',').filter(|part| !part.is_empty()).map(dim).collect();
    TensorType { dtype, shape: Shape(dims) }
}

/// `axis=1 perm=[0,2,1] alpha=0.5 auto_pad=VALID`, separated by spaces.
pub(crate) fn attributes(text: &str) -> Attributes {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap();
        let attribute = match (value.parse::<i64>(), value.parse::<f32>()) {
            (Ok(int), _) => Attribute::Int(int),
            (_, Ok(float)) => Attribute::Float(float),
            _ if value.starts_with('[') => Attribute::Ints(numbers(value)),
            _ => Attribute::from(value),
        };
        (name.to_owned(), attribute)
    };
    Attributes(text.split_whitespace().map(pair).collect())
}

/// Appends a node; its name is the operator and its position.
pub(crate) fn push_all(
    graph: &mut Graph,
    op_type: &str,
    inputs: &[Option<ValueId>],
    attributes_text: &str,
    outputs: usize,
) -> Vec<ValueId> {
    let ids: Vec<ValueId> =
        (0..outputs).map(|_| graph.add_fresh_value(&op_type.to_lowercase(), None)).collect();
    graph.push_node(Node {
        name: format!("{op_type}_{}", graph.nodes().len()),
        op_type: op_type.to_owned(),
        inputs: inputs.to_vec(),
        outputs: ids.iter().copied().map(Some).collect(),
        attributes: attributes(attributes_text),
    });
    ids
}

/// Appends a node with one output and inputs that are all there.
pub(crate) fn push(graph: &mut Graph, op_type: &str, inputs: &[ValueId], attributes_text: &str) -> ValueId {
    let inputs: Vec<Option<ValueId>> = inputs.iter().copied().map(Some).collect();
    push_all(graph, op_type, &inputs, attributes_text, 1)[0]
}

/// Feeds `batch` images of pseudo-random numbers in `[-1, 1]` and returns dimensions and elements of each output.
pub(crate) fn run(graph: &Graph, batch: usize) -> Vec<(Vec<usize>, Vec<f32>)> {
    let engine = Engine::load(None).unwrap();
    let mut session =
        RawSession::new(&engine, &write_model(graph).unwrap(), SessionOptions::default()).unwrap();
    let mut feeds = Vec::new();
    for id in graph.inputs() {
        let dims: Vec<usize> = graph.shape(*id).unwrap().0.iter().map(|dim| dim.at_batch(batch)).collect();
        let count = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|index: usize| (index as f32 * 12.9898).sin()).collect();
        feeds.push((graph.value(*id).name.clone(), dims, values));
    }
    let inputs: Vec<Input> =
        feeds.iter().map(|(name, dims, values)| Input { name, dims, data: Data::F32(values) }).collect();
    session.run(&inputs).unwrap().into_iter().map(|output| (output.dims, output.data)).collect()
}

/// The same for a file of ours.
pub(crate) fn run_file(bytes: &[u8], batch: usize) -> Vec<(Vec<usize>, Vec<f32>)> {
    run(&read_model_bytes(bytes.to_vec().into(), None, &Limits::default()).unwrap().graph, batch)
}

/// Fails unless both graphs give the same outputs, up to `tolerance`, for batches of one and of three.
pub(crate) fn assert_equal_results(left: &Graph, right: &Graph, tolerance: f32) {
    for batch in [1, 3] {
        let (left, right) = (run(left, batch), run(right, batch));
        assert_eq!(left.len(), right.len());
        for ((left_dims, left), (right_dims, right)) in left.iter().zip(&right) {
            assert_eq!(left_dims, right_dims);
            let far =
                left.iter().zip(right).find(|(a, b)| (*a - *b).abs() > tolerance || a.is_nan() || b.is_nan());
            assert_eq!(far, None, "batch {batch}");
        }
    }
}

/// Fails unless `docs/NAME` is the schema of the type; `MIMIR_BLESS=1` writes it.
pub(crate) fn assert_schema<T: schemars::JsonSchema>(name: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(T)).unwrap() + "\n";
    if std::env::var_os("MIMIR_BLESS").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, schema, "docs/{name} is not that of the type: run with MIMIR_BLESS=1");
}
