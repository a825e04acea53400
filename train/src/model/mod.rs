//! Networks, under timm's parameter names.
//!
//! [`Architecture`] says which; [`encoder`] builds it; [`MaskedAutoencoder`] and [`Classifier`] put it to use. Axis
//! letters: N images, L patches, T tokens, D width, K classes.

mod architecture;
mod attention;
mod autoencoder;
mod classifier;
mod drop_path;
pub mod encoder;
mod layers;
mod mask;
mod patches;
mod position;
mod vit;

pub use architecture::{Architecture, ArchitectureError, Family};
pub use autoencoder::{DecoderShape, MaskedAutoencoder, reconstruction_loss};
pub use classifier::{Classifier, Pooling};
pub use drop_path::DropPath;
pub use encoder::{Encoder, Positions};
pub use mask::Mask;
pub use vit::Vit;
