//! What a check needs to know.

use mimir_bundle::{AttackSpec, ThreatModel};
use mimir_export::InputSpec;

use crate::model_input::ModelInput;
use crate::options::{ApproximateSearch, EngineOptions, ImageSource};

/// What a check needs to know.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The ONNX file, or the bundle with it.
    pub model: ModelInput,
    /// The images and labels; without them nothing is said of the accuracy.
    pub images: Option<ImageSource>,
    /// What the file does not say of its own input.
    pub input: InputSpec,
    /// What the adversary may do.
    pub threat_model: ThreatModel,
    /// The attacks whose cost is estimated.
    pub attacks: Vec<AttackSpec>,
    /// The tensor of the model whose values attacks on features would move, as for a run.
    pub feature: Option<String>,
    /// What happens where the graphs that attacks would search are not the function of the file.
    pub approximate_search: ApproximateSearch,
    /// What runs the model, and how.
    pub engine: EngineOptions,
}
