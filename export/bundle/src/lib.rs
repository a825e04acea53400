//! What producers and users of a model must agree on. No engine, no graph, no I/O beyond digests.
#![forbid(unsafe_code)]

pub mod architecture;
pub mod attack;
pub mod certificate;
pub mod checkpoint;
pub mod digest;
pub mod kernels;
mod loss;
mod manifest;
mod prepared;
mod scan;
pub mod tensor_names;
mod threat_model;

pub use attack::AttackSpec;
pub use certificate::Certificate;
pub use loss::{Loss, LossInput};
pub use manifest::{
    BatchMode, ChannelOrder, ImageShape, Layout, Manifest, Normalisation, OutputKind, PixelType,
};
pub use prepared::{PreparedGraph, WEIGHTS_LOCATION, Weight};
pub use scan::{Scan, ScannedNode};
pub use threat_model::{InvalidRadius, Norm, Pixels, ThreatModel};
