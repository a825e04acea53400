//! Networks from checkpoints: a safetensors file to a [`Graph`](crate::graph::Graph), without libtorch or Python.
//!
//! [`Checkpoint`] is the file, [`Wanted`] what the user says about it, [`describe`] finds out which [`Network`] it is,
//! and [`build`] makes the graph. Each family of encoders is one file; parameters have timm's names, and the numbers are
//! those of `mimir-train` (`train/src/model`), to which the tests of that crate compare.
//!
//! ```
//! use mimir_bundle::architecture::{Architecture, Family, Pooling};
//! use mimir_export::network::{BuildOptions, Network, build_random};
//!
//! let architecture =
//!     Architecture { family: Family::Vit, width: 32, depth: 2, heads: 2, image_size: 16, patch_size: 4 };
//! let network = Network::new(architecture, Pooling::Mean, 10);
//! let graph = build_random(&network, 0, &BuildOptions::default())?;
//! let shape = |name: &str| graph.shape(graph.find(name).unwrap()).unwrap().to_string();
//! assert_eq!(shape("logits"), "[N, 10]");
//! assert_eq!(shape("features"), "[N, 17, 32]");
//! # Ok::<(), mimir_export::Error>(())
//! ```

mod build;
mod cait;
mod checkpoint;
mod conv_stem;
mod convit;
mod describe;
mod description;
mod header;
mod layers;
mod mismatch;
mod parameters;
mod positions;
mod random;
mod tensors;
mod timm;
mod to_float32;
mod transposed;
mod vit;
mod weights;

#[cfg(test)]
mod tests;

pub use build::{BUILT_OPSETS, BuildOptions, DEFAULT_OPSET, build, build_random};
pub use checkpoint::Checkpoint;
pub use describe::{Wanted, describe};
pub use description::Network;
