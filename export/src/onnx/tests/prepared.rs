//! Graphs with their weights beside them.

use mimir_bundle::WEIGHTS_LOCATION;

use crate::graph::{Builder, Dim, Graph, Shape, TensorType};
use crate::onnx::{SharedWeights, write_prepared};
use crate::tensor::{DataType, Tensor};

#[test]
fn large_weights_lie_beside_the_file_and_equal_ones_are_one() {
    let large = Tensor::from_f32(&[20, 20], &[0.5; 400]);
    let mut graph = Graph::new("test", 20);
    let x = graph
        .add_value(
            "x",
            Some(TensorType { dtype: DataType::Float32, shape: Shape(vec![Dim::N, Dim::Fixed(20)]) }),
        )
        .unwrap();
    graph.add_input(x);
    let mut builder = Builder::new(&mut graph, "layer");
    let (first, second) =
        (builder.constant(large.clone()), builder.constant(Tensor::from_f32(&[20, 20], &[0.5; 400])));
    let bias = builder.constant(Tensor::from_f32(&[20], &[1.0; 20]));
    let hidden = builder.op("MatMul", &[x, first]).unwrap();
    let hidden = builder.op("Add", &[hidden, bias]).unwrap();
    let y = builder.op("MatMul", &[hidden, second]).unwrap();
    graph.add_output(y);

    let mut shared = SharedWeights::default();
    let prepared = write_prepared(&graph, &mut shared).unwrap();
    assert_eq!(
        prepared.weights.iter().map(|weight| weight.dims.as_slice()).collect::<Vec<_>>(),
        [[20, 20], [20, 20]]
    );
    assert_eq!(prepared.weights[0].data, *large.data());
    assert_eq!(prepared.weights[0].data.as_ptr(), prepared.weights[1].data.as_ptr());
    let again = write_prepared(&graph, &mut shared).unwrap();
    assert_eq!(again.weights[0].data.as_ptr(), prepared.weights[0].data.as_ptr());
    assert_eq!(again, prepared);
    assert_eq!(prepared.lanes, 1);
    // The bias stays in the file, the matrices do not.
    assert!(prepared.model.len() < 800, "{}", prepared.model.len());
    let text = String::from_utf8_lossy(&prepared.model).into_owned();
    assert!(text.contains(WEIGHTS_LOCATION), "{text}");
}
