//! Tests of the workspace as a whole. One binary: a module for each subject.

mod architecture;
mod fixtures;
