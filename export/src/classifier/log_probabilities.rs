//! Logarithms of probabilities, computed from the logits if the operators of the file allow it.
//!
//! If `p` was rounded to 0 or 1, `log p` has no useful gradient. The logarithm is therefore moved through the operators
//! that computed `p`: `log softmax`, `log σ(s) = −softplus(−s)`, `log eˣ = x`, `log (p · q) = log p + log q`, and
//! `log (p + q) = max + softplus(min − max)` of the two logarithms, so that also a mean of the probabilities of several
//! networks has an exact one. It also moves through operators that only select or concatenate elements. For all others
//! it is `log max(p, smallest)`, if the value is known to be a probability.

use std::collections::HashMap;

use super::rearranging::REARRANGING;
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Builder, Graph, Node, NodeId, ValueId};
use crate::operators::is_random;
use crate::tensor::Tensor;

/// The smallest probability whose logarithm is taken: the smallest normal number.
const SMALLEST_PROBABILITY: f32 = f32::MIN_POSITIVE;

/// Stands for the logarithm of a weight of zero: small enough to lose, and finite.
const LOGARITHM_OF_ZERO: f32 = -1e6;

/// Most operators that the logarithm is moved through.
const MAX_DEPTH: usize = 64;

/// Most products of one image in a matrix product of probabilities that is written as a sum of exponentials.
const LARGEST_PRODUCT: usize = 1 << 20;

/// Appends the logarithm of a value that is known to be a probability to a typed graph.
pub(super) fn log_probabilities(graph: &mut Graph, probabilities: ValueId) -> Result<ValueId> {
    Logarithms::new(graph, Parts::AreProbabilities).logarithm(probabilities, 0)
}

/// Appends the logarithm of a value to a typed graph, if its operators show that it is positive and allow an exact one.
/// If not, nodes may be left that nothing needs.
pub(super) fn exact_logarithm(graph: &mut Graph, value: ValueId) -> Result<Option<ValueId>> {
    Logarithms::new(graph, Parts::Unknown).exact(value, 0)
}

/// What is known of parts whose logarithm is not exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    AreProbabilities,
    Unknown,
}

struct Logarithms<'g> {
    builder: Builder<'g>,
    producers: HashMap<ValueId, NodeId>,
    parts: Parts,
    /// Results so far: a value may be concatenated with itself many times.
    known: HashMap<ValueId, Option<ValueId>>,
}

impl<'g> Logarithms<'g> {
    fn new(graph: &'g mut Graph, parts: Parts) -> Self {
        let producers = graph.producers();
        let builder = Builder::new(graph, "log_probabilities");
        Self { builder, producers, parts, known: HashMap::new() }
    }

    /// The logarithm, exact or of the rounded value.
    fn logarithm(&mut self, value: ValueId, depth: usize) -> Result<ValueId> {
        match self.exact(value, depth)? {
            Some(logarithm) => Ok(logarithm),
            None => {
                let smallest = self.builder.scalar(SMALLEST_PROBABILITY);
                let clipped = self.builder.op("Clip", &[value, smallest])?;
                self.builder.op("Log", &[clipped])
            }
        }
    }

    /// The exact logarithm, if the operators before the value allow it.
    fn exact(&mut self, value: ValueId, depth: usize) -> Result<Option<ValueId>> {
        if let Some(known) = self.known.get(&value) {
            return Ok(*known);
        }
        let node =
            self.producer(value).filter(|node| depth < MAX_DEPTH && !is_random(self.builder.graph(), node));
        let logarithm = match node {
            Some(node) if node.optional_output(0) == Some(value) => self.through_node(&node, depth + 1)?,
            Some(_) => None,
            None => self.of_constant(value),
        };
        self.known.insert(value, logarithm);
        Ok(logarithm)
    }

    fn producer(&self, value: ValueId) -> Option<Node> {
        self.producers.get(&value).map(|producer| self.builder.graph().node(*producer).clone())
    }

    fn through_node(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let input = node.input(0)?;
        match node.op_type.as_str() {
            "Softmax" => self.with_inputs("LogSoftmax", node, vec![Some(input)]).map(Some),
            "Sigmoid" => {
                let negated = self.builder.op("Neg", &[input])?;
                self.log_complement(negated).map(Some)
            }
            "Exp" => Ok(Some(input)),
            "Sub" => match self.producer(node.input(1)?) {
                Some(sigmoid) if sigmoid.op_type == "Sigmoid" && self.is_one(input) => {
                    self.log_complement(sigmoid.input(0)?).map(Some)
                }
                _ => Ok(None),
            },
            "Concat" => self.through_concat(node, depth),
            "Add" | "Sum" => self.through_sum(node, depth),
            "Mean" => {
                let Some(sum) = self.through_sum(node, depth)? else { return Ok(None) };
                self.less_count(sum, Some(node.inputs.len()))
            }
            "Mul" => self.through_operands("Add", node, depth),
            "Div" => match self.through_normalisation(node, depth)? {
                None => self.through_operands("Sub", node, depth),
                known => Ok(known),
            },
            "Max" | "Min" => self.through_operands(node.op_type.as_str(), node, depth),
            "Clip" => self.through_clip(node, depth),
            "Pow" => self.through_power(node, depth),
            "Sqrt" => {
                let half = self.builder.scalar(0.5);
                let logarithm = self.exact(input, depth)?;
                logarithm.map(|logarithm| self.builder.op("Mul", &[logarithm, half])).transpose()
            }
            "Relu" | "Abs" | "Cast" | "Dropout" => self.exact(input, depth),
            "ReduceMax" | "ReduceMin" => self.rearranged(node, depth),
            "ReduceSum" | "ReduceMean" | "GlobalAveragePool" => self.through_reduction(node, depth),
            "MatMul" => self.through_product(node, depth),
            op_type if REARRANGING.contains(&op_type) || op_type == "Expand" => self.rearranged(node, depth),
            _ => Ok(None),
        }
    }

    /// The same operator on the logarithm of its first input.
    fn rearranged(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let Some(logarithm) = self.exact(node.input(0)?, depth)? else { return Ok(None) };
        let inputs = std::iter::once(Some(logarithm)).chain(node.inputs[1..].iter().copied());
        self.with_inputs(&node.op_type, node, inputs.collect()).map(Some)
    }

    /// The logarithms of weights, none of which is negative.
    fn of_constant(&mut self, value: ValueId) -> Option<ValueId> {
        let constant = self.builder.graph().constant(value)?;
        let (dims, weights) = (constant.dims().to_vec(), constant.to_f32()?);
        let is_weight = |weight: &f32| weight.is_finite() && *weight >= 0.0;
        if !weights.iter().all(is_weight) || weights.iter().all(|weight| *weight == 0.0) {
            return None;
        }
        let logarithm = |weight: &f32| if *weight == 0.0 { LOGARITHM_OF_ZERO } else { weight.ln() };
        let logarithms: Vec<f32> = weights.iter().map(logarithm).collect();
        Some(self.builder.constant(Tensor::from_f32(&dims, &logarithms)))
    }

    /// An operator on the exact logarithms of all inputs.
    fn through_operands(&mut self, op_type: &str, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let Some(logarithms) = self.all_exact(node, depth)? else { return Ok(None) };
        self.builder.op(op_type, &logarithms).map(Some)
    }

    fn all_exact(&mut self, node: &Node, depth: usize) -> Result<Option<Vec<ValueId>>> {
        let inputs = node.inputs.iter().flatten().copied();
        inputs.map(|input| self.exact(input, depth)).collect()
    }

    /// `log Σ pᵢ`, two at a time.
    fn through_sum(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let Some(logarithms) = self.all_exact(node, depth)? else { return Ok(None) };
        let mut logarithms = logarithms.into_iter();
        let Some(mut sum) = logarithms.next() else { return Ok(None) };
        for next in logarithms {
            let (larger, smaller) =
                (self.builder.op("Max", &[sum, next])?, self.builder.op("Min", &[sum, next])?);
            let difference = self.builder.op("Sub", &[smaller, larger])?;
            let rest = self.builder.op("Softplus", &[difference])?;
            sum = self.builder.op("Add", &[larger, rest])?;
        }
        Ok(Some(sum))
    }

    /// The logarithm of a sum, less that of the number of its terms.
    fn less_count(&mut self, sum: ValueId, count: Option<usize>) -> Result<Option<ValueId>> {
        let Some(count) = count else { return Ok(None) };
        let logarithm = self.builder.scalar((count as f32).ln());
        self.builder.op("Sub", &[sum, logarithm]).map(Some)
    }

    /// `log Σ p = logsumexp log p`; that of a mean has the logarithm of the count subtracted.
    fn through_reduction(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let input = node.input(0)?;
        let shape = self.builder.graph().shape(input)?.clone();
        let (axes, attributes) = match node.op_type.as_str() {
            "GlobalAveragePool" => ((2..shape.rank() as i64).collect(), Attributes::default()),
            _ => {
                let axes =
                    node.optional_input(1).and_then(|axes| self.builder.graph().constant(axes)?.to_i64());
                let Some(axes) = axes.filter(|axes| !axes.is_empty()) else { return Ok(None) };
                (axes, node.attributes.clone())
            }
        };
        let Some(logarithm) = self.exact(input, depth)? else { return Ok(None) };
        let mut count = Some(1);
        for axis in &axes {
            count = count.zip(shape.0[shape.axis(*axis)?].fixed()).map(|(count, length)| count * length);
        }
        let axes = self.builder.ints(&axes);
        let inputs = vec![Some(logarithm), Some(axes)];
        let sum = self.builder.node("ReduceLogSumExp", inputs, attributes, 1)?[0];
        if node.op_type == "ReduceSum" { Ok(Some(sum)) } else { self.less_count(sum, count) }
    }

    /// `log (P·Q)`, elements `logsumexpⱼ (log pᵢⱼ + log qⱼₖ)`.
    fn through_product(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let graph = self.builder.graph();
        let lengths = |id: ValueId| {
            graph.shape(id).map(|shape| shape.0.iter().map(|dim| dim.fixed().unwrap_or(1)).collect())
        };
        let (left, right): (Vec<usize>, Vec<usize>) = (lengths(node.input(0)?)?, lengths(node.input(1)?)?);
        let products =
            left.iter().chain(right.last()).try_fold(1_usize, |all, length| all.checked_mul(*length));
        if left.len() < 2 || right.len() < 2 || products.is_none_or(|products| products > LARGEST_PRODUCT) {
            return Ok(None);
        }
        let Some(logarithms) = self.all_exact(node, depth)? else { return Ok(None) };
        let (last, third) = (self.builder.ints(&[-1]), self.builder.ints(&[-3]));
        let rows = self.builder.op("Unsqueeze", &[logarithms[0], last])?;
        let columns = self.builder.op("Unsqueeze", &[logarithms[1], third])?;
        let terms = self.builder.op("Add", &[rows, columns])?;
        let attributes = Attributes::from_pairs([("keepdims", Attribute::Int(0))]);
        let axes = self.builder.ints(&[-2]);
        let inputs = vec![Some(terms), Some(axes)];
        Ok(Some(self.builder.node("ReduceLogSumExp", inputs, attributes, 1)?[0]))
    }

    /// `log clip(p, l, h) = clip(log p, log l, log h)`, a lower bound that is not positive being none.
    fn through_clip(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let mut bounds = [None; 2];
        for (index, bound) in bounds.iter_mut().enumerate() {
            let Some(given) = node.optional_input(index + 1) else { continue };
            let constant = self.builder.graph().constant(given).and_then(Tensor::to_f32);
            match constant.as_deref() {
                Some([value]) if *value > 0.0 => *bound = Some(self.builder.scalar(value.ln())),
                Some([_]) if index == 0 => {}
                _ => return Ok(None),
            }
        }
        let Some(logarithm) = self.exact(node.input(0)?, depth)? else { return Ok(None) };
        let inputs = vec![Some(logarithm), bounds[0], bounds[1]];
        Ok(Some(self.builder.node("Clip", inputs, Attributes::default(), 1)?[0]))
    }

    /// `log pᵃ = a · log p`
    fn through_power(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let exponent = node.input(1)?;
        if self.builder.graph().constant(exponent).and_then(Tensor::to_f32).is_none() {
            return Ok(None);
        }
        let Some(logarithm) = self.exact(node.input(0)?, depth)? else { return Ok(None) };
        self.builder.op("Mul", &[logarithm, exponent]).map(Some)
    }

    /// The operator of `node`, or one of the same attributes, on other inputs.
    fn with_inputs(&mut self, op_type: &str, node: &Node, inputs: Vec<Option<ValueId>>) -> Result<ValueId> {
        Ok(self.builder.node(op_type, inputs, node.attributes.clone(), 1)?[0])
    }

    /// `log (1 − σ(s)) = −softplus(s)`
    fn log_complement(&mut self, score: ValueId) -> Result<ValueId> {
        let softplus = self.builder.op("Softplus", &[score])?;
        self.builder.op("Neg", &[softplus])
    }

    /// The logarithm of a Concat, if that of at least one part is exact and the others are probabilities.
    fn through_concat(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let parts: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let mut exact = 0;
        for part in &parts {
            exact += usize::from(self.exact(*part, depth)?.is_some());
        }
        if exact == 0 || exact < parts.len() && self.parts == Parts::Unknown {
            return Ok(None);
        }
        let logarithms = parts.into_iter().map(|part| self.logarithm(part, depth).map(Some));
        let logarithms = logarithms.collect::<Result<_>>()?;
        self.with_inputs("Concat", node, logarithms).map(Some)
    }

    /// The logarithm of `p / Σp`, the sum over the classes.
    fn through_normalisation(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let (weights, divisor) = (node.input(0)?, node.input(1)?);
        if !self.is_sum_of(divisor, weights)? {
            return Ok(None);
        }
        let Some(logarithm) = self.exact(weights, depth)? else { return Ok(None) };
        let axes = self.builder.ints(&[-1]);
        let attributes = Attributes::from_pairs([("keepdims", Attribute::Int(1))]);
        let inputs = vec![Some(logarithm), Some(axes)];
        let sum = self.builder.node("ReduceLogSumExp", inputs, attributes, 1)?[0];
        self.builder.op("Sub", &[logarithm, sum]).map(Some)
    }

    /// Whether `divisor` is the sum of the last axis of `weights`, which are not negative, or that with ones for zeros.
    fn is_sum_of(&self, divisor: ValueId, weights: ValueId) -> Result<bool> {
        let Some(mut node) = self.producer(divisor) else { return Ok(false) };
        if node.op_type == "Where" && self.is_one(node.input(1)?) {
            match self.producer(node.input(2)?) {
                Some(sum) => node = sum,
                None => return Ok(false),
            }
        }
        let graph = self.builder.graph();
        let rank = graph.shape(weights)?.rank() as i64;
        let axes = node.optional_input(1).and_then(|axes| graph.constant(axes)).and_then(Tensor::to_i64);
        Ok(matches!(node.op_type.as_str(), "ReduceSum" | "ReduceL1")
            && node.input(0)? == weights
            && node.attributes.int("keepdims", 1)? == 1
            && axes.is_some_and(|axes| matches!(axes[..], [axis] if axis == -1 || axis == rank - 1)))
    }

    fn is_one(&self, value: ValueId) -> bool {
        let constant = self.builder.graph().constant(value).and_then(Tensor::to_f32);
        constant.is_some_and(|values| !values.is_empty() && values.iter().all(|value| *value == 1.0))
    }
}
