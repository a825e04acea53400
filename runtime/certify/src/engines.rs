//! The engine that runs the attacks, and the optional engine of the cross-check.

use mimir_runtime::processor;
use mimir_runtime::report::Warning;
use mimir_runtime::session::{Device, Engine, EngineError, EngineKind, Precision};

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
    /// [`ErrorKind::Internal`] when an engine or a device that is asked for is not there, [`ErrorKind::Options`] when it has no reduced
    /// precision and that is asked for.
    pub fn load(options: &EngineOptions) -> Result<Self> {
        let (deciding, reason) = deciding(options).or_kind(ErrorKind::Internal)?;
        expect_precision(&deciding, options.precision)?;
        let other = match options.cross_checking {
            CrossChecking::No => None,
            CrossChecking::Yes => Some(other(&deciding, options)?),
        };
        let warning = reason.map(|reason| Warning::NoOnnxRuntime { reason: reason.to_string() });
        Ok(Self { deciding, other, warning })
    }
}

/// A report may say `mixed` only where that is computed.
fn expect_precision(engine: &Engine, precision: Precision) -> Result<()> {
    let (kind, device) = (engine.kind(), engine.device());
    let has_kernels = kind == EngineKind::OnnxRuntime && device == Device::Cpu;
    if precision == Precision::Float32 || (has_kernels && processor::has_bfloat16_products()) {
        return Ok(());
    }
    let message = format!(
        "searches in bfloat16 need ONNX Runtime on a processor with AVX512-BF16 (x86-64) or on aarch64, and these would run \
         in float32 on {} ({device})",
        kind.name()
    );
    Err(Error::new(ErrorKind::Options, message).about(OptionName::Precision))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_precision_is_refused_where_nothing_computes_in_it() {
        let rten =
            |precision| EngineOptions { choice: EngineChoice::Rten, precision, ..EngineOptions::default() };
        assert!(Engines::load(&rten(Precision::Float32)).is_ok());
        let error = Engines::load(&rten(Precision::Mixed)).unwrap_err();
        assert_eq!((error.kind(), error.option()), (ErrorKind::Options, Some(OptionName::Precision)));
        assert!(error.to_string().contains("in float32 on rten"), "{error}");
    }
}
