//! Slopes of secants of flat activations over the box.
//!
//! With bounds `[l, u]` of its input, the secant of `f` has the slope `(f(u) − f(l)) / (u − l)`. For ReLU that is the
//! slope of the upper bound of its convex hull (Ehlers, "Formal verification of piece-wise linear feed-forward neural
//! networks", ATVA 2017, the triangle or Planet relaxation): 0 for units that are inactive on the whole box, 1 for those
//! that are active on all of it, and `u / (u − l)` for the others, on whichever side of the kink the image is.

use std::collections::HashMap;

use super::propagate::flat_activations;
use crate::error::Result;
use crate::graph::{Builder, Graph, ValueId};
use crate::operators::gradient::step::Step;

/// The secant of one activation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secant {
    /// Position of the input that it is a function of.
    index: usize,
    /// Its slope.
    slope: ValueId,
}

impl Secant {
    /// Stands in for the gradient rule of the activation: the cotangent times the slope.
    ///
    /// # Errors
    /// As [`Step::cotangent`].
    pub(crate) fn send(&self, step: &mut Step<'_, '_>) -> Result<()> {
        let cotangent = step.cotangent()?;
        step.send(self.index, |builder| builder.op("Mul", &[cotangent, self.slope]))
    }
}

/// By the output of an activation: its input and the slope of its secant there, of the same shape.
pub(crate) type Secants = HashMap<ValueId, Secant>;

/// Widths below it, where the rounding of the ends decides, give the slope zero.
const LEAST_WIDTH: f32 = 1e-30;

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
        let rise = builder.op("Sub", &[activation.after.upper, activation.after.lower])?;
        let width = builder.op("Sub", &[activation.before.upper, activation.before.lower])?;
        let least = builder.scalar(LEAST_WIDTH);
        let width = builder.op("Max", &[width, least])?;
        let slope = builder.op("Div", &[rise, width])?;
        secants.insert(activation.output, Secant { index: activation.index, slope });
    }
    Ok(secants)
}
