//! The one file that names `ort`: loading the library, and sessions with named inputs and outputs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

use super::locate::Surroundings;

/// The first release that refuses external data outside the model's folder; older ones read any file of the machine.
const OLDEST_MINOR_VERSION: u32 = 24;

/// An error from ONNX Runtime or from finding it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No library where one was looked for.
    #[error(
        "ONNX Runtime was not found (tried {tried}); run `make setup` in the checkout, or name a libonnxruntime \
         of version 1.{OLDEST_MINOR_VERSION} or newer with --onnxruntime PATH or the variable MIMIR_ORT_DYLIB{last}"
    )]
    NotFound {
        /// The files that were tried, separated by commas.
        tried: String,
        /// What the loader said about the last one that exists.
        last: String,
    },
    /// A library that is too old.
    #[error(
        "ONNX Runtime {version} ({}) is too old: 1.{OLDEST_MINOR_VERSION} or newer is needed, because older ones \
         read files outside the model's folder; run `make setup`, or name another with MIMIR_ORT_DYLIB",
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
    /// ONNX Runtime refused a model or failed to run it.
    #[error("ONNX Runtime: {0}")]
    Failed(String),
    /// An output that is not a tensor of 32-bit floats.
    #[error("output {0} of the model is not a tensor of 32-bit floats")]
    OutputType(String),
}

impl<R> From<ort::Error<R>> for EngineError {
    fn from(error: ort::Error<R>) -> Self {
        Self::Failed(error.message().to_owned())
    }
}

/// The loaded ONNX Runtime: one a process, cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    environment: Environment,
    version: Arc<str>,
    library: Arc<Path>,
}

/// `ort` allows one environment a process, even after the first is dropped: it is kept for ever.
static LOADED: Mutex<Option<Engine>> = Mutex::new(None);

impl Engine {
    /// Loads ONNX Runtime, or returns the one that is loaded.
    ///
    /// Looked for, in this order: `explicit`; the variables `MIMIR_ORT_DYLIB` and `ORT_DYLIB_PATH`;
    /// `.mimir/onnxruntime-*/` in a folder around the program (where `make setup` puts it); beside the program; the
    /// system's loader.
    ///
    /// # Errors
    /// When there is none, when it is older than 1.24, or when another one is loaded than the `explicit` one.
    pub fn load(explicit: Option<&Path>) -> Result<Self, EngineError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = loaded.as_ref() {
            return engine.clone().if_asked(explicit);
        }
        let engine = Self::find(&Surroundings::of_process(explicit).candidates())?;
        Ok(loaded.insert(engine).clone())
    }

    fn if_asked(self, explicit: Option<&Path>) -> Result<Self, EngineError> {
        match explicit {
            Some(asked) if !same_file(asked, &self.library) => Err(EngineError::AlreadyLoaded {
                loaded: self.library.to_path_buf(),
                asked: asked.to_path_buf(),
            }),
            _ => Ok(self),
        }
    }

    fn find(candidates: &[PathBuf]) -> Result<Self, EngineError> {
        let mut last = String::new();
        for library in candidates {
            match version_of(library) {
                Ok(version) => return Self::start(library, &version),
                Err(message) if library.exists() => last = format!("; {message}"),
                Err(_) => {}
            }
        }
        let tried: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        Err(EngineError::NotFound { tried: tried.join(", "), last })
    }

    fn start(library: &Path, version: &str) -> Result<Self, EngineError> {
        if minor_version(version).is_none_or(|minor| minor < OLDEST_MINOR_VERSION) {
            return Err(EngineError::TooOld { version: version.to_owned(), library: library.to_path_buf() });
        }
        let builder = ort::init_from(library).map_err(|error| EngineError::Failed(error.to_string()))?;
        let environment = builder.with_name("mimir").with_telemetry(false).build()?;
        environment.set_log_level(LogLevel::Error);
        Ok(Self { environment, version: version.into(), library: library.into() })
    }

    /// Version of the library, e.g. `1.32.0`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it was loaded from.
    pub fn library(&self) -> &Path {
        &self.library
    }
}

fn same_file(left: &Path, right: &Path) -> bool {
    left == right
        || matches!((left.canonicalize(), right.canonicalize()), (Ok(left), Ok(right)) if left == right)
}

/// The second number of `1.32.0`; `None` for another major version than 1.
fn minor_version(version: &str) -> Option<u32> {
    let mut numbers = version.split('.');
    (numbers.next()? == "1").then(|| numbers.next()?.parse().ok()).flatten()
}

/// Opens a library and asks it for its version. It stays loaded: `ort` opens the same file next.
///
/// `ort` knows the version too but does not tell it, and a certificate must name it.
#[allow(unsafe_code, reason = "the C interface has no safe way to ask for the version")]
fn version_of(library: &Path) -> Result<String, String> {
    type ApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: loading runs the library's initialisers. The path is what the user named or what `make setup` checked
    // against a digest, and `ort` loads the same file.
    let handle = unsafe { libloading::Library::new(library) }.map_err(|error| loader_words(&error))?;
    // SAFETY: `OrtGetApiBase` has had this signature since ONNX Runtime 1.0 (onnxruntime_c_api.h).
    let entry = unsafe { handle.get::<ApiBase>(b"OrtGetApiBase\0") }.map_err(|error| loader_words(&error))?;
    // SAFETY: it takes no arguments and returns a pointer to a static table, or null.
    let base = unsafe { entry().as_ref() }.ok_or("OrtGetApiBase returned null")?;
    // SAFETY: it takes no arguments and returns a static string that ends in a zero byte (same header).
    let text = unsafe { std::ffi::CStr::from_ptr((base.GetVersionString)()) };
    let version = text.to_string_lossy().into_owned();
    std::mem::forget(handle);
    Ok(version)
}

/// What the system's loader said: `libloading` keeps it one level down.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// How much ONNX Runtime rewrites a graph before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Optimisation {
    /// Nothing.
    Disabled,
    /// Only what keeps the meaning exactly: folding, removal of dead nodes.
    Basic,
    /// Fusions and memory layout too: the default of ONNX Runtime.
    #[default]
    All,
}

impl Optimisation {
    fn level(self) -> GraphOptimizationLevel {
        match self {
            Self::Disabled => GraphOptimizationLevel::Disable,
            Self::Basic => GraphOptimizationLevel::Level1,
            Self::All => GraphOptimizationLevel::All,
        }
    }

    /// The word that a certificate records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Basic => "basic",
            Self::All => "all",
        }
    }
}

/// In which numbers the kernels of a session may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Float32,
    /// Matrix products in bfloat16 where the processor has them; everything else in 32-bit floats.
    Mixed,
}

impl Precision {
    /// The processors for which ONNX Runtime has CPU kernels of reduced precision, by the name of their architecture.
    pub const MIXED_ON: &'static str = "aarch64";

    /// The word of the command line and of journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Mixed => "mixed",
        }
    }

    /// Configuration entry of a session, and its value (onnxruntime_session_options_config_keys.h).
    fn entry(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Float32 => None,
            Self::Mixed => Some(("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")),
        }
    }
}

/// How a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Threads inside an operator, at least 1. With 1 the caller's own thread does all the work.
    pub threads: usize,
    /// Graph rewriting.
    pub optimisation: Optimisation,
    /// Numbers.
    pub precision: Precision,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { threads: 1, optimisation: Optimisation::default(), precision: Precision::default() }
    }
}

/// The elements of an input.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 64-bit integers.
    I64(&'a [i64]),
}

/// A named input tensor, borrowed for one run.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Name in the graph.
    pub name: &'a str,
    /// Dimensions.
    pub dims: &'a [usize],
    /// Elements, row-major; as many as the dimensions say.
    pub data: Data<'a>,
}

impl Input<'_> {
    fn value(&self) -> Result<SessionInputValue<'_>, EngineError> {
        Ok(match self.data {
            Data::F32(data) => TensorRef::from_array_view((self.dims, data))?.into(),
            Data::I64(data) => TensorRef::from_array_view((self.dims, data))?.into(),
        })
    }
}

/// A named output tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Name in the graph.
    pub name: String,
    /// Dimensions.
    pub dims: Vec<usize>,
    /// Elements, row-major.
    pub data: Vec<f32>,
}

/// A session over one model: named tensors in, named tensors out.
///
/// Operators run one after the other; the memory arena is on (without it a gradient graph is 1.7 times slower); threads
/// never spin, so that several sessions in one process do not slow each other.
#[derive(Debug)]
pub struct RawSession {
    session: Session,
}

impl RawSession {
    /// Builds a session. The bytes must be our own serialisation of a graph, never a foreign file: ONNX Runtime
    /// expands nested functions without a bound and reads external data from the current folder.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when ONNX Runtime refuses the model.
    pub fn new(engine: &Engine, model: &[u8], options: SessionOptions) -> Result<Self, EngineError> {
        let builder = Session::builder(&engine.environment)?;
        let builder = builder.with_intra_threads(options.threads.max(1))?;
        let builder = builder.with_inter_threads(1)?;
        let builder = builder.with_parallel_execution(false)?;
        let builder = builder.with_intra_op_spinning(false)?;
        let builder = builder.with_deterministic_compute(true)?;
        let builder = builder.with_log_level(LogLevel::Error)?;
        let mut builder = builder.with_optimization_level(options.optimisation.level())?;
        if let Some((key, value)) = options.precision.entry() {
            builder = builder.with_config_entry(key, value)?;
        }
        Ok(Self { session: builder.commit_from_memory(model)? })
    }

    /// Runs the model and copies its outputs out, in the order of the graph.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when an input does not fit or an operator fails, [`EngineError::OutputType`] for an
    /// output that is not `float32`.
    pub fn run(&mut self, inputs: &[Input]) -> Result<Vec<Output>, EngineError> {
        let mut outputs = Vec::new();
        self.run_with(inputs, |name, dims, data| {
            let dims = dims.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)).collect();
            outputs.push(Output { name: name.to_owned(), dims, data: data.to_vec() });
        })?;
        Ok(outputs)
    }

    /// Runs the model and shows each output (name, dimensions, elements) to `visit`, without a copy.
    ///
    /// # Errors
    /// As [`RawSession::run`].
    pub fn run_with(
        &mut self,
        inputs: &[Input],
        mut visit: impl FnMut(&str, &[i64], &[f32]),
    ) -> Result<(), EngineError> {
        let values: Vec<(&str, SessionInputValue)> = inputs
            .iter()
            .map(|input| Ok((input.name, input.value()?)))
            .collect::<Result<_, EngineError>>()?;
        let outputs = self.session.run(values)?;
        for (name, value) in &outputs {
            let (shape, data) =
                value.try_extract_tensor::<f32>().map_err(|_| EngineError::OutputType(name.to_owned()))?;
            visit(name, shape, data);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_the_checkout_is_found_and_names_its_version() {
        let engine = Engine::load(None).unwrap();
        assert!(minor_version(engine.version()).unwrap() >= OLDEST_MINOR_VERSION);
        assert!(engine.library().to_string_lossy().contains("onnxruntime"), "{:?}", engine.library());
        assert_eq!(Engine::load(Some(engine.library())).unwrap().version(), engine.version());
    }

    #[test]
    fn a_second_library_is_refused() {
        let engine = Engine::load(None).unwrap();
        let asked = PathBuf::from("/elsewhere/libonnxruntime.so");
        let error = Engine::load(Some(&asked)).unwrap_err();
        assert_eq!(error, EngineError::AlreadyLoaded { loaded: engine.library().to_path_buf(), asked });
    }

    #[test]
    fn an_absent_library_is_an_error_that_names_the_ways_to_provide_it() {
        let error = Engine::find(&[PathBuf::from("/nonexistent/libonnxruntime.so")]).unwrap_err().to_string();
        for way in ["/nonexistent/libonnxruntime.so", "make setup", "--onnxruntime", "MIMIR_ORT_DYLIB"] {
            assert!(error.contains(way), "{way} is not in: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error_that_says_why() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Engine::find(&[file.path().to_path_buf()]).unwrap_err().to_string();
        assert!(error.contains("file too short"), "{error}");
    }

    #[test]
    fn old_releases_are_refused_by_number() {
        for (version, accepted) in
            [("1.32.0", true), ("1.24.0", true), ("1.23.2", false), ("2.24.0", false), ("nightly", false)]
        {
            let minor = minor_version(version);
            assert_eq!(minor.is_some_and(|minor| minor >= OLDEST_MINOR_VERSION), accepted, "{version}");
        }
        let error = Engine::start(Path::new("/old.so"), "1.23.2").unwrap_err();
        assert!(matches!(error, EngineError::TooOld { .. }), "{error}");
    }

    #[test]
    fn bytes_that_are_no_model_are_an_error() {
        let engine = Engine::load(None).unwrap();
        for precision in [Precision::Float32, Precision::Mixed] {
            let options = SessionOptions { precision, ..SessionOptions::default() };
            let error = RawSession::new(&engine, b"not a model", options).unwrap_err();
            assert!(matches!(error, EngineError::Failed(_)), "{error}");
        }
    }
}
