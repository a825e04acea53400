//! The engine that runs the attacks, and the optional engine of the cross-check.

use mimir_runtime::report::Warning;
use mimir_runtime::session::{Device, Engine, EngineError, EngineKind};

use crate::error::{Error, ErrorKind, OptionName, OrKind, Result};
use crate::options::{CrossChecking, EngineChoice, EngineOptions};

/// The engines of a run.
#[derive(Debug)]
pub struct Engines {
    /// It runs the attacks, and its verdicts count.
    pub deciding: Engine,
    /// It is shown the counterexamples, where that was asked for.
    pub other: Option<Engine>,
    /// A warning if rten runs because no engine was selected and ONNX Runtime was not found.
    pub warning: Option<Warning>,
}

impl Engines {
    /// Finds and starts what the options ask for.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when an engine or a device that is asked for is not there.
    pub fn load(options: &EngineOptions) -> Result<Self> {
        let (deciding, reason) = deciding(options).or_kind(ErrorKind::Internal)?;
        let other = match options.cross_checking {
            CrossChecking::No => None,
            CrossChecking::Yes => Some(other(&deciding, options)?),
        };
        let warning = reason.map(|reason| Warning::NoOnnxRuntime { reason: reason.to_string() });
        Ok(Self { deciding, other, warning })
    }
}

/// The engine that decides, and why it is not ONNX Runtime where nobody chose it.
pub(crate) fn deciding(
    options: &EngineOptions,
) -> std::result::Result<(Engine, Option<EngineError>), EngineError> {
    let library = options.library.as_deref();
    let (engine, reason) = match options.choice {
        // Only ONNX Runtime knows other devices.
        EngineChoice::Found if options.device == Device::Cpu => Engine::load_or_rten(library)?,
        EngineChoice::Found | EngineChoice::OnnxRuntime => (Engine::load(library)?, None),
        EngineChoice::Rten => (Engine::rten(), None),
    };
    Ok((engine.on(options.device)?, reason))
}

fn other(deciding: &Engine, options: &EngineOptions) -> Result<Engine> {
    match deciding.kind() {
        EngineKind::OnnxRuntime => Ok(Engine::rten()),
        EngineKind::Rten => Engine::load(options.library.as_deref()).map_err(|error| {
            let message = format!("no engine other than rten is available: {error}");
            Error::new(ErrorKind::Internal, message).about(OptionName::CrossChecking)
        }),
    }
}
