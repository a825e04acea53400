//! AffineGrid, which is a product with the places of the pixels.
//!
//! `grid = base · θᵀ`, with a row `(x, y, 1)` or `(x, y, z, 1)` of `base` for each pixel, whose places run from −1 to 1: at
//! the centres of the corner pixels (`align_corners = 1`), or at their outer edges. Operator page: ONNX `AffineGrid-20`.

use super::decompose::identity;
use crate::error::{Error, Result};
use crate::facts::{Known, NodeView};
use crate::graph::{Builder, Dim, Graph, Node, Shape};
use crate::tensor::{Tensor, checked_elements};

/// Most numbers of a base that are stored.
const LARGEST: usize = 1 << 24;

/// The nodes that compute an AffineGrid; `None` for other nodes.
pub(super) fn affine_grid(graph: &mut Graph, known: &Known, node: &Node) -> Result<Option<Vec<Node>>> {
    if node.op_type != "AffineGrid" {
        return Ok(None);
    }
    let view = NodeView { graph, node, known };
    let (theta, sizes) = (view.shape(0)?.clone(), view.symbols(1)?);
    let unknown = || {
        Error::unsupported(
            "the size of its grid is known only at run time: export the model with all sizes fixed except the batch",
        )
    };
    let image = sizes.get(2..).ok_or_else(unknown)?;
    let image: Option<Vec<usize>> =
        image.iter().map(|size| usize::try_from(size.int()?).ok().filter(|size| *size > 0)).collect();
    let image = image.ok_or_else(unknown)?;
    let axes = image.len();
    if theta.rank() != 3 || theta.0[1..] != [Dim::Fixed(axes), Dim::Fixed(axes + 1)] {
        return Err(Error::shape(format!("theta is {theta} for a grid of {axes} axes")));
    }
    let base = base(&image, view.flag("align_corners", false)?)?;
    let input = node.input(0)?;
    let mut builder = Builder::new(graph, node.name.clone());
    let base = builder.constant(base);
    let transposed = builder.op_with("Transpose", &[input], [("perm", vec![0, 2, 1].into())])?;
    let places = builder.op("MatMul", &[base, transposed])?; // [N, P, axes]
    let dims = image.iter().copied().map(Dim::Fixed).chain([Dim::Fixed(axes)]);
    let shape = Shape(std::iter::once(theta.0[0]).chain(dims).collect());
    let target = builder.ints(&shape.reshape_target()?);
    let grid = builder.op("Reshape", &[places, target])?;
    Ok(Some(vec![identity(node.clone(), grid)?]))
}

/// `[P, axes + 1]`
fn base(image: &[usize], align_corners: bool) -> Result<Tensor> {
    let width = image.len() + 1;
    let pixels = checked_elements(image).filter(|pixels| pixels.saturating_mul(width) <= LARGEST);
    let pixels = pixels.ok_or_else(|| Error::unsupported(format!("its grid of {image:?} is too large")))?;
    let place = |index: usize, size: usize| match align_corners {
        true if size == 1 => 0.0,
        true => 2.0 * index as f32 / (size - 1) as f32 - 1.0,
        false => (2 * index + 1) as f32 / size as f32 - 1.0,
    };
    let mut values = Vec::with_capacity(pixels * width);
    for pixel in 0..pixels {
        let mut rest = pixel;
        // The last axis of the image is x.
        for size in image.iter().rev() {
            values.push(place(rest % size, *size));
            rest /= size;
        }
        values.push(1.0);
    }
    Ok(Tensor::from_f32(&[pixels, width], &values))
}
