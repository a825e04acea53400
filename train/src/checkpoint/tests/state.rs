//! The state of a run: a resumed run computes identical numbers.

use std::fs;
use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::super::CheckpointError;
use super::super::state::{self, Best, Position, Precision, TrainingState};
use super::{add, network};
use crate::model::{Architecture, DecoderShape, Family, MaskedAutoencoder};
use crate::optim::{AdamW, AdamWOptions, EmaDecay, FlatParameters, ModelEma, ParameterGroups, clip};
use crate::parameters::Parameters;

struct Run {
    parameters: Parameters,
    flat: FlatParameters,
    optimizer: AdamW,
    average: Option<ModelEma>,
}

impl Run {
    fn new(seed: u64, average: bool) -> Self {
        let parameters = network(seed, |scope| {
            add(scope, &[("fc.weight", &[4, 8]), ("fc.bias", &[4]), ("head.weight", &[1, 4])]);
            let _ = scope.buffer("table", &Tensor::full([3], seed as f64, (Kind::Float, Device::Cpu)));
        });
        Self::with_parameters(parameters, average)
    }

    fn with_parameters(parameters: Parameters, average: bool) -> Self {
        let groups = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
        let flat = FlatParameters::bind(&parameters, &groups);
        let optimizer = AdamW::new(&flat, AdamWOptions::default());
        let average = average.then(|| ModelEma::new(&flat, EmaDecay { rate: 0.9, warm_up: true }));
        Self { parameters, flat, optimizer, average }
    }

    fn steps(&mut self, steps: std::ops::Range<u64>) {
        let weight = |name: &str| self.parameters.get(name).unwrap().shallow_clone();
        let (fc, bias, head) = (weight("fc.weight"), weight("fc.bias"), weight("head.weight"));
        for step in steps {
            self.flat.zero_gradients();
            let input = (Tensor::arange(8, (Kind::Float, Device::Cpu)) + step as f64).sin();
            let hidden = (fc.matmul(&input) + &bias).tanh();
            (head.matmul(&hidden) - 1.0).square().sum(Kind::Float).backward();
            clip::clip_gradients(&self.flat, Some(0.5));
            self.optimizer.step(&self.flat, 0.01);
            if let Some(average) = &mut self.average {
                average.update(&self.flat);
            }
        }
    }

    fn training(&mut self) -> TrainingState<'_> {
        TrainingState {
            parameters: &self.parameters,
            flat: &self.flat,
            optimizer: &mut self.optimizer,
            average: self.average.as_mut(),
        }
    }

    fn save(&mut self, path: &Path, step: u64, precision: Precision) -> Vec<u8> {
        state::save(path, &self.training(), &position(step), precision).unwrap();
        fs::read(path).unwrap()
    }
}

fn position(step: u64) -> Position {
    let best = Some(Best { metric: 0.1 + 0.2, epoch: 1 });
    Position {
        step,
        epoch: 2,
        epoch_loss: 0.75,
        skipped: 3,
        best,
        seed: u64::MAX,
        config_digest: "abc".to_owned(),
    }
}

#[test]
fn a_resumed_run_ends_with_the_bytes_of_one_that_was_never_stopped() {
    for average in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.safetensors");
        let mut whole = Run::new(1, average);
        whole.steps(0..10);
        let wanted = whole.save(&path, 10, Precision::Exact);

        let mut first = Run::new(1, average);
        first.steps(0..4);
        first.save(&path, 4, Precision::Exact);
        // Another seed: every number must come from the file.
        let mut second = Run::new(2, average);
        assert_eq!(state::load(&path, &mut second.training()).unwrap(), position(4));
        assert_eq!(state::position(&path).unwrap(), position(4));
        second.steps(4..10);
        assert!(second.save(&path, 10, Precision::Exact) == wanted, "average: {average}");
    }
}

#[test]
fn a_compact_state_keeps_weights_exactly_and_the_rest_to_two_digits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let (mut from, mut to) = (Run::new(1, true), Run::new(2, true));
    from.steps(0..5);
    from.save(&path, 5, Precision::Compact);
    state::load(&path, &mut to.training()).unwrap();
    assert_eq!(to.flat.values(), from.flat.values());
    // bfloat16 has 8 significant bits: half of the last is 2⁻⁸ of the first.
    let close = |found: &Tensor, exact: &Tensor, around: &Tensor| {
        let error = (found - exact).abs() - around.abs() * 2f64.powi(-8);
        // One float32 rounding where the difference is added back.
        assert!(error.max().double_value(&[]) <= f64::from(f32::EPSILON), "{error}");
    };
    for ((_, found), (_, exact)) in to.optimizer.moments().iter().zip(from.optimizer.moments()) {
        close(found, exact, exact);
    }
    let (found, exact) = (to.average.unwrap(), from.average.unwrap());
    let change = exact.average() - from.flat.values();
    assert!(change.abs().max().double_value(&[]) > 0.0);
    close(found.average(), exact.average(), &change);
    assert_eq!((to.optimizer.steps(), found.updates()), (5, 5));
}

#[test]
fn a_state_of_another_run_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    Run::new(1, true).save(&path, 0, Precision::Exact);
    let mut without = Run::new(2, false);
    let before = without.flat.values().copy();
    let error = state::load(&path, &mut without.training()).unwrap_err().to_string();
    assert!(error.contains("not in the network (3):\n  average.fc.bias"), "{error}");
    assert_eq!(without.flat.values(), &before);
    let error =
        super::load(&path, &without.parameters, super::LoadMode::Strict, super::FloatTypes::Float32Only);
    assert!(matches!(error, Err(CheckpointError::Mismatch { .. })));
    let weights = super::file_of(&folder, &without.parameters);
    let error = state::load(&weights, &mut without.training()).unwrap_err().to_string();
    assert!(error.contains("wanted the state of a run"), "{error}");
}

#[test]
fn the_state_of_a_pre_training_of_vit_t_fits_in_60_megabytes() {
    let architecture =
        Architecture { family: Family::Vit, width: 192, depth: 12, heads: 3, image_size: 32, patch_size: 4 };
    let parameters = network(0, |scope| {
        let _ = MaskedAutoencoder::new(scope, &architecture, DecoderShape::default(), Kind::Float);
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let mut run = Run::with_parameters(parameters, true);
    let bytes = run.save(&path, 0, Precision::Compact).len();
    assert!(bytes <= 60_000_000, "{bytes} bytes with an average");
    run.average = None;
    let without = run.save(&path, 0, Precision::Compact).len();
    println!("{} scalars: {bytes} bytes with an average, {without} without", run.parameters.count());
    // Four bytes for each scalar, four for the two moments of the trained ones, and the names.
    let data = 4 * run.parameters.count() + 4 * run.flat.count();
    assert!((data..data + 100_000).contains(&without), "{without} {data}");
}
