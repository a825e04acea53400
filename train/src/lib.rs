//! MIMIR pre-training and adversarial fine-tuning of vision transformers on libtorch.
//!
//! Equation, section and table numbers are those of the MIMIR paper (arXiv 2312.04960).

pub mod accuracy;
pub mod adversary;
pub mod allocator;
mod args;
pub mod bounds;
pub mod checkpoint;
mod command;
pub mod config;
pub mod convert;
pub mod device;
pub mod efficiency;
pub mod images;
pub mod landscape;
pub mod loss;
pub mod model;
pub mod optim;
pub mod parameters;
pub mod penalty;
pub mod pickle;
pub mod plot;
pub mod random;
pub mod report;
pub mod run;
pub mod stage;
#[cfg(test)]
mod testing;
mod tf32;
pub mod upload;

pub use command::main;
