//! A model as ONNX Runtime's basic optimisation leaves it: what does not depend on the inputs is computed.
//!
//! With every size of the inputs a number, that is all arithmetic on shapes, in whatever operators an exporter wrote
//! it; what remains are standard operators. Our own shape inference can then read models whose sizes it could not
//! follow.

use super::onnx_runtime::{OnnxRuntime, write_optimised};
use super::{EngineError, EngineKind, Optimisation, SessionOptions};

/// The bytes of the model after [`Optimisation::Basic`]. The inputs must have fixed sizes.
pub(super) fn specialise(library: &OnnxRuntime, model: &[u8]) -> Result<Vec<u8>, EngineError> {
    let failed = |error: std::io::Error| EngineError::Failed {
        engine: EngineKind::OnnxRuntime.name(),
        message: format!("a temporary folder: {error}"),
    };
    // ONNX Runtime hands the model out only as a file.
    let folder = tempfile::tempdir().map_err(failed)?;
    let path = folder.path().join("specialised.onnx");
    let options = SessionOptions { optimisation: Optimisation::Basic, ..SessionOptions::default() };
    write_optimised(library, model, options, &path)?;
    mimir_files::read(&path, u64::MAX).map_err(failed)
}
