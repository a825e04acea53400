//! Optimizer and clipping compared with PyTorch (`scripts/reference/optim_fixtures.py`).

use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use super::*;
use crate::model::{Architecture, Preset};
use crate::parameters::{Init, Parameters};

const FIXTURES: &str = include_str!("../../tests/fixtures/optim.json");
const EPSILON: f64 = f32::EPSILON as f64;

#[derive(Deserialize)]
struct Fixtures {
    adamw: Vec<Trace>,
    clip: Vec<Clip>,
}

#[derive(Deserialize)]
struct Trace {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    parameters: Vec<Start>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Start {
    name: String,
    shape: Vec<i64>,
    scale: f64,
    weight_decay: f64,
    start: Vec<f64>,
}

#[derive(Deserialize)]
struct Step {
    learning_rate: f64,
    gradients: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
    exp_avg: Vec<Vec<f64>>,
    exp_avg_sq: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Clip {
    max_norm: f64,
    gradients: Vec<Vec<f64>>,
    norm: f64,
    clipped: Vec<Vec<f64>>,
}

fn fixtures() -> Fixtures {
    serde_json::from_str(FIXTURES).unwrap()
}

fn single(values: &[f64], shape: &[i64]) -> Tensor {
    Tensor::from_slice(values).to_kind(Kind::Float).reshape(shape)
}

/// Groups that give each parameter of the trace what PyTorch's group gave it.
fn groups(trace: &Trace) -> ParameterGroups {
    let decays = trace.parameters.iter().map(|p| p.weight_decay).fold(0.0, f64::max);
    let kept = trace.parameters.iter().filter(|p| p.weight_decay == 0.0);
    // 0.65^(3 - layer): class token 0, block 1, head 3.
    let architecture = Architecture { depth: 2, ..Preset::VitTiny.architecture(32, 4) };
    for p in &trace.parameters {
        let scale = 0.65f64.powi(3 - architecture.layer_id(&p.name) as i32);
        assert!((p.scale - scale).abs() < 1e-15, "{}", p.name);
    }
    ParameterGroups {
        weight_decay: decays,
        no_decay: kept.map(|p| p.name.clone()).collect(),
        layer_decay: Some(LayerDecay { decay: 0.65, architecture }),
    }
}

/// A loss whose gradient is the given one, for every parameter.
fn backward(weights: &[Tensor], gradients: &[Vec<f64>]) {
    for (weight, gradient) in weights.iter().zip(gradients) {
        (weight * single(gradient, &weight.size())).sum(Kind::Float).backward();
    }
}

fn assert_close(found: &Tensor, wanted: &[f64], tolerance: impl Fn(f64) -> f64, what: &str) {
    let found: Vec<f64> = found.flatten(0, -1).to_kind(Kind::Double).try_into().unwrap();
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, &wanted) in found.iter().zip(wanted) {
        let allowed = tolerance(wanted);
        assert!((found - wanted).abs() <= allowed, "{what}: {found} for {wanted} ± {allowed}");
    }
}

#[test]
fn adamw_follows_pytorch_step_for_step() {
    for trace in fixtures().adamw {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weights: Vec<Tensor> = (trace.parameters.iter())
            .map(|p| {
                let init = Init::Value(single(&p.start, &p.shape));
                parameters.root().parameter(&p.name, &p.shape, init)
            })
            .collect();
        let flat = FlatParameters::bind(&parameters, &groups(&trace));
        let Trace { beta1, beta2, epsilon, .. } = trace;
        let mut optimizer = AdamW::new(&flat, AdamWOptions { beta1, beta2, epsilon });
        let mut largest: f64 = 0.0;
        for (i, step) in trace.steps.iter().enumerate() {
            flat.zero_gradients();
            backward(&weights, &step.gradients);
            optimizer.step(&flat, step.learning_rate);
            let count = (i + 1) as f64;
            largest = largest.max(step.learning_rate);
            for (j, (weight, start)) in weights.iter().zip(&trace.parameters).enumerate() {
                // In a step the value is rounded at most twice (decay, update). The update, at most about
                // 1/√(1 − β₂) ≤ 32 rates for wild gradients and about one for even ones, is off by some ten roundings
                // of its own and three of each earlier step in the second moment; 64 leaves both room.
                let of_value = |wanted: f64| count * EPSILON * (2.0 * wanted.abs() + 64.0 * largest);
                assert_close(weight, &step.values[j], of_value, &start.name);
                let of_kind = [&step.exp_avg, &step.exp_avg_sq];
                for ((kind, moment), wanted) in optimizer.moments().into_iter().zip(of_kind) {
                    let (_, view) = flat.views(moment).find(|(name, _)| *name == start.name).unwrap();
                    let size = wanted[j].iter().fold(0.0f64, |size, wanted| size.max(wanted.abs()));
                    // Terms of both signs cancel in the first moment: relative to the largest.
                    let tolerance = |_| count * 4.0 * EPSILON * size;
                    assert_close(&view, &wanted[j], tolerance, &format!("{} {kind}", start.name));
                }
            }
        }
    }
}

#[test]
fn clipping_follows_pytorch() {
    for case in fixtures().clip {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let shapes: [&[i64]; 2] = [&[3, 4], &[5]];
        let weights: Vec<Tensor> = (shapes.iter().zip(["a", "b"]))
            .map(|(shape, name)| parameters.root().parameter(name, shape, Init::Zeros))
            .collect();
        let none = ParameterGroups { weight_decay: 0.0, no_decay: Vec::new(), layer_decay: None };
        let flat = FlatParameters::bind(&parameters, &none);
        backward(&weights, &case.gradients);
        assert_norm(clip::clip_gradients(&flat, None), case.norm);
        assert_norm(clip::clip_gradients(&flat, Some(case.max_norm)), case.norm);
        for (weight, wanted) in weights.iter().zip(&case.clipped) {
            // Norm, factor and product.
            assert_close(&weight.grad(), wanted, |wanted| 32.0 * EPSILON * wanted.abs(), "clipped");
        }
    }
}

/// A sum of 17 squares and a root.
fn assert_norm(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 17.0 * EPSILON * wanted, "{found} {wanted}");
}

#[test]
fn a_norm_that_is_not_finite_is_told_and_changes_nothing() {
    for bad in [f64::NAN, f64::INFINITY] {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let weight = parameters.root().parameter("w", &[2], Init::Ones);
        let none = ParameterGroups { weight_decay: 0.0, no_decay: Vec::new(), layer_decay: None };
        let flat = FlatParameters::bind(&parameters, &none);
        backward(&[weight.shallow_clone()], &[vec![3.0, bad]]);
        assert!(!clip::clip_gradients(&flat, Some(1.0)).is_finite());
        assert_eq!(weight.grad().double_value(&[0]), 3.0);
    }
}
