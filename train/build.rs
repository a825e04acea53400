//! Lets the programs of this crate find the libtorch they were built with, and keeps its CUDA half if it has one.

fn main() {
    // Set by torch-sys, which knows where libtorch is (`links = "tch"`).
    let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") else {
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    // The linker drops a library of which no symbol is used, and the CUDA kernels register themselves when loaded.
    if std::path::Path::new(&folder).join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
