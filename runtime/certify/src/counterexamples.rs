//! `adversarial.npz`: the counterexamples, with what is needed to check them again.
//!
//! | array | type | shape | what |
//! | --- | --- | --- | --- |
//! | `images` | `f32` | `[M, C, H, W]` | the perturbed images, in `[0, 1]` |
//! | `indices` | `u64` | `[M]` | index of each original among the evaluated images |
//! | `labels` | `u64` | `[M]` | its class |
//! | `predictions` | `u64` | `[M]` | the class that the model answers for the perturbed image |

use std::io::{BufWriter, Cursor, Seek, Write};

use mimir_bundle::ImageShape;
use mimir_runtime::evaluate::{Evaluation, Verdict};
use mimir_runtime::journal::{CounterexampleStore, StoreError};
use ndarray::{Array1, Array2, Array4};
use ndarray_npy::{NpzReader, ReadNpzError};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Why a file of counterexamples cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterexampleError {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The archive as it is written.
    #[error(transparent)]
    Zip(#[from] zip::result::ZipError),
    /// The archive as it is read.
    #[error(transparent)]
    Npz(#[from] ReadNpzError),
    /// An array that is missing, or of another type.
    #[error("array `{name}`")]
    Array {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        source: ReadNpzError,
    },
    /// Images of another shape than the model takes.
    #[error("array `images` has shape {found:?}, but the model expects {wanted:?}")]
    Shape {
        /// `[M, C, H, W]` of the file.
        found: [usize; 4],
        /// `[M, C, H, W]` of the model.
        wanted: [usize; 4],
    },
    /// Arrays of different lengths.
    #[error("array `{name}` has {values} values for {images} images")]
    Length {
        /// Which array.
        name: &'static str,
        /// Its length.
        values: usize,
        /// `M`
        images: usize,
    },
    /// A number that this machine cannot count to.
    #[error("array `{0}` has a number that is too large")]
    TooLarge(&'static str),
    /// The pixels of a counterexample, while the run went on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A counterexample whose pixels are gone: a defect of this library.
    #[error("the pixels of image {0} were not kept")]
    NotKept(usize),
}

type Result<T> = std::result::Result<T, CounterexampleError>;

/// One counterexample, and where its pixels are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Found {
    image: usize,
    label: usize,
    prediction: usize,
    slot: u64,
}

/// The counterexamples of an evaluation, in the order of the images.
///
/// # Errors
/// When one was found whose pixels were not kept: a defect of this library.
pub(crate) fn found(evaluation: &Evaluation) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for (outcome, slot) in evaluation.outcomes.iter().zip(&evaluation.slots) {
        let Verdict::Broken { prediction, .. } = outcome.verdict else { continue };
        let (image, label) = (outcome.image, outcome.label);
        let slot = slot.ok_or(CounterexampleError::NotKept(image))?;
        found.push(Found { image, label, prediction, slot });
    }
    Ok(found)
}

/// Writes the file, one image in memory at a time. Byte-identical for equal counterexamples: the archive carries no
/// time.
///
/// # Errors
/// When one cannot be read back, or the file cannot be written.
pub(crate) fn write_npz(
    file: impl Write + Seek,
    found: &[Found],
    store: &CounterexampleStore,
    image: ImageShape,
) -> Result<()> {
    let mut archive = ZipWriter::new(BufWriter::new(file));
    let ImageShape { channels, height, width } = image;
    begin_array(&mut archive, "images", "<f4", &[found.len(), channels, height, width])?;
    let mut pixels = vec![0.0; image.pixels()];
    let mut bytes = Vec::new();
    for Found { slot, .. } in found {
        store.read(*slot, &mut pixels)?;
        bytes.clear();
        bytes.extend(pixels.iter().flat_map(|value| value.to_le_bytes()));
        archive.write_all(&bytes)?;
    }
    type Column = fn(&Found) -> usize;
    let columns: [(&str, Column); 3] = [
        ("indices", |found| found.image),
        ("labels", |found| found.label),
        ("predictions", |found| found.prediction),
    ];
    for (name, column) in columns {
        begin_array(&mut archive, name, "<u8", &[found.len()])?;
        for found in found {
            archive.write_all(&(column(found) as u64).to_le_bytes())?;
        }
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// Begins the file of an array: its name in the archive and its NPY header (NEP 1, version 1.0). The elements, in
/// row-major order, are for the caller to write.
fn begin_array<W: Write + Seek>(
    archive: &mut ZipWriter<W>,
    name: &str,
    element_type: &str,
    shape: &[usize],
) -> Result<()> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    const ALIGNMENT: usize = 64;
    const BYTES: usize = 8;
    let dimensions: String = shape.iter().map(|dimension| format!("{dimension}, ")).collect();
    let mut header =
        format!("{{'descr': '{element_type}', 'fortran_order': False, 'shape': ({dimensions}), }}");
    let before = MAGIC.len() + size_of::<u16>();
    let total = (before + header.len() + 1).next_multiple_of(ALIGNMENT);
    header.extend(std::iter::repeat_n(' ', total - before - header.len() - 1));
    header.push('\n');
    let elements = shape.iter().fold(1_usize, |product, dimension| product.saturating_mul(*dimension));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .large_file(elements.saturating_mul(BYTES) >= u32::MAX as usize);
    archive.start_file(format!("{name}.npy"), options)?;
    archive.write_all(MAGIC)?;
    let length = u16::try_from(header.len()).map_err(std::io::Error::other)?;
    archive.write_all(&length.to_le_bytes())?;
    archive.write_all(header.as_bytes())?;
    Ok(())
}

/// Counterexamples in memory, as they were read back.
#[derive(Debug, Clone, PartialEq)]
pub struct CounterexampleSet {
    /// The perturbed images, `[M, C·H·W]`, in `[0, 1]`.
    pub images: Array2<f32>,
    /// Index of each original among the evaluated images, `[M]`.
    pub indices: Vec<usize>,
    /// Its class, `[M]`.
    pub labels: Vec<usize>,
    /// The class that the model answered for the perturbed image, `[M]`.
    pub predictions: Vec<usize>,
}

impl CounterexampleSet {
    /// Reads the bytes of a file with images of that shape.
    ///
    /// # Errors
    /// When it is no NPZ archive, lacks an array, or its arrays do not fit each other and `image`.
    pub fn from_npz(bytes: &[u8], image: ImageShape) -> Result<Self> {
        let mut archive = NpzReader::new(Cursor::new(bytes))?;
        let named = |name| move |source| CounterexampleError::Array { name, source };
        let images: Array4<f32> = archive.by_name("images").map_err(named("images"))?;
        let (count, channels, height, width) = images.dim();
        let found = [count, channels, height, width];
        let wanted = [count, image.channels, image.height, image.width];
        if found != wanted {
            return Err(CounterexampleError::Shape { found, wanted });
        }
        let images = Array2::from_shape_vec((count, image.pixels()), images.into_iter().collect())
            .map_err(|_| CounterexampleError::Shape { found, wanted })?;
        let mut integers = |name: &'static str| -> Result<Vec<usize>> {
            let array: Array1<u64> = archive.by_name(name).map_err(named(name))?;
            if array.len() != count {
                return Err(CounterexampleError::Length { name, values: array.len(), images: count });
            }
            let index = |value| usize::try_from(value).map_err(|_| CounterexampleError::TooLarge(name));
            array.into_iter().map(index).collect()
        };
        let (indices, labels) = (integers("indices")?, integers("labels")?);
        Ok(Self { images, indices, labels, predictions: integers("predictions")? })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use ndarray::array;
    use ndarray_npy::NpzWriter;

    use super::*;

    const IMAGE: ImageShape = ImageShape { channels: 1, height: 1, width: 2 };

    fn written(found: &[Found]) -> Vec<u8> {
        let store = CounterexampleStore::anonymous(2).unwrap();
        for pixels in [[0.5, 1.0], [0.25, 0.25], [0.0, 0.1]] {
            store.append(&pixels).unwrap();
        }
        let mut file = Cursor::new(Vec::new());
        write_npz(&mut file, found, &store, IMAGE).unwrap();
        file.into_inner()
    }

    const FOUND: [Found; 2] = [
        Found { image: 3, label: 1, prediction: 0, slot: 2 },
        Found { image: 17, label: 0, prediction: 2, slot: 0 },
    ];

    #[test]
    fn round_trips_to_the_last_bit() {
        let bytes = written(&FOUND);
        let set = CounterexampleSet {
            images: array![[0.0, 0.1], [0.5, 1.0]],
            indices: vec![3, 17],
            labels: vec![1, 0],
            predictions: vec![0, 2],
        };
        assert_eq!(CounterexampleSet::from_npz(&bytes, IMAGE).unwrap(), set);
        assert_eq!(written(&FOUND), bytes);
    }

    #[test]
    fn none_is_a_file_too() {
        let none = CounterexampleSet::from_npz(&written(&[]), IMAGE).unwrap();
        assert_eq!((none.images.dim(), none.indices.len()), ((0, 2), 0));
    }

    /// The elements of an array begin at a multiple of 64 bytes: NumPy asks for it.
    #[test]
    fn headers_are_aligned() {
        for shape in [&[1][..], &[123_456_789, 3, 224, 224], &[0]] {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            begin_array(&mut archive, "x", "<f4", shape).unwrap();
            let mut archive = archive.finish_into_readable().unwrap();
            let mut bytes = Vec::new();
            archive.by_index(0).unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() % 64, 0, "{shape:?}");
            assert!(bytes.ends_with(b" \n"), "{shape:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let bytes = written(&FOUND);
        let other = ImageShape { channels: 3, ..IMAGE };
        let error = CounterexampleSet::from_npz(&bytes, other).unwrap_err().to_string();
        assert!(error.contains("shape [2, 1, 1, 2], but the model expects [2, 3, 1, 2]"), "{error}");
        assert!(CounterexampleSet::from_npz(&bytes[..40], IMAGE).is_err());
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        archive.add_array("images", &Array4::<f32>::zeros((2, 1, 1, 2))).unwrap();
        for (name, count) in [("indices", 2), ("labels", 1), ("predictions", 2)] {
            archive.add_array(name, &Array1::<u64>::zeros(count)).unwrap();
        }
        let short = archive.finish().unwrap().into_inner();
        let error = CounterexampleSet::from_npz(&short, IMAGE).unwrap_err().to_string();
        assert!(error.contains("`labels` has 1 values for 2 images"), "{error}");
    }
}
