//! MatMul: `Y = A·B` over the last two axes, with the leading axes broadcast.
//!
//! `dA = Σ g·Bᵀ`, `dB = Σ Aᵀ·g`. Operator page: ONNX `MatMul-13` (numpy.matmul); the rule is
//! `dY = dA·B + A·dB` read against `⟨g, dY⟩ = tr(gᵀ·dY)`.
//!
//! The transpose of a constant operand is stored as a constant, so the backward pass of a linear layer is one MatMul.
//! A stack of constant matrices that multiply the same rows is pulled back by one product.
//! An operand of rank one is a row (left) or a column (right), as in the operator.

use super::broadcast::reshape;
use super::step::Step;
use super::unbroadcast::unbroadcast;
use super::weights::transpose_last_two;
use crate::error::{Error, Result};
use crate::graph::{Builder, Dim, Shape, ValueId};

/// `dA = Σ g·Bᵀ`, `dB = Σ Aᵀ·g`.
pub(crate) fn matmul(step: &mut Step<'_, '_>) -> Result<()> {
    let (a, b, g) = (step.input(0)?, step.input(1)?, step.cotangent()?);
    let (a_shape, b_shape, g_shape) = (step.shape(a)?, step.shape(b)?, step.shape(g)?);
    let (a_matrix, b_matrix) = (as_matrix(&a_shape, Side::Left), as_matrix(&b_shape, Side::Right));
    let g = reshape(step.builder(), g, &with_vector_axes(g_shape, &a_shape, &b_shape))?; // [.., m, n]
    let stacks = a_shape.rank() == 2 && b_shape.rank() == 3 && step.constant(b).is_some();
    step.send(0, |builder| {
        if stacks {
            return from_stack(builder, g, b);
        }
        let b = reshape(builder, b, &b_matrix)?;
        let b_transposed = transpose_last_two(builder, b)?;
        let product = builder.op("MatMul", &[g, b_transposed])?; // [.., m, k]
        let summed = unbroadcast(builder, product, &a_matrix)?;
        reshape(builder, summed, &a_shape)
    })?;
    step.send(1, |builder| {
        let a = reshape(builder, a, &a_matrix)?;
        let a_transposed = transpose_last_two(builder, a)?;
        let product = builder.op("MatMul", &[a_transposed, g])?; // [.., k, n]
        let summed = unbroadcast(builder, product, &b_matrix)?;
        reshape(builder, summed, &b_shape)
    })
}

/// `dA = Σₛ gₛ·Bₛᵀ` `[m, k]` for one `A` times a stack of constant matrices, `g` `[s, m, n]` and `B` `[s, k, n]`: one
/// product, `[m, s·n] · [s·n, k]`.
fn from_stack(builder: &mut Builder<'_>, g: ValueId, b: ValueId) -> Result<ValueId> {
    let [stack, rows, columns] = builder.graph().shape(g)?.0[..] else {
        return Err(Error::shape("the cotangent of a stack of products has three axes"));
    };
    let joined = stack.times(columns).ok_or_else(|| Error::shape("a stack that depends on the batch"))?;
    let inner = builder.graph().shape(b)?.0[1];
    let side_by_side = builder.op_with("Transpose", &[g], [("perm", vec![1, 0, 2].into())])?; // [m, s, n]
    let side_by_side = reshape(builder, side_by_side, &Shape(vec![rows, joined]))?;
    let transposed = transpose_last_two(builder, b)?; // [s, n, k]
    let transposed = reshape(builder, transposed, &Shape(vec![joined, inner]))?;
    builder.op("MatMul", &[side_by_side, transposed])
}

/// Which operand: a vector is a row on the left and a column on the right.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// The operand's shape with a vector written as a matrix.
fn as_matrix(operand: &Shape, side: Side) -> Shape {
    match (&operand.0[..], side) {
        (&[k], Side::Left) => Shape(vec![Dim::Fixed(1), k]),
        (&[k], Side::Right) => Shape(vec![k, Dim::Fixed(1)]),
        _ => operand.clone(),
    }
}

/// The product's shape with the axes of `1` that vectors lose: `[.., m, n]`.
fn with_vector_axes(product: Shape, a: &Shape, b: &Shape) -> Shape {
    let mut dims = product.0;
    if b.rank() == 1 {
        dims.push(Dim::Fixed(1));
    }
    if a.rank() == 1 {
        dims.insert(dims.len() - 1, Dim::Fixed(1));
    }
    Shape(dims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, backward_text, batched, check, function};

    /// Where the image-dependent operand stands.
    const LEFT: Side = Side::Left;
    const RIGHT: Side = Side::Right;

    #[test]
    fn a_constant_operand() {
        let cases: [(&str, Shape, &[usize], Side); 10] = [
            ("stack that reads the same rows", batched(&[3]), &[2, 3, 4], LEFT),
            ("stacks of stacks that read the same rows", batched(&[3]), &[2, 2, 3, 4], LEFT),
            ("linear layer", batched(&[3]), &[3, 4], LEFT),
            ("linear layer on tokens", batched(&[5, 3]), &[3, 4], LEFT),
            ("vector on the right", batched(&[5, 3]), &[3], LEFT),
            ("vector on the left", batched(&[3, 4]), &[3], RIGHT),
            ("matrix on the left", batched(&[3, 4]), &[2, 3], RIGHT),
            ("stack that stretches the images", batched(&[1, 3, 4]), &[2, 4, 5], LEFT),
            ("stack on the left", batched(&[2, 3, 4]), &[2, 5, 3], RIGHT),
            ("one image as a vector", Shape::fixed(&[3]), &[3, 4], LEFT),
        ];
        for (name, shape, constant, side) in cases {
            check(name, Domain::Real, shape, |builder, x| {
                let constant = builder.constant(Numbers::new(1).tensor(constant));
                match side {
                    Side::Left => builder.op("MatMul", &[x, constant]),
                    Side::Right => builder.op("MatMul", &[constant, x]),
                }
            });
        }
    }

    #[test]
    fn both_operands_depend_on_the_images() {
        check("attention scores", Domain::Real, batched(&[2, 3, 4]), |builder, x| {
            let transposed = builder.op_with("Transpose", &[x], [("perm", vec![0, 1, 3, 2].into())])?;
            builder.op("MatMul", &[x, transposed])
        });
        check("stretched stack", Domain::Real, batched(&[2, 3, 3]), |builder, x| {
            let (axes, keepdims) = (builder.ints(&[1]), ("keepdims", 1.into()));
            let one = builder.op_with("ReduceMean", &[x, axes], [keepdims])?;
            builder.op("MatMul", &[one, x])
        });
        check("stretched stack on the right", Domain::Real, batched(&[2, 3, 3]), |builder, x| {
            let (axes, keepdims) = (builder.ints(&[1]), ("keepdims", 1.into()));
            let one = builder.op_with("ReduceMean", &[x, axes], [keepdims])?;
            builder.op("MatMul", &[x, one])
        });
    }

    #[test]
    fn a_constant_weight_is_transposed_once() {
        let linear = function(batched(&[3]), |builder, x| {
            let weight = builder.constant(crate::Tensor::from_f32(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
            builder.op("MatMul", &[x, weight])
        });
        insta::assert_snapshot!(backward_text(&linear.unwrap()), @r"
            const %gradient/f/MatMul/constant: f32[2, 3] = [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
            %gradient/f/MatMul/MatMul: f32[N, 3] = MatMul(%g, %gradient/f/MatMul/constant)
            %dx/Identity: f32[N, 3] = Identity(%gradient/f/MatMul/MatMul)
        ");
    }

    #[test]
    fn an_activation_is_transposed_at_run_time() {
        let square = function(batched(&[3, 3]), |builder, x| builder.op("MatMul", &[x, x]));
        insta::assert_snapshot!(backward_text(&square.unwrap()), @r"
            %gradient/f/MatMul/Transpose: f32[N, 3, 3] = Transpose(%x) {perm = [0, 2, 1]}
            %gradient/f/MatMul/MatMul: f32[N, 3, 3] = MatMul(%g, %gradient/f/MatMul/Transpose)
            %gradient/f/MatMul/Transpose_2: f32[N, 3, 3] = Transpose(%x) {perm = [0, 2, 1]}
            %gradient/f/MatMul/MatMul_2: f32[N, 3, 3] = MatMul(%gradient/f/MatMul/Transpose_2, %g)
            %gradient/Add: f32[N, 3, 3] = Add(%gradient/f/MatMul/MatMul, %gradient/f/MatMul/MatMul_2)
            %dx/Identity: f32[N, 3, 3] = Identity(%gradient/Add)
        ");
    }
}
