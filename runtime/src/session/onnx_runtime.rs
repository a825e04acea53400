//! The one file that names `ort`: loading the library, and its sessions.

mod concurrent;
mod operators;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::ep::cuda::ConvAlgorithmSearch;
use ort::ep::{CUDA, ExecutionProvider, ExecutionProviderDispatch, TensorRT};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;

pub(super) use concurrent::ConcurrentSession;
pub(super) use weights::{Pool, Weights};

use super::error::OLDEST_MINOR_VERSION;
use super::library_file::expect_library;
use super::library_probe::survive;
use super::locate::LibrarySearch;
use super::{Data, Device, EngineError, HostNodes, Input, Optimisation, Precision, SessionOptions};

impl<R> From<ort::Error<R>> for EngineError {
    fn from(error: ort::Error<R>) -> Self {
        Self::Failed { engine: "ONNX Runtime", message: error.message().to_owned() }
    }
}

/// The loaded library: one a process, cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct OnnxRuntime {
    environment: Environment,
    version: Arc<str>,
    path: Arc<Path>,
}

/// `ort` allows one environment a process, even after the first is dropped: it is kept for ever.
static LOADED: Mutex<Option<OnnxRuntime>> = Mutex::new(None);

impl OnnxRuntime {
    /// Loads the library, or returns the one that is loaded.
    pub(super) fn load(explicit: Option<&Path>) -> Result<Self, EngineError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = loaded.as_ref() {
            return library.clone().if_asked(explicit);
        }
        let library = Self::find(&LibrarySearch::from_process(explicit).candidates())?;
        Ok(loaded.insert(library).clone())
    }

    /// Loads a library and starts it, in a process that is for nothing else. Whatever comes of it is not said.
    pub(super) fn attempt(library: &Path) {
        if let Ok(version) = library_version(library) {
            let _ = Self::start(library, &version);
        }
    }

    /// The one that is loaded.
    pub(super) fn loaded() -> Option<Self> {
        LOADED.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn if_asked(self, explicit: Option<&Path>) -> Result<Self, EngineError> {
        match explicit {
            Some(asked) if !same_file(asked, &self.path) => Err(EngineError::AlreadyLoaded {
                loaded: self.path.to_path_buf(),
                asked: asked.to_path_buf(),
            }),
            _ => Ok(self),
        }
    }

    fn find(candidates: &[PathBuf]) -> Result<Self, EngineError> {
        let mut last = String::new();
        for library in candidates {
            match survive(library).and_then(|()| library_version(library)) {
                Ok(version) => return Self::start(library, &version),
                Err(message) if is_exhaustion(&message) => {
                    return Err(EngineError::Failed { engine: "ONNX Runtime", message });
                }
                Err(message) if library.exists() => last = format!("; {message}"),
                Err(_) => {}
            }
        }
        let tried: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        let tried = match tried.is_empty() {
            true => {
                "nothing: by LD_LIBRARY_PATH the loader would take the one in the current folder".to_owned()
            }
            false => tried.join(", "),
        };
        Err(EngineError::NotFound { tried, last })
    }

    fn start(library: &Path, version: &str) -> Result<Self, EngineError> {
        if minor_version(version).is_none_or(|minor| minor < OLDEST_MINOR_VERSION) {
            return Err(EngineError::TooOld { version: version.to_owned(), library: library.to_path_buf() });
        }
        let builder = ort::init_from(library).map_err(|error| {
            let message = error.to_string();
            EngineError::Failed { engine: "ONNX Runtime", message }
        })?;
        // Without a logger ONNX Runtime writes to standard error, which belongs to the program. What fails is said in errors.
        let builder = builder.with_name("mimir").with_logger(Arc::new(|_, _, _, _, _| {}));
        let environment = builder.with_telemetry(false).build()?;
        environment.set_log_level(LogLevel::Error);
        Ok(Self { environment, version: version.into(), path: library.into() })
    }

    /// Version of the library, e.g. `1.32.0`.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Where it was loaded from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the library was built for the device and can start it.
    pub(super) fn check_device(&self, device: Device) -> Result<(), EngineError> {
        let Some(provider) = provider(device) else { return Ok(()) };
        let built_in = match device {
            Device::Cpu => true,
            Device::Cuda(_) => CUDA::is_available()?,
            Device::TensorRt(_) => TensorRT::is_available()?,
        };
        let (version, library) = (self.version.to_string(), self.path.to_path_buf());
        if !built_in {
            return Err(EngineError::DeviceAbsent { device, version, library });
        }
        // Loads the provider's own library, which asks for the vendor's.
        let tried = Session::builder(&self.environment)?.with_execution_providers([provider]);
        match tried {
            Ok(_) => Ok(()),
            Err(error) => {
                let message = error.message().to_owned();
                Err(EngineError::DeviceFailed { device, version, library, message })
            }
        }
    }
}

/// How a device is asked for; `None` for the processor. What cannot be registered is an error, and never the processor.
fn provider(device: Device) -> Option<ExecutionProviderDispatch> {
    let provider = match device {
        Device::Cpu => return None,
        // Without TF32: what decides is computed in 32-bit floats. Algorithms are not chosen by a clock.
        Device::Cuda(number) => CUDA::default()
            .with_device_id(number.into())
            .with_tf32(false)
            .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
            .build(),
        Device::TensorRt(number) => TensorRT::default().with_device_id(number.into()).build(),
    };
    Some(provider.error_on_failure())
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
fn library_version(library: &Path) -> Result<String, String> {
    type ApiBase = unsafe extern "C" fn() -> *const RawApiBase;
    expect_library(library)?;
    // SAFETY: loading runs the library's initialisers. The path is what the user named or what `make setup` checked
    // against a digest, and `ort` loads the same file.
    let handle = unsafe { libloading::Library::new(library) }.map_err(|error| loader_words(&error))?;
    // SAFETY: `OrtGetApiBase` has had this signature since ONNX Runtime 1.0 (onnxruntime_c_api.h).
    let entry = unsafe { handle.get::<ApiBase>(b"OrtGetApiBase\0") }.map_err(|error| loader_words(&error))?;
    // SAFETY: it takes no arguments and returns a pointer to a static table, or null.
    let base = unsafe { entry().as_ref() };
    let null = |what: &str| format!("{}: {what} is null, so that it is no ONNX Runtime", library.display());
    let base = base.ok_or_else(|| null("what OrtGetApiBase returns"))?;
    let get_version = base.get_version_string.ok_or_else(|| null("OrtApiBase::GetVersionString"))?;
    let get_api = base.get_api.ok_or_else(|| null("OrtApiBase::GetApi"))?;
    // SAFETY: it takes no arguments and returns a static string that ends in a zero byte (same header), or null.
    let text = unsafe { get_version() };
    if text.is_null() {
        return Err(null("its version"));
    }
    // SAFETY: it is not null, and a string as above.
    let version = unsafe { std::ffi::CStr::from_ptr(text) }.to_string_lossy().into_owned();
    // An old one has no interface of this version, and is refused by its own.
    let is_recent = minor_version(&version).is_some_and(|minor| minor >= OLDEST_MINOR_VERSION);
    // SAFETY: it takes a number and returns a pointer to a static table, or null (same header).
    if is_recent && unsafe { get_api(ort::sys::ORT_API_VERSION) }.is_null() {
        return Err(null(&format!("the interface of version {}", ort::sys::ORT_API_VERSION)));
    }
    std::mem::forget(handle);
    Ok(version)
}

/// `OrtApiBase` of a library that is not known to be ONNX Runtime: anything in it may be null.
#[repr(C)]
struct RawApiBase {
    get_api: Option<unsafe extern "C" fn(u32) -> *const ort::sys::OrtApi>,
    get_version_string: Option<unsafe extern "C" fn() -> *const std::ffi::c_char>,
}

/// Whether a library could not be loaded because the process has no more files or memory: another engine would do no better.
fn is_exhaustion(message: &str) -> bool {
    ["Too many open files", "Cannot allocate memory", "failed to map segment"]
        .iter()
        .any(|words| message.contains(words))
}

/// What the system's loader said: `libloading` keeps it one level down.
fn loader_words(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn level(optimisation: Optimisation) -> GraphOptimizationLevel {
    match optimisation {
        Optimisation::Disabled => GraphOptimizationLevel::Disable,
        Optimisation::Basic => GraphOptimizationLevel::Level1,
        Optimisation::All => GraphOptimizationLevel::All,
    }
}

/// Configuration entry of a session, and its value (onnxruntime_session_options_config_keys.h).
fn entry(precision: Precision) -> Option<(&'static str, &'static str)> {
    match precision {
        Precision::Float32 => None,
        Precision::Mixed => Some(("mlas.enable_gemm_fastmath_arm64_bfloat16", "1")),
    }
}

fn value<'a>(input: &Input<'a>) -> Result<SessionInputValue<'a>, EngineError> {
    Ok(match input.data {
        Data::F32(data) => TensorRef::from_array_view((input.dims, data))?.into(),
        Data::I64(data) => TensorRef::from_array_view((input.dims, data))?.into(),
    })
}

/// A session of ONNX Runtime.
///
/// Operators run one after the other; the memory arena is on (without it a gradient graph is 1.7 times slower); threads
/// never spin, so that several sessions in one process do not slow each other.
#[derive(Debug)]
pub(super) struct OnnxRuntimeSession {
    session: Session,
    /// Dimensions of the output that is being shown.
    dims: Vec<usize>,
}

impl OnnxRuntimeSession {
    /// Builds a session over our own serialisation of a graph.
    pub(super) fn new(
        library: &OnnxRuntime,
        device: Device,
        model: &[u8],
        weights: &Weights,
        options: SessionOptions,
    ) -> Result<Self, EngineError> {
        let mut builder = weights.hand_over(builder(library, device, options)?)?;
        Ok(Self { session: commit(&mut builder, model, device)?, dims: Vec::new() })
    }

    /// Runs the model and shows each output to `visit`.
    pub(super) fn run_with(
        &mut self,
        inputs: &[Input],
        mut visit: impl FnMut(&str, &[usize], &[f32]),
    ) -> Result<(), EngineError> {
        let values: Vec<(&str, SessionInputValue)> =
            inputs.iter().map(|input| Ok((input.name, value(input)?))).collect::<Result<_, EngineError>>()?;
        let outputs = self.session.run(values)?;
        for (name, value) in &outputs {
            let (shape, data) =
                value.try_extract_tensor::<f32>().map_err(|_| EngineError::OutputType(name.to_owned()))?;
            self.dims.clear();
            self.dims.extend(shape.iter().map(|dim| usize::try_from(*dim).unwrap_or(0)));
            visit(name, &self.dims, data);
        }
        Ok(())
    }
}

/// Builds a session on the processor only to let it write the model that it would run.
pub(super) fn write_optimised(
    library: &OnnxRuntime,
    model: &[u8],
    options: SessionOptions,
    path: &Path,
) -> Result<(), EngineError> {
    let builder = builder(library, Device::Cpu, options)?;
    let mut builder = builder.with_optimized_model_path(path)?;
    commit(&mut builder, model, Device::Cpu)?;
    Ok(())
}

/// Whether a session with our operators has been built. ONNX Runtime keeps their domain for the whole process, and two
/// first sessions at once would both add it, of which the second fails.
static DOMAIN_IS_KNOWN: Mutex<bool> = Mutex::new(false);

/// Builds the session: the first with our operators alone, others side by side.
fn commit(builder: &mut SessionBuilder, model: &[u8], device: Device) -> Result<Session, EngineError> {
    let mut is_known = DOMAIN_IS_KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_known || device != Device::Cpu {
        drop(is_known);
        return Ok(builder.commit_from_memory(model)?);
    }
    let session = builder.commit_from_memory(model)?;
    *is_known = true;
    Ok(session)
}

/// All that a session is told before it sees its model.
fn builder(
    library: &OnnxRuntime,
    device: Device,
    options: SessionOptions,
) -> Result<SessionBuilder, EngineError> {
    let builder = Session::builder(&library.environment)?;
    let builder = builder.with_intra_threads(options.threads.max(1))?;
    let builder = builder.with_inter_threads(1)?;
    let builder = builder.with_parallel_execution(false)?;
    let builder = builder.with_intra_op_spinning(options.spinning)?;
    let builder = builder.with_deterministic_compute(true)?;
    let builder = builder.with_log_level(LogLevel::Error)?;
    let mut builder = builder.with_optimization_level(level(options.optimisation))?;
    if let Some((key, value)) = entry(options.precision) {
        builder = builder.with_config_entry(key, value)?;
    }
    if device == Device::Cpu {
        builder = builder.with_operators(operators::domain()?)?;
    }
    if let Some(provider) = provider(device) {
        builder = builder.with_execution_providers([provider])?;
        if options.host_nodes == HostNodes::Refused {
            builder = builder.with_disable_cpu_fallback()?;
        }
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_of_the_checkout_is_found_and_names_its_version() {
        let engine = OnnxRuntime::load(None).unwrap();
        assert!(minor_version(engine.version()).unwrap() >= OLDEST_MINOR_VERSION);
        assert!(engine.path().to_string_lossy().contains("onnxruntime"), "{:?}", engine.path());
        assert_eq!(OnnxRuntime::load(Some(engine.path())).unwrap().version(), engine.version());
    }

    #[test]
    fn a_second_library_is_refused() {
        let engine = OnnxRuntime::load(None).unwrap();
        let asked = PathBuf::from("/elsewhere/libonnxruntime.so");
        let error = OnnxRuntime::load(Some(&asked)).unwrap_err();
        assert_eq!(error, EngineError::AlreadyLoaded { loaded: engine.path().to_path_buf(), asked });
    }

    #[test]
    fn an_absent_library_is_an_error_that_names_the_ways_to_provide_it() {
        let error =
            OnnxRuntime::find(&[PathBuf::from("/nonexistent/libonnxruntime.so")]).unwrap_err().to_string();
        for way in ["/nonexistent/libonnxruntime.so", "make setup", "--onnxruntime", "MIMIR_ORT_DYLIB"] {
            assert!(error.contains(way), "{way} is not in: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_library_is_an_error_that_says_why() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = OnnxRuntime::find(&[file.path().to_path_buf()]).unwrap_err().to_string();
        assert!(error.contains("is no shared library"), "{error}");
    }

    #[test]
    fn old_releases_are_refused_by_number() {
        for (version, accepted) in
            [("1.32.0", true), ("1.24.0", true), ("1.23.2", false), ("2.24.0", false), ("nightly", false)]
        {
            let minor = minor_version(version);
            assert_eq!(minor.is_some_and(|minor| minor >= OLDEST_MINOR_VERSION), accepted, "{version}");
        }
        let error = OnnxRuntime::start(Path::new("/old.so"), "1.23.2").unwrap_err();
        assert!(matches!(error, EngineError::TooOld { .. }), "{error}");
    }

    #[test]
    fn bytes_that_are_no_model_are_an_error() {
        let library = OnnxRuntime::load(None).unwrap();
        for precision in [Precision::Float32, Precision::Mixed] {
            let options = SessionOptions { precision, ..SessionOptions::default() };
            let error =
                OnnxRuntimeSession::new(&library, Device::Cpu, b"not a model", &Weights::default(), options)
                    .unwrap_err();
            assert!(matches!(error, EngineError::Failed { .. }), "{error}");
        }
    }

    #[test]
    fn a_device_that_the_library_was_not_built_for_is_an_error_that_says_what_to_install() {
        let library = OnnxRuntime::load(None).unwrap();
        for (device, provider) in
            [(Device::Cuda(0), "CUDAExecutionProvider"), (Device::TensorRt(1), "TensorrtExecutionProvider")]
        {
            // A build for GPUs says otherwise, and nothing where there is one.
            let Err(error @ EngineError::DeviceAbsent { .. }) = library.check_device(device) else {
                continue;
            };
            let error = error.to_string();
            let parts = [&device.to_string(), provider, "onnxruntime-gpu", "MIMIR_ORT_DYLIB", "--device cpu"];
            for part in parts {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }
}
