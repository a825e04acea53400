//! The command `mimir-train` as its users run it, on tiny networks and made-up images.
// Tells clippy that helpers of tests are tests too.
#![cfg(test)]

mod bad_input;
mod configs;
mod convert;
mod cuda;
mod experiment_folder;
mod grid;
mod parity;
mod results;
mod resume;
mod stages;
