//! The two training stages and the loop that they share.
//!
//! [`train`] is the loop: batch, loss, gradient, step, log, checkpoint. What differs between the stages is a [`Task`]:
//! what the loss of a batch is, and how good the network is on held-out images.

mod autosave;
mod finetuning;
mod log_window;
mod pretraining;
mod readings;
mod task;
mod trainer;

pub use finetuning::Finetuning;
pub use pretraining::Pretraining;
pub use task::{HeldOutResult, MicroBatch, MicroBatchLoss, Task};
pub use trainer::{Failure, RunEnd, Trainer, train};
