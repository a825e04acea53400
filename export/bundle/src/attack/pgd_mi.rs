//! Parameters of PGD with MIMIR's penalty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameter::{Parameter, Parameters};

/// Parameters of PGD-MI (Xu et al., "MIMIR: Masked image modeling for mutual information-based adversarial robustness",
/// equation 18): PGD on the cross entropy and a dependence of features and pixels, the nHSIC of the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PgdMiSpec {
    /// Steps of one run.
    pub steps: usize,
    /// Runs from independent random starts.
    pub restarts: usize,
    /// Length of a step in units of ε. The default is the customary 2/255 at ε = 8/255.
    pub step_size: f64,
    /// Weight of the penalty beside the mean cross entropy of its batch: λ.
    pub penalty_weight: f64,
    /// Images that the penalty is of, the attacked one and others as they are: m. Fewer where the set has fewer.
    pub penalty_batch: usize,
    /// Width of the Gaussian kernels, as a root mean squared difference of coordinates: σ.
    pub kernel_width: f64,
    /// Regularisation of the kernel matrices for each image of the batch.
    pub ridge: f64,
    /// The tensor of the model file whose values are the features. Where none is named, the program chooses, and what it chose
    /// stands here in the record of a run.
    pub feature: Option<String>,
    /// The images that an attacked image shares its batch with, by their positions in the set: the first m - 1 that are not
    /// it. Where there are none, m are drawn by the seed, and stand here in the record of a run.
    pub reference_images: Vec<usize>,
}

impl Default for PgdMiSpec {
    fn default() -> Self {
        Self {
            steps: 100,
            restarts: 1,
            step_size: 0.25,
            penalty_weight: 1e-5,
            penalty_batch: 16,
            kernel_width: 5.0,
            ridge: 1e-5,
            feature: None,
            reference_images: Vec::new(),
        }
    }
}

impl Parameters for PgdMiSpec {
    fn parameters(&mut self) -> Vec<Parameter<'_>> {
        let Self {
            steps,
            restarts,
            step_size,
            penalty_weight,
            penalty_batch,
            kernel_width,
            ridge,
            // These have no ranges: they follow from the model and the images.
            feature: _,
            reference_images: _,
        } = self;
        vec![
            Parameter::count("steps", steps),
            Parameter::count("restarts", restarts),
            Parameter::positive("step_size", step_size),
            Parameter::positive("penalty_weight", penalty_weight),
            Parameter::count("penalty_batch", penalty_batch),
            Parameter::positive("kernel_width", kernel_width),
            Parameter::positive("ridge", ridge),
        ]
    }
}
