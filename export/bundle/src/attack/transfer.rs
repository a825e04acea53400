//! Parameters of transfer from a surrogate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};
use crate::{ChannelOrder, Normalisation};

/// Parameters of transfer: Auto-PGD on another model, whose points are shown to the attacked one (Papernot, McDaniel and
/// Goodfellow, "Transferability in machine learning", 2016).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransferSpec {
    /// The other model; none before it is read.
    pub surrogate: Option<SurrogateModel>,
    /// Target classes, the wrong classes of highest clean logit of the attacked model, beside the search without target.
    pub targets: usize,
    /// Steps of one run on the surrogate.
    pub steps: usize,
    /// Runs from independent random starts, for each target and without.
    pub restarts: usize,
}

/// The model that points come from. Two are equal whatever their files are called.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurrogateModel {
    /// Name of its file.
    pub file: String,
    /// Its digest, as `model_digest` of the attacked model.
    pub model_digest: String,
    /// What it expects in place of pixels in `[0, 1]`; none where it takes those.
    pub normalisation: Option<Normalisation>,
    /// Order of the colours in its input.
    pub channel_order: ChannelOrder,
    /// Name of its output with the scores of the classes.
    pub output_name: String,
}

impl PartialEq for SurrogateModel {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| {
            (it.model_digest.clone(), it.normalisation.clone(), it.channel_order, it.output_name.clone())
        };
        of(self) == of(other)
    }
}

impl Default for TransferSpec {
    fn default() -> Self {
        Self { surrogate: None, targets: 3, steps: 100, restarts: 1 }
    }
}

impl Parameters for TransferSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self {
            // Is no number: `--surrogate` chooses it.
            surrogate: _,
            targets,
            steps,
            restarts,
        } = self;
        vec![
            Parameter::count("targets", targets),
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
        ]
    }
}
