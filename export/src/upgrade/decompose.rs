//! Composite operators that are decomposed into others, whatever the opset of the file.

use crate::error::{Error, Result};
use crate::graph::{Attributes, Builder, Graph, Node, ValueId};
use crate::tensor::Tensor;

const RECURRENT: &str =
    "written out step by step; sequences of one constant length, no `clip`, no `input_forget`";

/// Operator, the opset that brought it, and what is refused: a phrase for `docs/operators.md`.
pub(crate) const DECOMPOSED: &[(&str, u32, &str)] = &[
    ("AffineGrid", 20, "written out as a product; the size must be constant"),
    ("Attention", 23, "written out as products and Softmax; no caches, no scores as output"),
    ("CenterCropPad", 18, "written out as Pad; the shape must be constant"),
    ("GRU", 7, RECURRENT),
    ("GlobalLpPool", 2, "written out as a norm over the image; zero passes where it is zero"),
    ("LSTM", 7, RECURRENT),
    ("RNN", 7, RECURRENT),
    ("RotaryEmbedding", 23, "written out as products"),
    ("Upsample", 7, "up to opset 9, where it became Resize"),
];

/// An Identity from `value`, which the added nodes compute, to the output of `node`.
pub(super) fn identity(node: Node, value: ValueId) -> Result<Node> {
    let output = node.output(0)?;
    Ok(Node {
        op_type: "Identity".to_owned(),
        inputs: vec![Some(value)],
        outputs: vec![Some(output)],
        attributes: Attributes::default(),
        ..node
    })
}

/// CenterCropPad: a Pad whose pads may be negative. If the difference is odd, the end gets the extra element.
pub(super) fn center_crop_pad(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let mut builder = Builder::new(graph, node.name.clone());
    let shape = builder.graph().shape(node.input(0)?)?.clone();
    let target = builder.graph().constant(node.input(1)?).and_then(Tensor::to_i64).ok_or_else(|| {
        Error::unsupported(
            "its shape is computed at run time; export the model with all sizes fixed except the batch",
        )
    })?;
    let axes = match node.attributes.ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => (0..shape.rank() as i64).collect(),
    };
    if axes.len() != target.len() {
        return Err(Error::shape(format!("{} sizes for {} axes", target.len(), axes.len())));
    }
    let mut pads = vec![0; 2 * shape.rank()];
    for (axis, wanted) in axes.iter().zip(target) {
        let axis = shape.axis(*axis)?;
        let size = shape.0[axis].fixed().and_then(|size| i64::try_from(size).ok());
        let missing = size.and_then(|size| wanted.checked_sub(size));
        let missing = missing.ok_or_else(|| {
            Error::unsupported(format!("it cuts axis {axis} of {shape}, which is the batch"))
        })?;
        pads[axis] = missing / 2;
        pads[axis + shape.rank()] = missing - missing / 2;
    }
    let pads = builder.ints(&pads);
    let padded = builder.op("Pad", &[node.input(0)?, pads])?;
    Ok(vec![identity(node, padded)?])
}

/// GlobalLpPool: the norm of each channel, for which ONNX Runtime has no kernel from opset 22 on.
pub(super) fn global_lp_pool(graph: &mut Graph, node: Node) -> Result<Vec<Node>> {
    let (x, p) = (node.input(0)?, node.attributes.int("p", 2)?);
    let mut builder = Builder::new(graph, node.name.clone());
    let rank = builder.graph().shape(x)?.rank() as i64;
    if rank < 3 || p < 1 {
        return Err(Error::format(format!(
            "a norm of order {p} over the image of a tensor with {rank} axes"
        )));
    }
    let axes = builder.ints(&(2..rank).collect::<Vec<i64>>());
    let norm = match p {
        1 => builder.op("ReduceL1", &[x, axes])?,
        2 => builder.op("ReduceL2", &[x, axes])?,
        _ => {
            let (exponent, root) = (builder.scalar(p as f32), builder.scalar(1.0 / p as f32));
            let size = builder.op("Abs", &[x])?;
            let powers = builder.op("Pow", &[size, exponent])?;
            let sum = builder.op("ReduceSum", &[powers, axes])?;
            builder.op("Pow", &[sum, root])?
        }
    };
    Ok(vec![identity(node, norm)?])
}
