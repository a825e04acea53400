//! Elements that come out of single nodes.

use super::{Content, evaluate};
use crate::facts::{Known, NodeView};
use crate::graph::{Attribute, Attributes, Graph, Node};
use crate::shape::infer_node;
use crate::tensor::{DataType, Tensor};

/// The first output of a node of constants, as a constant.
fn evaluated(op_type: &str, inputs: &[Tensor], attributes: &[(&str, Attribute)]) -> Option<Tensor> {
    let mut graph = Graph::new("test", 20);
    let inputs = inputs.iter().map(|tensor| Some(graph.add_constant("constant", tensor.clone()))).collect();
    let output = graph.add_fresh_value("output", None);
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let id = graph.push_node(Node {
        name: "node".to_owned(),
        op_type: op_type.to_owned(),
        inputs,
        outputs: vec![Some(output)],
        attributes: Attributes(attributes),
    });
    infer_node(&mut graph, id).unwrap();
    let known = Known::new(1000);
    let output = graph.tensor_type(output).unwrap().clone();
    let view = NodeView { graph: &graph, node: graph.node(id), known: &known };
    let contents: Vec<Content> = evaluate(&view, std::slice::from_ref(&output))?;
    contents[0].to_tensor(output.dtype)
}

fn floats(dims: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_f32(dims, values)
}

fn ints(values: &[i64]) -> Tensor {
    Tensor::vector_i64(values)
}

#[test]
fn movement() {
    let table = floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let cases = [
        ("Transpose", vec![table.clone()], vec![], floats(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0])),
        ("Reshape", vec![table.clone(), ints(&[3, -1])], vec![], table.with_dims(vec![3, 2]).unwrap()),
        (
            "Slice",
            vec![table.clone(), ints(&[2]), ints(&[-9]), ints(&[1]), ints(&[-2])],
            vec![],
            floats(&[2, 2], &[2.0, 0.0, 5.0, 3.0]),
        ),
        (
            "Gather",
            vec![table.clone(), Tensor::from_i64(&[1, 2], &[-1, 0])],
            vec![("axis", Attribute::Int(1))],
            floats(&[2, 1, 2], &[2.0, 0.0, 5.0, 3.0]),
        ),
        (
            "Concat",
            vec![table.clone(), table.clone()],
            vec![("axis", Attribute::Int(1))],
            floats(&[2, 6], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 4.0, 5.0]),
        ),
        (
            "Expand",
            vec![floats(&[2, 1], &[7.0, 8.0]), ints(&[1, 2])],
            vec![],
            floats(&[2, 2], &[7.0, 7.0, 8.0, 8.0]),
        ),
        ("Tile", vec![ints(&[1, 2]), ints(&[2])], vec![], ints(&[1, 2, 1, 2])),
        ("Split", vec![ints(&[1, 2, 3]), ints(&[3])], vec![], ints(&[1, 2, 3])),
        ("ConstantOfShape", vec![ints(&[2])], vec![("value", Attribute::Tensor(ints(&[4])))], ints(&[4, 4])),
        (
            "Range",
            vec![Tensor::from_i64(&[], &[5]), Tensor::from_i64(&[], &[0]), Tensor::from_i64(&[], &[-2])],
            vec![],
            ints(&[5, 3, 1]),
        ),
    ];
    for (op_type, inputs, attributes, wanted) in cases {
        assert_eq!(evaluated(op_type, &inputs, &attributes), Some(wanted), "{op_type}");
    }
}

#[test]
fn scatters_and_gathers() {
    let table = || floats(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let matrix = |dims: &[usize], values: &[i64]| Tensor::from_i64(dims, values);
    let axis = || vec![("axis", Attribute::Int(1))];
    let cases = [
        (
            "GatherElements",
            vec![table(), matrix(&[2, 2], &[-1, 0, 1, 1])],
            axis(),
            floats(&[2, 2], &[2.0, 0.0, 4.0, 4.0]),
        ),
        (
            "GatherND",
            vec![table(), matrix(&[2, 1], &[-1, 0])],
            vec![],
            floats(&[2, 3], &[3.0, 4.0, 5.0, 0.0, 1.0, 2.0]),
        ),
        ("GatherND", vec![table(), matrix(&[2, 2], &[1, 2, 0, -2])], vec![], floats(&[2], &[5.0, 1.0])),
        (
            "ScatterElements",
            vec![table(), matrix(&[1, 2], &[2, -3]), floats(&[1, 2], &[7.0, 8.0])],
            axis(),
            floats(&[2, 3], &[8.0, 1.0, 7.0, 3.0, 4.0, 5.0]),
        ),
        (
            "ScatterND",
            vec![table(), matrix(&[1, 1], &[1]), floats(&[1, 3], &[7.0, 8.0, 9.0])],
            vec![],
            floats(&[2, 3], &[0.0, 1.0, 2.0, 7.0, 8.0, 9.0]),
        ),
        (
            "NonZero",
            vec![table().with_dims(vec![3, 2]).unwrap()],
            vec![],
            matrix(&[2, 5], &[0, 1, 1, 2, 2, 1, 0, 1, 0, 1]),
        ),
    ];
    for (op_type, inputs, attributes, wanted) in cases {
        assert_eq!(evaluated(op_type, &inputs, &attributes), Some(wanted), "{op_type}");
    }
    let outside = [table(), matrix(&[1, 1], &[2])];
    assert_eq!(evaluated("GatherND", &outside, &[]), None, "index out of range");
    let added = [table(), matrix(&[1, 1], &[1]), floats(&[1, 3], &[7.0, 8.0, 9.0])];
    assert_eq!(
        evaluated("ScatterND", &added, &[("reduction", Attribute::from("add"))]),
        None,
        "adding is not ours"
    );
}

#[test]
fn arithmetic() {
    let (a, b) = (floats(&[2], &[6.0, 0.1]), floats(&[2], &[4.0, 0.2]));
    let cases = [
        ("Add", vec![a.clone(), b.clone()], floats(&[2], &[10.0, 0.1 + 0.2])),
        ("Div", vec![a.clone(), b.clone()], floats(&[2], &[1.5, 0.5])),
        ("Sqrt", vec![b.clone()], floats(&[2], &[2.0, 0.2_f32.sqrt()])),
        ("Div", vec![ints(&[7, -7]), ints(&[2])], ints(&[3, -3])),
        ("Mod", vec![ints(&[7, -7]), ints(&[3])], ints(&[1, 2])),
        ("Max", vec![ints(&[7, -7]), ints(&[3])], ints(&[7, 3])),
        ("Neg", vec![ints(&[7, -7])], ints(&[-7, 7])),
        ("Max", vec![a.clone(), b.clone()], floats(&[2], &[6.0, 0.2])),
        ("Min", vec![a.clone(), floats(&[], &[5.0])], floats(&[2], &[5.0, 0.1])),
    ];
    for (op_type, inputs, wanted) in cases {
        assert_eq!(evaluated(op_type, &inputs, &[]), Some(wanted), "{op_type}");
    }
}

#[test]
fn the_sign_of_a_remainder_is_that_of_the_divisor_or_of_the_dividend() {
    let fmod = [("fmod", Attribute::Int(1))];
    let (a, b) = (ints(&[7, -7]), ints(&[3]));
    assert_eq!(evaluated("Mod", &[a.clone(), b.clone()], &[]), Some(ints(&[1, 2])));
    assert_eq!(evaluated("Mod", &[a, b], &fmod), Some(ints(&[1, -1])));
    let (a, b) = (floats(&[2], &[5.5, -5.5]), floats(&[], &[2.0]));
    assert_eq!(evaluated("Mod", &[a, b], &fmod), Some(floats(&[2], &[1.5, -1.5])));
}

#[test]
fn sums_and_products_of_integers() {
    let table = Tensor::from_i64(&[2, 3], &[1, 2, 3, 4, 5, 6]);
    let keep = |keepdims: i64| [("keepdims", Attribute::Int(keepdims))];
    let cases = [
        ("ReduceSum", vec![table.clone(), ints(&[0])], 0, ints(&[5, 7, 9])),
        ("ReduceSum", vec![table.clone(), ints(&[-1])], 1, Tensor::from_i64(&[2, 1], &[6, 15])),
        ("ReduceProd", vec![table.clone(), ints(&[1])], 0, ints(&[6, 120])),
        ("ReduceProd", vec![table.clone()], 0, Tensor::from_i64(&[], &[720])),
        ("ReduceProd", vec![ints(&[])], 0, Tensor::from_i64(&[], &[1])),
    ];
    for (op_type, inputs, keepdims, wanted) in cases {
        assert_eq!(evaluated(op_type, &inputs, &keep(keepdims)), Some(wanted), "{op_type}");
    }
    assert_eq!(evaluated("ReduceMax", &[table], &keep(0)), None);
}

#[test]
fn positions_that_are_not_zero() {
    let table = floats(&[2, 3], &[0.0, 2.0, 0.0, 4.0, 0.0, 6.0]);
    let positions = Tensor::from_i64(&[2, 3], &[0, 1, 1, 1, 0, 2]);
    assert_eq!(evaluated("NonZero", &[table], &[]), Some(positions));
}

#[test]
fn comparisons_are_booleans() {
    let cases = [("Equal", [0, 1, 0]), ("Less", [1, 0, 0]), ("GreaterOrEqual", [0, 1, 1])];
    for (op_type, wanted) in cases {
        let found = evaluated(op_type, &[ints(&[1, 2, 3]), ints(&[2])], &[]).unwrap();
        assert_eq!((found.dtype(), &found.data()[..]), (DataType::Bool, &wanted[..]), "{op_type}");
    }
}

#[test]
fn casts_truncate_and_refuse_what_does_not_fit() {
    let to = |dtype: DataType| [("to", Attribute::Int(dtype as i64))];
    assert_eq!(evaluated("Cast", &[floats(&[2], &[2.9, -2.9])], &to(DataType::Int64)), Some(ints(&[2, -2])));
    assert_eq!(evaluated("Cast", &[ints(&[3])], &to(DataType::Float32)), Some(floats(&[1], &[3.0])));
    assert_eq!(evaluated("Cast", &[floats(&[1], &[f32::NAN])], &to(DataType::Int64)), None);
    assert_eq!(evaluated("Cast", &[ints(&[1 << 40])], &to(DataType::Int32)), None);
}

#[test]
fn what_cannot_be_computed_is_left_alone() {
    assert_eq!(evaluated("Div", &[ints(&[1]), ints(&[0])], &[]), None, "division by zero");
    assert_eq!(evaluated("Gather", &[ints(&[1]), ints(&[1])], &[]), None, "index out of range");
    assert_eq!(evaluated("Erf", &[floats(&[1], &[1.0])], &[]), None, "an operator that we do not evaluate");
}

#[test]
fn clipping_by_one_bound_or_both() {
    let x = floats(&[3], &[-2.0, 0.5, 7.0]);
    let (low, high) = (floats(&[], &[0.0]), floats(&[], &[3.0]));
    assert_eq!(evaluated("Clip", &[x.clone(), low.clone()], &[]), Some(floats(&[3], &[0.0, 0.5, 7.0])));
    assert_eq!(evaluated("Clip", &[x, low, high], &[]), Some(floats(&[3], &[0.0, 0.5, 3.0])));
}

/// They took only the first two into account.
#[test]
fn extrema_of_three_are_left_to_the_run_time() {
    for op_type in ["Max", "Min"] {
        let inputs = [ints(&[2]), ints(&[2]), ints(&[if op_type == "Max" { 3 } else { 1 }])];
        assert_eq!(evaluated(op_type, &inputs, &[]), None, "{op_type}");
        assert_eq!(evaluated(op_type, &inputs[..2], &[]), Some(ints(&[2])), "{op_type}");
    }
}
