//! The soname of the shared library: its number is that of the ABI, and changes with it.

use std::path::Path;

/// `MIMIR_ABI_VERSION` of the header, so that the two cannot differ.
fn abi_version(header: &str) -> Option<u32> {
    let line = header.lines().find_map(|line| line.strip_prefix("#define MIMIR_ABI_VERSION "))?;
    line.trim().parse().ok()
}

fn main() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/mimir.h");
    println!("cargo::rerun-if-changed={}", header.display());
    let text = std::fs::read_to_string(&header).unwrap_or_default();
    let Some(version) = abi_version(&text) else {
        println!("cargo::error={}: no line `#define MIMIR_ABI_VERSION N`", header.display());
        return;
    };
    println!("cargo::rustc-env=MIMIR_ABI_VERSION={version}");
    println!("cargo::rustc-env=MIMIR_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmimir_runtime.so.{version}");
    }
}
