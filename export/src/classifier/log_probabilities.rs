//! Logarithms of probabilities, computed from the logits if the operators of the file allow it.
//!
//! If `p` was rounded to 0 or 1, `log p` has no useful gradient. The logarithm is therefore moved through the operators
//! that computed `p`: `log softmax`, `log σ(s) = −softplus(−s)`, `log eˣ = x`, and
//! `log (p / Σp) = log p − log Σ exp log p`. It also moves through operators that only select or concatenate elements.
//! For all others it is `log max(p, smallest)`.

use std::collections::HashMap;

use super::rearranging::REARRANGING;
use crate::error::Result;
use crate::graph::{Attribute, Attributes, Builder, Graph, Node, NodeId, ValueId};
use crate::tensor::Tensor;

/// The smallest probability whose logarithm is taken: the smallest normal number.
const SMALLEST_PROBABILITY: f32 = f32::MIN_POSITIVE;

/// Most operators that the logarithm is moved through.
const MAX_DEPTH: usize = 32;

/// Appends the logarithm of a value to a typed graph.
pub(super) fn log_probabilities(graph: &mut Graph, probabilities: ValueId) -> Result<ValueId> {
    let producers = graph.producers();
    let builder = Builder::new(graph, "log_probabilities");
    let mut logarithms = Logarithms { builder, producers, known: HashMap::new() };
    logarithms.logarithm(probabilities, 0)
}

struct Logarithms<'g> {
    builder: Builder<'g>,
    producers: HashMap<ValueId, NodeId>,
    /// Results so far: a value may be concatenated with itself many times.
    known: HashMap<ValueId, Option<ValueId>>,
}

impl Logarithms<'_> {
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
        let node = self.producer(value).filter(|_| depth < MAX_DEPTH);
        let logarithm = match node {
            Some(node) => self.through_node(&node, depth + 1)?,
            None => None,
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
            "Div" => self.through_normalisation(node, depth),
            op_type if REARRANGING.contains(&op_type) => match self.exact(input, depth)? {
                Some(logarithm) => {
                    let inputs = std::iter::once(Some(logarithm)).chain(node.inputs[1..].iter().copied());
                    self.with_inputs(op_type, node, inputs.collect()).map(Some)
                }
                None => Ok(None),
            },
            _ => Ok(None),
        }
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

    /// The logarithm of a Concat, if that of at least one part is exact.
    fn through_concat(&mut self, node: &Node, depth: usize) -> Result<Option<ValueId>> {
        let parts: Vec<ValueId> = node.inputs.iter().flatten().copied().collect();
        let mut exact = false;
        for part in &parts {
            exact |= self.exact(*part, depth)?.is_some();
        }
        if !exact {
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
