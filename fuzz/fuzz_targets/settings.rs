#![no_main]

#[path = "../bodies/mod.rs"]
#[allow(dead_code, reason = "of this program one target is needed")]
mod bodies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bodies::settings::run(bytes));
