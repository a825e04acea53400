//! Where numbers that are not finite can come from: bounds of the values of a graph, as far as its operators show.
//!
//! A gradient rule multiplies the cotangent by a slope. Where the slope is infinite or the value is not a number, a
//! cotangent of zero makes NaN of it, although a branch that is not taken has no influence: 0·∞ must be 0. The sweep
//! guards the nodes where that can happen, and only those, because most networks have none: the argument of the root
//! in a normalisation, for one, is at least its epsilon.
//!
//! Overflow of sums and products is left aside: a network whose activations reach 10³⁸ is broken.

use std::collections::HashMap;

use crate::graph::{Graph, Node, ValueId};
use crate::tensor::{DataType, Tensor};

/// Divisors and arguments of roots and logarithms below this may have a slope that overflows.
const SMALL: f32 = 1e-18;

/// Constants with more elements are not looked at.
const MOST_ELEMENTS: usize = 1 << 16;

/// From here on `exp` may overflow.
const LARGEST_EXPONENT: f32 = 88.0;

/// What is known of the elements of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    low: f32,
    high: f32,
    /// Whether an element may be infinite. The bounds then hold for the others.
    infinite: bool,
    /// Whether an element may be NaN.
    nan: bool,
}

impl Bounds {
    /// Any finite number.
    const ANY: Self = Self::between(f32::NEG_INFINITY, f32::INFINITY);

    const fn between(low: f32, high: f32) -> Self {
        Self { low, high, infinite: false, nan: false }
    }

    fn of(tensor: &Tensor) -> Self {
        // Weights are finite, and too many to look at.
        let is_small = tensor.elements() <= MOST_ELEMENTS;
        let values = if is_small { tensor.to_f32() } else { None };
        let Some(values) = values else { return Self::ANY };
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().fold(f32::INFINITY, f32::min);
        let high = finite().fold(f32::NEG_INFINITY, f32::max);
        let is_bounded = low <= high;
        Self {
            low: if is_bounded { low } else { f32::NEG_INFINITY },
            high: if is_bounded { high } else { f32::INFINITY },
            infinite: values.iter().any(|value| value.is_infinite()),
            nan: values.iter().any(|value| value.is_nan()),
        }
    }

    /// Whether every element is a finite number.
    pub(crate) fn is_finite(self) -> bool {
        !self.infinite && !self.nan
    }

    fn union(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            infinite: self.infinite || other.infinite,
            nan: self.nan || other.nan,
        }
    }

    /// Keeps what is known of infinities and NaN.
    fn with(self, low: f32, high: f32) -> Self {
        Self { low, high, ..self }
    }

    /// After a sum over elements: infinities of both signs may meet.
    fn summed(self, low: f32, high: f32) -> Self {
        Self { low, high, nan: self.nan || self.infinite, ..self }
    }

    fn is_clear_of_zero(self) -> bool {
        self.low > SMALL || self.high < -SMALL
    }

    fn lies_inside(self, low: f32, high: f32) -> bool {
        self.low > low && self.high < high && !self.infinite
    }
}

/// Bounds of all values of a graph.
#[derive(Debug)]
pub(crate) struct FiniteValues(HashMap<ValueId, Bounds>);

impl FiniteValues {
    /// Of a graph in topological order, whose inputs are finite.
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut known = Self(HashMap::new());
        for node in graph.nodes() {
            let bounds = known.of_output(graph, node);
            for (place, output) in node.outputs.iter().enumerate() {
                // What is known of the first output of several is known of no other.
                let bounds = if place == 0 || moves_only(node) { bounds } else { bounds.with_no_bounds() };
                known.0.extend(output.map(|id| (id, bounds)));
            }
        }
        known
    }

    /// Bounds of one value.
    pub(crate) fn of(&self, graph: &Graph, id: ValueId) -> Bounds {
        let constant = || graph.constant(id).map(Bounds::of);
        self.0.get(&id).copied().or_else(constant).unwrap_or(Bounds::ANY)
    }

    /// Whether the gradient rule of a node may turn a finite cotangent into numbers that are not finite.
    pub(crate) fn may_spoil(&self, graph: &Graph, node: &Node) -> bool {
        let finite = |id: &ValueId| self.of(graph, *id).is_finite();
        let read = if reads_its_output(node) { &[] } else { &node.inputs[..] };
        let all_finite = read.iter().chain(&node.outputs).flatten().all(finite);
        (!all_finite && !moves_only(node)) || self.has_infinite_slope(graph, node)
    }

    fn has_infinite_slope(&self, graph: &Graph, node: &Node) -> bool {
        let bounds = |index: usize| node.optional_input(index).map_or(Bounds::ANY, |id| self.of(graph, id));
        let x = bounds(0);
        match &*node.op_type {
            "Sqrt" | "Log" | "ReduceLogSum" => x.low <= SMALL,
            "Reciprocal" => !x.is_clear_of_zero(),
            "Div" => !bounds(1).is_clear_of_zero(),
            "Pow" => bounds(1).low < 1.0 && x.low <= SMALL && exponent(graph, node) != Some(0.0),
            "Acos" | "Asin" | "Atanh" => !x.lies_inside(-1.0, 1.0),
            "Acosh" => x.low <= 1.0,
            "LayerNormalization" | "InstanceNormalization" | "GroupNormalization" => {
                node.attributes.float("epsilon", 1e-5).is_ok_and(|epsilon| epsilon <= SMALL)
            }
            _ => false,
        }
    }

    /// Either bound may be left out.
    fn clipped(&self, graph: &Graph, node: &Node, x: Bounds) -> Bounds {
        let bound = |index: usize| node.optional_input(index).map(|id| self.of(graph, id));
        let low = bound(1).map_or(f32::NEG_INFINITY, |bounds| bounds.low);
        let high = bound(2).map_or(f32::INFINITY, |bounds| bounds.high);
        let infinite = x.infinite && !(low > f32::NEG_INFINITY && high < f32::INFINITY);
        Bounds { infinite, ..x.with(x.low.max(low).min(high), x.high.max(low).min(high)) }
    }

    fn of_output(&self, graph: &Graph, node: &Node) -> Bounds {
        let inputs: Vec<Bounds> = node.inputs.iter().flatten().map(|id| self.of(graph, *id)).collect();
        let is_float = node.optional_output(0).is_none_or(|id| {
            graph.tensor_type(id).map(|tensor_type| tensor_type.dtype) == Ok(DataType::Float32)
        });
        match inputs[..] {
            _ if !is_float => Bounds::ANY,
            [x, ..] if node.op_type == "Clip" => self.clipped(graph, node, x),
            [] => Bounds::ANY,
            [x] => of_one(node, x),
            [x, y] if node.optional_input(0) == node.optional_input(1) => of_twice(node, x, y),
            [x, y] => of_two(graph, node, x, y),
            [x, y, z] => of_three(node, x, y, z),
            _ => of_many(node, &inputs),
        }
    }
}

impl Bounds {
    fn with_no_bounds(self) -> Self {
        self.with(f32::NEG_INFINITY, f32::INFINITY)
    }
}

fn of_one(node: &Node, x: Bounds) -> Bounds {
    let (low, high) = (x.low, x.high);
    let finite = |low, high| Bounds { nan: x.nan, ..Bounds::between(low, high) };
    match &*node.op_type {
        "Relu" => x.with(low.max(0.0), high.max(0.0)),
        "Abs" => x.with(if low > 0.0 { low } else { 0.0 }, low.abs().max(high.abs())),
        "Exp" => Bounds {
            infinite: x.infinite || high > LARGEST_EXPONENT,
            ..x.with(low.exp(), if high > LARGEST_EXPONENT { f32::INFINITY } else { high.exp() })
        },
        "Sinh" | "Cosh" => Bounds { infinite: true, nan: x.nan || x.infinite, ..Bounds::ANY },
        "Sigmoid" | "HardSigmoid" | "Softmax" | "Hardmax" => finite(0.0, 1.0),
        "Tanh" | "Erf" | "Sign" | "Softsign" => finite(-1.0, 1.0),
        "Atan" => finite(-2.0, 2.0),
        "Sin" | "Cos" => Bounds { nan: x.nan || x.infinite, ..Bounds::between(-1.0, 1.0) },
        "Sqrt" => Bounds {
            nan: x.nan || low < 0.0 || x.infinite,
            ..x.with(low.max(0.0).sqrt(), high.max(0.0).sqrt())
        },
        "Log" | "ReduceLogSum" => Bounds {
            infinite: x.infinite || low <= 0.0,
            nan: x.nan || low < 0.0 || x.infinite,
            ..Bounds::between(low.max(0.0).ln(), high.max(0.0).ln())
        },
        "Reciprocal" => quotient(Bounds::between(1.0, 1.0), x),
        "Acos" | "Asin" => {
            Bounds { nan: x.nan || x.infinite || low < -1.0 || high > 1.0, ..Bounds::between(-2.0, 4.0) }
        }
        "Atanh" | "Acosh" => Bounds { infinite: true, nan: true, ..Bounds::ANY },
        "Neg" => x.with(-high, -low),
        "Softplus" | "ReduceSumSquare" | "ReduceL1" | "ReduceL2" => x.with(0.0, f32::INFINITY),
        "GlobalAveragePool" | "AveragePool" => x.summed(low.min(0.0), high.max(0.0)),
        "ReduceSum" if low >= 0.0 => x.with(0.0, f32::INFINITY),
        "ReduceMean" if low >= 0.0 => x.with(low, high),
        _ if moves_only(node) => x,
        _ => of_many(node, &[x]),
    }
}

/// Both inputs are the same value.
fn of_twice(node: &Node, x: Bounds, y: Bounds) -> Bounds {
    match &*node.op_type {
        "Mul" => x.with(if x.low > 0.0 { x.low * x.low } else { 0.0 }, f32::INFINITY),
        _ => of_many(node, &[x, y]),
    }
}

fn of_two(graph: &Graph, node: &Node, x: Bounds, y: Bounds) -> Bounds {
    let either = x.union(y);
    match &*node.op_type {
        "Add" => Bounds {
            nan: either.nan || (x.infinite && y.infinite),
            ..either.with(x.low + y.low, x.high + y.high)
        },
        "Sub" => Bounds {
            nan: either.nan || (x.infinite && y.infinite),
            ..either.with(x.low - y.high, x.high - y.low)
        },
        "Mul" if x.low >= 0.0 && y.low >= 0.0 => either.summed(x.low * y.low, f32::INFINITY),
        "Div" => quotient(x, y),
        "Pow" => power(x, exponent(graph, node)),
        "Max" => either.with(x.low.max(y.low), x.high.max(y.high)),
        "Min" => either.with(x.low.min(y.low), x.high.min(y.high)),
        // Axes, shapes and indices.
        "ReduceSumSquare" | "ReduceL1" | "ReduceL2" => x.with(0.0, f32::INFINITY),
        "ReduceSum" if x.low >= 0.0 => x.with(0.0, f32::INFINITY),
        "ReduceMean" if x.low >= 0.0 => x,
        "ReduceMax" | "ReduceMin" => x,
        "ReduceLogSum" => of_one(node, x),
        "Concat" => either,
        _ if moves_only(node) => x,
        _ => of_many(node, &[x, y]),
    }
}

fn of_three(node: &Node, x: Bounds, y: Bounds, z: Bounds) -> Bounds {
    match &*node.op_type {
        "Where" => y.union(z),
        _ if moves_only(node) => x.union(Bounds::between(0.0, 0.0)),
        _ => of_many(node, &[x, y, z]),
    }
}

/// Sums and products of finite numbers are finite; an infinity may meet a zero or another infinity.
fn of_many(node: &Node, inputs: &[Bounds]) -> Bounds {
    let all = inputs.iter().fold(Bounds::between(0.0, 0.0), |all, bounds| all.union(*bounds));
    match moves_only(node) {
        true => all,
        false => all.summed(f32::NEG_INFINITY, f32::INFINITY),
    }
}

fn quotient(x: Bounds, y: Bounds) -> Bounds {
    let clear = y.is_clear_of_zero();
    let nan = x.nan || y.nan || (x.infinite && y.infinite) || !clear;
    let (low, high) = match () {
        () if x.low >= 0.0 && y.low > 0.0 => (0.0, x.high / y.low),
        () => (f32::NEG_INFINITY, f32::INFINITY),
    };
    Bounds { low, high, infinite: x.infinite || !clear, nan }
}

fn power(x: Bounds, exponent: Option<f32>) -> Bounds {
    let Some(exponent) = exponent else { return Bounds { infinite: true, nan: true, ..Bounds::ANY } };
    let is_whole = exponent.fract() == 0.0;
    let low = if exponent.rem_euclid(2.0) == 0.0 { 0.0 } else { f32::NEG_INFINITY };
    let low = if x.low >= 0.0 && exponent > 0.0 { x.low.powf(exponent) } else { low };
    let infinite = x.infinite || (exponent < 0.0 && !x.is_clear_of_zero());
    let nan = x.nan || (!is_whole && (x.low < 0.0 || x.infinite));
    Bounds { low, high: f32::INFINITY, infinite, nan }
}

/// The one constant exponent of a Pow.
fn exponent(graph: &Graph, node: &Node) -> Option<f32> {
    match graph.constant(node.optional_input(1)?)?.to_f32()?[..] {
        [exponent] => Some(exponent),
        _ => None,
    }
}

/// Whether the gradient rule of a node reads its output and no input.
fn reads_its_output(node: &Node) -> bool {
    ["Sigmoid", "Softmax", "Tanh"].contains(&&*node.op_type)
}

/// Whether a node moves elements or adds them, so that a finite cotangent stays finite whatever they are.
fn moves_only(node: &Node) -> bool {
    const MOVES: [&str; 22] = [
        "Add",
        "Cast",
        "Concat",
        "DepthToSpace",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Neg",
        "Pad",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ];
    MOVES.contains(&&*node.op_type) || node.op_type == "Where"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::testing::{adjoint, batched, float, function, run, session};
    use crate::error::Result;
    use crate::graph::Builder;

    /// `d(x + f(x))/dx · g` at one point, for an `f` of no influence.
    fn gradient(x: f32, g: f32, build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>) -> f32 {
        let graph = function(batched(&[1]), |builder, x| {
            let dead = build(builder, x)?;
            builder.op("Add", &[x, dead])
        });
        let (x, g) = ([x], [g]);
        let inputs = [float("x", &[1, 1], &x), float("g", &[1, 1], &g)];
        run(&mut session(&adjoint(&graph.unwrap()).unwrap()), &inputs)[0]
    }

    /// Functions of infinite or undefined slope at a point.
    const SPOILT: [(&str, f32); 14] = [
        ("Sqrt", 0.0),
        ("Sqrt", -1.0),
        ("Log", 0.0),
        ("Log", -1.0),
        ("Reciprocal", 0.0),
        ("Exp", 200.0),
        ("Sinh", 200.0),
        ("Cosh", -200.0),
        ("Acos", 1.0),
        ("Acos", 2.0),
        ("Asin", -1.0),
        ("Atanh", 1.0),
        ("Acosh", 1.0),
        ("Acosh", 0.0),
    ];

    #[test]
    fn zero_times_infinity_is_zero() {
        for (op_type, x) in SPOILT {
            let found = gradient(x, 3.0, |builder, x| {
                let (y, zero) = (builder.op(op_type, &[x])?, builder.scalar(0.0));
                builder.op("Mul", &[y, zero])
            });
            assert_eq!(found, 3.0, "{op_type} at {x}");
        }
        for (exponent, x) in [(0.5, 0.0), (0.5, -1.0), (-1.0, 0.0), (1.5, -1.0), (-2.0, 0.0)] {
            let found = gradient(x, 3.0, |builder, x| {
                let (exponent, zero) = (builder.scalar(exponent), builder.scalar(0.0));
                let y = builder.op("Pow", &[x, exponent])?;
                builder.op("Mul", &[y, zero])
            });
            assert_eq!(found, 3.0, "Pow {exponent} at {x}");
        }
    }

    #[test]
    fn a_branch_that_is_not_taken_has_no_influence() {
        for (op_type, x) in SPOILT {
            let found = gradient(x, 3.0, |builder, x| {
                let y = builder.op(op_type, &[x])?;
                // Another factor reads what is not finite.
                let square = builder.op("Mul", &[y, x])?;
                let (zero, low) = (builder.scalar(0.0), builder.scalar(-1e9));
                let taken = builder.op("Less", &[x, low])?;
                builder.op("Where", &[taken, square, zero])
            });
            assert_eq!(found, 3.0, "{op_type} at {x}");
        }
    }

    #[test]
    fn a_quotient_by_zero_that_is_not_taken_has_no_influence() {
        let found = gradient(0.0, 3.0, |builder, x| {
            let ratio = builder.op("Div", &[x, x])?;
            let (zero, low) = (builder.scalar(0.0), builder.scalar(-1e9));
            let taken = builder.op("Less", &[x, low])?;
            builder.op("Where", &[taken, ratio, zero])
        });
        assert_eq!(found, 3.0);
    }

    #[test]
    fn an_infinite_slope_keeps_its_sign() {
        for (op_type, sign) in [("Sqrt", 1.0), ("Log", 1.0), ("Reciprocal", -1.0)] {
            for g in [2.0, -2.0] {
                let found = gradient(0.0, g, |builder, x| builder.op(op_type, &[x]));
                assert!(found.is_finite() && found * sign * g > 1e17, "{op_type}: {found}");
            }
        }
    }

    /// Nodes of a graph that would be guarded.
    fn guarded(build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>) -> Vec<String> {
        let graph = function(batched(&[8]), build).unwrap();
        let values = FiniteValues::new(&graph);
        let guarded = graph.nodes().iter().filter(|node| values.may_spoil(&graph, node));
        guarded.map(|node| node.name.clone()).collect()
    }

    #[test]
    fn usual_layers_are_not_guarded() {
        let layer_norm = guarded(|builder, x| {
            let axes = builder.ints(&[-1]);
            let mean = builder.op("ReduceMean", &[x, axes])?;
            let centred = builder.op("Sub", &[x, mean])?;
            let (two, epsilon) = (builder.scalar(2.0), builder.scalar(1e-5));
            let square = builder.op("Pow", &[centred, two])?;
            let variance = builder.op("ReduceMean", &[square, axes])?;
            let shifted = builder.op("Add", &[variance, epsilon])?;
            let deviation = builder.op("Sqrt", &[shifted])?;
            builder.op("Div", &[centred, deviation])
        });
        let cosine = guarded(|builder, x| {
            let axes = builder.ints(&[-1]);
            let norm = builder.op("ReduceL2", &[x, axes])?;
            let least = builder.scalar(1e-12);
            let norm = builder.op("Clip", &[norm, least])?;
            let unit = builder.op("Div", &[x, norm])?;
            builder.op("Softmax", &[unit])
        });
        let attention = guarded(|builder, x| {
            let mask = builder.constant(Tensor::from_f32(&[8], &[f32::NEG_INFINITY; 8]));
            let scores = builder.op("Add", &[x, mask])?;
            let shares = builder.op("Softmax", &[scores])?;
            builder.op("Mul", &[shares, x])
        });
        let activation = guarded(|builder, x| {
            let gate = builder.op("Sigmoid", &[x])?;
            let three = builder.scalar(3.0);
            let cube = builder.op("Pow", &[gate, three])?;
            builder.op("Mul", &[cube, x])
        });
        for (what, found) in
            [("norm", layer_norm), ("cosine", cosine), ("attention", attention), ("activation", activation)]
        {
            assert_eq!(found, [""; 0], "{what}");
        }
    }

    #[test]
    fn what_may_overflow_or_has_no_lower_bound_is_guarded() {
        let by_hand = guarded(|builder, x| {
            let one = builder.scalar(1.0);
            let minus = builder.op("Neg", &[x])?;
            let exponential = builder.op("Exp", &[minus])?;
            let sum = builder.op("Add", &[exponential, one])?;
            builder.op("Div", &[one, sum])
        });
        assert_eq!(by_hand, ["f/Exp", "f/Div"]);
        let norm = guarded(|builder, x| {
            let (axes, square) = (builder.ints(&[-1]), builder.op("Mul", &[x, x])?);
            let sum = builder.op("ReduceSum", &[square, axes])?;
            builder.op("Sqrt", &[sum])
        });
        assert_eq!(norm, ["f/Sqrt"]);
    }
}
