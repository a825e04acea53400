//! Where sessions run: the processor, or an accelerator by its number.

use std::fmt;
use std::str::FromStr;

/// A device, as `--device` names it: `cpu`, `cuda:0`, `tensorrt:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU through CUDA, by its number from 0.
    Cuda(u16),
    /// An NVIDIA GPU through TensorRT, by its number from 0.
    TensorRt(u16),
}

impl Device {
    /// The execution provider of ONNX Runtime that serves it.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Cpu => "CPUExecutionProvider",
            Self::Cuda(_) => "CUDAExecutionProvider",
            Self::TensorRt(_) => "TensorrtExecutionProvider",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::TensorRt(number) => write!(f, "tensorrt:{number}"),
        }
    }
}

/// Why a text names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("device `{0}`: wanted cpu, cuda:N or tensorrt:N, where N is the number of the device, e.g. cuda:0")]
pub struct DeviceError(String);

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "cpu" {
            return Ok(Self::Cpu);
        }
        // `parse` would take `+1` too.
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => digits.parse::<u16>().ok(),
            false => None,
        };
        let device = match text.split_once(':') {
            Some(("cuda", digits)) => number(digits).map(Self::Cuda),
            Some(("tensorrt", digits)) => number(digits).map(Self::TensorRt),
            _ => None,
        };
        device.ok_or_else(|| DeviceError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(7), Device::TensorRt(1)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
    }

    #[test]
    fn other_words_are_errors_that_show_the_form() {
        for text in
            ["", "gpu", "CUDA:0", "cuda", "cuda:", "cuda:+1", "cuda:70000", "cuda:0:1", "cpu:0", "tensorrt:x"]
        {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("cuda:0"), "{error}");
        }
    }
}
