//! Adversarial training of a classifier.

use anyhow::Result;
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::adversary::{self, LinfBall};
use crate::config::{Experiment, FinetuneAttack, FinetuneConfig};
use crate::images::Evaluated;
use crate::loss::{Mixing, cross_entropy, kl_divergence, smooth_targets};
use crate::measure::{self, PgdAttack};
use crate::model::{Architecture, Classifier, DropPath, Pooling};
use crate::optim::schedule;
use crate::parameters::Parameters;
use crate::random::{Draws, Purpose};
use crate::stage::{Part, PartLoss, Selection, Task};

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

    /// What the head reads.
    pub fn pooling(&self) -> Pooling {
        pooling(&self.config, &self.architecture)
    }

    fn drop_path(&self, draws: Draws<'_>) -> Option<DropPath> {
        DropPath::draw(draws, self.architecture.depth, self.config.drop_path, self.parameters.device())
    }

    /// Images and targets as they are trained on: smoothed, mixed.
    fn mixed(&self, part: &Part<'_>) -> (Tensor, Tensor) {
        let targets = smooth_targets(&part.labels, self.classes, self.config.label_smoothing);
        match &self.config.mix {
            None => (part.images.shallow_clone(), targets),
            Some(mix) => {
                Mixing::draw(mix, part.draws, self.architecture.image_size).apply(&part.images, &targets)
            }
        }
    }

    /// Targets of the attack: hard labels, or the mixture where images are mixed.
    fn attack_targets(&self, part: &Part<'_>, targets: &Tensor) -> Tensor {
        match self.config.mix {
            None => smooth_targets(&part.labels, self.classes, 0.0),
            Some(_) => targets.shallow_clone(),
        }
    }

    /// ε of this moment over the final ε: grows from 0 during the warm-up.
    fn growth(&self, part: &Part<'_>) -> f64 {
        schedule::epsilon(1.0, self.config.epsilon_warmup_epochs, part.epoch)
    }

    /// Logits `[N, K]` of images `[N, 3, S, S]` in `[0, 1]`, without stochastic depth.
    pub fn classify(&self, x: &Tensor) -> Tensor {
        self.model.logits(x, None)
    }

    /// Adversarial images; attacks see the network without stochastic depth.
    fn attack(&self, part: &Part<'_>, images: &Tensor, targets: &Tensor) -> Tensor {
        let Some(epsilon) = self.config.attack.epsilon() else {
            return images.shallow_clone();
        };
        let growth = self.growth(part);
        let epsilon = epsilon.0 * growth;
        let ball = LinfBall::new(images, epsilon);
        let targets = self.attack_targets(part, targets);
        let losses = |x: &Tensor| cross_entropy(&self.classify(x), &targets);
        let start = || ball.random_start(images, part.draws, Purpose::AttackStart);
        match &self.config.attack {
            FinetuneAttack::None {} => images.shallow_clone(),
            FinetuneAttack::Fgsm { step_size, .. } => {
                adversary::pgd(&ball, &start(), 1, step_size.0 * growth, |x| losses(x).sum(Kind::Float))
            }
            FinetuneAttack::Pgd { step_size, steps, .. } => {
                adversary::pgd(&ball, &start(), *steps, step_size.0 * growth, |x| losses(x).sum(Kind::Float))
            }
            FinetuneAttack::Apgd { steps, .. } => adversary::apgd(&ball, images, epsilon, *steps, losses),
            FinetuneAttack::Trades { step_size, steps, .. } => {
                let clean = tch::no_grad(|| self.classify(images));
                let step_size = step_size.0 * growth;
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
    fn loss(&self, part: &Part<'_>) -> Result<PartLoss> {
        let (images, targets) = self.mixed(part);
        let adversarial = self.attack(part, &images, &targets);
        let drop_path = self.drop_path(part.draws);
        let logits = self.model.logits(&adversarial, drop_path.as_ref());
        let total = match self.config.attack {
            FinetuneAttack::Trades { beta, .. } => {
                let clean = self.model.logits(&images, drop_path.as_ref());
                (cross_entropy(&clean, &targets) + kl_divergence(&clean, &logits) * beta).mean(Kind::Float)
            }
            _ => cross_entropy(&logits, &targets).mean(Kind::Float),
        };
        Ok(PartLoss { total, penalty: None })
    }

    /// Clean accuracy, and accuracy under PGD with the radius that is trained against.
    fn select(&self, held_out: &Evaluated) -> Result<Selection> {
        let attack =
            self.config.attack.epsilon().filter(|_| self.config.selection.steps > 0).map(|epsilon| {
                let steps = self.config.selection.steps;
                PgdAttack { epsilon: epsilon.0, step_size: epsilon.0 / 4.0, steps }
            });
        let logits = |x: &Tensor| self.classify(x);
        let batches = held_out.batches(self.parameters.device());
        let accuracy = measure::accuracy(logits, batches, attack.as_ref())?;
        let mut fields = Map::from_iter([("clean_accuracy".to_string(), json!(accuracy.clean()))]);
        if let Some(robust) = accuracy.robust() {
            fields.insert("robust_accuracy".into(), json!(robust));
        }
        Ok(Selection { metric: accuracy.robust().unwrap_or(accuracy.clean()), fields })
    }

    fn selects_after(&self, epoch: u64, epochs: u64) -> bool {
        (epoch + 1).is_multiple_of(self.config.selection.every_epochs) || epoch + 1 == epochs
    }

    fn about(&self) -> Value {
        json!({
            "stage": "finetune",
            "architecture": self.architecture,
            "pooling": self.pooling(),
            "classes": self.classes,
        })
    }
}
