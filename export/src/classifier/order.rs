//! Scores in the same order: what the classes of an image are ordered by before the last operators of a file.
//!
//! Softmax, Clip, or a multiplication with 100 do not change which class has the largest score, but their gradients
//! vanish where they saturate. A step back through an operator is taken only if the order of the classes is provably
//! the same, or turned round: the operator is a monotonic function of each score, the same one for all classes. It may
//! depend on the image, as the divisor of a Softmax that is written out does.
//!
//! Monotonic is not strictly so: where a function is flat, scores that differ become equal.

use super::class_axis::class_axis;
use super::known_values::KnownValues;
use crate::graph::{Dim, Node, ValueId};
use crate::tensor::DataType;

/// Most operators that are stepped through.
const MAX_STEPS: usize = 64;

/// What an operator does to scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Moves or scales them.
    Plain,
    /// Bends them: its slope vanishes somewhere. Scores that differ stay different, up to rounding.
    Bends,
    /// Bends them, and equal results for the largest scores are common: rounding makes a part flat, or it has steps.
    Ties,
    /// Leaves them as they are up to a bound, and is flat beyond: equal results are common.
    Bounds,
}

/// One step from a value to what it is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepBack {
    pub(super) before: ValueId,
    /// Whether a larger score before is a smaller one after.
    pub(super) turns: bool,
    pub(super) effect: Effect,
}

/// Steps back through operators on the scores of `classes` classes.
#[derive(Debug)]
pub(super) struct Order<'g> {
    pub(super) values: KnownValues<'g>,
    pub(super) batch: Dim,
    pub(super) classes: usize,
}

impl Order<'_> {
    /// The steps from a value back, each from where the last one led, as far as the order is known.
    pub(super) fn steps(&self, output: ValueId) -> Vec<StepBack> {
        let mut steps = Vec::new();
        let mut value = output;
        while let Some(step) = self.step(value).filter(|_| steps.len() < MAX_STEPS) {
            value = step.before;
            steps.push(step);
        }
        steps
    }

    fn step(&self, value: ValueId) -> Option<StepBack> {
        let node = self.values.producer(value)?;
        if node.optional_output(0) != Some(value) {
            return None;
        }
        let axis = self.axis(value)?;
        let first = node.optional_input(0)?;
        let op_type = node.op_type.as_str();
        match op_type {
            "Identity" | "Dropout" | "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" => {
                self.axis(first).map(|_| plain(first))
            }
            "Cast" => self.through_cast(node, first),
            "Softmax" | "LogSoftmax" | "Hardmax" => {
                let shape = self.values.graph.shape(first).ok()?;
                let along = shape.axis(node.attributes.int("axis", -1).ok()?).ok()?;
                let effect = if op_type == "LogSoftmax" { Effect::Plain } else { Effect::Bends };
                (self.axis(first) == Some(along)).then_some(StepBack { before: first, turns: false, effect })
            }
            "Add" | "Sum" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "Pow" | "PRelu" | "Mean" => {
                self.through_arithmetic(node, value, axis)
            }
            "QuantizeLinear" | "DequantizeLinear" => self.through_quantisation(node, first),
            _ => {
                let (effect, turns) = self.function(node, first)?;
                self.axis(first).map(|_| StepBack { before: first, turns, effect })
            }
        }
    }

    /// The axis of the classes, if the value holds their scores and nothing else.
    fn axis(&self, value: ValueId) -> Option<usize> {
        class_axis(self.values.graph.shape(value).ok()?, self.batch, self.classes)
    }

    /// Whether a function of one score is monotonic, and whether it falls.
    fn function(&self, node: &Node, input: ValueId) -> Option<(Effect, bool)> {
        let is_not_negative =
            |name: &str, default: f32| node.attributes.float(name, default).is_ok_and(|value| value >= 0.0);
        let bounds = self.values.bounds(input);
        let effect = match node.op_type.as_str() {
            "Neg" => return Some((Effect::Plain, true)),
            "Acos" => return Some((Effect::Bends, true)),
            "Reciprocal" if bounds.not_negative() || bounds.not_positive() => {
                return Some((Effect::Bends, true));
            }
            "Log" | "Sqrt" | "Asinh" | "Asin" | "Atanh" | "Acosh" => Effect::Plain,
            "Exp" | "Sinh" | "Softplus" => Effect::Bends,
            "Sigmoid" | "Tanh" | "Erf" | "Softsign" | "Atan" | "Round" | "Floor" | "Ceil" => Effect::Ties,
            "Clip" | "Relu" => Effect::Bounds,
            "HardSigmoid" if is_not_negative("alpha", 0.2) => Effect::Bounds,
            "ThresholdedRelu" if is_not_negative("alpha", 1.0) => Effect::Ties,
            "LeakyRelu" if is_not_negative("alpha", 0.01) => Effect::Bends,
            "Elu" | "Celu" if is_not_negative("alpha", 1.0) => Effect::Bends,
            "Selu" if is_not_negative("alpha", 1.673) && is_not_negative("gamma", 1.05) => Effect::Bends,
            "Abs" if bounds.not_negative() => Effect::Plain,
            "Abs" if bounds.not_positive() => return Some((Effect::Plain, true)),
            _ => return None,
        };
        Some((effect, false))
    }

    fn through_cast(&self, node: &Node, input: ValueId) -> Option<StepBack> {
        let to = i32::try_from(node.attributes.int("to", 0).ok()?).ok()?;
        let to = DataType::from_onnx(to).ok()?;
        self.axis(input)?;
        let effect = match self.values.graph.tensor_type(input).ok()?.dtype {
            DataType::Bool => return None,
            from if from.is_float() && !to.is_float() && to != DataType::Bool => Effect::Ties,
            _ if to == DataType::Bool => return None,
            _ => Effect::Plain,
        };
        Some(StepBack { before: input, turns: false, effect })
    }

    /// With one scale for all classes.
    fn through_quantisation(&self, node: &Node, input: ValueId) -> Option<StepBack> {
        let scale = self.values.scalar(node.optional_input(1)?)?;
        let codes = node.optional_output(0).filter(|_| node.op_type == "QuantizeLinear");
        let becomes_float = |codes: ValueId| {
            let reads =
                |node: &Node| node.op_type == "DequantizeLinear" && node.optional_input(0) == Some(codes);
            self.values.graph.nodes().iter().any(reads)
        };
        // The pair is differentiated as it is.
        let effect =
            if codes.is_some_and(|codes| !becomes_float(codes)) { Effect::Ties } else { Effect::Plain };
        (scale > 0.0 && self.axis(input).is_some()).then_some(StepBack {
            before: input,
            turns: false,
            effect,
        })
    }

    /// Arithmetic between the scores and numbers that are the same for all classes of an image.
    fn through_arithmetic(&self, node: &Node, value: ValueId, axis: usize) -> Option<StepBack> {
        let inputs: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        if let [base, same] = inputs[..]
            && base == same
        {
            // A square.
            let grows = node.op_type == "Mul" && self.values.bounds(base).not_negative();
            return grows.then_some(StepBack { before: base, turns: false, effect: Effect::Bends });
        }
        let own: Vec<usize> =
            (0..inputs.len()).filter(|index| !self.is_same_for_all(inputs[*index], value, axis)).collect();
        let &[position] = &*own else { return None };
        let scores = inputs[position];
        let same_place = self.values.graph.shape(scores).ok()? == self.values.graph.shape(value).ok()?;
        if !same_place {
            return None;
        }
        let others = inputs.iter().enumerate().filter(|(index, _)| *index != position);
        let others: Vec<ValueId> = others.map(|(_, id)| *id).collect();
        let (effect, turns) = self.arithmetic(node.op_type.as_str(), scores, position == 0, &others)?;
        Some(StepBack { before: scores, turns, effect })
    }

    /// What an operator does to scores with `others`, to their right if the scores are `first`.
    fn arithmetic(
        &self,
        op_type: &str,
        scores: ValueId,
        first: bool,
        others: &[ValueId],
    ) -> Option<(Effect, bool)> {
        let bounds = self.values.bounds(scores);
        let other = others.first().map(|id| self.values.bounds(*id))?;
        let signed = |turns_if_negative: bool| match (other.not_negative(), other.not_positive()) {
            (true, _) => Some((Effect::Plain, !turns_if_negative)),
            (_, true) => Some((Effect::Plain, turns_if_negative)),
            _ => None,
        };
        match op_type {
            // What comes close to zero is lost beside a number.
            "Add" | "Sum" if bounds.low == 0.0 && other.low > 0.0 => Some((Effect::Ties, false)),
            "Add" | "Sum" | "Mean" => Some((Effect::Plain, false)),
            "Max" | "Min" => Some((Effect::Bounds, false)),
            "Sub" => Some((Effect::Plain, !first)),
            "Mul" => signed(true),
            "Div" if first => signed(true),
            // c / z falls where z keeps its sign.
            "Div" if bounds.not_negative() || bounds.not_positive() => {
                signed(false).map(|(_, turns)| (Effect::Bends, turns))
            }
            "PRelu" if first && other.not_negative() => Some((Effect::Bends, false)),
            "Pow" => self.power(scores, first, self.values.scalar(*others.first()?)?),
            _ => None,
        }
    }

    /// `z ^ e`, or `e ^ z` where the scores are not `first`.
    fn power(&self, scores: ValueId, first: bool, constant: f64) -> Option<(Effect, bool)> {
        let bounds = self.values.bounds(scores);
        match (first, constant) {
            (false, base) if base > 0.0 && base != 1.0 => Some((Effect::Bends, base < 1.0)),
            (true, exponent) if exponent > 0.0 && (bounds.not_negative() || exponent % 2.0 == 1.0) => {
                Some((Effect::Bends, false))
            }
            (true, exponent) if exponent < 0.0 && bounds.not_negative() => Some((Effect::Bends, true)),
            (true, exponent) if exponent > 0.0 && exponent % 2.0 == 0.0 && bounds.not_positive() => {
                Some((Effect::Bends, true))
            }
            _ => None,
        }
    }

    /// Whether an operand that is broadcast to `result` is the same for all classes of an image.
    fn is_same_for_all(&self, operand: ValueId, result: ValueId, axis: usize) -> bool {
        let shapes = (self.values.graph.shape(operand), self.values.graph.shape(result));
        let (Ok(shape), Ok(result_shape)) = shapes else { return false };
        let own = (axis + shape.rank()).checked_sub(result_shape.rank());
        if own.is_none_or(|own| shape.0[own] == Dim::Fixed(1)) || self.values.scalar(operand).is_some() {
            return true;
        }
        let expanded = self.values.producer(operand).filter(|node| node.op_type == "Expand");
        let before = expanded.and_then(|node| node.optional_input(0));
        before.is_some_and(|before| self.is_same_for_all(before, result, axis))
    }
}

fn plain(before: ValueId) -> StepBack {
    StepBack { before, turns: false, effect: Effect::Plain }
}
