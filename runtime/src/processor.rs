//! The processor that this program runs on, as far as results depend on it.
//!
//! Engines choose their kernels by its instruction sets. Most kernels differ in the last bits only. Those of ONNX
//! Runtime that multiply unsigned by signed 8-bit numbers differ by more: without VNNI (`avx512vnni`, `avxvnni`) they
//! add pairs of products in 16 bits, which saturate (ONNX Runtime, "Quantize ONNX models", section "When and why do I
//! need to try U8U8?"). A quantised file then has other logits than on a processor with VNNI.

use std::path::Path;

use mimir_bundle::certificate::Processor;

/// What this processor is.
pub fn detect() -> Processor {
    let information = mimir_files::read_text(Path::new("/proc/cpuinfo"), 1 << 26).unwrap_or_default();
    let name = name(&information).unwrap_or("unknown").to_owned();
    Processor { name, features: features() }
}

/// Whether vectors are multiplied and added in one instruction: without it a product that rounds once takes a call.
pub fn has_fused_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        cfg!(target_arch = "aarch64")
    }
}

/// Whether a register holds sixteen numbers, as our kernel for products needs to be faster than ONNX Runtime's.
pub fn has_wide_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        has_fused_vectors()
            && std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512dq")
            && std::is_x86_feature_detected!("avx512vl")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Whether products in bfloat16 are faster than in 32-bit floats: by our kernels on x86-64, by those of ONNX Runtime on aarch64,
/// which knows itself what the processor has.
pub fn has_bfloat16_products() -> bool {
    has_bfloat16_kernels() || cfg!(target_arch = "aarch64")
}

/// Whether the processor multiplies pairs of bfloat16 in the instructions of our kernels.
pub fn has_bfloat16_kernels() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// The name in the text of Linux's `/proc/cpuinfo`; `None` where it has none, as on many aarch64 machines.
fn name(information: &str) -> Option<&str> {
    let entries = information.lines().filter_map(|line| line.split_once(':'));
    let named = entries.map(|(key, value)| (key.trim(), value.trim()));
    let mut names = named.filter(|(key, value)| *key == "model name" && !value.is_empty());
    names.next().map(|(_, value)| value)
}

/// The instruction sets among those that [`Processor::features`] lists.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<String> {
    let all = [
        ("avx2", std::is_x86_feature_detected!("avx2")),
        ("avx512bf16", std::is_x86_feature_detected!("avx512bf16")),
        ("avx512f", std::is_x86_feature_detected!("avx512f")),
        ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
        ("avxvnni", std::is_x86_feature_detected!("avxvnni")),
        ("fma", std::is_x86_feature_detected!("fma")),
    ];
    present(&all)
}

/// The instruction sets among those that [`Processor::features`] lists.
#[cfg(target_arch = "aarch64")]
fn features() -> Vec<String> {
    let all = [
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
    ];
    present(&all)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<String> {
    Vec::new()
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn present(all: &[(&str, bool)]) -> Vec<String> {
    all.iter().filter(|(_, has)| *has).map(|(feature, _)| (*feature).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_first_processor_listed() {
        let text = "processor\t: 0\nmodel name\t: A: fast one\n\nprocessor\t: 1\nmodel name\t: Another\n";
        assert_eq!(name(text), Some("A: fast one"));
        assert_eq!(name("processor : 0\nBogoMIPS : 50.00\n"), None);
        assert_eq!(name(""), None);
    }

    #[test]
    fn features_are_sorted_and_each_once() {
        let features = detect().features;
        assert!(features.is_sorted_by(|left, right| left < right), "{features:?}");
    }
}
