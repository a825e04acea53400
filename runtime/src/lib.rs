//! Runs classifiers, attacks them white-box, and reports their accuracy under attack.
//!
//! The crate has the engines that run ONNX graphs, the attacks of AutoAttack and a few simpler ones, the evaluation
//! that applies them to a set of labelled images, and the report. `mimir-export` prepares the graphs, which arrive here
//! as ONNX bytes; `mimir-bundle` defines what both crates agree on.
//!
//! # Example
//!
//! A linear classifier of two pixels stands in for a network here. Its smallest margin within the ball is known in
//! closed form, so the result can be checked. Sessions of a real model ([`session`]) take its place without another
//! change.
//!
//! ```
//! use mimir_bundle::{ImageShape, Norm, Pixels, ThreatModel};
//! use mimir_runtime::Archive;
//! use mimir_runtime::attack::attacks_named;
//! use mimir_runtime::evaluate::{Control, Curve, EvaluationSet, Plan, Silent, evaluate};
//! use mimir_runtime::linear::LinearClassifier;
//! use ndarray::array;
//!
//! let shape = ImageShape { channels: 1, height: 1, width: 2 };
//! let model = LinearClassifier::new(array![[1.0, -1.0], [-1.0, 1.0]], array![0.0, 0.0], shape, 16);
//!
//! // Two images of class 0, the first far from the decision boundary, the second close to it.
//! let (images, labels) = (array![[0.9, 0.1], [0.55, 0.45]], [0, 0]);
//! let plan = Plan {
//!     threat_model: ThreatModel { norm: Norm::Linf, epsilon: 0.1, pixels: Pixels::Continuous },
//!     attacks: attacks_named("apgd-ce", Norm::Linf)?,
//!     seed: 0,
//!     workers: 1,
//!     stop_when_decided: None,
//!     curve: Curve::No,
//!     votes: 1,
//! };
//! let (set, archive) = (EvaluationSet::new(&images, &labels)?, Archive::none());
//! let evaluation = evaluate(&model, &set, &plan, &Control::new(&Silent, &archive))?;
//!
//! assert_eq!(evaluation.clean_correct(), 2);
//! assert_eq!(evaluation.still_robust(), 1);
//! let smallest_margin = |image: [f32; 2]| model.worst_margin(&plan.threat_model, &image, 0, 1);
//! assert!(smallest_margin([0.9, 0.1]) > 0.0 && smallest_margin([0.55, 0.45]) < 0.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//!
//! - **Threat model**: a norm (Linf, L2, L1) and a radius in pixels of `[0, 1]`; the perturbed image also stays in that
//!   range. Every computation that depends on the norm is in [`ball`].
//! - **Broken**: an image is broken when the *original* model misclassifies a perturbation within the threat model.
//!   Gradient graphs round differently, so what they find is only a candidate, which the original model confirms.
//! - **Attacked accuracy**: the share of images that no attack broke. It is an upper bound of the robust accuracy of
//!   these images, never a proof.
//! - **Unit**: the search of one attack on one image, for one target and one restart. Units are scheduled, recorded and
//!   resumed independently of each other.
//! - **Journal** ([`journal`]): a record on disk of each finished unit. A run that was killed resumes from it.
//! - **Engine** ([`session`]): ONNX Runtime, loaded at run time, or rten, which is compiled in.
//!
//! # Design
//!
//! [`evaluate`](mod@evaluate) has the steps: classify the clean images, run each attack on the images that are still
//! robust, verify the counterexamples. An attack ([`attack`]) is a state machine for one unit, which asks for logits or
//! gradients and never calls a model. So the units of many images share full batches, and a unit that has finished
//! gives its row to the next one at once. Models are behind the traits of [`model`]. Random numbers are keyed by (seed,
//! image, attack, target, restart) ([`random`]): results do not depend on batch size, order, workers or threads.
//! [`report`] holds the result as one value with several views (text, JSON, certificate, exit code).
//!
//! # Limits
//!
//! - Attacks only bound the robust accuracy from above. There are no certified lower bounds.
//! - Determinism across batch sizes rests on the engine, which must compute a row of a batch independently of its
//!   position (`docs/architecture.md`, "Determinism", names the known exception). Another engine, version or processor
//!   rounds differently.
//! - The code for CUDA and TensorRT has never run on a GPU.
// Unsafe code is denied by the workspace, with two exceptions: asking ONNX Runtime for its version
// (`session/onnx_runtime.rs`), and running one of its sessions from several threads
// (`session/onnx_runtime/concurrent.rs`).

pub mod answer;
mod archive;
pub mod attack;
pub mod ball;
mod confirmation;
pub mod cross_check;
mod error;
pub mod evaluate;
mod evaluation_set;
pub mod experiments;
pub mod journal;
pub mod landscape;
pub mod linear;
mod logits;
pub mod loss;
pub mod majority;
pub mod model;
mod monitor;
mod nhsic;
pub mod probe;
pub mod processor;
pub mod random;
pub mod report;
mod requirement;
pub mod same_function;
mod scheduler;
pub mod session;
pub mod statistics;
#[cfg(test)]
mod testing;
pub mod trace;
pub mod tune;
pub mod verify;

pub use archive::{Archive, ArchiveError};
