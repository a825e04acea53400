//! The device of a run.

use std::path::PathBuf;

use tch::{Cuda, Device};
use thiserror::Error;

use crate::config::Precision;
use crate::tf32;

/// The requested device: `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// That NVIDIA GPU.
    Cuda(usize),
}

impl std::fmt::Display for DeviceChoice {
    /// The text that parses to it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Why a device cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// libtorch is a CPU build, and its CUDA library cannot be loaded.
    #[error(
        "--device cuda: the libtorch of this program is a CPU build, and libtorch_cuda.so could not be loaded ({reason}). Use \
         --device cpu; or install PyTorch {} with CUDA and build with LIBTORCH_USE_PYTORCH=1; or put its lib folder into \
         LD_LIBRARY_PATH",
        TORCH_VERSION
    )]
    NoCudaBuild {
        /// What the loader said.
        reason: String,
    },
    /// No driver or no GPU.
    #[error(
        "--device cuda:{wanted}: libtorch sees {found} GPUs on this machine; use --device cpu or another number"
    )]
    NoGpu {
        /// The number asked for.
        wanted: usize,
        /// How many there are.
        found: i64,
    },
    /// Tensor cores on a processor.
    #[error("precision = \"tf32\" has no effect on the CPU; remove it or use --device cuda")]
    Tf32OnCpu,
}

/// The release of PyTorch that this crate is made for.
pub const TORCH_VERSION: &str = "2.11.0";

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) if let Ok(number) = number.parse() => Ok(Self::Cuda(number)),
            _ => Err(format!("`{text}` is not a device; wanted cpu, cuda or cuda:N")),
        }
    }
}

/// Checks that the device is there and sets it up for `precision`.
///
/// # Errors
/// [`DeviceError`]; never another device than the one asked for.
pub fn open(choice: DeviceChoice, precision: Precision) -> Result<Device, DeviceError> {
    match choice {
        DeviceChoice::Cpu if precision == Precision::Tf32 => Err(DeviceError::Tf32OnCpu),
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Cuda(number) => {
            let found = CudaLibrary::load()?.device_count();
            if number as i64 >= found {
                return Err(DeviceError::NoGpu { wanted: number, found });
            }
            tf32::allow(precision == Precision::Tf32);
            // Shapes repeat at every step.
            Cuda::cudnn_set_benchmark(true);
            Ok(Device::Cuda(number))
        }
    }
}

/// libtorch's CUDA library, in memory. A program linked to the CPU libraries can use CUDA once it is loaded: its kernels
/// register themselves.
///
/// libtorch asks for the library's hooks once and remembers the answer, so nothing may ask it about CUDA before this is made.
/// That is why the questions are methods of this type.
#[derive(Debug)]
struct CudaLibrary(());

impl CudaLibrary {
    /// Where the program is linked to it already, loading it again changes nothing.
    fn load() -> Result<Self, DeviceError> {
        load_cuda_library().map(Self)
    }

    /// GPUs that libtorch sees; 0 without a driver.
    fn device_count(&self) -> i64 {
        Cuda::device_count()
    }
}

fn load_cuda_library() -> Result<(), DeviceError> {
    let flags = libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL;
    let mut reason = String::new();
    for name in cuda_libraries() {
        #[expect(unsafe_code, reason = "the only way to load a library whose kernels register themselves")]
        // SAFETY: the initialisers of libtorch's own CUDA library, which checks that it fits the loaded libtorch.
        let loaded = unsafe { libloading::os::unix::Library::open(Some(&name), flags) };
        match loaded {
            Ok(library) => {
                // Its kernels are in use until the program ends.
                std::mem::forget(library);
                return Ok(());
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                reason = cause.unwrap_or_else(|| error.to_string());
            }
        }
    }
    Err(DeviceError::NoCudaBuild { reason })
}

/// Next to the linked libtorch, then on the search path of the loader.
fn cuda_libraries() -> Vec<PathBuf> {
    let name = "libtorch_cuda.so";
    vec![PathBuf::from(env!("MIMIR_LIBTORCH_LIB")).join(name), PathBuf::from(name)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_written() {
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        for device in [DeviceChoice::Cpu, DeviceChoice::Cuda(2)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for wrong in ["gpu", "cuda:", "cuda:x", "cpu:0"] {
            assert!(wrong.parse::<DeviceChoice>().unwrap_err().contains("cuda:N"), "{wrong}");
        }
    }

    #[test]
    fn an_absent_gpu_is_an_error_and_not_the_cpu() {
        // No machine has so many.
        let error = open(DeviceChoice::Cuda(1000), Precision::Float32).unwrap_err();
        assert!(error.to_string().contains("--device cpu"), "{error}");
    }

    #[test]
    fn tf32_is_for_gpus() {
        assert!(matches!(open(DeviceChoice::Cpu, Precision::Tf32), Err(DeviceError::Tf32OnCpu)));
    }
}
