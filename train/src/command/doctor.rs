//! `mimir-train doctor`.

use std::process::ExitCode;

use anyhow::Result;

use crate::config::Precision;
use crate::device::{self, DeviceChoice, TORCH_VERSION};

pub(super) fn run() -> Result<ExitCode> {
    println!("mimir-train      {}", env!("CARGO_PKG_VERSION"));
    println!("libtorch         {TORCH_VERSION}, linked from {}", env!("MIMIR_LIBTORCH_LIB"));
    println!("threads          {}", tch::get_num_threads());
    match device::open(DeviceChoice::Cuda(0), Precision::Float32) {
        // The library is loaded: now libtorch may be asked.
        Ok(_) => println!("cuda             {} GPUs", tch::Cuda::device_count()),
        Err(error) => println!("cuda             not available: {error}"),
    }
    Ok(ExitCode::SUCCESS)
}
