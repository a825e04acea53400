//! Attacks of adversarial training: they compute x + δ.
//!
//! Each one maximises a loss that is *summed* over the batch. The gradient of an image then does not shrink with the size
//! of the batch, so that low precision does not flush it to zero (the authors' mean-reduced half-precision attack loses
//! all gradients at ImageNet scale). Attacks run the network without stochastic depth, and gradients go to the images
//! alone.

mod apgd;
mod ball;
mod classification;
mod reconstruction;

pub use apgd::apgd;
pub use ball::LinfBall;
pub use classification::{pgd, trades};
pub use reconstruction::attack_reconstruction;
