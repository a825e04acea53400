//! Operators that make tensors from attributes and shapes.

use crate::error::{Error, Result};
use crate::facts::{Content, Symbol};
use crate::facts::{NodeView, typed};
use crate::graph::{Attribute, Dim, Node, Shape, TensorType};
use crate::tensor::{DataType, Tensor};

/// `Constant`
pub(crate) fn constant(view: &NodeView) -> Result<Vec<TensorType>> {
    let tensor = constant_tensor(view.node)?;
    Ok(vec![TensorType { dtype: tensor.dtype(), shape: Shape::fixed(tensor.dims()) }])
}

/// The tensor of a Constant node, in whichever attribute it stands.
pub(crate) fn constant_tensor(node: &Node) -> Result<Tensor> {
    let stated = node.attributes.0.iter().find(|(name, _)| name.starts_with("value"));
    match stated.map(|(_, attribute)| attribute) {
        Some(Attribute::Tensor(tensor)) => Ok(tensor.clone()),
        Some(Attribute::Int(value)) => Ok(Tensor::from_i64(&[], &[*value])),
        Some(Attribute::Ints(values)) => Ok(Tensor::vector_i64(values)),
        Some(Attribute::Float(value)) => Ok(Tensor::scalar_f32(*value)),
        Some(Attribute::Floats(values)) => Ok(Tensor::from_f32(&[values.len()], values)),
        _ => Err(Error::unsupported(
            "has no dense numeric value; wanted `value`, `value_int(s)` or `value_float(s)`",
        )),
    }
}

/// `ConstantOfShape(shape)`: by default of zeros.
pub(crate) fn constant_of_shape(view: &NodeView) -> Result<Vec<TensorType>> {
    let dtype = view.node.attributes.tensor("value")?.map_or(DataType::Float32, Tensor::dtype);
    let dims: Option<Vec<Dim>> = view.symbols(0)?.into_iter().map(Symbol::dim).collect();
    Ok(vec![typed(dtype, dims.ok_or_else(|| view.undetermined(0))?)])
}

/// `EyeLike`
pub(crate) fn eye_like(view: &NodeView) -> Result<Vec<TensorType>> {
    let shape = view.of_rank(0, 2)?.clone();
    let dtype = match view.int("dtype", 0)? {
        0 => view.dtype(0)?,
        number => DataType::from_onnx(number as i32)?,
    };
    Ok(vec![TensorType { dtype, shape }])
}

/// `Range(start, limit, delta)`
pub(crate) fn range(view: &NodeView) -> Result<Vec<TensorType>> {
    let contents: Option<Vec<_>> = (0..3).map(|index| view.content(index)).collect();
    let length = match contents.as_deref().map(|contents| [&*contents[0], &*contents[1], &*contents[2]]) {
        Some([Content::Int(start), Content::Int(limit), Content::Int(delta)]) => {
            match [start.elements(), limit.elements(), delta.elements()] {
                [[start], [limit], [delta]] => int_length(*start, *limit, *delta),
                _ => None,
            }
        }
        Some([Content::Float(start), Content::Float(limit), Content::Float(delta)]) => {
            match [start.elements(), limit.elements(), delta.elements()] {
                [[start], [limit], [delta]] => float_length(*start, *limit, *delta),
                _ => None,
            }
        }
        _ => None,
    };
    Ok(vec![typed(view.dtype(0)?, vec![length.ok_or_else(|| view.undetermined(1))?])])
}

fn int_length(start: Symbol, limit: Symbol, delta: Symbol) -> Option<Dim> {
    match (limit.plus(start.negated()), delta) {
        (Symbol::Int(distance), Symbol::Int(delta)) if delta != 0 => {
            let steps =
                distance.checked_div(delta)?.checked_add(i64::from(distance.checked_rem(delta)? != 0))?;
            let forward = (distance < 0) == (delta < 0);
            Some(Dim::Fixed(if forward { usize::try_from(steps).ok()? } else { 0 }))
        }
        (distance @ Symbol::Batch(_), delta) => distance.divided_by(delta).dim(),
        _ => None,
    }
}

fn float_length(start: f64, limit: f64, delta: f64) -> Option<Dim> {
    let steps = ((limit - start) / delta).ceil();
    (steps.is_finite() && steps < 1e9).then_some(Dim::Fixed(steps.max(0.0) as usize))
}

/// `Shape`
pub(crate) fn shape(view: &NodeView) -> Result<Vec<TensorType>> {
    Ok(vec![typed(DataType::Int64, vec![Dim::Fixed(shape_slice(view)?.len())])])
}

/// The dimensions that a Shape operator returns: all, or those from `start` to `end`.
pub(crate) fn shape_slice(view: &NodeView) -> Result<Vec<Dim>> {
    let dims = &view.shape(0)?.0;
    let rank = dims.len() as i64;
    let bound = |name: &str, default: i64| -> Result<usize> {
        let at = view.int(name, default)?;
        Ok(if at < 0 { at.saturating_add(rank) } else { at }.clamp(0, rank) as usize)
    };
    Ok(dims.get(bound("start", 0)?..bound("end", rank)?).unwrap_or_default().to_vec())
}

/// `Size`
pub(crate) fn size(view: &NodeView) -> Result<Vec<TensorType>> {
    view.input(0)?;
    Ok(vec![typed(DataType::Int64, Vec::new())])
}
