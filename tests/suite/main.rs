//! Tests of the workspace as a whole. One binary: a module for each subject.
// Tells clippy that helpers of tests are tests too.
#![cfg(test)]

mod architecture;
mod cli;
mod engines;
mod fixtures;
mod fuzzing;
mod modules;
mod parity;
mod security;
