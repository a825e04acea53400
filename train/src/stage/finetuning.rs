//! Adversarial training of a classifier.

use anyhow::Result;
use mimir_bundle::checkpoint::{CheckpointHeader, Stage};
use serde_json::{Map, json};
use tch::{Device, Kind, Tensor};

use crate::accuracy::{self, PgdAttack};
use crate::adversary::{self, LinfBall};
use crate::config::{Experiment, FinetuneAttack, FinetuneConfig};
use crate::images::EvaluationSet;
use crate::loss::{Mixing, cross_entropy, kl_divergence, smooth_targets};
use crate::model::{Architecture, Classifier, DropPath, Pooling};
use crate::optim::schedule;
use crate::parameters::Parameters;
use crate::random::{BatchRng, Purpose};
use crate::stage::{HeldOutResult, MicroBatch, MicroBatchLoss, Task};

/// A classifier and what it is trained against.
#[derive(Debug)]
pub struct Finetuning {
    parameters: Parameters,
    model: Classifier,
    architecture: Architecture,
    config: FinetuneConfig,
    classes: i64,
}

impl Finetuning {
    /// The network of a checked experiment, with random weights; the caller loads others.
    pub fn new(
        experiment: &Experiment,
        architecture: Architecture,
        config: FinetuneConfig,
        device: Device,
    ) -> Self {
        let mut parameters = Parameters::new(experiment.seed, device);
        let (classes, compute) = (experiment.data.classes, config.training.precision.compute());
        let pooling = pooling(&config, &architecture);
        let model = Classifier::new(
            &mut parameters.root(),
            &architecture,
            pooling,
            classes,
            config.head_std,
            compute,
        );
        Self { parameters, model, architecture, config, classes }
    }

    /// Pooling in front of the head.
    pub fn pooling(&self) -> Pooling {
        pooling(&self.config, &self.architecture)
    }

    fn drop_path(&self, rng: BatchRng<'_>) -> Option<DropPath> {
        DropPath::sample(rng, self.architecture.depth, self.config.drop_path, self.parameters.device())
    }

    /// Images and targets as they are trained on: smoothed, mixed.
    fn mixed(&self, micro_batch: &MicroBatch<'_>) -> (Tensor, Tensor) {
        let targets = smooth_targets(&micro_batch.labels, self.classes, self.config.label_smoothing);
        match &self.config.mix {
            None => (micro_batch.images.shallow_clone(), targets),
            Some(mix) => Mixing::sample(mix, micro_batch.rng, self.architecture.image_size)
                .apply(&micro_batch.images, &targets),
        }
    }

    /// Targets of the attack: hard labels, or the mixture where images are mixed.
    fn attack_targets(&self, micro_batch: &MicroBatch<'_>, targets: &Tensor) -> Tensor {
        match self.config.mix {
            None => smooth_targets(&micro_batch.labels, self.classes, 0.0),
            Some(_) => targets.shallow_clone(),
        }
    }

    /// ε of this moment over the final ε: grows from 0 during the warm-up.
    fn epsilon_scale(&self, micro_batch: &MicroBatch<'_>) -> f64 {
        schedule::epsilon(1.0, self.config.epsilon_warmup_epochs, micro_batch.epoch)
    }

    /// Logits `[N, K]` of images `[N, 3, S, S]` in `[0, 1]`, without stochastic depth.
    pub fn classify(&self, x: &Tensor) -> Tensor {
        self.model.logits(x, None)
    }

    /// Adversarial images; attacks see the network without stochastic depth.
    fn attack(&self, micro_batch: &MicroBatch<'_>, images: &Tensor, targets: &Tensor) -> Tensor {
        let Some(epsilon) = self.config.attack.epsilon() else {
            return images.shallow_clone();
        };
        let epsilon_scale = self.epsilon_scale(micro_batch);
        let epsilon = epsilon.0 * epsilon_scale;
        let ball = LinfBall::new(images, epsilon);
        let targets = self.attack_targets(micro_batch, targets);
        let losses = |x: &Tensor| cross_entropy(&self.classify(x), &targets);
        let start = || ball.random_start(images, micro_batch.rng, Purpose::AttackStart);
        match &self.config.attack {
            FinetuneAttack::None {} => images.shallow_clone(),
            FinetuneAttack::Fgsm { step_size, .. } => {
                adversary::pgd(&ball, &start(), 1, step_size.0 * epsilon_scale, |x| {
                    losses(x).sum(Kind::Float)
                })
            }
            FinetuneAttack::Pgd { step_size, steps, .. } => {
                adversary::pgd(&ball, &start(), *steps, step_size.0 * epsilon_scale, |x| {
                    losses(x).sum(Kind::Float)
                })
            }
            FinetuneAttack::Apgd { steps, .. } => adversary::apgd(&ball, images, epsilon, *steps, losses),
            FinetuneAttack::Trades { step_size, steps, .. } => {
                let clean = tch::no_grad(|| self.classify(images));
                let step_size = step_size.0 * epsilon_scale;
                adversary::trades(&ball, &start(), *steps, step_size, &clean, |x| self.classify(x))
            }
        }
    }
}

fn pooling(config: &FinetuneConfig, architecture: &Architecture) -> Pooling {
    config.pooling.unwrap_or(architecture.family.pooling())
}

impl Task for Finetuning {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Cross-entropy on adversarial images (eq. 3), or the two terms of TRADES.
    fn loss(&self, micro_batch: &MicroBatch<'_>) -> Result<MicroBatchLoss> {
        let (images, targets) = self.mixed(micro_batch);
        let adversarial = self.attack(micro_batch, &images, &targets);
        let drop_path = self.drop_path(micro_batch.rng);
        let logits = self.model.logits(&adversarial, drop_path.as_ref());
        let total = match self.config.attack {
            FinetuneAttack::Trades { beta, .. } => {
                let clean = self.model.logits(&images, drop_path.as_ref());
                (cross_entropy(&clean, &targets) + kl_divergence(&clean, &logits) * beta).mean(Kind::Float)
            }
            FinetuneAttack::None {}
            | FinetuneAttack::Fgsm { .. }
            | FinetuneAttack::Pgd { .. }
            | FinetuneAttack::Apgd { .. } => cross_entropy(&logits, &targets).mean(Kind::Float),
        };
        Ok(MicroBatchLoss { total, penalty: None })
    }

    /// Clean accuracy, and accuracy under PGD with the radius that is trained against.
    fn evaluate_held_out(&self, held_out: &EvaluationSet) -> Result<HeldOutResult> {
        let attack =
            self.config.attack.epsilon().filter(|_| self.config.selection.steps > 0).map(|epsilon| {
                let steps = self.config.selection.steps;
                PgdAttack { epsilon: epsilon.0, step_size: epsilon.0 / 4.0, steps }
            });
        let logits = |x: &Tensor| self.classify(x);
        let batches = held_out.batches(self.parameters.device());
        let accuracy = accuracy::measure(logits, batches, attack.as_ref())?;
        let mut fields = Map::from_iter([("clean_accuracy".to_string(), json!(accuracy.clean()))]);
        if let Some(robust) = accuracy.robust() {
            fields.insert("robust_accuracy".into(), json!(robust));
        }
        Ok(HeldOutResult { metric: accuracy.robust().unwrap_or(accuracy.clean()), fields })
    }

    fn is_evaluation_due(&self, epoch: u64, epochs: u64) -> bool {
        (epoch + 1).is_multiple_of(self.config.selection.every_epochs) || epoch + 1 == epochs
    }

    fn header(&self) -> CheckpointHeader {
        CheckpointHeader {
            pooling: Some(self.pooling()),
            classes: usize::try_from(self.classes).ok(),
            ..CheckpointHeader::new(Stage::Finetune, self.architecture.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn task(changes: &str) -> Finetuning {
        let experiment = testing::experiment(&format!("[data]\nclasses = 3\n{changes}"));
        let (architecture, config) =
            (experiment.model.architecture().unwrap(), experiment.finetune.clone().unwrap());
        Finetuning::new(&experiment, architecture, config, Device::Cpu)
    }

    fn micro_batch(epoch: f64) -> MicroBatch<'static> {
        testing::micro_batch([0, 1, 2, 0], epoch)
    }

    fn movement(task: &Finetuning, micro_batch: &MicroBatch<'_>) -> f64 {
        let (images, targets) = task.mixed(micro_batch);
        (task.attack(micro_batch, &images, &targets) - images).abs().max().double_value(&[])
    }

    #[test]
    fn the_ball_grows_during_the_warm_up() {
        let attack =
            "[finetune.attack]\nkind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4\n";
        let task = task(&format!("{attack}[finetune]\nepsilon_warmup_epochs = 2\n"));
        for (epoch, share) in [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (3.0, 1.0)] {
            let moved = movement(&task, &micro_batch(epoch));
            assert!((moved - share * 8.0 / 255.0).abs() < 1e-6, "epoch {epoch}: {moved}");
        }
    }

    #[test]
    fn an_attack_raises_the_loss() {
        let clean = task("[finetune.attack]\nkind = \"none\"\n");
        let loss = |task: &Finetuning| task.loss(&micro_batch(0.0)).unwrap().total.double_value(&[]);
        for attack in [
            "kind = \"fgsm\"\nepsilon = \"8/255\"\nstep_size = \"10/255\"",
            "kind = \"pgd\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4",
            "kind = \"apgd\"\nepsilon = \"8/255\"\nsteps = 2",
        ] {
            let attacked = task(&format!("[finetune.attack]\n{attack}\n"));
            assert!(loss(&attacked) > loss(&clean), "{attack}");
        }
    }

    #[test]
    fn the_loss_of_trades_is_linear_in_its_weight() {
        let loss = |beta: u32| {
            let attack = "kind = \"trades\"\nepsilon = \"8/255\"\nstep_size = \"4/255\"\nsteps = 4";
            let task = task(&format!("[finetune.attack]\n{attack}\nbeta = {beta}\n"));
            task.loss(&micro_batch(0.0)).unwrap().total.double_value(&[])
        };
        let (low, middle, high) = (loss(3), loss(6), loss(9));
        assert!(middle > low);
        assert!(((high - middle) - (middle - low)).abs() < 1e-5, "{low} {middle} {high}");
    }

    #[test]
    fn smoothed_targets_are_trained_on_and_hard_ones_attacked() {
        let task = task("[finetune]\nlabel_smoothing = 0.3\n[finetune.attack]\nkind = \"none\"\n");
        let (_, targets) = task.mixed(&micro_batch(0.0));
        assert!((targets.double_value(&[1, 1]) - 0.8).abs() < 1e-6);
        assert_eq!(task.attack_targets(&micro_batch(0.0), &targets).double_value(&[1, 1]), 1.0);
    }
}
