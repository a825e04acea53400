//! What the tests of several modules share: one small experiment, and images to train on.

use tch::Tensor;

use crate::config::Experiment;
use crate::random::{BatchRng, Purpose};
use crate::stage::MicroBatch;

/// Also the experiment of the tests of the command.
const EXPERIMENT: &str = include_str!("../tests/fixtures/experiment.toml");

/// Regularisation of fine-tuning that would hide what a test looks at.
const REGULARISATION: [&str; 6] =
    ["layer_decay", "drop_path", "label_smoothing", "ema_decay", "epsilon_warmup_epochs", "mix"];

/// The experiment without regularisation, then with these keys in place of its own. A table that has a `kind` replaces
/// the other as a whole.
pub(crate) fn experiment(changes: &str) -> Experiment {
    let mut table: toml::Table = EXPERIMENT.parse().unwrap();
    let finetune = table["finetune"].as_table_mut().unwrap();
    finetune.retain(|key, _| !REGULARISATION.contains(&key));
    merge(&mut table, changes.parse().unwrap());
    let experiment: Experiment = table.try_into().unwrap();
    experiment.check().unwrap();
    experiment
}

fn merge(table: &mut toml::Table, changes: toml::Table) {
    for (key, value) in changes {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(changes))
                if !changes.contains_key("kind") =>
            {
                merge(inner, changes);
            }
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Images `[N, 3, size, size]`, uniform in [0, 1].
pub(crate) fn images(rng: BatchRng<'_>, size: i64) -> Tensor {
    let pixels = rng.uniform(Purpose::Evaluation, (3 * size * size) as usize);
    Tensor::from_slice(&pixels).reshape([-1, 3, size, size])
}

/// Four images of the experiment's size with these labels.
pub(crate) fn micro_batch(labels: [i64; 4], epoch: f64) -> MicroBatch<'static> {
    let rng = BatchRng { seed: 0, epoch: 0, sample_ids: &[0, 1, 2, 3] };
    MicroBatch { images: images(rng, 32), labels: Tensor::from_slice(&labels), rng, epoch }
}
