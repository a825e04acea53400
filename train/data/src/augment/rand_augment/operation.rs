//! The fifteen operations of timm's increasing set, and what a magnitude means to each.

use super::affine::{self, Filter};
use super::table;
use crate::augment::enhance;
use crate::picture::Picture;

/// One operation. Grey pictures take all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    AutoContrast,
    Equalize,
    Invert,
    Rotate,
    Posterize,
    Solarize,
    SolarizeAdd,
    Color,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

impl Operation {
    /// In timm's order.
    pub(super) const ALL: [Self; 15] = [
        Self::AutoContrast,
        Self::Equalize,
        Self::Invert,
        Self::Rotate,
        Self::Posterize,
        Self::Solarize,
        Self::SolarizeAdd,
        Self::Color,
        Self::Contrast,
        Self::Brightness,
        Self::Sharpness,
        Self::ShearX,
        Self::ShearY,
        Self::TranslateX,
        Self::TranslateY,
    ];

    /// The operation's argument for a magnitude of `0..=10`: degrees, bits, a threshold, a factor, or a share of the
    /// side. `negate` counts where a direction has no preference.
    pub(super) fn argument(self, magnitude: f64, negate: bool) -> f64 {
        let level = magnitude / 10.0;
        let signed = |value: f64| if negate { -value } else { value };
        match self {
            Self::AutoContrast | Self::Equalize | Self::Invert => 0.0,
            Self::Rotate => signed(level * 30.0),
            Self::Posterize => 4.0 - (level * 4.0).trunc(),
            Self::Solarize => 256.0 - (level * 256.0).trunc().min(256.0),
            Self::SolarizeAdd => (level * 110.0).trunc().min(128.0),
            Self::Color | Self::Contrast | Self::Brightness | Self::Sharpness => {
                (1.0 + signed(level * 0.9)).max(0.1)
            }
            Self::ShearX | Self::ShearY => signed(level * 0.3),
            Self::TranslateX | Self::TranslateY => signed(level * 0.45),
        }
    }

    /// A picture of the same size. `filter` and `fill` count for the operations that move pixels.
    pub(super) fn apply(self, picture: &Picture, argument: f64, filter: Filter, fill: u8) -> Picture {
        let moved = |matrix| affine::transform(picture, matrix, filter, fill);
        match self {
            Self::AutoContrast => table::auto_contrast(picture),
            Self::Equalize => table::equalize(picture),
            Self::Invert => table::map_values(picture, |value| 255 - value),
            Self::Posterize => table::posterize(picture, argument as u32),
            Self::Solarize => table::solarize(picture, argument),
            Self::SolarizeAdd => table::solarize_add(picture, argument as u8),
            Self::Color => enhance::color(picture, argument),
            Self::Contrast => enhance::contrast(picture, argument),
            Self::Brightness => enhance::brightness(picture, argument),
            Self::Sharpness => enhance::sharpness(picture, argument),
            Self::Rotate => affine::rotate(picture, argument, filter, fill),
            Self::ShearX => moved([1.0, argument, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY => moved([1.0, 0.0, 0.0, argument, 1.0, 0.0]),
            Self::TranslateX => moved([1.0, 0.0, argument * picture.width() as f64, 0.0, 1.0, 0.0]),
            Self::TranslateY => moved([1.0, 0.0, 0.0, 0.0, 1.0, argument * picture.height() as f64]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixtures::Fixtures;
    use super::*;

    fn named(name: &str) -> Operation {
        let short = name.trim_end_matches("Increasing").trim_end_matches("Rel");
        *Operation::ALL.iter().find(|operation| format!("{operation:?}") == short).unwrap()
    }

    #[test]
    fn every_operation_gives_timms_bytes() {
        let fixtures = Fixtures::read();
        let mut seen = Vec::new();
        let mut wrong = Vec::new();
        for (words, wanted) in fixtures.cases("op") {
            let operation = named(words[1]);
            let filter = if words[3] == "bilinear" { Filter::Bilinear } else { Filter::Bicubic };
            let picture = fixtures.image(words[4]);
            let found = operation.apply(&picture, words[2].parse().unwrap(), filter, 128);
            if found != wanted {
                let pairs = found.bytes().iter().zip(wanted.bytes()).enumerate();
                let first = pairs.filter(|(_, (found, wanted))| found != wanted).take(3).collect::<Vec<_>>();
                wrong.push(format!("{words:?} {first:?}"));
            }
            seen.push(operation);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(Operation::ALL.iter().all(|operation| seen.contains(operation)));
    }

    #[test]
    fn magnitudes_mean_what_timm_means() {
        let fixtures = Fixtures::read();
        let mut count = 0;
        for (name, rows) in fixtures.levels() {
            for row in rows.rows() {
                for negate in [false, true] {
                    let found = named(name).argument(row[0], negate);
                    let wanted = row[1 + usize::from(negate)];
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{name} {row}: {found}");
                    count += 1;
                }
            }
        }
        assert_eq!(count, 12 * 10 * 2);
    }

    /// A grey picture becomes what its three equal channels become.
    #[test]
    fn grey_is_rgb_of_equal_channels() {
        let value = |row: usize, column: usize, _| (row * 41 + column * 13) as u8;
        let (grey, rgb) = (Picture::from_fn((14, 11, 1), value), Picture::from_fn((14, 11, 3), value));
        for operation in Operation::ALL {
            let argument = operation.argument(8.3, true);
            let apply = |picture| operation.apply(picture, argument, Filter::Bicubic, 128);
            let repeated: Vec<u8> = apply(&grey).bytes().iter().flat_map(|byte| [*byte; 3]).collect();
            assert_eq!(apply(&rgb).bytes(), repeated, "{operation:?}");
        }
    }
}
