//! A checkpoint of a Vision Transformer with random weights, for measurements that must not depend on a trained one:
//!
//! ```sh
//! cargo run --release -p mimir-benches --example random_checkpoint -- vit_b.safetensors 768 12 12 224 16 1000
//! ```
//!
//! The arguments are the file, width, depth, heads, side of an image, side of a patch and classes. `mimir-export` reads it
//! with the names of timm.

use std::path::Path;

use anyhow::{Context, Result, bail};
use mimir_bundle::architecture::{Architecture, Family, Pooling};
use mimir_export::network::Network;
use safetensors::{Dtype, View};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, numbers @ ..] = &arguments[..] else { bail!("{USAGE}") };
    let numbers: Vec<usize> =
        numbers.iter().map(|number| number.parse().context(USAGE)).collect::<Result<_>>()?;
    let &[width, depth, heads, image_size, patch_size, classes] = &numbers[..] else { bail!("{USAGE}") };
    let architecture = Architecture { family: Family::Vit, width, depth, heads, image_size, patch_size };
    let network = Network::new(architecture, Pooling::ClassToken, classes);
    network.check()?;
    let tensors = network.parameters().into_iter().enumerate();
    let tensors = tensors.map(|(index, (name, dims))| (name.clone(), Drawn::new(index as u32, &name, dims)));
    safetensors::serialize_to_file(tensors, None, Path::new(file))?;
    Ok(())
}

const USAGE: &str = "usage: random_checkpoint FILE WIDTH DEPTH HEADS IMAGE_SIZE PATCH_SIZE CLASSES";

/// A tensor of small numbers around its usual mean.
struct Drawn {
    dims: Vec<usize>,
    bytes: Vec<u8>,
}

impl Drawn {
    fn new(index: u32, name: &str, dims: Vec<usize>) -> Self {
        let is_scale = name.contains("norm") && name.ends_with("weight");
        let mean = if is_scale { 1.0 } else { 0.0 };
        let count: usize = dims.iter().product();
        let mut state = index.wrapping_mul(0x9e37_79b9) | 1;
        let bytes = (0..count).flat_map(|_| (mean + 0.02 * next(&mut state)).to_le_bytes()).collect();
        Self { dims, bytes }
    }
}

/// Marsaglia's xorshift, as a number from -1 to 1.
fn next(state: &mut u32) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state as f32 / u32::MAX as f32 * 2.0 - 1.0
}

impl View for Drawn {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.dims
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
