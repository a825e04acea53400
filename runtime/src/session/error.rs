//! What can go wrong with an engine, and the way out.

use std::path::PathBuf;

use super::{Device, StopReason};

/// The first release that refuses external data outside the model's folder; older ones read any file of the machine.
pub(super) const OLDEST_MINOR_VERSION: u32 = 24;

/// An error from an engine or from finding it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No library where one was looked for.
    #[error(
        "ONNX Runtime was not found (tried {tried}); run `make setup` in the checkout, or give a libonnxruntime of \
         version 1.{OLDEST_MINOR_VERSION} or newer with --onnxruntime PATH or the environment variable \
         MIMIR_ORT_DYLIB{last}"
    )]
    NotFound {
        /// The files that were tried, separated by commas.
        tried: String,
        /// What the loader said about the last one that exists.
        last: String,
    },
    /// A library that is too old.
    #[error(
        "ONNX Runtime {version} ({}) is too old: 1.{OLDEST_MINOR_VERSION} or newer is needed, because older \
         versions read files outside the model's folder; run `make setup`, or give another library with \
         MIMIR_ORT_DYLIB",
        library.display()
    )]
    TooOld {
        /// What it says it is.
        version: String,
        /// Where it is.
        library: PathBuf,
    },
    /// A process can hold one library.
    #[error("ONNX Runtime is already loaded from {}, cannot load {} too", loaded.display(), asked.display())]
    AlreadyLoaded {
        /// The one in use.
        loaded: PathBuf,
        /// The one that was asked for.
        asked: PathBuf,
    },
    /// A device that this ONNX Runtime was not built for.
    #[error(
        "device {device}: ONNX Runtime {version} ({}) was built without {}; install its build for NVIDIA GPUs (the \
         package onnxruntime-gpu, or the archive onnxruntime-linux-x64-gpu of its releases) with the versions of \
             CUDA, cuDNN and TensorRT that it requires, and give its libonnxruntime with --onnxruntime PATH or the \
             environment variable MIMIR_ORT_DYLIB; or use --device cpu",
        library.display(),
        device.provider()
    )]
    DeviceAbsent {
        /// What was asked for.
        device: Device,
        /// Version of the library.
        version: String,
        /// Where it is.
        library: PathBuf,
    },
    /// A device that ONNX Runtime knows and cannot start.
    #[error(
        "device {device}: {} of ONNX Runtime {version} ({}) does not start: {message}; it needs the NVIDIA driver, \
         and the versions of CUDA, cuDNN and TensorRT that it requires on the library path (LD_LIBRARY_PATH); or \
         use --device cpu",
        device.provider(),
        library.display()
    )]
    DeviceFailed {
        /// What was asked for.
        device: Device,
        /// Version of the library.
        version: String,
        /// Where it is.
        library: PathBuf,
        /// What it said.
        message: String,
    },
    /// rten runs on the processor only.
    #[error("device {0}: rten runs on the CPU only; omit --device, or use ONNX Runtime with --engine ort")]
    ProcessorOnly(Device),
    /// rten has no kernel for a node, or one that computes something else.
    #[error(
        "rten {version} cannot run node `{node}`: {what}; ONNX Runtime can: omit --engine rten or --cross-check. If \
         ONNX Runtime is not installed, run `make setup` in the checkout, or give a libonnxruntime with \
         --onnxruntime PATH or the environment variable MIMIR_ORT_DYLIB"
    )]
    Unsupported {
        /// The release of rten.
        version: &'static str,
        /// The node's name, or that of its first output where it has none.
        node: String,
        /// Its operator and what is wrong with it.
        what: String,
    },
    /// The engine refused a model or failed to run it.
    #[error("{engine}: {message}")]
    Failed {
        /// Which engine.
        engine: &'static str,
        /// What it said.
        message: String,
    },
    /// The run ended before it had finished.
    #[error("the run {0}")]
    Stopped(StopReason),
    /// An output that is not a tensor of 32-bit floats.
    #[error("output {0} of the model is not a tensor of 32-bit floats")]
    OutputType(String),
}

impl EngineError {
    /// Whether there is no ONNX Runtime that could be used, so that another engine may serve.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::TooOld { .. })
    }
}
