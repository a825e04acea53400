//! Operations that map each value by a table, as Pillow's `ImageOps` builds them.

use crate::picture::Picture;

/// One table for all channels.
pub(super) fn map_values(picture: &Picture, new: impl Fn(u8) -> u8) -> Picture {
    picture.with_bytes(picture.bytes().iter().map(|byte| new(*byte)).collect())
}

/// Keeps the upper `bits` of each value; no bits leave black, as Pillow did before it refused that.
pub(super) fn posterize(picture: &Picture, bits: u32) -> Picture {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    map_values(picture, |value| value & mask)
}

/// Inverts the values from a threshold of `0..=256` on.
pub(super) fn solarize(picture: &Picture, threshold: f64) -> Picture {
    map_values(picture, |value| if f64::from(value) < threshold { value } else { 255 - value })
}

/// Adds to the values below 128.
pub(super) fn solarize_add(picture: &Picture, add: u8) -> Picture {
    map_values(picture, |value| if value < 128 { value.saturating_add(add) } else { value })
}

/// Stretches each channel to all of `0..=255`; a channel of one value stays.
pub(super) fn auto_contrast(picture: &Picture) -> Picture {
    by_channel(picture, |counts| {
        let lowest = counts.iter().position(|count| *count > 0)?;
        let highest = counts.iter().rposition(|count| *count > 0)?;
        if highest <= lowest {
            return None;
        }
        let scale = 255.0 / (highest - lowest) as f64;
        let offset = -(lowest as f64) * scale;
        // The cast cuts to 0..=255 and truncates, as Pillow does in two steps.
        Some(std::array::from_fn(|value| (value as f64 * scale + offset) as u8))
    })
}

/// Makes the values of each channel as frequent as each other, as far as a table can.
pub(super) fn equalize(picture: &Picture) -> Picture {
    by_channel(picture, |counts| {
        let last = counts.iter().rfind(|count| **count > 0)?;
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut below = step / 2;
        Some(std::array::from_fn(|value| {
            let new = (below / step).min(255) as u8;
            below += counts[value];
            new
        }))
    })
}

/// A table for each channel, made from how often each value is there; `None` leaves the channel.
fn by_channel(picture: &Picture, table: impl Fn(&[usize; 256]) -> Option<[u8; 256]>) -> Picture {
    let channels = picture.channels();
    let mut bytes = picture.bytes().to_vec();
    for channel in 0..channels {
        let mut counts = [0; 256];
        bytes.iter().skip(channel).step_by(channels).for_each(|byte| counts[usize::from(*byte)] += 1);
        if let Some(table) = table(&counts) {
            let values = bytes.iter_mut().skip(channel).step_by(channels);
            values.for_each(|byte| *byte = table[usize::from(*byte)]);
        }
    }
    picture.with_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bits_are_black_and_all_bits_everything() {
        let picture = Picture::from_fn((16, 16, 1), |row, column, _| (16 * row + column) as u8);
        assert!(posterize(&picture, 0).bytes().iter().all(|byte| *byte == 0));
        assert!(posterize(&picture, 8) == picture);
        assert_eq!(posterize(&picture, 1).bytes()[127..129], [0, 128]);
    }

    /// Many values of few pixels: the table would leave `0..=255`.
    #[test]
    fn equal_frequencies_stay_in_range() {
        let picture = Picture::from_fn((20, 20, 1), |row, column, _| ((row * 20 + column) * 255 / 399) as u8);
        let found = equalize(&picture);
        assert_eq!((found.bytes()[0], found.bytes()[399]), (0, 255));
        assert!(found.bytes().is_sorted());
    }
}
