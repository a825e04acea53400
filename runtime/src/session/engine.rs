//! The engines behind one seam: ONNX Runtime, a library found at run time, and rten, linked in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mimir_bundle::digest::{FileDigest, digest_reader};
use mimir_files::Opened;

use super::kind::EngineKind;
use super::library_probe::{library_to_try, start_again_for_libraries, try_here};
use super::locate::{LibrarySearch, loaded_from};
use super::onnx_runtime::OnnxRuntime;
use super::rten::VERSION as RTEN_VERSION;
use super::specialise::specialise;
use super::{Device, EngineError};

/// A loaded engine and the device that its sessions run on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    backend: Backend,
    device: Device,
}

/// The engine itself.
#[derive(Debug, Clone)]
pub(super) enum Backend {
    OnnxRuntime(OnnxRuntime),
    Rten,
}

impl Engine {
    /// ONNX Runtime on the processor: loaded, or the one that is loaded.
    ///
    /// Looked for, in this order: `explicit`; beside the shared library that this code is in, where it is in one; the
    /// variables `MIMIR_ORT_DYLIB` and `ORT_DYLIB_PATH`; `.mimir/onnxruntime-*/` in a folder around the program (where
    /// `make setup` puts it) and beside the program, where this code is a part of it; the system's loader.
    ///
    /// # Errors
    /// When there is none, when it is older than 1.24, or when another one is loaded than the `explicit` one.
    pub fn load(explicit: Option<&Path>) -> Result<Self, EngineError> {
        Ok(Self { backend: Backend::OnnxRuntime(OnnxRuntime::load(explicit)?), device: Device::Cpu })
    }

    /// For the beginning of a program's `main`, before anything else: from then on [`Engine::load`] first starts the
    /// program once more, to load the library there, so that one that crashes is an error and not the end of this process.
    ///
    /// Returns the exit code of that other process where this is it: to be returned at once. A program that does not
    /// call this loads the library that it is told without such a trial.
    #[must_use]
    pub fn try_libraries_in_processes_of_their_own() -> Option<ExitCode> {
        match library_to_try(std::env::args_os()) {
            Some(library) => Some(try_here(|| OnnxRuntime::attempt(&library))),
            None => {
                start_again_for_libraries();
                None
            }
        }
    }

    /// The ONNX Runtime of this process, where one is loaded.
    pub fn loaded() -> Option<Self> {
        let library = OnnxRuntime::loaded()?;
        Some(Self { backend: Backend::OnnxRuntime(library), device: Device::Cpu })
    }

    /// rten on the processor: always there.
    pub fn rten() -> Self {
        Self { backend: Backend::Rten, device: Device::Cpu }
    }

    /// ONNX Runtime as [`Engine::load`] finds it; where there is none that can be used, and nobody named one, rten and
    /// the reason why.
    ///
    /// # Errors
    /// As [`Engine::load`], where a library was named with `explicit` or a variable.
    pub fn load_or_rten(explicit: Option<&Path>) -> Result<(Self, Option<EngineError>), EngineError> {
        match Self::load(explicit) {
            Ok(engine) => Ok((engine, None)),
            Err(reason)
                if reason.is_absence() && !LibrarySearch::from_process(explicit).names_a_library() =>
            {
                Ok((Self::rten(), Some(reason)))
            }
            Err(error) => Err(error),
        }
    }

    /// The same engine with its sessions on `device`.
    ///
    /// # Errors
    /// When the engine does not know the device, or cannot start it: there is no silent way back to the processor.
    pub fn on(self, device: Device) -> Result<Self, EngineError> {
        match (&self.backend, device) {
            (_, Device::Cpu) => {}
            (Backend::Rten, device) => return Err(EngineError::ProcessorOnly(device)),
            (Backend::OnnxRuntime(library), device) => library.check_device(device)?,
        }
        Ok(Self { device, ..self })
    }

    /// Which engine it is.
    pub fn kind(&self) -> EngineKind {
        match self.backend {
            Backend::OnnxRuntime(_) => EngineKind::OnnxRuntime,
            Backend::Rten => EngineKind::Rten,
        }
    }

    /// Its version, e.g. `1.32.0`.
    pub fn version(&self) -> &str {
        match &self.backend {
            Backend::OnnxRuntime(library) => library.version(),
            Backend::Rten => RTEN_VERSION,
        }
    }

    /// The model with all that does not depend on its inputs computed, in standard operators. The bytes must be our own
    /// serialisation of a graph, as for [`RawSession::new`](super::RawSession::new), with a number for every size of
    /// its inputs.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when the engine refuses the model, or is rten, which cannot hand out what it makes of
    /// one.
    pub fn specialise(&self, model: &[u8]) -> Result<Vec<u8>, EngineError> {
        match &self.backend {
            Backend::OnnxRuntime(library) => specialise(library, model),
            Backend::Rten => Err(EngineError::Failed {
                engine: EngineKind::Rten.name(),
                message: "cannot specialise a model".to_owned(),
            }),
        }
    }

    /// The engine itself, for those who build sessions.
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Where its sessions run.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The file of the library and its digest, as it lies on the disk now; rten is a part of the program.
    ///
    /// # Errors
    /// When it cannot be found any more, or not be read.
    pub fn library_file(&self) -> Result<Option<FileDigest>, EngineError> {
        let Some(path) = self.library_path()? else { return Ok(None) };
        let failed = |error| self.library_error(&path, &error);
        let Opened { file, metadata } = mimir_files::open(&path).map_err(failed)?;
        let (bytes, sha256) = (metadata.len(), digest_reader(file).map_err(failed)?);
        Ok(Some(FileDigest { name: path.display().to_string(), bytes, sha256 }))
    }

    /// The file of the library, links followed; rten is a part of the program.
    ///
    /// # Errors
    /// When it cannot be found any more.
    pub fn library_path(&self) -> Result<Option<PathBuf>, EngineError> {
        let Some(path) = self.library() else { return Ok(None) };
        loaded_from(path).map(Some).map_err(|error| self.library_error(path, &error))
    }

    fn library_error(&self, path: &Path, error: &std::io::Error) -> EngineError {
        let message = format!("library {}: {error}", path.display());
        EngineError::Failed { engine: self.kind().name(), message }
    }

    /// Where the library was loaded from; rten is a part of the program.
    pub fn library(&self) -> Option<&Path> {
        match &self.backend {
            Backend::OnnxRuntime(library) => Some(library.path()),
            Backend::Rten => None,
        }
    }
}
