//! `adversarial.npz`: the counterexamples, with what is needed to check them again.
//!
//! | array | type | shape | what |
//! | --- | --- | --- | --- |
//! | `images` | `f32` | `[M, C, H, W]` | the perturbed images, in `[0, 1]` |
//! | `indices` | `u64` | `[M]` | index of each original among the evaluated images |
//! | `labels` | `u64` | `[M]` | its class |
//! | `predictions` | `u64` | `[M]` | the class that the model answers for the perturbed image |

use std::io::{BufWriter, Cursor, Read as _, Seek, Write};
use std::path::Path;

use mimir_bundle::ImageShape;
use mimir_data::{DataError, FilePart, NpyHeader};
use mimir_runtime::evaluate::{Evaluation, Verdict};
use mimir_runtime::journal::{CounterexampleStore, StoreError};
use ndarray::Array2;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// Why a file of counterexamples cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CounterexampleError {
    /// The file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The archive.
    #[error(transparent)]
    Zip(#[from] zip::result::ZipError),
    /// An array that is missing, or of another type or shape.
    #[error(transparent)]
    Array(#[from] DataError),
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
    /// Reads the bytes of the file at `path` with at most `most` images of that shape. No header is believed before the sizes
    /// of the archive agree with it.
    ///
    /// # Errors
    /// When it is no NPZ archive, lacks an array, or its arrays do not fit each other, `image` and `most`.
    pub fn from_npz(bytes: &[u8], path: &Path, image: ImageShape, most: usize) -> Result<Self> {
        let mut archive = Arrays { archive: ZipArchive::new(Cursor::new(bytes))?, path };
        let ImageShape { channels, height, width } = image;
        let (shape, images) = archive.read(
            "images",
            "<f4",
            |shape| match *shape {
                [count, c, h, w] if [c, h, w] == [channels, height, width] && count <= most => {
                    Some(count * image.pixels())
                }
                _ => None,
            },
            || format!("[M, {channels}, {height}, {width}] for at most {most} images"),
        )?;
        let count = shape.first().copied().unwrap_or_default();
        let floats = images.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let images = Array2::from_shape_vec((count, image.pixels()), floats)
            .map_err(|error| CounterexampleError::Io(std::io::Error::other(error)))?;
        let mut integers = |name: &'static str| -> Result<Vec<usize>> {
            let fits = |shape: &[usize]| (*shape == [count]).then_some(count);
            let (_, bytes) = archive.read(name, "<u8", fits, || format!("[{count}], one for each image"))?;
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            let index = |value| usize::try_from(value).map_err(|_| CounterexampleError::TooLarge(name));
            words.map(index).collect()
        };
        let (indices, labels) = (integers("indices")?, integers("labels")?);
        Ok(Self { images, indices, labels, predictions: integers("predictions")? })
    }
}

/// The arrays of an archive that may come from anyone.
struct Arrays<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    path: &'a Path,
}

impl Arrays<'_> {
    /// Shape and bytes of an array of that type. `values` says of a shape how many values it has, where it is one that is
    /// wanted.
    fn read(
        &mut self,
        name: &'static str,
        descr: &str,
        values: impl Fn(&[usize]) -> Option<usize>,
        wanted: impl Fn() -> String,
    ) -> Result<(Vec<usize>, Vec<u8>)> {
        let part = FilePart::Array(name);
        let refused =
            |found: String, wanted: String| DataError::format(self.path, part.clone(), found, wanted);
        let mut entry = self
            .archive
            .by_name(&format!("{name}.npy"))
            .map_err(|error| refused(error.to_string(), "what mimir-certify wrote".to_owned()))?;
        let header = NpyHeader::read(&mut entry, self.path, &part)?;
        let NpyHeader { shape, .. } = &header;
        if header.descr != descr {
            return Err(refused(format!("element type {}", header.descr), descr.to_owned()).into());
        }
        let values = values(shape).ok_or_else(|| refused(format!("shape {shape:?}"), wanted()))?;
        let bytes = header.data_bytes().and_then(|bytes| u64::try_from(bytes).ok());
        let there = entry.size().checked_sub(header.length as u64);
        let Some(length) = bytes.filter(|bytes| Some(*bytes) == there) else {
            let found = format!("{} bytes", entry.size());
            return Err(refused(found, format!("a header and {values} values of {descr}")).into());
        };
        // What is unpacked may be more than the archive says, or less; its end checks the checksum.
        let mut data = Vec::new();
        entry.by_ref().take(length).read_to_end(&mut data)?;
        if data.len() as u64 != length || entry.read(&mut [0])? != 0 {
            return Err(refused(format!("{} bytes or more", data.len()), format!("{length} bytes")).into());
        }
        Ok((header.shape, data))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array4, array};
    use ndarray_npy::NpzWriter;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], image: ImageShape) -> Result<CounterexampleSet> {
        CounterexampleSet::from_npz(bytes, Path::new("x.npz"), image, 10)
    }

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
        assert_eq!(read(&bytes, IMAGE).unwrap(), set);
        assert_eq!(written(&FOUND), bytes);
    }

    #[test]
    fn none_is_a_file_too() {
        let none = read(&written(&[]), IMAGE).unwrap();
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
        let error = read(&bytes, other).unwrap_err().to_string();
        assert!(error.contains("shape [2, 1, 1, 2]") && error.contains("[M, 3, 1, 2]"), "{error}");
        assert!(read(&bytes[..40], IMAGE).is_err());
        let mut archive = NpzWriter::new(Cursor::new(Vec::new()));
        archive.add_array("images", &Array4::<f32>::zeros((2, 1, 1, 2))).unwrap();
        for (name, count) in [("indices", 2), ("labels", 1), ("predictions", 2)] {
            archive.add_array(name, &Array1::<u64>::zeros(count)).unwrap();
        }
        let short = archive.finish().unwrap().into_inner();
        let error = read(&short, IMAGE).unwrap_err().to_string();
        assert!(error.contains("`labels`") && error.contains("[2], one for each image"), "{error}");
        let error =
            CounterexampleSet::from_npz(&bytes, Path::new("x.npz"), IMAGE, 1).unwrap_err().to_string();
        assert!(error.contains("at most 1 images"), "{error}");
    }

    /// An archive with that header and data in the place of the images.
    fn hostile(header: &str, data: &[u8]) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file("images.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(b"\x93NUMPY\x01\x00").unwrap();
        archive.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(header.as_bytes()).unwrap();
        archive.write_all(data).unwrap();
        archive.finish().unwrap().into_inner()
    }

    /// 2^40 images in a file of 200 bytes: an error, and no memory is asked for.
    #[test]
    fn a_header_that_claims_more_than_there_is_is_refused() {
        let header = |count: u64| {
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, 1, 1, 2), }}\n")
        };
        let of = |count: u64, most: usize| {
            CounterexampleSet::from_npz(&hostile(&header(count), &[0; 8]), Path::new("x.npz"), IMAGE, most)
        };
        for count in [1 << 40, u64::MAX / 8, u64::MAX] {
            let error = of(count, usize::MAX >> 4).unwrap_err().to_string();
            assert!(error.contains("array `images`") || error.contains("images"), "{error}");
        }
        assert!(of(1 << 40, 40).unwrap_err().to_string().contains("at most 40 images"));
        // Only the other arrays are missing.
        assert!(of(1, 40).unwrap_err().to_string().contains("indices"));
    }

    /// A thousand times as many zeros as the archive is long, of which none is wanted.
    #[test]
    fn what_is_packed_tightly_is_not_unpacked_where_it_does_not_fit() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 2), }\n";
        let bytes = hostile(header, &vec![0; 8 << 20]);
        assert!(bytes.len() < 64 << 10);
        let error = read(&bytes, IMAGE).unwrap_err().to_string();
        assert!(error.contains("a header and 2 values"), "{error}");
    }

    proptest! {
        #[test]
        fn a_changed_file_is_read_or_refused(place in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
            let mut bytes = written(&FOUND);
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
            if let Ok(set) = read(&bytes, IMAGE) {
                prop_assert!(set.indices.len() == set.images.nrows() && set.labels.len() == set.indices.len());
            }
        }
    }
}
