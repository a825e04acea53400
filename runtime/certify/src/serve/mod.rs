//! Predictions of a model that met its policy: loading it, and sessions for any number of threads.
//!
//! [`ServedModel::load`] reads a bundle once. Digests, certificates, signature and policy are checked on those bytes before
//! an engine or the reader of ONNX files sees any of them, and what was checked is what runs. Only a model that meets the
//! policy becomes a value of this type. [`Session`]s run it: [`Session::logits`], [`Session::classify`], on ready pixels or
//! on pictures ([`ServedModel::prepare_picture`]).
//!
//! ```no_run
//! use mimir_bundle::policy::Policy;
//! use mimir_certify::serve::{CallLimits, ServeOptions, ServedModel, Session};
//!
//! let policy = Policy::from_toml("version = 1\nallow_anything = true", &mut |name| Err(format!("no {name}")))?;
//! let model = ServedModel::load("model.mimir".as_ref(), &policy, &[])?;
//! let session = Session::new(&model, &ServeOptions::default())?;
//! let pixels = vec![0.5; model.image().pixels()];
//! let answer = session.classify(&pixels, &CallLimits::default())?;
//! println!("{:?}", answer[0].class);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Numbers
//!
//! The original model runs, as in a certification, and nothing of it is simplified by us. With [`Batching::Certified`] each
//! call of the engine has as many rows as the evaluation had, so that on the same engine and processor the logits of an image
//! are those of the evaluation, whatever other images are asked about with it. With [`Batching::Dynamic`] a call has the rows
//! that it was given: quicker for few images, and an engine may round another number of rows differently. The number of
//! threads, and of calls at once, changes no bit.

mod error;
mod model;
mod options;
mod picture;
mod rows;
mod session;

pub use error::ServeError;
pub use mimir_export::ErrorKind as ModelErrorKind;
pub use mimir_runtime::answer::Answer;
pub use mimir_runtime::session::{Cancellation, LogLevel, LogSink, RunLimits as CallLimits, StopReason};
pub use model::ServedModel;
pub use options::{Batching, ServeOptions};
pub use session::Session;

#[cfg(test)]
mod tests;
