//! The command `mimir-certify`: attack an ONNX classifier, write what was found, be a gate.
//!
//! `run` and `replay` tell the two stories. Before them, `args` is what was typed, `settings` puts the
//! settings file beneath the flags, and `options` is what the program needs; nothing after that knows clap or TOML.
//! Exit codes come from two places: [`Conclusion`](mimir_runtime::report::Conclusion) where there is an answer,
//! `failure` where there is none.
#![forbid(unsafe_code)]

mod args;
mod clock;
mod counterexamples;
mod data;
mod engines;
mod failure;
mod kept;
mod model;
mod options;
mod program;
mod progress;
mod replay;
mod report_folder;
mod run;
mod settings;
mod signals;
mod write;

pub use program::main;
