//! The C interface as C programs see it: header, symbols, and programs in C that are compiled and run.
// Tells clippy that helpers of tests are tests too.
#![cfg(test)]

mod drift;
mod fixtures;
mod header;
mod hostile;
mod library;
mod onnx_runtime;
mod programs;
mod proxy;
