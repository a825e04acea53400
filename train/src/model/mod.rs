//! Networks, under timm's parameter names.
//!
//! [`Architecture`] says which, [`build_encoder`] builds its encoder, and [`MaskedAutoencoder`] and [`Classifier`] add
//! decoder or head. Axis letters: N images, L patches, T tokens, D width, K classes.

mod architecture;
mod attention;
mod autoencoder;
mod block;
mod build;
mod cait;
mod classifier;
mod conv_stem;
mod convit;
mod decoder;
mod drop_path;
mod encoder;
mod layers;
mod mask;
mod patch_embed;
mod patches;
mod position;
mod positional;
mod preset;
mod vit;

#[cfg(test)]
mod tests;

pub use mimir_bundle::architecture::Pooling;

pub use architecture::{Architecture, ArchitectureError, Family};
pub use autoencoder::{MaskedAutoencoder, reconstruction_loss};
pub use build::build_encoder;
pub use classifier::Classifier;
pub use decoder::DecoderShape;
pub use drop_path::DropPath;
pub use encoder::{Encoder, Positions};
pub use mask::Mask;
pub use preset::Preset;
pub use vit::Vit;
