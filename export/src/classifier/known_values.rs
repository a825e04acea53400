//! What is known of values of a typed graph before it runs: constants, and bounds of computed values.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::graph::{Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// Most operators that bounds are followed through.
const MAX_DEPTH: usize = 32;

/// Bounds of all elements of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Bounds {
    const NONE: Self = Self::new(f64::NEG_INFINITY, f64::INFINITY);
    const NOT_NEGATIVE: Self = Self::new(0.0, f64::INFINITY);

    const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Whether no element is negative.
    pub(super) fn not_negative(self) -> bool {
        self.low >= 0.0
    }

    /// Whether no element is positive.
    pub(super) fn not_positive(self) -> bool {
        self.high <= 0.0
    }

    fn through(self, increasing: fn(f64) -> f64) -> Self {
        Self::new(increasing(self.low), increasing(self.high))
    }

    fn negated(self) -> Self {
        Self::new(-self.high, -self.low)
    }

    fn plus(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }

    fn times(self, other: Self) -> Self {
        // Zero times infinity is zero here: no element is infinite.
        let product = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
        let all = [
            product(self.low, other.low),
            product(self.low, other.high),
            product(self.high, other.low),
            product(self.high, other.high),
        ];
        Self::new(
            all.into_iter().fold(f64::INFINITY, f64::min),
            all.into_iter().fold(f64::NEG_INFINITY, f64::max),
        )
    }

    fn divided_by(self, other: Self) -> Self {
        match (self.not_negative(), self.not_positive(), other.not_negative(), other.not_positive()) {
            (true, _, true, _) | (_, true, _, true) => Self::NOT_NEGATIVE,
            (true, _, _, true) | (_, true, true, _) => Self::new(f64::NEG_INFINITY, 0.0),
            _ => Self::NONE,
        }
    }

    fn hull(self, other: Self) -> Self {
        Self::new(self.low.min(other.low), self.high.max(other.high))
    }
}

/// A typed graph, and what was found out about its values.
#[derive(Debug)]
pub(super) struct KnownValues<'g> {
    pub(super) graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    bounds: RefCell<HashMap<ValueId, Bounds>>,
}

impl<'g> KnownValues<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        Self { graph, producers: graph.producers(), bounds: RefCell::default() }
    }

    /// The node that computes a value.
    pub(super) fn producer(&self, value: ValueId) -> Option<&'g Node> {
        self.producers.get(&value).map(|id| self.graph.node(*id))
    }

    /// The elements of a constant, also where exporters rearrange it.
    pub(super) fn constant(&self, value: ValueId) -> Option<Vec<f64>> {
        let mut value = value;
        loop {
            if let Some(tensor) = self.graph.constant(value) {
                return elements(tensor);
            }
            let node = self.producer(value)?;
            let op_type = node.op_type.as_str();
            let is_same = matches!(
                op_type,
                "Cast" | "CastLike" | "Identity" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Expand"
            );
            value = node.optional_input(0).filter(|_| is_same)?;
        }
    }

    /// The value of a constant whose elements are all equal.
    pub(super) fn scalar(&self, value: ValueId) -> Option<f64> {
        let elements = self.constant(value)?;
        let first = *elements.first()?;
        elements.iter().all(|element| *element == first).then_some(first)
    }

    /// Bounds of all elements, as far as the operators before a value show them.
    pub(super) fn bounds(&self, value: ValueId) -> Bounds {
        self.bounds_within(value, MAX_DEPTH)
    }

    fn bounds_within(&self, value: ValueId, depth: usize) -> Bounds {
        if let Some(known) = self.bounds.borrow().get(&value) {
            return *known;
        }
        let found = match (self.constant(value), self.producer(value)) {
            (Some(elements), _) => {
                elements.iter().fold(Bounds::new(f64::INFINITY, f64::NEG_INFINITY), |all, element| {
                    all.hull(Bounds::new(*element, *element))
                })
            }
            (None, Some(node)) if depth > 0 => self.of_node(node, depth - 1),
            _ => Bounds::NONE,
        };
        // A NaN says nothing.
        let found = if found.low.is_nan() || found.high.is_nan() { Bounds::NONE } else { found };
        self.bounds.borrow_mut().insert(value, found);
        found
    }

    fn of_node(&self, node: &Node, depth: usize) -> Bounds {
        let input = |index: usize| {
            node.optional_input(index).map_or(Bounds::NONE, |id| self.bounds_within(id, depth))
        };
        let fold = |combine: fn(Bounds, Bounds) -> Bounds| {
            let inputs = node.inputs.iter().flatten().map(|id| self.bounds_within(*id, depth));
            inputs.reduce(combine).unwrap_or(Bounds::NONE)
        };
        match node.op_type.as_str() {
            "Relu" => input(0).through(|x| x.max(0.0)),
            "Sigmoid" | "HardSigmoid" | "Softmax" | "Hardmax" => Bounds::new(0.0, 1.0),
            "Tanh" | "Erf" | "Softsign" => Bounds::new(-1.0, 1.0),
            "LogSoftmax" => Bounds::new(f64::NEG_INFINITY, 0.0),
            "Exp" => input(0).through(f64::exp),
            "Log" => input(0).through(|x| if x > 0.0 { x.ln() } else { f64::NEG_INFINITY }),
            "Sqrt" => input(0).through(|x| x.max(0.0).sqrt()),
            "Softplus" | "Abs" | "ReduceL1" | "ReduceL2" | "ReduceSumSquare" => Bounds::NOT_NEGATIVE,
            "Neg" => input(0).negated(),
            "Reciprocal" => Bounds::new(1.0, 1.0).divided_by(input(0)),
            "Clip" => self.of_clip(node, input(0)),
            "Add" | "Sum" => fold(Bounds::plus),
            "Sub" => input(0).plus(input(1).negated()),
            "Mul" if node.optional_input(0) == node.optional_input(1) => Bounds::NOT_NEGATIVE,
            "Mul" => input(0).times(input(1)),
            "Div" => input(0).divided_by(input(1)),
            "Pow" => self.of_pow(node, input(0)),
            "Max" => fold(|a, b| Bounds::new(a.low.max(b.low), a.high.max(b.high))),
            "Min" => fold(|a, b| Bounds::new(a.low.min(b.low), a.high.min(b.high))),
            "ReduceSum" | "ReduceProd" if input(0).not_negative() => Bounds::NOT_NEGATIVE,
            "ReduceLogSumExp" => Bounds::new(input(0).low, f64::INFINITY),
            "Concat" | "Mean" => fold(Bounds::hull),
            "AveragePool" => input(0).hull(Bounds::new(0.0, 0.0)),
            "Where" => input(1).hull(input(2)),
            "Cast" | "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze"
            | "Transpose" | "Expand" | "Tile" | "Gather" | "GatherElements" | "GatherND" | "Slice"
            | "Split" | "TopK" | "ReduceMax" | "ReduceMin" | "ReduceMean" | "MaxPool" | "GlobalMaxPool"
            | "GlobalAveragePool" => input(0),
            _ => Bounds::NONE,
        }
    }

    fn of_clip(&self, node: &Node, input: Bounds) -> Bounds {
        let given = |index: usize| node.optional_input(index).map(|id| self.bounds(id));
        let low =
            given(1).map_or(input, |least| Bounds::new(input.low.max(least.low), input.high.max(least.high)));
        given(2).map_or(low, |most| Bounds::new(low.low.min(most.low), low.high.min(most.high)))
    }

    fn of_pow(&self, node: &Node, base: Bounds) -> Bounds {
        let exponent = node.optional_input(1).and_then(|id| self.scalar(id));
        let is_even = exponent.is_some_and(|exponent| exponent % 2.0 == 0.0);
        if is_even || base.not_negative() { Bounds::NOT_NEGATIVE } else { Bounds::NONE }
    }
}

fn elements(tensor: &Tensor) -> Option<Vec<f64>> {
    let floats = tensor.to_f32().map(|values| values.into_iter().map(f64::from).collect());
    floats.or_else(|| tensor.to_i64().map(|values| values.into_iter().map(|value| value as f64).collect()))
}
