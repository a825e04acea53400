//! Optimiser, schedule and weight average.
//!
//! [`FlatParameters`] lays all trained values of a network in one tensor and all gradients in another, so that a step of
//! the optimiser, the norm of the gradients and the weight average are a few operations, however many layers there are.
//!
//! ```no_run
//! use mimir_train::optim::{AdamW, AdamWOptions, Annealing, FlatParameters, ParameterGroups, Schedule, clip};
//! use mimir_train::parameters::Parameters;
//!
//! # fn loss_of(step: u64) -> tch::Tensor { unimplemented!("{step}") }
//! let mut parameters = Parameters::new(0, tch::Device::Cpu);
//! // … build a network on `parameters.root()` …
//! let groups = ParameterGroups { weight_decay: 0.05, no_decay: Vec::new(), layer_decay: None };
//! let flat = FlatParameters::bind(&parameters, &groups);
//! let mut optimizer = AdamW::new(&flat, AdamWOptions::default());
//! let peak = Schedule::peak_from_base(1.5e-4, 512);
//! let schedule =
//!     Schedule { peak, start: 0.0, minimum: 0.0, warm_up_epochs: 40.0, epochs: 800.0, annealing: Annealing::Cosine };
//! for step in 0..1000 {
//!     flat.zero_gradients();
//!     loss_of(step).backward();
//!     assert!(clip::clip_gradients(&flat, Some(1.0)).is_finite());
//!     optimizer.step(&flat, schedule.learning_rate(step as f64 / 97.0));
//! }
//! ```

mod adamw;
pub mod clip;
mod ema;
mod flat;
pub mod groups;
pub mod schedule;

#[cfg(test)]
mod tests;

pub use adamw::{AdamW, AdamWOptions};
pub use ema::{EmaDecay, ModelEma};
pub use flat::FlatParameters;
pub use groups::{LayerDecay, ParameterGroup, ParameterGroups};
pub use schedule::{Annealing, Schedule};
