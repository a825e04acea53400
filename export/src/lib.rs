//! From an ONNX model file to graphs that compute its logits and the gradient of a loss with respect to the images.
//!
//! The crate reads a classifier in ONNX from any exporter, differentiates it in reverse mode, and writes the result as
//! ONNX again. Any engine can run what it writes. It is pure Rust, runs no model itself, and contains no unsafe code.
//!
//! # Example
//!
//! ```
//! use mimir_bundle::Loss;
//! use mimir_export::onnx::{Limits, read_model, read_model_bytes};
//! use mimir_export::{ImageClassifier, InputSpec};
//!
//! let file = read_model("../examples/demo/model.onnx".as_ref(), &Limits::default())?;
//! let classifier = ImageClassifier::new(file, &InputSpec::default())?;
//! assert_eq!(classifier.manifest().classes, 6);
//!
//! // A complete ONNX file. One run computes logits, loss and gradient of a batch.
//! let gradient_graph = classifier.gradient_onnx(Loss::CrossEntropy)?;
//! let path = std::env::temp_dir().join(format!("gradient-{}.onnx", std::process::id()));
//! std::fs::write(&path, &gradient_graph)?;
//!
//! let graph = read_model_bytes(gradient_graph.into(), None, &Limits::default())?.graph;
//! let names = |ids: &[_]| ids.iter().map(|id| graph.value(*id).name.clone()).collect::<Vec<_>>();
//! assert_eq!(names(graph.inputs()), ["images", "labels"]);
//! assert_eq!(names(graph.outputs()), ["logits", "loss", "images_gradient"]);
//! # std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//!
//! - A **model file** ([`onnx`]) may come from anyone and is not trusted. Sizes are checked before memory is allocated,
//!   and what is not supported is an [`Error`] that names the node or tensor and says what to do.
//! - A **graph** ([`graph`]) has values, nodes and constants. Every value has a type, which shape inference ([`shape`])
//!   determines: dimensions are integers or multiples of the batch size `N`.
//! - The **original graph** is the model as the file computes it: same opset, operators and precision, behind a prefix
//!   that normalises the pixels. It alone decides whether an image is broken.
//! - The **forward graph** is a copy for searches: upgraded to one opset ([`upgrade`]), in float32, control flow
//!   unrolled, simplified ([`simplify`]). Its logits equal the original's up to rounding.
//! - A **gradient graph** ([`autodiff`]) is the forward graph, a loss for each image, and the derivative of that loss
//!   with respect to the pixels. With a free cotangent as loss it computes any vector-Jacobian product.
//! - The **scan** reports what the operators reveal without running the model: cut gradients, straight-through
//!   gradients, random operators, and operators through which the images of a batch influence each other.
//!
//! # Design
//!
//! [`ImageClassifier`] is the entry point; it returns the graphs above. Each operator has one gradient rule. Each
//! rewrite has one file, and a test that compares results before and after in an engine. Gradients are checked against
//! PyTorch, TensorFlow and scikit-learn in float64, and with the node tests of the onnx package (`docs/networks.md`,
//! `docs/node-tests.md`). `docs/autodiff.md` describes the rewrites and what they gain, `docs/onnx-files.md` the
//! accepted files, `docs/operators.md` the operators.
//!
//! # Limits
//!
//! - One input (images, or one row of features each) and one output (scores of at least two classes). Besides the batch
//!   only height and width may be dynamic, and the images fix them.
//! - The opsets of [`onnx::OPSETS`]. `If`, `Loop` and sequences only with constant conditions, counts and positions; no
//!   `Scan` or custom operators.
//! - An operator without a gradient rule between images and logits is an error, never a zero gradient.
//! - Gradients of quantised models are straight-through estimates, and those of stochastic models belong to one draw.
#![forbid(unsafe_code)]

pub mod autodiff;
mod bounds;
mod classifier;
pub mod difference;
mod error;
mod evaluate;
mod facts;
mod float16;
mod float64;
pub mod graph;
pub mod large;
pub mod network;
mod normalisation;
pub mod onnx;
mod operators;
pub mod package;
mod random;
mod rebatch;
mod scan;
pub mod shape;
pub mod simplify;
mod tensor;
#[cfg(test)]
mod testing;
mod unroll;
pub mod upgrade;
pub mod vit;
mod working_copy;

pub use bounds::CountedActivation;
pub use classifier::{
    DirectionsGraph, FeatureCandidate, FeatureGraphs, FeaturePlace, ImageClassifier, InputSpec, SearchScores,
    UnitsGraph, for_one_image,
};
pub use error::{Error, ErrorKind, Location, Result};
pub use float16::to_float16;
pub use tensor::{DataType, Tensor, checked_elements};
