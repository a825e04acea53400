//! Einsum: products of operands, summed over the axes that the result lacks.
//!
//! The cotangent of an operand is the Einsum of `g` and the other operands with the axes of that operand as its result;
//! an axis that only this operand has was summed, and so is repeated. Operator page: ONNX `Einsum-12`.

use std::collections::BTreeSet;

use super::broadcast::{expand, reshape};
use super::step::Step;
use crate::error::Result;
use crate::graph::{Attribute, Builder, Dim, Shape, ValueId};
use crate::operators::types::Equation;

/// `d operand_i = einsum(g, the others → axes of operand i)`.
pub(crate) fn einsum(step: &mut Step<'_, '_>) -> Result<()> {
    let inputs: Vec<ValueId> =
        (0..step.node().inputs.len()).map(|index| step.input(index)).collect::<Result<_>>()?;
    let shapes: Vec<Shape> = inputs.iter().map(|input| step.shape(*input)).collect::<Result<_>>()?;
    let text = step.node().attributes.text("equation", "")?;
    let equation = Equation::parse(text, &shapes.iter().collect::<Vec<_>>())?;
    let g = step.cotangent()?;
    for (index, shape) in shapes.iter().enumerate() {
        step.send(index, |builder| {
            let mut terms = vec![(g, equation.output.clone())];
            for other in (0..inputs.len()).filter(|other| *other != index) {
                terms.push(narrowed(builder, inputs[other], &equation, other)?);
            }
            pulled_back(builder, &terms, &equation, index, shape)
        })?;
    }
    Ok(())
}

/// An operand without the axes of 1 that the product repeats, and the letters of the others.
fn narrowed(
    builder: &mut Builder<'_>,
    operand: ValueId,
    equation: &Equation,
    index: usize,
) -> Result<(ValueId, Vec<char>)> {
    let shape = builder.graph().shape(operand)?.clone();
    let full = |(label, dim): &(&char, &Dim)| equation.sizes[*label] == **dim;
    let kept = equation.operands[index].iter().zip(&shape.0).filter(full);
    let (labels, dims): (Vec<char>, Vec<Dim>) = kept.map(|(label, dim)| (*label, *dim)).unzip();
    Ok((reshape(builder, operand, &Shape(dims))?, labels))
}

/// The product of `terms`, with the axes of operand `index`.
fn pulled_back(
    builder: &mut Builder<'_>,
    terms: &[(ValueId, Vec<char>)],
    equation: &Equation,
    index: usize,
    shape: &Shape,
) -> Result<ValueId> {
    let there: BTreeSet<char> = terms.iter().flat_map(|(_, labels)| labels.iter().copied()).collect();
    let mut result = String::new();
    let mut dims = shape.0.clone();
    for (label, dim) in equation.operands[index].iter().zip(&mut dims) {
        if there.contains(label) && equation.sizes[label] == *dim {
            result.push(*label);
        } else {
            *dim = Dim::Fixed(1);
        }
    }
    let letters: Vec<String> = terms.iter().map(|(_, labels)| labels.iter().collect()).collect();
    let text = format!("{}->{result}", letters.join(","));
    let values: Vec<ValueId> = terms.iter().map(|(value, _)| *value).collect();
    let product = if text == format!("{result}->{result}") {
        values[0]
    } else {
        builder.op_with("Einsum", &values, [("equation", Attribute::Text(text))])?
    };
    let with_ones = reshape(builder, product, &Shape(dims))?;
    expand(builder, with_ones, shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{Domain, Numbers, adjoint, backward_text, batched, check, function};

    fn product(builder: &mut Builder<'_>, operands: &[ValueId], equation: &str) -> Result<ValueId> {
        let y = builder.op_with("Einsum", operands, [("equation", equation.into())])?;
        builder.op("Mul", &[y, y])
    }

    #[test]
    fn one_operand() {
        for equation in ["bij->bji", "bij->bi", "bij->b", "bij", "...j->...", "b...->b...", "jib->bi"] {
            let dims: &[usize] = if equation == "jib->bi" { &[3, 4, 2] } else { &[2, 3, 4] };
            check(equation, Domain::Real, Shape::fixed(dims), |builder, x| product(builder, &[x], equation));
        }
    }

    #[test]
    fn a_constant_operand() {
        let cases: [(&str, &[usize]); 8] = [
            ("bij,jk->bik", &[4, 5]),
            ("bij,kj->bik", &[5, 4]),
            ("bij,bkj->bik", &[1, 5, 4]),
            ("bij,ij->b", &[3, 4]),
            ("bij,k->bijk", &[5]),
            ("...ij,...jk->...ik", &[1, 4, 5]),
            ("bij,jk", &[4, 5]),
            ("bij,bij->bij", &[1, 1, 4]),
        ];
        for (equation, dims) in cases {
            check(equation, Domain::Real, batched(&[3, 4]), |builder, x| {
                let other = builder.constant(Numbers::new(1).tensor(dims));
                product(builder, &[x, other], equation)
            });
        }
    }

    #[test]
    fn operands_that_both_depend_on_the_images() {
        for equation in ["bhid,bhjd->bhij", "bhid,bhjd->bij", "...id,...jd->...ij"] {
            check(equation, Domain::Real, batched(&[2, 3, 4]), |builder, x| {
                product(builder, &[x, x], equation)
            });
        }
        check("three", Domain::Real, batched(&[3, 4]), |builder, x| {
            let middle = builder.constant(Numbers::new(1).tensor(&[4, 4]));
            product(builder, &[x, middle, x], "bij,jk,blk->bil")
        });
        check("a repeated axis of both", Domain::Real, batched(&[1, 3]), |builder, x| {
            let other = builder.op_with("Transpose", &[x], [("perm", vec![0, 2, 1].into())])?;
            let (axes, wide) = (builder.ints(&[1]), ("axis", 1.into()));
            let both = builder.op_with("Concat", &[x, x], [wide])?;
            let narrow = builder.op_with("ReduceMean", &[other, axes], [("keepdims", 1.into())])?; // [N, 1, 1]
            product(builder, &[both, narrow], "bij,bij->bij")
        });
    }

    #[test]
    fn the_letters_are_exchanged() {
        let text = |equation: &str, dims: &[usize]| {
            let graph = function(batched(&[3, 4]), |builder, x| {
                let other = builder.constant(Numbers::new(1).tensor(dims));
                builder.op_with("Einsum", &[x, other], [("equation", equation.into())])
            });
            backward_text(&graph.unwrap())
        };
        insta::assert_snapshot!(text("...ij,jk->...ki", &[4, 5]), @r#"
        %gradient/f/Einsum/Einsum: f32[N, 3, 4] = Einsum(%g, %f/constant) {equation = "aki,jk->aij"}
        %dx/Identity: f32[N, 3, 4] = Identity(%gradient/f/Einsum/Einsum)
        "#);
        insta::assert_snapshot!(text("bij,i->bi", &[3]), @r#"
        const %gradient/f/Einsum/constant: i64[3] = [-1, 3, 1]
        const %gradient/f/Einsum/constant_2: i64[3] = [1, 3, 4]
        %gradient/f/Einsum/Einsum: f32[N, 3] = Einsum(%g, %f/constant) {equation = "bi,i->bi"}
        %gradient/f/Einsum/Reshape: f32[N, 3, 1] = Reshape(%gradient/f/Einsum/Einsum, %gradient/f/Einsum/constant)
        %gradient/f/Einsum/Expand: f32[N, 3, 4] = Expand(%gradient/f/Einsum/Reshape, %gradient/f/Einsum/constant_2)
        %dx/Identity: f32[N, 3, 4] = Identity(%gradient/f/Einsum/Expand)
        "#);
    }

    #[test]
    fn a_diagonal_is_refused() {
        let graph = function(batched(&[3, 3]), |builder, x| {
            builder.op_with("Einsum", &[x], [("equation", "bii->bi".into())])
        });
        let error = graph.and_then(|graph| adjoint(&graph)).unwrap_err().to_string();
        assert!(error.contains("`bii->bi` takes a diagonal"), "{error}");
    }
}
