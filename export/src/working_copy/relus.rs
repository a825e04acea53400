//! ReLU in other words, written as Relu.
//!
//! `max(u, 0)` may be computed as `Where(u > 0, u, 0)`, `u · (u > 0)`, `(u + |u|)/2`, `u − min(u, 0)`, or by a LeakyRelu of
//! slope 0. Units that are off pass no gradient in any of these forms, but only those of Relu, Max, Min and Clip are
//! counted, and have a secant ([`crate::bounds`]).
//!
//! All of these are positively homogeneous functions of one number `u`: `f(t·u) = tᵈ·f(u)` for `t > 0`. Such a function is
//! known by its degree `d` and its values at 1 and −1. Elementwise operators make such functions of such functions, so
//! that a walk over the nodes finds the degree and both values of each, whatever it is made of: a comparison with zero has
//! degree zero, a square two. What has degree one or two and is zero on one side is `p·relu(±u)ᵈ`. The values are the file's up to
//! rounding, where `u` is finite.
//!
//! What has degree one and the same slope on both sides is `p·u`, though it be made of parts that bend, such as
//! `sign(u)·|u|`, as power pooling is exported. It is written so: Sign would pass a gradient that stands in for one.

use std::collections::{HashMap, HashSet};

use super::precision::image_dependent;
use crate::error::Result;
use crate::graph::{Builder, Graph, Node, NodeId, ValueId};
use crate::tensor::{DataType, Tensor};

/// Constants with more elements are not compared with each other.
const MOST_ELEMENTS: usize = 1 << 20;

/// Most operators through which a constant is followed.
const MOST_STEPS: usize = 8;

/// Writes them so in a typed graph. True where something changed: nodes are then out of order.
pub(super) fn write_as_relu(graph: &mut Graph) -> Result<bool> {
    let found = halves(graph);
    let mut relus: HashMap<(ValueId, bool), ValueId> = HashMap::new();
    let mut replaced = HashMap::new();
    for (output, form, name) in &found {
        let mut builder = Builder::new(graph, name);
        let is_above = form.above != 0.0;
        let power = match (form.is_linear(), relus.get(&(form.base, is_above))) {
            (true, _) => form.base,
            (false, Some(relu)) => raised(&mut builder, *relu, form.degree)?,
            (false, None) => {
                let argument = if is_above { form.base } else { builder.op("Neg", &[form.base])? };
                let relu = builder.op("Relu", &[argument])?;
                relus.insert((form.base, is_above), relu);
                raised(&mut builder, relu, form.degree)?
            }
        };
        let factor = if is_above { form.above } else { form.below };
        let value = if factor == 1.0 {
            power
        } else {
            let factor = builder.scalar(factor as f32);
            builder.op("Mul", &[power, factor])?
        };
        replaced.insert(*output, value);
    }
    graph.replace_all_uses(&replaced);
    Ok(!replaced.is_empty())
}

fn raised(builder: &mut Builder<'_>, relu: ValueId, degree: i32) -> Result<ValueId> {
    if degree == 2 { builder.op("Mul", &[relu, relu]) } else { Ok(relu) }
}

/// Values that are powers of a ReLU, or multiples, in other words, each with its form and the name of its node.
fn halves(graph: &Graph) -> Vec<(ValueId, Form, String)> {
    let dependent: HashSet<ValueId> = image_dependent(graph).into_iter().collect();
    let mut walk = Walk {
        graph,
        dependent,
        producers: graph.producers(),
        forms: HashMap::new(),
        counted: HashSet::new(),
    };
    let mut found = Vec::new();
    for node in graph.nodes() {
        let &[Some(output)] = &node.outputs[..] else { continue };
        if !walk.dependent.contains(&output) {
            continue;
        }
        let Some(form) = walk.form(node, output) else { continue };
        if form.is_half() && walk.is_counted(node) {
            walk.counted.insert(output);
        } else if (form.is_half() || walk.is_straightened(node, form)) && !graph.outputs().contains(&output) {
            found.push((output, form, node.name.clone()));
        }
        walk.forms.insert(output, form);
    }
    found
}

/// A positively homogeneous function of each element of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Form {
    base: ValueId,
    degree: i32,
    /// Its value at 1.
    above: f64,
    /// Its value at -1.
    below: f64,
}

impl Form {
    /// Whether it is a power of a ReLU.
    fn is_half(self) -> bool {
        matches!(self.degree, 1 | 2) && (self.above == 0.0) != (self.below == 0.0)
    }

    /// Whether it is a multiple other than zero.
    fn is_linear(self) -> bool {
        self.degree == 1 && self.above == -self.below && self.above != 0.0
    }
}

/// One input: a function of some value, or a number.
#[derive(Debug, Clone, Copy)]
struct Operand {
    base: Option<ValueId>,
    degree: i32,
    values: [f64; 2],
}

impl Operand {
    fn is_zero(self) -> bool {
        self.values == [0.0, 0.0]
    }
}

struct Walk<'g> {
    graph: &'g Graph,
    dependent: HashSet<ValueId>,
    producers: HashMap<ValueId, NodeId>,
    forms: HashMap<ValueId, Form>,
    /// Powers of a ReLU whose units are counted as they are.
    counted: HashSet<ValueId>,
}

impl Walk<'_> {
    /// The form of the one output of a node, where it has the type and shape of what it is a function of.
    fn form(&self, node: &Node, output: ValueId) -> Option<Form> {
        let (base, degree, [above, below]) = self.computed(node)?;
        let (found, of) = (self.graph.tensor_type(output).ok()?, self.graph.tensor_type(base).ok()?);
        let is_finite = above.is_finite() && below.is_finite();
        (found.shape == of.shape && of.dtype == DataType::Float32 && is_finite).then_some(Form {
            base,
            degree,
            above,
            below,
        })
    }

    /// Base, degree, and values at 1 and -1.
    fn computed(&self, node: &Node) -> Option<(ValueId, i32, [f64; 2])> {
        let op_type = node.op_type.as_str();
        if op_type == "ReduceMax" || op_type == "ReduceMin" {
            return self.reduced(node);
        }
        // Before the operands are looked at: almost no node is one of these.
        if !OPERATORS.contains(&op_type) {
            return None;
        }
        let operands = match op_type {
            "Clip" => self.clip_operands(node)?,
            _ => node.inputs.iter().map(|input| self.operand((*input)?)).collect::<Option<Vec<_>>>()?,
        };
        let base = common_base(&operands)?;
        let (degree, values) = evaluate(node, &operands)?;
        Some((base, degree, values))
    }

    /// Operands of a Clip, which may lack a bound.
    fn clip_operands(&self, node: &Node) -> Option<Vec<Operand>> {
        let absent = [f64::NEG_INFINITY, f64::INFINITY];
        let mut operands = vec![self.operand(node.optional_input(0)?)?];
        for (index, bound) in absent.into_iter().enumerate() {
            operands.push(match node.optional_input(index + 1) {
                Some(id) => self.operand(id)?,
                None => Operand { base: None, degree: 0, values: [bound; 2] },
            });
        }
        Some(operands)
    }

    /// The largest or least of parts that lie beside each other, one element each.
    fn reduced(&self, node: &Node) -> Option<(ValueId, i32, [f64; 2])> {
        let joined = self.graph.node(*self.producers.get(&node.optional_input(0)?)?);
        let axes = self.graph.constant(node.optional_input(1)?)?.to_i64()?;
        let first = joined.optional_input(0)?;
        let shape = self.graph.shape(first).ok()?;
        let along = shape.axis(joined.attributes.int("axis", 0).ok()?).ok()?;
        let is_along = matches!(axes[..], [axis] if shape.axis(axis) == Ok(along));
        if joined.op_type != "Concat" || !is_along || shape.0[along].fixed() != Some(1) {
            return None;
        }
        let operands: Option<Vec<Operand>> =
            joined.inputs.iter().flatten().map(|id| self.operand(*id)).collect();
        let operands = operands?;
        let fold = if node.op_type == "ReduceMax" { f64::max } else { f64::min };
        Some((common_base(&operands)?, common_degree(&operands)?, folded(&operands, fold)?))
    }

    fn operand(&self, id: ValueId) -> Option<Operand> {
        if let Some(form) = self.forms.get(&id) {
            return Some(Operand {
                base: Some(form.base),
                degree: form.degree,
                values: [form.above, form.below],
            });
        }
        if let Some(number) = self.number(id) {
            return Some(Operand { base: None, degree: 0, values: [number; 2] });
        }
        let is_float = self.graph.tensor_type(id).is_ok_and(|found| found.dtype == DataType::Float32);
        (is_float && self.dependent.contains(&id)).then_some(Operand {
            base: Some(id),
            degree: 1,
            values: [1.0, -1.0],
        })
    }

    /// The number that all elements of a constant are.
    fn number(&self, mut id: ValueId) -> Option<f64> {
        for _ in 0..MOST_STEPS {
            if let Some(tensor) = self.graph.constant(id) {
                return all_equal(tensor);
            }
            let node = self.graph.node(*self.producers.get(&id)?);
            match node.op_type.as_str() {
                "ConstantOfShape" => {
                    let value = node.attributes.tensor("value").ok()?;
                    return value.map_or(Some(0.0), all_equal);
                }
                "Cast" | "Expand" | "Identity" | "Reshape" | "Squeeze" | "Tile" | "Unsqueeze" => {
                    id = node.optional_input(0)?;
                }
                _ => return None,
            }
        }
        None
    }

    /// Whether the node makes a multiple of what is none.
    fn is_straightened(&self, node: &Node, form: Form) -> bool {
        let mut inputs = node.inputs.iter().flatten().filter_map(|id| self.forms.get(id));
        form.is_linear() && inputs.any(|input| !input.is_linear())
    }

    /// Whether what the node computes is counted as it is, or is a multiple or a power of what is.
    fn is_counted(&self, node: &Node) -> bool {
        let mut inputs = node.inputs.iter().flatten().filter(|id| self.dependent.contains(id));
        match node.op_type.as_str() {
            "Relu" | "Max" | "Min" | "Clip" => inputs.count() == 1,
            "Identity" | "Neg" | "Mul" | "Div" => inputs.all(|id| self.counted.contains(id)),
            _ => false,
        }
    }
}

/// Operators that [`evaluate`] knows.
#[rustfmt::skip]
const OPERATORS: [&str; 29] = [
    "Abs", "Add", "And", "Cast", "Clip", "Div", "Greater", "GreaterOrEqual", "Identity", "LeakyRelu", "Less",
    "LessOrEqual", "Max", "Mean", "Min", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Relu", "Sign", "Sqrt", "Sub", "Sum",
    "ThresholdedRelu", "Where", "Xor",
];

/// The one value that all operands are functions of.
fn common_base(operands: &[Operand]) -> Option<ValueId> {
    let mut bases = operands.iter().filter_map(|operand| operand.base);
    let first = bases.next()?;
    bases.all(|base| base == first).then_some(first)
}

/// The degree of all operands; zero has any.
fn common_degree(operands: &[Operand]) -> Option<i32> {
    let highest = operands.iter().map(|operand| operand.degree).max()?;
    let mut others = operands.iter().filter(|operand| !operand.is_zero());
    let degree = others.next().map_or(highest, |operand| operand.degree);
    others.all(|operand| operand.degree == degree).then_some(degree)
}

/// At 1 and at -1.
fn folded(operands: &[Operand], fold: impl Fn(f64, f64) -> f64) -> Option<[f64; 2]> {
    let at = |side: usize| operands.iter().map(|operand| operand.values[side]).reduce(&fold);
    Some([at(0)?, at(1)?])
}

/// Degree, and values at 1 and at -1; Booleans are 1 and 0.
fn evaluate(node: &Node, operands: &[Operand]) -> Option<(i32, [f64; 2])> {
    let first = *operands.first()?;
    let of_one = |function: &dyn Fn(f64) -> f64| Some((first.degree, first.values.map(function)));
    let of_same = |fold: fn(f64, f64) -> f64| Some((common_degree(operands)?, folded(operands, fold)?));
    let truth = |holds: fn(f64, f64) -> bool| {
        common_degree(operands)?;
        Some((0, folded(operands, |a, b| f64::from(u8::from(holds(a, b))))?))
    };
    let sloped = |slope: f64| of_one(&move |x: f64| if x < 0.0 { slope * x } else { x });
    match node.op_type.as_str() {
        "Identity" => of_one(&|x| x),
        // To integers only what is a whole number at both.
        "Cast" => (first.degree == 0 && first.values.iter().all(|x| *x == 0.0 || *x == 1.0))
            .then_some((0, first.values)),
        "Neg" => of_one(&|x| -x),
        "Abs" => of_one(&f64::abs),
        "Relu" => of_one(&|x| x.max(0.0)),
        "Sign" => Some((0, first.values.map(|x| if x == 0.0 { 0.0 } else { x.signum() }))),
        "Not" => of_one(&|x| 1.0 - x),
        "LeakyRelu" => sloped(node.attributes.float("alpha", 0.01).ok()?.into()),
        "PRelu" => {
            operands.get(1).filter(|slope| slope.base.is_none()).and_then(|slope| sloped(slope.values[0]))
        }
        "ThresholdedRelu" if node.attributes.float("alpha", 1.0) == Ok(0.0) => of_one(&|x| x.max(0.0)),
        "Add" | "Sum" => of_same(|a, b| a + b),
        "Mean" => {
            let (degree, values) = of_same(|a, b| a + b)?;
            Some((degree, values.map(|value| value / operands.len() as f64)))
        }
        "Sub" => of_same(|a, b| a - b),
        "Max" => of_same(f64::max),
        "Min" => of_same(f64::min),
        "Clip" => clipped(operands),
        "Mul" => {
            // Squares of squares have no degree that fits after 31 of them.
            let degree = operands.iter().try_fold(0_i32, |sum, operand| sum.checked_add(operand.degree))?;
            Some((degree, folded(operands, |a, b| a * b)?))
        }
        "Div" => {
            let divisor = operands.get(1).filter(|divisor| divisor.base.is_none())?.values[0];
            (divisor != 0.0).then(|| (first.degree, first.values.map(|x| x / divisor)))
        }
        "Sqrt" => root(first),
        "Pow" => power(first, operands.get(1)?),
        "Greater" => truth(|a, b| a > b),
        "GreaterOrEqual" => truth(|a, b| a >= b),
        "Less" => truth(|a, b| a < b),
        "LessOrEqual" => truth(|a, b| a <= b),
        "And" => truth(|a, b| a * b != 0.0),
        "Or" => truth(|a, b| a + b != 0.0),
        "Xor" => truth(|a, b| a != b),
        "Where" => chosen(operands),
        _ => None,
    }
}

/// An absent bound is infinite; others than zero only bound what has degree zero.
fn clipped(operands: &[Operand]) -> Option<(i32, [f64; 2])> {
    let &[x, low, high] = operands else { return None };
    let is_bound = |bound: Operand| {
        bound.base.is_none() && (x.degree == 0 || bound.is_zero() || bound.values[0].is_infinite())
    };
    let clip = |side: usize| x.values[side].max(low.values[side]).min(high.values[side]);
    (is_bound(low) && is_bound(high)).then(|| (x.degree, [clip(0), clip(1)]))
}

fn root(x: Operand) -> Option<(i32, [f64; 2])> {
    let is_whole = x.degree % 2 == 0 && x.values.iter().all(|value| *value >= 0.0);
    is_whole.then(|| (x.degree / 2, x.values.map(f64::sqrt)))
}

fn power(x: Operand, exponent: &Operand) -> Option<(i32, [f64; 2])> {
    if exponent.base.is_some() {
        return None;
    }
    match exponent.values[0] {
        0.5 => root(x),
        1.0 => Some((x.degree, x.values)),
        2.0 => Some((x.degree.checked_mul(2)?, x.values.map(|value| value * value))),
        _ => None,
    }
}

fn chosen(operands: &[Operand]) -> Option<(i32, [f64; 2])> {
    let &[condition, yes, no] = operands else { return None };
    // Without a base: a constant condition, by elements.
    condition.base?;
    let at = |side: usize| if condition.values[side] != 0.0 { yes.values[side] } else { no.values[side] };
    Some((common_degree(&[yes, no])?, [at(0), at(1)]))
}

fn all_equal(tensor: &Tensor) -> Option<f64> {
    if tensor.elements() > MOST_ELEMENTS {
        return None;
    }
    let values: Vec<f64> = match tensor.to_f32() {
        Some(values) => values.into_iter().map(f64::from).collect(),
        None => tensor.to_i64()?.into_iter().map(|value| value as f64).collect(),
    };
    let first = *values.first()?;
    values.iter().all(|value| *value == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::super::WorkingCopy;
    use crate::graph::{Graph, ValueId};
    use crate::testing::{add, assert_equal_results, push};

    type Function = fn(&mut Graph, ValueId) -> ValueId;

    /// A function of images `[N, 6]`, and its working copy.
    fn copied(function: Function) -> (Graph, Graph) {
        let mut graph = Graph::new("test", 20);
        let x = add(&mut graph, "f32[N,6]").unwrap();
        let y = function(&mut graph, x);
        let output = push(&mut graph, "Identity", &[y], "");
        graph.add_output(output);
        crate::shape::infer(&mut graph).unwrap();
        let copy = WorkingCopy::new(&graph).unwrap().graph;
        (graph, copy)
    }

    fn operators(graph: &Graph) -> Vec<&str> {
        graph.nodes().iter().map(|node| node.op_type.as_str()).filter(|name| *name != "Identity").collect()
    }

    fn number(graph: &mut Graph, text: &str) -> ValueId {
        add(graph, text).unwrap()
    }

    fn zero(graph: &mut Graph) -> ValueId {
        number(graph, "#0")
    }

    /// `relu(u)` in other words.
    const FORMS: [(&str, Function); 18] = [
        ("LeakyRelu", |graph, u| push(graph, "LeakyRelu", &[u], "alpha=0.0")),
        ("ThresholdedRelu", |graph, u| push(graph, "ThresholdedRelu", &[u], "alpha=0.0")),
        ("PRelu", |graph, u| {
            let slopes = graph.add_constant("slopes", crate::Tensor::from_f32(&[6], &[0.0; 6]));
            push(graph, "PRelu", &[u, slopes], "")
        }),
        ("u > 0 ? u : 0", |graph, u| {
            let zero = zero(graph);
            let above = push(graph, "Greater", &[u, zero], "");
            push(graph, "Where", &[above, u, zero], "")
        }),
        ("0 <= u ? u : 0", |graph, u| {
            let zero = zero(graph);
            let above = push(graph, "LessOrEqual", &[zero, u], "");
            push(graph, "Where", &[above, u, zero], "")
        }),
        ("u < 0 ? 0 : u", |graph, u| {
            let zero = zero(graph);
            let below = push(graph, "Less", &[u, zero], "");
            push(graph, "Where", &[below, zero, u], "")
        }),
        ("not (u <= 0) ? u : zeros of its shape", |graph, u| {
            let shape = push(graph, "Shape", &[u], "");
            let zeros = push(graph, "ConstantOfShape", &[shape], "");
            let below = push(graph, "LessOrEqual", &[u, zeros], "");
            let above = push(graph, "Not", &[below], "");
            push(graph, "Where", &[above, u, zeros], "")
        }),
        ("u (u > 0)", |graph, u| {
            let zero = zero(graph);
            let above = push(graph, "Greater", &[u, zero], "");
            let mask = push(graph, "Cast", &[above], "to=1");
            push(graph, "Mul", &[mask, u], "")
        }),
        ("u (1 + sign u) / 2", |graph, u| {
            let (one, two) = (number(graph, "#1"), number(graph, "#2"));
            let sign = push(graph, "Sign", &[u], "");
            let raised = push(graph, "Add", &[one, sign], "");
            let product = push(graph, "Mul", &[raised, u], "");
            push(graph, "Div", &[product, two], "")
        }),
        ("(u + |u|) / 2", |graph, u| {
            let two = number(graph, "#2");
            let size = push(graph, "Abs", &[u], "");
            let sum = push(graph, "Add", &[size, u], "");
            push(graph, "Div", &[sum, two], "")
        }),
        ("u / 2 + |u / 2|", |graph, u| {
            let half = number(graph, "#0.5");
            let halved = push(graph, "Mul", &[half, u], "");
            let size = push(graph, "Abs", &[halved], "");
            push(graph, "Add", &[size, halved], "")
        }),
        ("(u + sqrt u^2) / 2", |graph, u| {
            let half = number(graph, "#0.5");
            let square = push(graph, "Mul", &[u, u], "");
            let size = push(graph, "Sqrt", &[square], "");
            let sum = push(graph, "Add", &[u, size], "");
            push(graph, "Mul", &[sum, half], "")
        }),
        ("mean of u and (u^2)^0.5", |graph, u| {
            let (half, two) = (number(graph, "#0.5"), number(graph, "#2"));
            let square = push(graph, "Pow", &[u, two], "");
            let size = push(graph, "Pow", &[square, half], "");
            push(graph, "Mean", &[u, size], "")
        }),
        ("u - min(u, 0)", |graph, u| {
            let zero = zero(graph);
            let least = push(graph, "Min", &[u, zero], "");
            push(graph, "Sub", &[u, least], "")
        }),
        ("max(u, 0 u)", |graph, u| {
            let zero = zero(graph);
            let nothing = push(graph, "Mul", &[u, zero], "");
            push(graph, "Max", &[nothing, u], "")
        }),
        ("u + relu(-u)", |graph, u| {
            let negative = push(graph, "Neg", &[u], "");
            let below = push(graph, "Relu", &[negative], "");
            push(graph, "Add", &[u, below], "")
        }),
        ("u - clip(u, , 0)", |graph, u| {
            let zero = zero(graph);
            let below = crate::testing::push_all(graph, "Clip", &[Some(u), None, Some(zero)], "", 1)[0];
            push(graph, "Sub", &[u, below], "")
        }),
        ("max of u and 0 beside each other", |graph, u| {
            let (zero, axes) = (zero(graph), number(graph, "=[1]"));
            let sum = push(graph, "ReduceSum", &[u, axes], "keepdims=1");
            let nothing = push(graph, "Mul", &[sum, zero], "");
            let both = push(graph, "Concat", &[sum, nothing], "axis=1");
            push(graph, "ReduceMax", &[both, axes], "keepdims=1")
        }),
    ];

    #[test]
    fn every_form_becomes_relu() {
        for (name, function) in FORMS {
            let (file, copy) = copied(function);
            assert_equal_results(&file, &copy, 1e-6);
            let found: Vec<&str> = operators(&copy).into_iter().filter(|name| *name != "ReduceSum").collect();
            assert_eq!(found, ["Relu"], "{name}");
        }
    }

    #[test]
    fn what_bends_nowhere_is_a_multiple() {
        let functions: [(&str, Function, &[&str]); 3] = [
            (
                "sign u relu |u|",
                |graph, u| {
                    let (sign, size) = (push(graph, "Sign", &[u], ""), push(graph, "Abs", &[u], ""));
                    let size = push(graph, "Relu", &[size], "");
                    push(graph, "Mul", &[sign, size], "")
                },
                &[],
            ),
            (
                "2 (relu u - relu -u)",
                |graph, u| {
                    let (two, negative) = (number(graph, "#2"), push(graph, "Neg", &[u], ""));
                    let (above, below) =
                        (push(graph, "Relu", &[u], ""), push(graph, "Relu", &[negative], ""));
                    let difference = push(graph, "Sub", &[above, below], "");
                    push(graph, "Mul", &[difference, two], "")
                },
                &["Mul"],
            ),
            (
                "sign u sqrt |u|, which does bend",
                |graph, u| {
                    let (sign, size) = (push(graph, "Sign", &[u], ""), push(graph, "Abs", &[u], ""));
                    let root = push(graph, "Sqrt", &[size], "");
                    push(graph, "Mul", &[sign, root], "")
                },
                &["Clip", "Sign", "Abs", "Sqrt", "Mul"],
            ),
        ];
        for (name, function, wanted) in functions {
            let (file, copy) = copied(function);
            assert_equal_results(&file, &copy, 1e-6);
            let mut found = operators(&copy);
            let mut wanted = wanted.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{name}");
        }
    }

    #[test]
    fn multiples_squares_and_the_other_side_are_told() {
        let functions: [(&str, Function, &[&str]); 3] = [
            (
                "u < 0 ? 3 u : 0",
                |graph, u| {
                    let (zero, three) = (zero(graph), number(graph, "#3"));
                    let tripled = push(graph, "Mul", &[u, three], "");
                    let below = push(graph, "Less", &[tripled, zero], "");
                    push(graph, "Where", &[below, tripled, zero], "")
                },
                &["Neg", "Relu", "Mul"],
            ),
            (
                "u > 0 ? u^2 : 0",
                |graph, u| {
                    let zero = zero(graph);
                    let square = push(graph, "Mul", &[u, u], "");
                    let above = push(graph, "Greater", &[u, zero], "");
                    push(graph, "Where", &[above, square, zero], "")
                },
                &["Relu", "Mul"],
            ),
            (
                "|relu u|",
                |graph, u| {
                    let relu = push(graph, "Relu", &[u], "");
                    push(graph, "Abs", &[relu], "")
                },
                &["Relu"],
            ),
        ];
        for (name, function, wanted) in functions {
            let (file, copy) = copied(function);
            assert_equal_results(&file, &copy, 1e-6);
            assert_eq!(operators(&copy), wanted, "{name}");
        }
    }

    #[test]
    fn what_is_not_relu_stays() {
        let functions: [(&str, Function); 6] = [
            ("a leaky one", |graph, u| push(graph, "LeakyRelu", &[u], "alpha=0.1")),
            ("another threshold", |graph, u| push(graph, "ThresholdedRelu", &[u], "alpha=0.5")),
            ("slopes that differ", |graph, u| {
                let slopes = [0.0, 0.1, 0.0, 0.0, 0.0, 0.0];
                let slopes = graph.add_constant("slopes", crate::Tensor::from_f32(&[6], &slopes));
                push(graph, "PRelu", &[u, slopes], "")
            }),
            ("a bound above zero", |graph, u| {
                let bound = number(graph, "#0.5");
                let above = push(graph, "Greater", &[u, bound], "");
                push(graph, "Where", &[above, u, bound], "")
            }),
            ("of two values", |graph, u| {
                let other = push(graph, "Sin", &[u], "");
                let zero = zero(graph);
                let above = push(graph, "Greater", &[other, zero], "");
                push(graph, "Where", &[above, u, zero], "")
            }),
            ("one that is one already", |graph, u| {
                let (zero, two) = (zero(graph), number(graph, "#2"));
                let relu = push(graph, "Max", &[u, zero], "");
                push(graph, "Mul", &[relu, two], "")
            }),
        ];
        for (name, function) in functions {
            let (file, copy) = copied(function);
            assert_eq!(operators(&copy), operators(&file), "{name}");
        }
    }
}
