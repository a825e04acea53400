//! Every rule on random shapes: against central differences, and linear in the cotangent.
//!
//! [`rows`] and [`spatial_rows`] have one row or more for each operator that has a rule: how to build a node of it over
//! an input of random rank, sizes and attributes. A new rule needs a new row. Inputs are drawn away from kinks and
//! ties.

mod rows;
mod sketch;
mod spatial_rows;

use std::collections::BTreeSet;

use mimir_runtime::session::RawSession;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use self::rows::{ROWS, Row};
use self::sketch::Sketch;
use self::spatial_rows::SPATIAL_ROWS;

use super::super::sweep::supported;
use super::super::testing::{Domain, Numbers, adjoint, dot, float, function, run, session, slope};
use crate::error::Result;
use crate::graph::{Dim, Graph, Shape};
use crate::operators::passes_straight_through;

/// The first opset that has every operator of the rows; the other tests of rules take the working opset.
const OPSET: u32 = 24;

/// Random nodes of each row.
const CASES: u32 = 16;

/// Size of a batch that is dynamic in the graph.
const BATCH: usize = 2;

/// Largest difference of a directional derivative, relative to the norm of the gradient.
const TOLERANCE: f64 = 1e-3;

/// What the differences of a function may be wrong by through rounding, relative to its terms: four evaluations, each
/// right to about 2⁻²³, over a step of a hundredth.
const NOISE: f64 = 2e-5;

/// A random input: its sizes, whether the first is the batch, and the seed of everything else.
#[derive(Debug, Clone)]
struct Case {
    dims: Vec<usize>,
    is_batched: bool,
    seed: u64,
}

impl Case {
    fn strategy(row: &Row) -> impl Strategy<Value = Self> + use<> {
        let dims = row.ranks.clone().prop_flat_map(|rank| {
            let largest = if rank > 3 { 3_usize } else { 5 };
            proptest::collection::vec(1..=largest, rank)
        });
        (dims, any::<bool>(), any::<u64>()).prop_map(|(mut dims, is_batched, seed)| {
            if is_batched {
                dims[0] = BATCH;
            }
            Self { dims, is_batched, seed }
        })
    }

    fn shape(&self) -> Shape {
        let mut shape = Shape::fixed(&self.dims);
        if self.is_batched {
            shape.0[0] = Dim::N;
        }
        shape
    }

    fn graph(&self, row: &Row) -> Result<Graph> {
        let mut graph = function(self.shape(), |builder, x| {
            let y = (row.build)(&mut Sketch::new(builder, x, self), row.op_type)?;
            // An output must be produced by a node.
            builder.op("Identity", &[y])
        })?;
        // ONNX Runtime 1.32 has no kernel of its form of opset 22.
        graph.opset = if row.op_type == "GlobalLpPool" { OPSET.min(21) } else { OPSET };
        Ok(graph)
    }
}

/// The input, and the gradient as a function of the cotangent.
struct Pulled {
    session: RawSession,
    x_dims: Vec<usize>,
    x: Vec<f32>,
    y_dims: Vec<usize>,
}

impl Pulled {
    fn new(graph: &Graph, domain: Domain, numbers: &mut Numbers) -> Result<Self> {
        let dims = |id| -> Result<Vec<usize>> {
            Ok(graph.shape(id)?.0.iter().map(|dim| dim.at_batch(BATCH)).collect())
        };
        let (x_dims, y_dims) = (dims(graph.inputs()[0])?, dims(graph.outputs()[0])?);
        let x = numbers.draw(domain, x_dims.iter().product());
        Ok(Self { session: session(&adjoint(graph)?), x_dims, x, y_dims })
    }

    fn back(&mut self, g: &[f32]) -> Vec<f32> {
        run(&mut self.session, &[float("x", &self.x_dims, &self.x), float("g", &self.y_dims, g)])
    }
}

/// Draws one node of the row and checks it.
fn check(row: &Row, case: &Case) -> std::result::Result<(), TestCaseError> {
    let failed = |error: crate::Error| TestCaseError::fail(error.to_string());
    let graph = case.graph(row).map_err(failed)?;
    let mut numbers = Numbers::new(case.seed ^ 1);
    let mut pulled = Pulled::new(&graph, row.domain, &mut numbers).map_err(failed)?;
    let count: usize = pulled.y_dims.iter().product();
    let [u, v] = [(); 2].map(|()| numbers.draw(Domain::Real, count));
    let of_u = pulled.back(&u);
    check_differences(&graph, &pulled, &u, &of_u, &mut numbers)?;
    check_linear(&mut pulled, [&u, &v], &of_u)
}

/// `⟨∇⟨w, f⟩, v⟩` against central differences along a random `v`.
fn check_differences(
    graph: &Graph,
    pulled: &Pulled,
    w: &[f32],
    gradient: &[f32],
    numbers: &mut Numbers,
) -> std::result::Result<(), TestCaseError> {
    let mut forward = session(graph);
    let mut terms = 0.0;
    let mut value = |x: &[f32]| {
        let y = run(&mut forward, &[float("x", &pulled.x_dims, x)]);
        terms = y.iter().zip(w).map(|(y, w)| f64::from(y * w).abs()).sum();
        dot(&y, w)
    };
    let v = numbers.draw(Domain::Real, pulled.x.len());
    let (wanted, found) = (slope(&mut value, &pulled.x, &v), dot(gradient, &v));
    let allowed = TOLERANCE * dot(gradient, gradient).sqrt() + NOISE * terms;
    prop_assert!(
        (wanted - found).abs() <= allowed,
        "central differences {wanted}, gradient {found}, allowed difference {allowed}\n{graph}"
    );
    Ok(())
}

/// The gradient for `2u − 3v` is twice that for `u` less three times that for `v`.
fn check_linear(
    pulled: &mut Pulled,
    [u, v]: [&[f32]; 2],
    of_u: &[f32],
) -> std::result::Result<(), TestCaseError> {
    let combine =
        |u: &[f32], v: &[f32]| -> Vec<f32> { u.iter().zip(v).map(|(u, v)| 2.0 * u - 3.0 * v).collect() };
    let (of_v, of_both) = (pulled.back(v), pulled.back(&combine(u, v)));
    let largest = |values: &[f32]| values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let scale = [u, v, of_u, &of_v].into_iter().map(largest).fold(1.0, f32::max);
    for (wanted, found) in combine(of_u, &of_v).iter().zip(&of_both) {
        prop_assert!(
            (wanted - found).abs() <= 1e-5 * scale,
            "not linear: {found}, wanted {wanted}, among numbers up to {scale}"
        );
    }
    Ok(())
}

fn all_rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().chain(SPATIAL_ROWS)
}

#[test]
fn gradients_match_central_differences_and_are_linear() {
    let mut failures = Vec::new();
    for row in all_rows() {
        let config =
            Config { cases: CASES, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        if let Err(error) = runner.run(&Case::strategy(row), |case| check(row, &case)) {
            failures.push(format!("{}: {error}", row.op_type));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_rule_has_a_row() {
    let rows: BTreeSet<&str> = all_rows().map(|row| row.op_type).collect();
    // What stands in for a derivative is not that of the operator; those have exact numbers under the rule.
    let quantises =
        |op_type: &&str| passes_straight_through(op_type) || op_type.ends_with("DequantizeLinear");
    let missing: Vec<&str> =
        supported().filter(|op_type| !rows.contains(op_type)).filter(|op_type| !quantises(op_type)).collect();
    assert!(missing.is_empty(), "no row in random_shapes for {missing:?}");
}
