//! Thresholds as numbers: comparisons, conversions to integers and what is computed of them, in float32 operators that
//! have a straight-through gradient.
//!
//! A binarised or coarse network computes `(x > 0).float()`, or `x.int()`. Booleans and integers carry no gradient, and
//! a search would see nothing. The same values follow from Sign, Floor and Ceil, whose rules pass gradients straight
//! through:
//!
//! | the file has | the copy has |
//! | --- | --- |
//! | `a > b` that becomes a number | `⌊(sign(a − b) + 1)/2⌋` |
//! | `a ≥ b` | `⌈(sign(a − b) + 1)/2⌉` |
//! | and, or, not, xor of them | `p·q`, `max(p, q)`, `1 − p`, `|p − q|` |
//! | `x` as an integer, then a number | `⌈x⌉` below zero, else `⌊x⌋` |
//! | arithmetic of such integers | the same of numbers; a quotient loses its fraction |
//! | `x mod c`, `x & (2ᵏ − 1)` | `x mod c` of numbers |
//! | `x >> k`, `x & ¬(2ᵏ − 1)` | `⌊x/2ᵏ⌋`, and that times `2ᵏ` |
//! | codes of a QuantizeLinear as numbers | DequantizeLinear with a scale of one |
//! | `c ? a : b` with constant `a`, `b` | `b + c·(a − b)` |
//! | sums and products of integers that wrap around | their remainder, in the range of the type |
//!
//! A comparison whose operand also goes on as a number is left alone: what goes around it has a true derivative, as in
//! `x·(x > 0)`. For the same reason the gradient of a Sign whose operand has other readers passes only between −1 and 1.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::precision::image_dependent;
use crate::error::Result;
use crate::graph::{Attribute, Builder, Graph, Node, ValueId};
use crate::tensor::quantised::integers;
use crate::tensor::{DataType, Tensor};

/// Operators that give each element, or another order of them, whatever its type.
const MOVING: [&str; 9] =
    ["Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"];

/// Operators of integers that are the same of numbers.
const ARITHMETIC: [&str; 8] = ["Abs", "Add", "Concat", "Max", "Min", "Mul", "Neg", "Sub"];

/// Writes thresholds of a typed graph as numbers. True where something changed: nodes are then out of order.
pub(super) fn write_as_numbers(graph: &mut Graph) -> Result<bool> {
    let nodes = graph.nodes().to_vec();
    let mut numbers = Numbers::new(graph, &nodes);
    if numbers.candidates.is_empty() {
        return Ok(false);
    }
    for index in numbers.candidates.clone() {
        let node = &nodes[index];
        let Some(output) = node.optional_output(0).filter(|id| !graph.outputs().contains(id)) else {
            continue;
        };
        let mut builder = Builder::new(graph, &node.name);
        let number = match &*node.op_type {
            "Cast" => numbers.number(&mut builder, node.input(0)?)?,
            "Where" => numbers.chosen(&mut builder, node)?,
            _ => numbers.windowed_sign(&mut builder, node)?,
        };
        if let Some(number) = number {
            numbers.replaced.insert(output, number);
        }
    }
    graph.replace_all_uses(&numbers.replaced);
    Ok(!numbers.replaced.is_empty())
}

/// What is known of the Boolean and integer values of a graph.
struct Numbers<'n> {
    nodes: &'n [Node],
    /// Positions of nodes that may be written as numbers.
    candidates: Vec<usize>,
    dependent: HashSet<ValueId>,
    producers: HashMap<ValueId, usize>,
    /// How many nodes read each value, comparisons left aside.
    readers: HashMap<ValueId, usize>,
    replaced: HashMap<ValueId, ValueId>,
    /// Numbers that integers and Booleans were written as: one of each, so that what is read twice stays one value.
    written: RefCell<HashMap<ValueId, Option<ValueId>>>,
}

impl<'n> Numbers<'n> {
    fn new(graph: &Graph, nodes: &'n [Node]) -> Self {
        let dependent: HashSet<ValueId> = image_dependent(graph).into_iter().collect();
        let is_float = |id: ValueId| dtype(graph, id).is_some_and(DataType::is_float);
        let depends =
            |node: &Node, index: usize| node.optional_input(index).is_some_and(|id| dependent.contains(&id));
        let candidate = |node: &Node| match &*node.op_type {
            "Cast" => {
                depends(node, 0)
                    && !is_float(node.inputs[0].unwrap_or(ValueId(0)))
                    && writes_float(graph, node)
            }
            "Where" => {
                depends(node, 0) && writes_float(graph, node) && !depends(node, 1) && !depends(node, 2)
            }
            "Sign" => depends(node, 0) && writes_float(graph, node),
            _ => false,
        };
        let candidates = (0..nodes.len()).filter(|index| candidate(&nodes[*index])).collect();
        let (mut producers, mut readers) = (HashMap::new(), HashMap::new());
        for (index, node) in nodes.iter().enumerate() {
            producers.extend(node.outputs.iter().flatten().map(|id| (*id, index)));
            for id in node.inputs.iter().flatten().filter(|_| !is_comparison(node)) {
                *readers.entry(*id).or_default() += 1;
            }
        }
        Self {
            nodes,
            candidates,
            dependent,
            producers,
            readers,
            replaced: HashMap::new(),
            written: RefCell::default(),
        }
    }

    /// The value as a number; `None` where it is computed in a way that is not known here.
    fn number(&self, builder: &mut Builder<'_>, id: ValueId) -> Result<Option<ValueId>> {
        let dtype = dtype(builder.graph(), id);
        if dtype == Some(DataType::Float32) {
            return Ok(Some(self.replaced.get(&id).copied().unwrap_or(id)));
        }
        if let Some(tensor) = builder.graph().constant(id) {
            return Ok(as_numbers(tensor).map(|tensor| builder.constant(tensor)));
        }
        if !self.dependent.contains(&id) {
            return builder.cast(id, DataType::Float32).map(Some);
        }
        if let Some(known) = self.written.borrow().get(&id) {
            return Ok(*known);
        }
        let written = self.computed(builder, id)?;
        self.written.borrow_mut().insert(id, written);
        Ok(written)
    }

    /// The same of a value that a node computes of images.
    fn computed(&self, builder: &mut Builder<'_>, id: ValueId) -> Result<Option<ValueId>> {
        let Some(node) = self.producers.get(&id).map(|index| &self.nodes[*index]) else { return Ok(None) };
        if is_comparison(node) {
            return self.compared(builder, node);
        }
        match &*node.op_type {
            "QuantizeLinear" => {
                let one = builder.scalar(1.0);
                return builder.op("DequantizeLinear", &[id, one]).map(Some);
            }
            "Mod" | "BitShift" | "BitwiseAnd" => return self.of_bits(builder, node),
            _ => {}
        }
        let sources = match &*node.op_type {
            op_type if MOVING.contains(&op_type) => &node.inputs[..1],
            "Cast" => &node.inputs[..1],
            "Where" => &node.inputs[1..],
            "And" | "Or" | "Xor" | "Not" | "Div" => &node.inputs[..],
            op_type if ARITHMETIC.contains(&op_type) => &node.inputs[..],
            _ => return Ok(None),
        };
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for source in sources.iter().flatten() {
            let Some(number) = self.number(builder, *source)? else { return Ok(None) };
            inputs.push(number);
        }
        self.rewritten(builder, node, &inputs).map(Some)
    }

    /// Remainders, shifts and masks by constants.
    fn of_bits(&self, builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
        let (mut x, mut by) = (node.input(0)?, node.input(1)?);
        if node.op_type == "BitwiseAnd" && builder.graph().constant(x).is_some() {
            (x, by) = (by, x);
        }
        let Some(by) = builder.graph().constant(by).and_then(as_numbers).and_then(|tensor| tensor.to_f32())
        else {
            return Ok(None);
        };
        let &[first, ..] = &by[..] else { return Ok(None) };
        if by.iter().any(|other| *other != first) {
            return Ok(None);
        }
        let bits = dtype(builder.graph(), x).map_or(0, |dtype| 8 * dtype.size() as i32);
        let is_python = node.op_type == "Mod" && node.attributes.int("fmod", 0)? == 0;
        let Some(x) = self.number(builder, x)? else { return Ok(None) };
        match &*node.op_type {
            "Mod" if first > 0.0 => remainder(builder, x, first, is_python).map(Some),
            "BitShift" if node.attributes.text("direction", "")? == "RIGHT" => {
                multiple(builder, x, 2_f32.powf(first)).map(|[whole, _]| Some(whole))
            }
            "BitShift" => {
                let factor = builder.scalar(2_f32.powf(first));
                let shifted = builder.op("Mul", &[x, factor])?;
                remainder(builder, shifted, 2_f32.powi(bits), false).map(Some)
            }
            "BitwiseAnd" => {
                let step = (0..bits.min(24)).map(|bit| 2_f32.powi(bit));
                let highest = |step: &f32| [-step, 2_f32.powi(bits) - step].contains(&first);
                match (step.clone().find(highest), step.clone().find(|step| step - 1.0 == first)) {
                    (Some(step), _) => multiple(builder, x, step).map(|[_, multiple]| Some(multiple)),
                    (None, Some(step)) => remainder(builder, x, step, true).map(Some),
                    (None, None) => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    /// The node on numbers.
    fn rewritten(&self, builder: &mut Builder<'_>, node: &Node, numbers: &[ValueId]) -> Result<ValueId> {
        let number = numbers.first().copied().unwrap_or(ValueId(0));
        match &*node.op_type {
            "Cast" => {
                let from_float = dtype(builder.graph(), node.input(0)?).is_some_and(DataType::is_float);
                let to_truth = dtype(builder.graph(), node.output(0)?) == Some(DataType::Bool);
                match (from_float, to_truth) {
                    (true, false) => without_fraction(builder, number),
                    (_, true) => {
                        let size = builder.op("Abs", &[number])?;
                        step(builder, size, "Floor")
                    }
                    (false, false) => wrapped(builder, number, Some(node.input(0)?), node.output(0)?),
                }
            }
            "And" => builder.op("Mul", numbers),
            "Or" => builder.op("Max", numbers),
            "Xor" => {
                let difference = builder.op("Sub", numbers)?;
                builder.op("Abs", &[difference])
            }
            "Not" => {
                let one = builder.scalar(1.0);
                builder.op("Sub", &[one, number])
            }
            "Div" => {
                let quotient = builder.op("Div", numbers)?;
                without_fraction(builder, quotient)
            }
            _ => {
                let mut inputs = node.inputs.clone();
                let first = usize::from(node.op_type == "Where");
                for (slot, number) in inputs[first..].iter_mut().zip(numbers) {
                    *slot = Some(*number);
                }
                let result = builder.node(&node.op_type, inputs, node.attributes.clone(), 1)?[0];
                match &*node.op_type {
                    "Abs" | "Add" | "Mul" | "Neg" | "Sub" => wrapped(builder, result, None, node.output(0)?),
                    _ => Ok(result),
                }
            }
        }
    }

    fn compared(&self, builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
        let operands = [node.input(0)?, node.input(1)?];
        // What goes around the comparison has a true derivative.
        let goes_on = |id: &ValueId| {
            self.dependent.contains(id) && self.readers.get(id).is_some_and(|readers| *readers > 0)
        };
        if operands.iter().any(goes_on) {
            return Ok(None);
        }
        let [Some(a), Some(b)] = [self.number(builder, operands[0])?, self.number(builder, operands[1])?]
        else {
            return Ok(None);
        };
        let (larger, smaller) = if node.op_type.starts_with("Greater") { (a, b) } else { (b, a) };
        let lead = builder.op("Sub", &[larger, smaller])?;
        // At a tie the half goes down, or up where equal operands count.
        let rounding = if node.op_type.ends_with("OrEqual") { "Ceil" } else { "Floor" };
        step(builder, lead, rounding).map(Some)
    }

    /// Where of two constants.
    fn chosen(&self, builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
        let (yes, no) = (node.input(1)?, node.input(2)?);
        let is_finite = |id: ValueId| {
            let values = builder.graph().constant(id).and_then(Tensor::to_f32);
            values.is_some_and(|values| values.iter().all(|value| value.is_finite()))
        };
        if !is_finite(yes) || !is_finite(no) {
            return Ok(None);
        }
        let Some(condition) = self.number(builder, node.input(0)?)? else { return Ok(None) };
        let difference = builder.op("Sub", &[yes, no])?;
        let change = builder.op("Mul", &[condition, difference])?;
        builder.op("Add", &[no, change]).map(Some)
    }

    /// Sign of an operand that has other readers.
    fn windowed_sign(&self, builder: &mut Builder<'_>, node: &Node) -> Result<Option<ValueId>> {
        let x = node.input(0)?;
        if self.readers.get(&x).is_none_or(|readers| *readers < 2) {
            return Ok(None);
        }
        let x = self.replaced.get(&x).copied().unwrap_or(x);
        let (least, greatest) = (builder.scalar(-1.0), builder.scalar(1.0));
        let clipped = builder.op("Clip", &[x, least, greatest])?;
        builder.op("Sign", &[clipped]).map(Some)
    }
}

fn is_comparison(node: &Node) -> bool {
    ["Greater", "GreaterOrEqual", "Less", "LessOrEqual"].contains(&&*node.op_type)
}

fn dtype(graph: &Graph, id: ValueId) -> Option<DataType> {
    graph.tensor_type(id).ok().map(|tensor_type| tensor_type.dtype)
}

fn writes_float(graph: &Graph, node: &Node) -> bool {
    node.optional_output(0).is_some_and(|id| dtype(graph, id) == Some(DataType::Float32))
}

/// A constant of Booleans or integers; `None` for other types.
fn as_numbers(tensor: &Tensor) -> Option<Tensor> {
    let values: Vec<f32> = match tensor.dtype() {
        DataType::Bool => tensor.data().iter().map(|byte| f32::from(*byte)).collect(),
        DataType::Int64 => tensor.to_i64()?.into_iter().map(|value| value as f32).collect(),
        DataType::Uint32 => {
            tensor.data().as_chunks().0.iter().map(|word| u32::from_le_bytes(*word) as f32).collect()
        }
        DataType::Uint64 => {
            tensor.data().as_chunks().0.iter().map(|word| u64::from_le_bytes(*word) as f32).collect()
        }
        _ => integers(tensor).ok()?.into_iter().map(|value| value as f32).collect(),
    };
    Some(Tensor::from_f32(tensor.dims(), &values))
}

/// One above zero, zero below; at zero as the rounding goes. The gradient that passes is halved.
fn step(builder: &mut Builder<'_>, x: ValueId, rounding: &str) -> Result<ValueId> {
    let sign = builder.op("Sign", &[x])?;
    let (one, half) = (builder.scalar(1.0), builder.scalar(0.5));
    let raised = builder.op("Add", &[sign, one])?;
    let halved = builder.op("Mul", &[raised, half])?;
    builder.op(rounding, &[halved])
}

/// The number in the range of the integers of `as_type`, to which it is brought by wrapping around; as it is where it comes
/// from integers `from` that fit. Signed types of 32 and 64 bits hold what float32 counts, and are taken to be wide enough.
fn wrapped(
    builder: &mut Builder<'_>,
    number: ValueId,
    from: Option<ValueId>,
    as_type: ValueId,
) -> Result<ValueId> {
    let range = |id: ValueId| dtype(builder.graph(), id).and_then(integer_range);
    let Some([least, greatest]) = range(as_type) else { return Ok(number) };
    let fits = |from: [f32; 2]| least <= from[0] && from[1] <= greatest;
    // Booleans are 0 and 1.
    if from.is_some_and(|from| range(from).is_none_or(fits)) {
        return Ok(number);
    }
    if least < -WIDE {
        return Ok(number);
    }
    // 2³² and 2⁶⁴ swallow the one.
    let count = greatest - least + 1.0;
    if least == 0.0 {
        return remainder(builder, number, count, true);
    }
    let least = builder.scalar(least);
    let above = builder.op("Sub", &[number, least])?;
    let rest = remainder(builder, above, count, true)?;
    builder.op("Add", &[rest, least])
}

/// Signed integers of more than this are not taken to wrap around.
const WIDE: f32 = 32_768.0;

/// The least and the greatest integer of a type; none of other types.
fn integer_range(dtype: DataType) -> Option<[f32; 2]> {
    let power = |bits: i32| 2_f32.powi(bits);
    match dtype {
        DataType::Int8 => Some([-power(7), power(7) - 1.0]),
        DataType::Int16 => Some([-power(15), power(15) - 1.0]),
        DataType::Int32 => Some([-power(31), power(31)]),
        DataType::Int64 => Some([-power(63), power(63)]),
        DataType::Uint8 => Some([0.0, power(8) - 1.0]),
        DataType::Uint16 => Some([0.0, power(16) - 1.0]),
        // One less is not a number of float32; the count of them is.
        DataType::Uint32 => Some([0.0, power(32)]),
        DataType::Uint64 => Some([0.0, power(64)]),
        _ => None,
    }
}

/// Rounded towards zero, as a conversion to integers is.
fn without_fraction(builder: &mut Builder<'_>, x: ValueId) -> Result<ValueId> {
    let zero = builder.scalar(0.0);
    let is_negative = builder.op("Less", &[x, zero])?;
    let (up, down) = (builder.op("Ceil", &[x])?, builder.op("Floor", &[x])?);
    builder.op("Where", &[is_negative, up, down])
}

/// `⌊x/c⌋`, and `c` times that.
fn multiple(builder: &mut Builder<'_>, x: ValueId, divisor: f32) -> Result<[ValueId; 2]> {
    let divisor = builder.scalar(divisor);
    let quotient = builder.op("Div", &[x, divisor])?;
    let whole = builder.op("Floor", &[quotient])?;
    Ok([whole, builder.op("Mul", &[whole, divisor])?])
}

/// `x mod c` for a positive divisor: never negative, or with the sign of `x`.
fn remainder(builder: &mut Builder<'_>, x: ValueId, divisor: f32, never_negative: bool) -> Result<ValueId> {
    let divisor = builder.scalar(divisor);
    let rest = builder.op_with("Mod", &[x, divisor], [("fmod", Attribute::Int(1))])?;
    if !never_negative {
        return Ok(rest);
    }
    let zero = builder.scalar(0.0);
    let is_negative = builder.op("Less", &[rest, zero])?;
    let raised = builder.op("Add", &[rest, divisor])?;
    builder.op("Where", &[is_negative, raised, rest])
}

#[cfg(test)]
mod tests {
    use super::super::WorkingCopy;
    use super::*;
    use crate::autodiff::testing::{adjoint, float, run, session};
    use crate::testing::{add, assert_equal_results, push};

    /// A function of images `[N, 4]`, and its working copy.
    fn copied(build: impl FnOnce(&mut Graph, ValueId) -> ValueId) -> (Graph, Graph) {
        let mut graph = Graph::new("test", 20);
        let x = add(&mut graph, "f32[N,4]").unwrap();
        let output = build(&mut graph, x);
        // What is written as a number is never the output itself.
        let output = push(&mut graph, "Identity", &[output], "");
        graph.add_output(output);
        crate::shape::infer(&mut graph).unwrap();
        let copy = WorkingCopy::new(&graph).unwrap().graph;
        (graph, copy)
    }

    fn scalar(graph: &mut Graph, value: f32) -> ValueId {
        graph.add_constant("scalar", Tensor::scalar_f32(value))
    }

    type Function = fn(&mut Graph, ValueId) -> ValueId;

    const FUNCTIONS: [(&str, Function, f32); 13] = [
        (
            "a comparison",
            |graph, x| {
                let bound = scalar(graph, 0.25);
                let above = push(graph, "Greater", &[x, bound], "");
                push(graph, "Cast", &[above], "to=1")
            },
            0.5,
        ),
        (
            "a comparison that includes ties, the other way round",
            |graph, x| {
                let bound = scalar(graph, 0.0);
                let below = push(graph, "LessOrEqual", &[x, bound], "");
                push(graph, "Cast", &[below], "to=1")
            },
            -0.5,
        ),
        (
            "a choice between constants",
            |graph, x| {
                let (bound, yes, no) = (scalar(graph, 0.0), scalar(graph, 3.0), scalar(graph, 1.0));
                let above = push(graph, "GreaterOrEqual", &[x, bound], "");
                push(graph, "Where", &[above, yes, no], "")
            },
            1.0,
        ),
        (
            "a negation in another order",
            |graph, x| {
                let bound = scalar(graph, 0.5);
                let below = push(graph, "Less", &[x, bound], "");
                let not = push(graph, "Not", &[below], "");
                let turned = push(graph, "Transpose", &[not], "perm=[0,1]");
                push(graph, "Cast", &[turned], "to=1")
            },
            0.5,
        ),
        (
            "levels",
            |graph, x| {
                let levels = scalar(graph, 7.0);
                let scaled = push(graph, "Mul", &[x, levels], "");
                let whole = push(graph, "Cast", &[scaled], "to=7");
                let number = push(graph, "Cast", &[whole], "to=1");
                push(graph, "Div", &[number, levels], "")
            },
            1.0,
        ),
        (
            "arithmetic of integers",
            |graph, x| {
                let levels = scalar(graph, 100.0);
                let scaled = push(graph, "Mul", &[x, levels], "");
                let whole = push(graph, "Cast", &[scaled], "to=7");
                let sixteen = add(graph, "=16").unwrap();
                let coarse = push(graph, "Div", &[whole, sixteen], "");
                push(graph, "Cast", &[coarse], "to=1")
            },
            100.0 / 16.0,
        ),
        (
            "codes as numbers",
            |graph, x| {
                let step = scalar(graph, 0.125);
                let zero =
                    graph.add_constant("zero", Tensor::new(DataType::Int8, vec![], vec![0].into()).unwrap());
                let codes = push(graph, "QuantizeLinear", &[x, step, zero], "");
                push(graph, "Cast", &[codes], "to=1")
            },
            8.0,
        ),
        (
            "shifted bits",
            |graph, x| {
                let (levels, one, three) = (scalar(graph, 100.0), scalar(graph, 1.0), bits(graph, 3));
                let raised = push(graph, "Add", &[x, one], "");
                let scaled = push(graph, "Mul", &[raised, levels], "");
                let whole = push(graph, "Cast", &[scaled], "to=12");
                let high = push(graph, "BitShift", &[whole, three], "direction=RIGHT");
                let back = push(graph, "BitShift", &[high, three], "direction=LEFT");
                push(graph, "Cast", &[back], "to=1")
            },
            100.0,
        ),
        (
            "masked bits",
            |graph, x| {
                let (levels, mask) = (scalar(graph, 100.0), add(graph, "=-8").unwrap());
                let scaled = push(graph, "Mul", &[x, levels], "");
                let whole = push(graph, "Cast", &[scaled], "to=7");
                let high = push(graph, "BitwiseAnd", &[mask, whole], "");
                push(graph, "Cast", &[high], "to=1")
            },
            100.0,
        ),
        (
            "sums of bytes that wrap around",
            |graph, x| {
                let (codes, hundred) = (byte_codes(graph, x, 2), byte(graph, 100));
                let sum = push(graph, "Add", &[codes, hundred], "");
                push(graph, "Cast", &[sum], "to=1")
            },
            100.0,
        ),
        (
            "differences of bytes below zero",
            |graph, x| {
                let (codes, hundred) = (byte_codes(graph, x, 2), byte(graph, 100));
                let difference = push(graph, "Sub", &[codes, hundred], "");
                push(graph, "Cast", &[difference], "to=1")
            },
            100.0,
        ),
        (
            "whole numbers as signed bytes",
            |graph, x| {
                let codes = byte_codes(graph, x, 6);
                let narrow = push(graph, "Cast", &[codes], "to=3");
                push(graph, "Cast", &[narrow], "to=1")
            },
            100.0,
        ),
        (
            "negative numbers as unsigned ones of 32 bits",
            |graph, x| {
                let (codes, hundred) = (byte_codes(graph, x, 6), add(graph, "=100").unwrap());
                let hundred = push(graph, "Cast", &[hundred], "to=6");
                let difference = push(graph, "Sub", &[codes, hundred], "");
                let wide = push(graph, "Cast", &[difference], "to=12");
                push(graph, "Cast", &[wide], "to=1")
            },
            100.0,
        ),
    ];

    /// `images · 100 + 100` as unsigned bytes, of which 200 and more leave the range of a sum with 100.
    fn byte_codes(graph: &mut Graph, x: ValueId, to: i32) -> ValueId {
        let (hundred, shift) = (scalar(graph, 100.0), scalar(graph, 100.0));
        let scaled = push(graph, "Mul", &[x, hundred], "");
        let raised = push(graph, "Add", &[scaled, shift], "");
        push(graph, "Cast", &[raised], &format!("to={to}"))
    }

    fn byte(graph: &mut Graph, value: u8) -> ValueId {
        graph.add_constant("byte", Tensor::new(DataType::Uint8, vec![], vec![value].into()).unwrap())
    }

    fn bits(graph: &mut Graph, value: u32) -> ValueId {
        let bytes = value.to_le_bytes().to_vec();
        graph.add_constant("bits", Tensor::new(DataType::Uint32, vec![], bytes.into()).unwrap())
    }

    #[test]
    fn the_copy_computes_the_same_and_passes_gradients_straight_through() {
        for (name, function, slope) in FUNCTIONS {
            let (file, copy) = copied(function);
            assert_equal_results(&file, &copy, 1e-6);
            let mut backward = session(&adjoint(&copy).unwrap());
            let inputs = [
                float(&copy.value(copy.inputs()[0]).name, &[1, 4], &[-0.7, 0.0, 0.25, 0.9]),
                float("g", &[1, 4], &[2.0; 4]),
            ];
            let found = run(&mut backward, &inputs);
            assert!(found.iter().all(|value| (value - 2.0 * slope).abs() < 1e-4), "{name}: {found:?}");
        }
    }

    #[test]
    fn what_goes_around_a_comparison_keeps_its_derivative() {
        let (_, copy) = copied(|graph, x| {
            let bound = scalar(graph, 0.0);
            let above = push(graph, "Greater", &[x, bound], "");
            let above = push(graph, "Cast", &[above], "to=1");
            push(graph, "Mul", &[x, above], "")
        });
        assert!(copy.nodes().iter().all(|node| node.op_type != "Sign"));
    }
}
