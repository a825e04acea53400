//! The onnx package's own node tests: written by others, for each operator on its own.
//!
//! Each case goes the way of a classifier (read, lift, simplify, write) through ONNX Runtime: the outputs must be those
//! that the package expects, and the gradient of a random projection must have the derivatives that
//! `scripts/reference/node_tests.py` took in float64, along random directions. A part of the cases is in
//! `tests/fixtures/node_cases.npz`; `make node-tests` takes all, and `docs/node-tests.md` has the result.

mod skips;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::super::operators;
use super::super::testing::{dot, float, session};
use super::*;
use crate::onnx::{Limits, read_model_bytes};
use crate::simplify::simplify;
use crate::upgrade::upgrade;
use store::{Case, Content, Gradient, Output, uniform};

/// Largest error of a derivative along a direction of signs, relative to the norm of the gradient.
const TOLERANCE: f64 = 1e-3;

/// Derivatives below this are zero: what is left of them is the rounding of the differences.
const ZERO: f64 = 1e-8;

/// What became of a case.
#[derive(Debug, PartialEq)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

impl Case {
    fn outcome(&self) -> Outcome {
        let content = match &self.content {
            Ok(content) => content,
            Err(reason) => return Outcome::Skipped(skips::group(reason)),
        };
        if let Some(operator) = self.operators.iter().find(|operator| !is_known(operator)) {
            return Outcome::Skipped(format!("no shape rule: {operator}"));
        }
        if let Some(operator) = self.operators.iter().find(|operator| stands_in_for_a_step(operator)) {
            return Outcome::Skipped(format!("a stand-in for a derivative of zero: {operator}"));
        }
        match content.check() {
            Ok(()) => Outcome::Passed,
            Err(Failure::Refused(error)) => match (without_rule(&error), skips::refused(&error)) {
                (Some(operator), _) => Outcome::Skipped(format!("no gradient rule: {operator}")),
                (None, Some(reason)) => Outcome::Skipped(format!("refused: {reason}")),
                (None, None) => Outcome::Failed(error.to_string()),
            },
            Err(Failure::Undefined) => match skips::undefined(&self.name) {
                Some(reason) => Outcome::Skipped(format!("undefined: {reason}")),
                None => Outcome::Failed("is not a number".to_owned()),
            },
            Err(Failure::Wrong(difference)) => match skips::saturated(&self.name) {
                Some(reason) => Outcome::Skipped(reason.to_owned()),
                None => Outcome::Failed(difference),
            },
        }
    }
}

/// Whether the derivative is zero, and what we pass in its place is no derivative. (What quantises has cases of its own.)
fn stands_in_for_a_step(op_type: &str) -> bool {
    ["Ceil", "Floor", "Hardmax", "Round", "Sign"].contains(&op_type)
}

fn is_known(op_type: &str) -> bool {
    // Scatter has had another name since opset 11.
    op_type == "Scatter" || operators().any(|operator| operator.op_type == op_type)
}

/// The operator for which we never said that we have a gradient rule, where an error is about one.
fn without_rule(error: &Error) -> Option<&'static str> {
    let Some(crate::error::Location::Node { op_type, .. }) = error.location() else { return None };
    let operator = operators().find(|operator| operator.op_type == op_type)?;
    (operator.gradient.is_none() && error.to_string().contains("no gradient rule for"))
        .then_some(operator.op_type)
}

/// Why a case does not pass.
enum Failure {
    /// We say that we cannot.
    Refused(Error),
    /// We give NaN: no one can take it for a right number.
    Undefined,
    /// We give other numbers.
    Wrong(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Content {
    fn check(&self) -> std::result::Result<(), Failure> {
        let file = read_model_bytes(self.model.clone().into(), None, &Limits::default())?;
        let mut forward = upgrade(&file.graph)?;
        simplify(&mut forward)?;
        self.check_outputs(&forward)?;
        if self.gradients.is_empty() {
            return Ok(());
        }
        let projected = self.outputs.iter().zip(forward.outputs().to_vec());
        forward
            .set_outputs(projected.filter(|(output, _)| output.projected).map(|(_, value)| value).collect());
        let (zero, sloped): (Vec<&Gradient>, Vec<&Gradient>) =
            self.gradients.iter().partition(|gradient| gradient.slopes.iter().all(|d| d.abs() < ZERO));
        for gradient in zero {
            match self.check_gradients(&forward, &[gradient]) {
                // That a path is cut is what a zero derivative should lead to.
                Err(Failure::Refused(error)) if is_cut(&error) => {}
                result => result?,
            }
        }
        self.check_gradients(&forward, &sloped)
    }

    fn check_outputs(&self, forward: &Graph) -> std::result::Result<(), Failure> {
        let found = evaluate(&as_floats(forward)?, &self.inputs_at(|input| &input.values), &[])?;
        for (output, found) in self.outputs.iter().zip(found) {
            compare(output, &found, self.tolerances)?;
        }
        Ok(())
    }

    fn inputs_at<'a>(&'a self, values: impl Fn(&'a store::Input) -> &'a Vec<f32>) -> Vec<Input<'a>> {
        self.inputs.iter().map(|input| float(&input.name, &input.dims, values(input))).collect()
    }

    fn check_gradients(&self, forward: &Graph, wanted: &[&Gradient]) -> std::result::Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let input = |gradient: &Gradient| &self.inputs[gradient.input];
        let ids: Vec<ValueId> =
            wanted.iter().map(|gradient| forward.find(&input(gradient).name).unwrap()).collect();
        let backward = vector_jacobian_product(forward, &ids)?;
        let weights: Vec<Vec<f32>> = (1000_u64..)
            .zip(&self.outputs)
            .map(|(seed, output)| uniform(seed, output.expected.len()).iter().map(|w| *w as f32).collect())
            .collect();
        let outputs = self.outputs.iter().zip(&weights).filter(|(output, _)| output.projected);
        let cotangents: Vec<(String, &[usize], &[f32])> = outputs
            .zip(forward.outputs())
            .map(|((output, weights), id)| {
                (format!("cotangent_{}", forward.value(*id).name), &output.dims[..], &weights[..])
            })
            .collect();
        let found = evaluate(&backward, &self.inputs_at(|input| &input.point), &cotangents)?;
        for (gradient, found) in wanted.iter().zip(found) {
            gradient.compare(&input(gradient).name, &found)?;
        }
        Ok(())
    }
}

fn is_cut(error: &Error) -> bool {
    error.kind() == ErrorKind::NotAClassifier || error.to_string().contains("no gradient reaches")
}

impl Gradient {
    fn compare(&self, name: &str, found: &[f32]) -> std::result::Result<(), Failure> {
        let norm = dot(found, found).sqrt();
        for (direction, wanted) in self.slopes.iter().enumerate() {
            let seed = 2000 + 10 * self.input as u64 + direction as u64;
            let signs: Vec<f32> =
                uniform(seed, found.len()).iter().map(|u| if *u < 0.0 { -1.0 } else { 1.0 }).collect();
            let slope = dot(found, &signs);
            if slope.is_nan() && wanted.is_finite() {
                return Err(Failure::Undefined);
            }
            let agrees = (slope - wanted).abs() <= TOLERANCE * norm + ZERO;
            if !agrees {
                return Err(Failure::Wrong(format!(
                    "gradient of `{name}`, direction {direction}: {slope}, wanted {wanted}, its norm {norm}"
                )));
            }
        }
        Ok(())
    }
}

/// The graph with its outputs as float32, each made by a node.
fn as_floats(forward: &Graph) -> Result<Graph> {
    let mut graph = forward.clone();
    let mut outputs = Vec::new();
    for output in forward.outputs() {
        let mut builder = Builder::new(&mut graph, "output");
        outputs.push(match forward.tensor_type(*output)?.dtype {
            DataType::Float32 => builder.op("Identity", &[*output])?,
            _ => builder.cast(*output, DataType::Float32)?,
        });
    }
    graph.set_outputs(outputs);
    Ok(graph)
}

/// Runs a graph. Inputs that it does not have, as nothing reads them, are left out.
fn evaluate(
    graph: &Graph,
    inputs: &[Input<'_>],
    cotangents: &[(String, &[usize], &[f32])],
) -> std::result::Result<Vec<Vec<f32>>, Failure> {
    let cotangents = cotangents.iter().map(|(name, dims, values)| float(name, dims, values));
    let all: Vec<Input<'_>> = inputs
        .iter()
        .copied()
        .chain(cotangents)
        .filter(|input| graph.find(input.name).is_some_and(|id| graph.inputs().contains(&id)))
        .collect();
    let outputs = session(graph)
        .run(&all)
        .map_err(|error| Failure::Wrong(format!("ONNX Runtime on our graph: {error}")))?;
    Ok(outputs.into_iter().map(|output| output.data).collect())
}

fn compare(
    output: &Output,
    found: &[f32],
    [relative, absolute]: [f32; 2],
) -> std::result::Result<(), Failure> {
    let name = &output.name;
    if found.len() != output.expected.len() {
        let message =
            format!("output `{name}` has {} elements, wanted {}", found.len(), output.expected.len());
        return Err(Failure::Wrong(message));
    }
    for (index, (found, wanted)) in found.iter().zip(&output.expected).enumerate() {
        if found.is_nan() && wanted.is_finite() {
            return Err(Failure::Undefined);
        }
        let equal = found == wanted || (found.is_nan() && wanted.is_nan());
        if !(equal || (found - wanted).abs() <= absolute + relative * wanted.abs()) {
            return Err(Failure::Wrong(format!("output `{name}`[{index}]: {found}, wanted {wanted}")));
        }
    }
    Ok(())
}

/// What became of all cases of a store.
#[derive(Default)]
struct Tally {
    passed: usize,
    skipped: BTreeMap<String, usize>,
    failed: Vec<String>,
    /// Operators of the cases that passed.
    operators: BTreeSet<String>,
}

impl Tally {
    fn count(cases: &[Case]) -> Self {
        let mut tally = Self::default();
        for case in cases {
            let outcome =
                std::panic::catch_unwind(|| case.outcome()).unwrap_or(Outcome::Failed("panics".to_owned()));
            match outcome {
                Outcome::Passed => {
                    tally.passed += 1;
                    tally.operators.extend(case.operators.iter().cloned());
                }
                Outcome::Skipped(reason) => *tally.skipped.entry(reason).or_default() += 1,
                Outcome::Failed(why) => tally.failed.push(format!("{}: {why}", case.name)),
            }
        }
        tally
    }

    /// Operators with a gradient that no case that passed has.
    fn untested(&self) -> Vec<&'static str> {
        operators()
            .filter(|operator| operator.gradient.is_some() && !self.operators.contains(operator.op_type))
            .map(|operator| operator.op_type)
            .collect()
    }

    fn print(&self) {
        println!("passed: {}", self.passed);
        println!("skipped: {}", self.skipped.values().sum::<usize>());
        for (reason, count) in &self.skipped {
            println!("  {count:5}  {reason}");
        }
        println!("failed: {}", self.failed.len());
        self.failed.iter().for_each(|case| println!("  {case}"));
        println!("operators without a case: {}", self.untested().join(", "));
    }
}

#[test]
fn node_tests_of_the_onnx_package() {
    let compact = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/node_cases.npz");
    let path = std::env::var_os("MIMIR_NODE_CASES").map_or(compact, Into::into);
    let tally = Tally::count(&store::read(&path));
    tally.print();
    assert!(tally.failed.is_empty(), "{} cases failed:\n{}", tally.failed.len(), tally.failed.join("\n"));
}
