//! Uniform numbers by counting: number i of a sample is a hash of the sample's key and of i. All numbers of a batch come from a
//! few operations on one tensor, on whatever device, and the same key gives the same bits on all of them.
//!
//! A key is two 32-bit words. The hash is two rounds of a mixer of 32 bits (two multiplications and three shifts each, constants of
//! C. Wellons's lowbias32), the second word of the key in between.

use tch::{Device, Kind, Tensor};

use crate::upload;

/// Of one sample.
pub(super) type Key = [u32; 2];

const FIRST: u32 = 0x7feb_352d;
const SECOND: u32 = 0x846c_a68b;

/// Numbers are multiples of 2⁻²⁴, as many as float32 has evenly in [0, 1).
const SCALE: f32 = 1.0 / (1_u32 << 24) as f32;

/// The first numbers of a key, uniform in [0, 1).
pub(super) fn fill(key: Key, out: &mut [f32]) {
    for (i, number) in out.iter_mut().enumerate() {
        let bits = mix(mix((i as u32).wrapping_add(key[0])) ^ key[1]);
        *number = (bits >> 8) as f32 * SCALE;
    }
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(FIRST);
    x ^= x >> 15;
    x = x.wrapping_mul(SECOND);
    x ^ (x >> 16)
}

/// The first `count` numbers of each key, `[keys, count]` float32.
pub(super) fn on_device(keys: &[Key], count: usize, device: Device) -> Tensor {
    let words = |word: usize| {
        let words: Vec<i32> = keys.iter().map(|key| key[word].cast_signed()).collect();
        upload::values(&words, device).unsqueeze(1)
    };
    let counter = Tensor::arange(count as i64, (Kind::Int, device));
    let bits = mix_all(counter + words(0)).bitwise_xor_tensor_(&words(1));
    shifted(&mix_all(bits), 8).to_kind(Kind::Float) * f64::from(SCALE)
}

/// [`mix`] of every element, in place. Products of 32 bits wrap.
fn mix_all(mut x: Tensor) -> Tensor {
    let _ = x.bitwise_xor_tensor_(&shifted(&x, 16));
    let _ = x.g_mul_scalar_(i64::from(FIRST.cast_signed()));
    let _ = x.bitwise_xor_tensor_(&shifted(&x, 15));
    let _ = x.g_mul_scalar_(i64::from(SECOND.cast_signed()));
    let high = shifted(&x, 16);
    x.bitwise_xor_tensor_(&high)
}

/// A shift to the right that fills with zeros: that of a signed number fills with its sign.
fn shifted(x: &Tensor, bits: i64) -> Tensor {
    x.bitwise_right_shift_tensor_scalar(bits).bitwise_and_((1_i64 << (32 - bits)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(key: Key, count: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; count];
        fill(key, &mut numbers);
        numbers
    }

    #[test]
    fn a_tensor_holds_the_same_bits() {
        let keys = [[0, 0], [1, 2], [u32::MAX, 0x8000_0000], [0xdead_beef, 7]];
        let found = on_device(&keys, 1000, Device::Cpu);
        assert_eq!(found.size(), [4, 1000]);
        for (row, key) in keys.into_iter().enumerate() {
            let row = Vec::<f32>::try_from(found.get(row as i64)).unwrap();
            assert_eq!(row, numbers(key, 1000), "{key:?}");
        }
    }

    /// A run that is resumed with a later release must see the numbers that it would have seen.
    #[test]
    fn the_numbers_are_pinned() {
        let levels: Vec<u32> = numbers([1, 2], 4).iter().map(|number| (number / SCALE) as u32).collect();
        let by_hand = [0u32, 1, 2, 3].map(|i| mix(mix(i + 1) ^ 2) >> 8);
        assert_eq!(levels, by_hand);
        // lowbias32 of 1, from its author's page, by the definition: five steps by hand.
        assert_eq!(mix(0), 0);
        assert_eq!(mix(1), {
            let x = 0x7feb_352du32;
            let x = x ^ (x >> 15);
            let x = x.wrapping_mul(0x846c_a68b);
            x ^ (x >> 16)
        });
    }

    #[test]
    fn numbers_are_uniform_and_those_of_neighbours_unrelated() {
        const COUNT: usize = 40_000;
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
        let centred =
            |key| -> Vec<f64> { numbers(key, COUNT).iter().map(|number| f64::from(*number) - 0.5).collect() };
        let first = centred([11, 17]);
        // Five standard errors: of a mean, 1/√(12 N); of a product of two, 1/(12 √N).
        let error = 5.0 / (12.0 * COUNT as f64).sqrt();
        assert!(mean(&first).abs() < error, "{}", mean(&first));
        let variance = mean(&first.iter().map(|x| x * x).collect::<Vec<_>>());
        // The fourth moment of a uniform number is 1/80: its square has variance 1/80 − 1/144.
        assert!((variance - 1.0 / 12.0).abs() < 5.0 * ((1.0 / 80.0 - 1.0 / 144.0) / COUNT as f64).sqrt());
        let product = |other: &[f64]| mean(&first.iter().zip(other).map(|(a, b)| a * b).collect::<Vec<_>>());
        let product_error = 5.0 / (12.0 * (COUNT as f64).sqrt());
        for other in [centred([12, 17]), centred([11, 18]), centred([11, 17 ^ 0x8000_0000])] {
            assert!(product(&other).abs() < product_error, "{}", product(&other));
        }
        let mut next = first.clone();
        next.rotate_left(1);
        assert!(product(&next).abs() < product_error);
    }
}
