//! The command `mimir-certify`: attack an ONNX classifier, write what was found, be a gate.
//!
//! The steps themselves are a library, `mimir_certify`. Here, `args` is what was typed, `settings` puts the settings
//! file beneath the flags, and `options` makes of both what the library needs, which knows neither clap nor TOML.
//! `progress` and `signals` are the terminal's side of a run. Exit codes come from two places:
//! [`Conclusion`](mimir_runtime::report::Conclusion) where there is an answer, `failure` where there is none.
#![forbid(unsafe_code)]

mod args;
mod failure;
mod gates;
mod options;
mod page;
mod pages;
mod program;
mod progress;
mod reports;
mod settings;
mod signals;
mod step_summary;
mod terminal;

pub use program::main;
pub use settings::check_settings;
