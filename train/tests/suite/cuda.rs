//! CUDA without a GPU: a library in the place of `libtorch_cuda.so` whose hooks say how many GPUs there are.

use std::path::Path;
use std::process::Command;

use predicates::str::contains;

use crate::experiment_folder::ExperimentFolder;

/// Registers itself when it is loaded, as libtorch's own does, and counts seven GPUs.
const HOOKS: &str = r#"
#include <ATen/detail/CUDAHooksInterface.h>

struct CUDAHooks : public at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  bool hasCUDA() const override { return true; }
  int getNumGPUs() const override { return 7; }
  c10::DeviceIndex deviceCount() const override { return 7; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return false; }
};

namespace at { REGISTER_CUDA_HOOKS(CUDAHooks) }
"#;

/// libtorch keeps the first answer to the question whether there is CUDA. A program that asks before the library is loaded gets
/// none from it, however many GPUs there are.
#[test]
fn the_cuda_library_is_loaded_before_libtorch_is_asked() {
    let libraries = Path::new(env!("MIMIR_LIBTORCH_LIB"));
    if libraries.join("libtorch_cuda.so").exists() {
        // A build with CUDA is linked to the real one.
        return;
    }
    let folder = ExperimentFolder::new();
    folder.write("hooks.cpp", HOOKS);
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let built = Command::new(compiler)
        .args(["-std=c++17", "-shared", "-fPIC", "-w", "-O0", "-o"])
        .arg(folder.path("libtorch_cuda.so"))
        .arg(folder.path("hooks.cpp"))
        .arg("-I")
        .arg(libraries.join("../include"))
        .arg("-L")
        .arg(libraries)
        .args(["-ltorch_cpu", "-lc10"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut doctor = folder.command(&["doctor"]);
    doctor.env("LD_LIBRARY_PATH", folder.path(""));
    doctor.assert().success().stdout(contains("cuda             7 GPUs"));
}
