//! Slopes of secants of flat activations over the box.
//!
//! With bounds `[l, u]` of its input, the secant of `f` has the slope `(f(u) − f(l)) / (u − l)`. For ReLU that is the
//! slope of the upper bound of its convex hull (Ehlers, "Formal verification of piece-wise linear feed-forward neural
//! networks", ATVA 2017, the triangle or Planet relaxation): 0 for units that are inactive on the whole box, 1 for those
//! that are active on all of it, and `u / (u − l)` for the others, on whichever side of the kink the image is.
//!
//! A Softmax has no secant: each of its results depends on a row. In its place stands the derivative of a Softmax of
//! scores that are divided by how far the widest of the row can move, where that is more than one. Then scores that can change
//! places within the box do so within its reach, and a choice that seems to be made for good passes a gradient again.

use std::collections::HashMap;

use super::propagate::{FlatActivation, flat_activations};
use crate::error::Result;
use crate::graph::{Builder, Graph, ValueId};
use crate::operators::bounds::step::Interval;
use crate::operators::gradient::softmax::pulled_back;
use crate::operators::gradient::step::Step;
use crate::operators::row::Limits;

/// The secant of one activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secant {
    /// Position of the input that it is a function of.
    index: usize,
    slope: Slope,
}

/// What takes the place of a derivative.
#[derive(Debug, Clone, Copy)]
enum Slope {
    /// A factor for each element.
    Factor(ValueId),
    /// Those of a Softmax along `axis` of scores that were divided by `width`, with those `shares`.
    Row { shares: ValueId, width: ValueId, axis: i64 },
}

impl Secant {
    /// Stands in for the gradient rule of the activation: the cotangent times the slope.
    ///
    /// # Errors
    /// As [`Step::cotangent`].
    pub(crate) fn send(&self, step: &mut Step<'_, '_>) -> Result<()> {
        let cotangent = step.cotangent()?;
        step.send(self.index, |builder| match self.slope {
            Slope::Factor(slope) => builder.op("Mul", &[cotangent, slope]),
            Slope::Row { shares, width, axis } => {
                let steep = pulled_back(builder, cotangent, shares, axis)?;
                builder.op("Div", &[steep, width])
            }
        })
    }
}

/// By the output of an activation: its input and the slope of its secant there, of the same shape.
pub(crate) type Secants = HashMap<ValueId, Secant>;

/// Widths below it, where the rounding of the ends decides, give the slope zero.
const LEAST_WIDTH: f32 = 1e-30;

/// Least width of a secant of an activation that tends to limits. Its results at ends that are closer differ by little more than
/// their rounding. The slope of a secant this wide is within 1e-4 of the derivative, of which the largest is at most about one.
const LEAST_WIDTH_OF_A_GATE: f32 = 1.0 / 32.0;

/// Appends the secants of all flat activations whose bounds are known.
///
/// # Errors
/// As [`flat_activations`].
pub(crate) fn secants(graph: &mut Graph, images: ValueId, radius: ValueId) -> Result<Secants> {
    let activations = flat_activations(graph, images, radius)?;
    let mut builder = Builder::new(graph, "secant");
    let mut secants = Secants::with_capacity(activations.len());
    for activation in activations {
        builder.set_prefix(format!("secant/{}", activation.node.name));
        let Some(before) = activation.before else { continue };
        let width = builder.op("Sub", &[before.upper, before.lower])?;
        let slope = match (activation.after, activation.limits) {
            (Some(after), None) => {
                let rise = builder.op("Sub", &[after.upper, after.lower])?;
                let least = builder.scalar(LEAST_WIDTH);
                let width = builder.op("Max", &[width, least])?;
                Slope::Factor(builder.op("Div", &[rise, width])?)
            }
            (Some(_), Some(_)) => of_gate(&mut builder, &activation, before, width)?,
            (None, Some(Limits::OneOfRow)) => of_rows(&mut builder, &activation, width)?,
            (None, _) => continue,
        };
        secants.insert(activation.output, Secant { index: activation.index, slope });
    }
    Ok(secants)
}

/// The slope of a secant that is at least so wide that rounding does not decide it.
fn of_gate(
    builder: &mut Builder<'_>,
    activation: &FlatActivation,
    before: Interval,
    width: ValueId,
) -> Result<Slope> {
    let (least, half) = (builder.scalar(LEAST_WIDTH_OF_A_GATE), builder.scalar(0.5));
    let width_of_secant = builder.op("Max", &[width, least])?;
    let missing = builder.op("Sub", &[width_of_secant, width])?;
    let on_each_side = builder.op("Mul", &[missing, half])?;
    let node = &activation.node;
    let at = |builder: &mut Builder<'_>, end: ValueId| {
        builder.node(&node.op_type, vec![Some(end)], node.attributes.clone(), 1).map(|outputs| outputs[0])
    };
    let (lower, upper) = (
        builder.op("Sub", &[before.lower, on_each_side])?,
        builder.op("Add", &[before.upper, on_each_side])?,
    );
    let (lowest, highest) = (at(builder, lower)?, at(builder, upper)?);
    let rise = builder.op("Sub", &[highest, lowest])?;
    Ok(Slope::Factor(builder.op("Div", &[rise, width_of_secant])?))
}

/// What takes the place of a Softmax's derivative, from how far each of its scores can move.
fn of_rows(builder: &mut Builder<'_>, activation: &FlatActivation, width: ValueId) -> Result<Slope> {
    let axis = activation.node.attributes.int("axis", -1)?;
    let (axes, one) = (builder.ints(&[axis]), builder.scalar(1.0));
    let widest = builder.op("ReduceMax", &[width, axes])?;
    let width = builder.op("Max", &[widest, one])?;
    let scores = builder.op("Div", &[activation.node.input(activation.index)?, width])?;
    let shares = builder.op_with("Softmax", &[scores], [("axis", axis.into())])?;
    Ok(Slope::Row { shares, width, axis })
}
