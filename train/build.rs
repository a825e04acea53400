//! Compiles the shim, sets the run path to the libtorch that was linked, and keeps the CUDA library linked if there is
//! one.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=shim/tf32.cpp");
    // Set by torch-sys, which knows where libtorch is (`links = "tch"`).
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        println!("cargo:warning=torch-sys did not say where libtorch is");
        return;
    };
    let libraries = Path::new(&folder);
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(libraries.join("../include"))
        .file("shim/tf32.cpp")
        .compile("mimir_shim");
    println!("cargo:rustc-env=MIMIR_LIBTORCH_LIB={folder}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    // The linker drops a library of which no symbol is used, and the CUDA kernels register themselves when loaded.
    if libraries.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
