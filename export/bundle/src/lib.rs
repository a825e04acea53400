//! What producers and users of a model must agree on. No engine and no graph; of files only bundles are read and written.
#![forbid(unsafe_code)]

pub mod architecture;
pub mod attack;
pub mod bundle;
pub mod certificate;
pub mod checkpoint;
pub mod digest;
pub mod kernels;
mod loss;
mod manifest;
mod markdown;
pub mod parts;
pub mod policy;
mod prepared;
mod printable;
mod scan;
mod share;
pub mod signature;
pub mod statement;
pub mod statistics;
pub mod strict_json;
pub mod tensor_names;
#[cfg(test)]
mod testing;
mod threat_model;
mod weight_use;

pub use attack::AttackSpec;
pub use certificate::Certificate;
pub use loss::{Loss, LossInput};
pub use manifest::{
    BatchMode, ChannelOrder, ImageShape, InvalidNormalisation, Layout, Manifest, Normalisation, OutputKind,
    PixelType,
};
pub use markdown::markdown;
pub use prepared::{PreparedGraph, WEIGHTS_LOCATION, Weight};
pub use printable::{as_given, is_more_than_text, one_line, printable, printable_json, shell_word};
pub use scan::{Scan, ScannedNode};
pub use threat_model::{InvalidRadius, Norm, Pixels, ThreatModel};
pub use weight_use::WeightUse;
