//! What passes no gradient because two parts of it cancel.
//!
//! - `x + (q − x)`, as a straight-through estimate is exported: `q`, if a gradient passes it, else `q` with the gradient of `x`.
//! - `x − (x mod c)`, a floor: with the gradient of `x`. The slope of the remainder is one.
//! - `x − c·⌊x/c⌋`, a remainder, and `x − round x`: with the gradient of `x`, which is the derivative. The gradient that
//!   stands in for that of Floor would take it away. Not where that difference is taken from `x` again.
//!
//! A number that is zero and whose gradient is that of `x`, `2⁶²·round(x/2⁶²)`, is added where the gradient of `x` is wanted:
//! values stay the file's, and the scan lists the rounding as an approximation.

use std::collections::{HashMap, HashSet};

use super::precision::image_dependent;
use crate::autodiff::carrying_values;
use crate::error::Result;
use crate::graph::{Builder, Graph, Node, NodeId, ValueId};
use crate::tensor::DataType;

/// Far above what activations reach, so that the quotient rounds to zero; 2⁶², so that as large gradients do not overflow.
const FAR: f32 = (1_u64 << 62) as f32;

/// Lets gradients pass in a typed graph. True where something changed: nodes are then out of order.
pub(super) fn let_pass(graph: &mut Graph) -> Result<bool> {
    let Some(images) = graph.inputs().first().copied() else { return Ok(false) };
    let found = {
        let pattern = Pattern {
            graph,
            producers: graph.producers(),
            dependent: image_dependent(graph).into_iter().collect(),
            taken_from: taken_from(graph),
        };
        let nodes = graph.nodes().iter();
        nodes.filter_map(|node| Some((node.clone(), pattern.cancelled(node)?))).collect::<Vec<_>>()
    };
    if found.is_empty() {
        return Ok(false);
    }
    let carrying = carrying_values(graph, images)?;
    let mut replaced = HashMap::new();
    for (node, cancelled) in found {
        let output = node.output(0)?;
        let mut builder = Builder::new(graph, &node.name);
        let value = match cancelled {
            Cancelled::Estimate { q, .. } if carrying.contains(&q) => q,
            Cancelled::Estimate { x, q } => with_gradient_of(&mut builder, x, q)?,
            Cancelled::Remainder { x } | Cancelled::Fraction { x } => {
                let inputs = node.inputs.clone();
                let same = builder.node(&node.op_type, inputs, node.attributes.clone(), 1)?[0];
                with_gradient_of(&mut builder, x, same)?
            }
        };
        replaced.insert(output, value);
    }
    // A value may be replaced by one that is replaced itself.
    let last = |mut id: ValueId| {
        while let Some(next) = replaced.get(&id) {
            id = *next;
        }
        id
    };
    let replaced: HashMap<ValueId, ValueId> = replaced.keys().map(|id| (*id, last(*id))).collect();
    graph.replace_all_uses(&replaced);
    Ok(true)
}

fn with_gradient_of(builder: &mut Builder<'_>, x: ValueId, value: ValueId) -> Result<ValueId> {
    let far = builder.scalar(FAR);
    let near = builder.op("Div", &[x, far])?;
    let zero = builder.op("Round", &[near])?;
    let zero = builder.op("Mul", &[zero, far])?;
    builder.op("Add", &[value, zero])
}

/// A node whose gradients cancel.
#[derive(Debug, Clone, Copy)]
enum Cancelled {
    /// `x + (q − x)`
    Estimate { x: ValueId, q: ValueId },
    /// `x − (x mod c)`
    Remainder { x: ValueId },
    /// `x − c·⌊x/c⌋`
    Fraction { x: ValueId },
}

/// Most operators between a value and what it is rounded to.
const MOST_STEPS: usize = 8;

/// How far from one the factors around a rounding may multiply to: `1/c` and `c` are rounded.
const UNIT: f64 = 1e-4;

struct Pattern<'g> {
    graph: &'g Graph,
    producers: HashMap<ValueId, NodeId>,
    dependent: HashSet<ValueId>,
    /// The differences and multiples of such, with the values that they are taken from.
    taken_from: HashSet<(ValueId, ValueId)>,
}

/// What is taken from a value, and multiples of what is: `(x, y)` for `x − y` and for `x − c·y`.
fn taken_from(graph: &Graph) -> HashSet<(ValueId, ValueId)> {
    let producers = graph.producers();
    let differences = graph.nodes().iter().filter(|node| node.op_type == "Sub");
    let pairs = differences.filter_map(|node| Some((node.optional_input(0)?, node.optional_input(1)?)));
    pairs
        .flat_map(|(from, taken)| {
            let multiplied =
                producers.get(&taken).map(|id| graph.node(*id)).filter(|node| node.op_type == "Mul");
            let factors = multiplied.map(|node| node.inputs.clone()).unwrap_or_default();
            std::iter::once(taken).chain(factors.into_iter().flatten()).map(move |taken| (from, taken))
        })
        .collect()
}

impl Pattern<'_> {
    /// What cancels in a node of floats that depends on the images.
    fn cancelled(&self, node: &Node) -> Option<Cancelled> {
        let &[Some(a), Some(b)] = &node.inputs[..] else { return None };
        let output = node.optional_output(0)?;
        if self.graph.outputs().contains(&output)
            || self.graph.tensor_type(output).ok()?.dtype != DataType::Float32
        {
            return None;
        }
        let found = match node.op_type.as_str() {
            "Add" => [(a, b), (b, a)].into_iter().find_map(|(x, change)| {
                let [q, less] = self.operands(change, "Sub")?;
                (less == x).then_some(Cancelled::Estimate { x, q })
            }),
            "Sub" => {
                let estimate = self.operands(b, "Sub").filter(|[first, _]| *first == a);
                let remainder = || self.remainder(b).filter(|of| *of == a);
                match estimate {
                    Some([_, q]) => Some(Cancelled::Estimate { x: a, q }),
                    None if remainder().is_some() => Some(Cancelled::Remainder { x: a }),
                    None => (self.is_rounded(b, a) && !self.taken_from.contains(&(a, output)))
                        .then_some(Cancelled::Fraction { x: a }),
                }
            }
            _ => None,
        }?;
        let (x, value) = match found {
            Cancelled::Estimate { x, q } => (x, q),
            Cancelled::Remainder { x } | Cancelled::Fraction { x } => (x, x),
        };
        let shape = |id: ValueId| self.graph.shape(id).ok();
        let same = shape(x) == shape(output) && shape(value) == shape(output);
        (same && self.dependent.contains(&x)).then_some(found)
    }

    /// What the value is a remainder of, also where it is raised if it is negative.
    fn remainder(&self, id: ValueId) -> Option<ValueId> {
        let node = self.graph.node(*self.producers.get(&id)?);
        let rest = if node.op_type == "Where" { node.optional_input(2)? } else { id };
        self.operands(rest, "Mod").map(|[of, _]| of)
    }

    /// Whether a value is another, rounded to multiples of a number.
    fn is_rounded(&self, mut id: ValueId, of: ValueId) -> bool {
        let (mut factor, mut rounds) = (1.0, false);
        for _ in 0..MOST_STEPS {
            if id == of {
                return rounds && (factor - 1.0_f64).abs() <= UNIT;
            }
            let Some(node) = self.producers.get(&id).map(|id| self.graph.node(*id)) else { return false };
            let input = |index: usize| node.optional_input(index);
            let before = match node.op_type.as_str() {
                "Ceil" | "Floor" | "Round" | "QuantizeLinear" => {
                    rounds = true;
                    input(0)
                }
                // Its QuantizeLinear divides by the same.
                "DequantizeLinear" | "Identity" => input(0),
                // Rounded towards zero: up or down.
                "Where" => input(2),
                "Mul" | "Div" => {
                    let constants = [input(0), input(1)].map(|id| self.number(id?));
                    match (node.op_type.as_str(), constants) {
                        ("Mul", [Some(number), None]) => {
                            factor *= number;
                            input(1)
                        }
                        ("Mul", [None, Some(number)]) => {
                            factor *= number;
                            input(0)
                        }
                        ("Div", [None, Some(number)]) => {
                            factor /= number;
                            input(0)
                        }
                        _ => None,
                    }
                }
                _ => None,
            };
            let Some(before) = before else { return false };
            id = before;
        }
        false
    }

    /// The number that a constant is.
    fn number(&self, id: ValueId) -> Option<f64> {
        let constant = self.graph.constant(id).filter(|tensor| tensor.elements() == 1)?;
        constant.to_f32().map(|values| f64::from(values[0]))
    }

    fn operands(&self, id: ValueId, op_type: &str) -> Option<[ValueId; 2]> {
        let node = self.graph.node(*self.producers.get(&id)?);
        let &[Some(a), Some(b)] = &node.inputs[..] else { return None };
        (node.op_type == op_type).then_some([a, b])
    }
}

#[cfg(test)]
mod tests {
    use super::super::WorkingCopy;
    use crate::autodiff::testing::{adjoint, float, run, session};
    use crate::graph::{Graph, ValueId};
    use crate::testing::{add, assert_equal_results, push};

    type Function = fn(&mut Graph, ValueId) -> ValueId;

    fn levels(graph: &mut Graph, x: ValueId) -> (ValueId, ValueId) {
        let seven = add(graph, "#7").unwrap();
        (push(graph, "Mul", &[x, seven], ""), seven)
    }

    /// Coarse functions whose exact gradient is zero.
    const FUNCTIONS: [(&str, Function, f32); 7] = [
        (
            "x + (round x - x)",
            |graph, x| {
                let (x, seven) = levels(graph, x);
                let rounded = push(graph, "Round", &[x], "");
                let change = push(graph, "Sub", &[rounded, x], "");
                let estimate = push(graph, "Add", &[x, change], "");
                push(graph, "Div", &[estimate, seven], "")
            },
            1.0,
        ),
        (
            "x - (x - round x)",
            |graph, x| {
                let (x, seven) = levels(graph, x);
                let rounded = push(graph, "Round", &[x], "");
                let change = push(graph, "Sub", &[x, rounded], "");
                let estimate = push(graph, "Sub", &[x, change], "");
                push(graph, "Div", &[estimate, seven], "")
            },
            1.0,
        ),
        (
            "x + (nearest of two - x)",
            |graph, x| {
                let book = add(graph, "#[2]").unwrap();
                let axes = add(graph, "=[2]").unwrap();
                let columns = push(graph, "Unsqueeze", &[x, axes], "");
                let far = push(graph, "Sub", &[columns, book], "");
                let far = push(graph, "Abs", &[far], "");
                let nearest = push(graph, "ArgMin", &[far], "axis=2 keepdims=0");
                let found = push(graph, "Gather", &[book, nearest], "axis=0");
                let change = push(graph, "Sub", &[found, x], "");
                push(graph, "Add", &[change, x], "")
            },
            1.0,
        ),
        (
            "x - x mod c",
            |graph, x| {
                let step = add(graph, "#0.25").unwrap();
                let rest = push(graph, "Mod", &[x, step], "fmod=1");
                push(graph, "Sub", &[x, rest], "")
            },
            1.0,
        ),
        (
            "the same of large numbers",
            |graph, x| {
                let (factor, step) =
                    (add(graph, "#30000000000").unwrap(), add(graph, "#1000000000").unwrap());
                let large = push(graph, "Mul", &[x, factor], "");
                let rest = push(graph, "Mod", &[large, step], "fmod=1");
                let whole = push(graph, "Sub", &[large, rest], "");
                push(graph, "Div", &[whole, factor], "")
            },
            1.0,
        ),
        (
            "whole numbers less their remainder",
            |graph, x| {
                let (hundred, four) = (add(graph, "#100").unwrap(), add(graph, "=4").unwrap());
                let scaled = push(graph, "Mul", &[x, hundred], "");
                let whole = push(graph, "Cast", &[scaled], "to=7");
                let rest = push(graph, "Mod", &[whole, four], "");
                let coarse = push(graph, "Sub", &[whole, rest], "");
                let number = push(graph, "Cast", &[coarse], "to=1");
                push(graph, "Div", &[number, hundred], "")
            },
            1.0,
        ),
        (
            "the type of another",
            |graph, x| {
                let (x, seven) = levels(graph, x);
                let four = add(graph, "=4").unwrap();
                let whole = push(graph, "CastLike", &[x, four], "");
                let number = push(graph, "CastLike", &[whole, x], "");
                push(graph, "Div", &[number, seven], "")
            },
            1.0,
        ),
    ];

    /// Remainders, whose derivative is one.
    const REMAINDERS: [(&str, Function, f32); 5] = [
        (
            "x - floor x",
            |graph, x| {
                let (x, seven) = levels(graph, x);
                let whole = push(graph, "Floor", &[x], "");
                let rest = push(graph, "Sub", &[x, whole], "");
                push(graph, "Div", &[rest, seven], "")
            },
            1.0,
        ),
        (
            "x - c round(x / c)",
            |graph, x| {
                let step = add(graph, "#0.3").unwrap();
                let quotient = push(graph, "Div", &[x, step], "");
                let whole = push(graph, "Round", &[quotient], "");
                let near = push(graph, "Mul", &[step, whole], "");
                push(graph, "Sub", &[x, near], "")
            },
            1.0,
        ),
        (
            "x - int x",
            |graph, x| {
                let (x, seven) = levels(graph, x);
                let whole = push(graph, "Cast", &[x], "to=7");
                let whole = push(graph, "Cast", &[whole], "to=1");
                let rest = push(graph, "Sub", &[x, whole], "");
                push(graph, "Div", &[rest, seven], "")
            },
            1.0,
        ),
        (
            "a stand-in with a factor: x - 0.5 (x - round x)",
            |graph, x| {
                let half = add(graph, "#0.5").unwrap();
                let (x, seven) = levels(graph, x);
                let rounded = push(graph, "Round", &[x], "");
                let change = push(graph, "Sub", &[x, rounded], "");
                let part = push(graph, "Mul", &[change, half], "");
                let estimate = push(graph, "Sub", &[x, part], "");
                push(graph, "Div", &[estimate, seven], "")
            },
            1.0,
        ),
        (
            "what is left of it when half is taken: x - 0.5 floor x",
            |graph, x| {
                let half = add(graph, "#0.5").unwrap();
                let (x, seven) = levels(graph, x);
                let whole = push(graph, "Floor", &[x], "");
                let part = push(graph, "Mul", &[whole, half], "");
                let rest = push(graph, "Sub", &[x, part], "");
                push(graph, "Div", &[rest, seven], "")
            },
            0.5,
        ),
    ];

    #[test]
    fn values_stay_and_gradients_pass() {
        for (name, function, slope) in FUNCTIONS.into_iter().chain(REMAINDERS) {
            let mut graph = Graph::new("test", 20);
            let x = add(&mut graph, "f32[N,4]").unwrap();
            let output = function(&mut graph, x);
            let output = push(&mut graph, "Identity", &[output], "");
            graph.add_output(output);
            crate::shape::infer(&mut graph).unwrap();
            let copy = WorkingCopy::new(&graph).unwrap().graph;
            assert_equal_results(&graph, &copy, 1e-6);
            let mut backward = session(&adjoint(&copy).unwrap());
            let inputs = [
                float(&copy.value(copy.inputs()[0]).name, &[1, 4], &[-0.7, 0.01, 0.26, 0.9]),
                float("g", &[1, 4], &[2.0; 4]),
            ];
            let found = run(&mut backward, &inputs);
            assert!(found.iter().all(|value| (value - 2.0 * slope).abs() < 1e-4), "{name}: {found:?}");
        }
    }
}
