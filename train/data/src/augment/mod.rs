//! Augmentation: what happens to a picture between file and network. One operation a file; all randomness is the caller's
//! [`Stream`](crate::random::Stream), and every operation maps bytes to bytes.
//!
//! | operation | equal to | checked against |
//! | --- | --- | --- |
//! | [`resample`] | Pillow's `resize`, bilinear and bicubic, 8 bit | Pillow's bytes |
//! | [`Evaluation`] | torchvision's `Resize` and `CenterCrop` | torchvision's bytes |
//! | [`Transform`] | `Resize` and `CenterCrop` on PIL images, as in evaluations of torchvision and timm | torchvision's bytes |
//! | [`PadCrop`], flip, [`RandomResizedCrop`] | torchvision's rule | its geometry and distribution |
//! | [`ColourJitter`] | torchvision's `ColorJitter` without hue, as timm uses it | Pillow's bytes for each operation |
//! | [`RandAugment`] | timm's `rand-m9-mstd0.5-inc1` | timm's bytes for each operation and its arguments |
//! | [`Erasing`] | timm's `RandomErasing` | its geometry |
//!
//! The distributions are those of the originals; the random numbers are not.

mod augmentation;
mod colour_jitter;
mod crop;
mod enhance;
mod erasing;
mod evaluation;
mod pad_crop;
mod parameter;
mod rand_augment;
mod random_resized_crop;
pub(crate) mod resample;
mod transform;

#[cfg(test)]
mod fixtures;

pub use augmentation::{Augmentation, Crop};
pub use colour_jitter::ColourJitter;
pub use erasing::{Erasing, ErasingFill};
pub use evaluation::Evaluation;
pub use pad_crop::PadCrop;
pub use rand_augment::RandAugment;
pub use random_resized_crop::RandomResizedCrop;
pub use resample::{Interpolation, Region, resample, resample_with};
pub use transform::{Resize, Size, Transform};
