//! Gradients against central differences through ONNX Runtime, for the tests of the rules.

use mimir_runtime::session::{Data, Engine, Input, RawSession, SessionOptions};

use super::kernels::Kernels;
pub(crate) use super::kernels::lower;
use super::sweep::pull_back;
use crate::error::Result;
use crate::graph::{Builder, Dim, Graph, Shape, TensorType, ValueId};
use crate::onnx::write_model;
pub(crate) use crate::random::Numbers;
use crate::tensor::{DataType, Tensor};

/// Opset of the graphs under test: the newest whose operators the rules know, Gelu among them.
pub(crate) const OPSET: u32 = 20;

/// Rows that a dynamic batch gets.
const BATCH: usize = 2;

/// Directions in which a gradient is compared.
const DIRECTIONS: usize = 4;

/// Largest difference, relative to the norm of the gradient.
const TOLERANCE: f64 = 1e-3;

/// Where the inputs of a function are drawn from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Domain {
    /// Nearly normal numbers of variance 1.
    Real,
    /// In `[0.5, 2]`.
    Positive,
    /// In `±[0.2, 1]`: away from a kink at zero, further than the differences reach.
    AwayFromZero,
    /// In `±[0, 0.8]`, for functions that end at one.
    Unit,
    /// In `[1.5, 3]`, for functions that begin at one.
    AboveOne,
    /// Odd multiples of an eighth, each once, in any order: away from ties and from zero, further than the differences
    /// reach.
    Distinct,
}

impl Numbers {
    pub(crate) fn draw(&mut self, domain: Domain, count: usize) -> Vec<f32> {
        match domain {
            Domain::Real => (0..count).map(|_| self.normal()).collect(),
            Domain::Positive => (0..count).map(|_| 0.5 + 1.5 * self.uniform()).collect(),
            Domain::AwayFromZero => (0..count).map(|_| (0.2 + 0.8 * self.uniform()) * self.sign()).collect(),
            Domain::Unit => (0..count).map(|_| 0.8 * self.uniform() * self.sign()).collect(),
            Domain::AboveOne => (0..count).map(|_| 1.5 + 1.5 * self.uniform()).collect(),
            Domain::Distinct => self.distinct(count),
        }
    }

    fn sign(&mut self) -> f32 {
        if self.uniform() < 0.5 { -1.0 } else { 1.0 }
    }

    fn distinct(&mut self, count: usize) -> Vec<f32> {
        let eighths = |place: usize| (2 * place as i64 - 2 * (count as i64 / 2) + 1) as f32 / 8.0;
        let mut values: Vec<f32> = (0..count).map(eighths).collect();
        for last in (1..count).rev() {
            values.swap(last, (self.uniform() * (last + 1) as f32) as usize);
        }
        values
    }

    /// A constant of standard normal numbers.
    pub(crate) fn tensor(&mut self, dims: &[usize]) -> Tensor {
        let values = self.draw(Domain::Real, dims.iter().product());
        Tensor::from_f32(dims, &values)
    }
}

/// A shape whose first dimension is the batch, the others as given.
pub(crate) fn batched(dims: &[usize]) -> Shape {
    Shape([&[Dim::N], &Shape::fixed(dims).0[..]].concat())
}

/// A graph from an input `x` to the value that `build` makes of it.
pub(crate) fn function(
    shape: Shape,
    build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>,
) -> Result<Graph> {
    let mut graph = Graph::new("test", OPSET);
    let x = graph.add_value("x", Some(TensorType { dtype: DataType::Float32, shape }))?;
    graph.add_input(x);
    let y = build(&mut Builder::new(&mut graph, "f"), x)?;
    graph.add_output(y);
    Ok(graph)
}

/// The graph with an input `g`, the cotangent of the output, and the cotangent of `x` as its only output.
pub(crate) fn adjoint(forward: &Graph) -> Result<Graph> {
    adjoint_with(forward, Kernels::Standard)
}

/// The same with or without operators of our own.
pub(crate) fn adjoint_with(forward: &Graph, kernels: Kernels) -> Result<Graph> {
    let mut graph = forward.clone();
    let (x, y) = (graph.inputs()[0], graph.outputs()[0]);
    let tensor_type = graph.tensor_type(y)?.clone();
    let g = graph.add_value("g", Some(tensor_type))?;
    graph.add_input(g);
    let dx = pull_back(&mut graph, x, y, g)?;
    // An output must be produced by a node.
    let dx = Builder::new(&mut graph, "dx").op("Identity", &[dx])?;
    graph.set_outputs(vec![dx]);
    if kernels == Kernels::Standard {
        lower(&mut graph)?;
    }
    graph.prune();
    Ok(graph)
}

/// Text of the nodes that the backward pass adds, for snapshots: standard operators.
pub(crate) fn backward_text(forward: &Graph) -> String {
    text_with(forward, Kernels::Standard)
}

/// The same with operators of our own.
pub(crate) fn kernel_text(forward: &Graph) -> String {
    text_with(forward, Kernels::Mimir)
}

fn text_with(forward: &Graph, kernels: Kernels) -> String {
    let text = adjoint_with(forward, kernels).unwrap().to_string();
    let lines = text.lines().filter(|line| line.contains("gradient") && !line.starts_with("output"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Checks `⟨∇⟨w, f⟩, v⟩` against central differences along several random `v`, for a random `w`.
#[track_caller]
pub(crate) fn check(
    case: &str,
    domain: Domain,
    shape: Shape,
    build: impl FnOnce(&mut Builder<'_>, ValueId) -> Result<ValueId>,
) {
    let forward = function(shape, build).unwrap_or_else(|error| panic!("{case}: {error}"));
    check_graph(case, domain, &forward);
}

/// As [`check`], for a graph with one input and one output.
#[track_caller]
pub(crate) fn check_graph(case: &str, domain: Domain, forward: &Graph) {
    let made = |kernels| adjoint_with(forward, kernels).unwrap_or_else(|error| panic!("{case}: {error}"));
    let backward = made(Kernels::Standard);
    check_backward(case, domain, forward, &backward);
    let fused = made(Kernels::Mimir);
    if fused.nodes().len() != backward.nodes().len() {
        check_backward(&format!("{case}, with kernels"), domain, forward, &fused);
    }
}

#[track_caller]
fn check_backward(case: &str, domain: Domain, forward: &Graph, backward: &Graph) {
    let dims =
        |id| forward.shape(id).unwrap().0.iter().map(|dim| dim.at_batch(BATCH)).collect::<Vec<usize>>();
    let (x_dims, y_dims) = (dims(forward.inputs()[0]), dims(forward.outputs()[0]));
    let x_name = forward.value(forward.inputs()[0]).name.as_str();
    let mut numbers = Numbers::new(7);
    let x = numbers.draw(domain, x_dims.iter().product());
    let w = numbers.draw(Domain::Real, y_dims.iter().product());

    let mut backward = session(backward);
    let inputs = [float(x_name, &x_dims, &x), float("g", &y_dims, &w)];
    let gradient = run(&mut backward, &inputs);
    assert_eq!(gradient.len(), x.len(), "{case}: the gradient has another size than the input");

    let mut forward = session(forward);
    let mut value = |x: &[f32]| dot(&run(&mut forward, &[float(x_name, &x_dims, x)]), &w);
    let norm = dot(&gradient, &gradient).sqrt();
    assert!(norm.is_finite() && norm > 0.0, "{case}: the gradient is {gradient:?}");
    for direction in 0..DIRECTIONS {
        let v = numbers.draw(Domain::Real, x.len());
        let wanted = slope(&mut value, &x, &v);
        let found = dot(&gradient, &v);
        assert!(
            (wanted - found).abs() <= TOLERANCE * norm,
            "{case}, direction {direction}: central differences {wanted}, gradient {found}, its norm {norm}"
        );
    }
}

/// Derivative of `value` along `v`, exact for polynomials up to the fourth degree.
pub(crate) fn slope(value: &mut impl FnMut(&[f32]) -> f64, x: &[f32], v: &[f32]) -> f64 {
    const STEP: f32 = 1e-2;
    let mut difference = |step: f32| {
        let moved = |sign: f32| x.iter().zip(v).map(|(x, v)| x + sign * step * v).collect::<Vec<f32>>();
        value(&moved(1.0)) - value(&moved(-1.0))
    };
    (8.0 * difference(STEP) - difference(2.0 * STEP)) / (12.0 * f64::from(STEP))
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// A session over a graph of ours.
pub(crate) fn session(graph: &Graph) -> RawSession {
    let engine = Engine::load(None).expect("ONNX Runtime is there: `make setup` fetches it");
    RawSession::new(&engine, &write_model(graph).unwrap(), SessionOptions::default())
        .unwrap_or_else(|error| panic!("{error}\n{graph}"))
}

pub(crate) fn float<'a>(name: &'a str, dims: &'a [usize], data: &'a [f32]) -> Input<'a> {
    Input { name, dims, data: Data::F32(data) }
}

/// Runs a session with one output.
pub(crate) fn run(session: &mut RawSession, inputs: &[Input<'_>]) -> Vec<f32> {
    session.run(inputs).unwrap().remove(0).data
}
