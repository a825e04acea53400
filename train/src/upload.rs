//! Values on their way to a device.

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// A tensor `[N]` of values on a device. They go to a GPU from pinned memory, behind the work that is queued there: the processor
/// does not wait, as it would where memory is not pinned.
pub fn values<T: Element>(values: &[T], device: Device) -> Tensor {
    let tensor = Tensor::from_slice(values);
    if !device.is_cuda() {
        return tensor.to_device(device);
    }
    tensor.pin_memory(device).to_device_(device, tensor.kind(), true, false)
}

/// Bytes as pixels in `[0, 1]`, `[N]` float32: `byte / 255` as `mimir-data` defines it, computed on the device that a quarter as much was
/// sent to.
pub fn pixels(bytes: &[u8], device: Device) -> Tensor {
    // A division by a number of the processor may become a product with its reciprocal on a GPU, which rounds otherwise.
    let full = Tensor::full([], 255.0, (Kind::Float, device));
    values(bytes, device).to_kind(Kind::Float).g_div_(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All there are, in a tensor long enough for vectors and threads.
    #[test]
    fn every_byte_is_its_255th_to_the_last_bit() {
        let bytes: Vec<u8> = (0..1 << 17).map(|place: u32| (place % 257 % 256) as u8).collect();
        let found = Vec::<f32>::try_from(pixels(&bytes, Device::Cpu)).unwrap();
        assert!(found.iter().zip(&bytes).all(|(found, byte)| *found == f32::from(*byte) / 255.0));
        assert_eq!(values(&[3i64, -1], Device::Cpu), Tensor::from_slice(&[3i64, -1]));
    }
}
