//! `adversarial.npz`: the counterexamples, with what is needed to check them again.
//!
//! | array | type | shape | what |
//! | --- | --- | --- | --- |
//! | `images` | `f32` | `[M, C, H, W]` | the perturbed images, in `[0, 1]` |
//! | `indices` | `u64` | `[M]` | index of each original among the evaluated images |
//! | `labels` | `u64` | `[M]` | its class |
//! | `predictions` | `u64` | `[M]` | the class that the model answers for the perturbed image |

use std::io::{BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use mimir_bundle::ImageShape;
use mimir_data::{DataError, FilePart, NpyHeader};
use mimir_runtime::evaluate::{Evaluation, Verdict};
use mimir_runtime::journal::{CounterexampleStore, StoreError};
use ndarray::Array2;
use zip::read::ZipFile;
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

/// What a file of counterexamples says of each, without the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CounterexampleRecords {
    /// Index of each original among the evaluated images, `[M]`.
    pub(crate) indices: Vec<usize>,
    /// Its class, `[M]`.
    pub(crate) labels: Vec<usize>,
    /// The class that the model answered for the perturbed image, `[M]`.
    pub(crate) predictions: Vec<usize>,
}

/// An open file of counterexamples, whose pixels are read part by part: they may be more than there is memory.
#[derive(Debug)]
pub(crate) struct StoredCounterexamples<'p, R> {
    arrays: Arrays<'p, R>,
    image: ImageShape,
    most: usize,
}

impl<'p, R: Read + Seek> StoredCounterexamples<'p, R> {
    /// Opens the file at `path`, of at most `most` images of that shape. No header is believed before the sizes of the
    /// archive agree with it.
    ///
    /// # Errors
    /// When it is no NPZ archive.
    pub(crate) fn open(file: R, path: &'p Path, image: ImageShape, most: usize) -> Result<Self> {
        Ok(Self { arrays: Arrays { archive: ZipArchive::new(file)?, path }, image, most })
    }

    /// Everything but the pixels.
    ///
    /// # Errors
    /// When the file lacks an array, or its arrays do not fit each other, the shape of the images and their number.
    pub(crate) fn records(&mut self) -> Result<CounterexampleRecords> {
        let count = self.pixels()?.left;
        let mut integers = |name: &'static str| -> Result<Vec<usize>> {
            let fits = |shape: &[usize]| *shape == [count];
            let wanted = || format!("[{count}], one for each image");
            let mut array = self.arrays.open(name, "<u8", fits, wanted)?;
            let bytes = array.next(8 * count as u64)?;
            array.expect_end()?;
            let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
            let index = |value| usize::try_from(value).map_err(|_| CounterexampleError::TooLarge(name));
            words.map(index).collect()
        };
        let (indices, labels) = (integers("indices")?, integers("labels")?);
        Ok(CounterexampleRecords { indices, labels, predictions: integers("predictions")? })
    }

    /// The pixels, from the first image on.
    ///
    /// # Errors
    /// As [`Self::records`].
    pub(crate) fn pixels(&mut self) -> Result<PixelParts<'_, R>> {
        let ImageShape { channels, height, width } = self.image;
        let most = self.most;
        let fits = |shape: &[usize]| matches!(*shape, [count, c, h, w] if [c, h, w] == [channels, height, width] && count <= most);
        let wanted = || format!("[M, {channels}, {height}, {width}] for at most {most} images");
        let array = self.arrays.open("images", "<f4", fits, wanted)?;
        let left = array.shape.first().copied().unwrap_or_default();
        Ok(PixelParts { left, array, pixels_per_image: self.image.pixels() })
    }
}

/// The pixels of counterexamples, read one after another.
pub(crate) struct PixelParts<'a, R: Read> {
    array: Array<'a, R>,
    /// Images that were not read.
    left: usize,
    pixels_per_image: usize,
}

impl<R: Read> PixelParts<'_, R> {
    /// The next images, `most` or the last fewer, `[m, C·H·W]`, in `[0, 1]`; none at the end, where the checksum was right.
    ///
    /// # Errors
    /// When they cannot be read, or more are there than the header says.
    pub(crate) fn next(&mut self, most: usize) -> Result<Option<Array2<f32>>> {
        let count = self.left.min(most);
        if count == 0 {
            self.array.expect_end()?;
            return Ok(None);
        }
        let bytes = self.array.next(4 * (count as u64) * self.pixels_per_image as u64)?;
        self.left -= count;
        let floats = bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let images = Array2::from_shape_vec((count, self.pixels_per_image), floats);
        images.map(Some).map_err(|error| CounterexampleError::Io(std::io::Error::other(error)))
    }
}

/// The arrays of an archive that may come from anyone.
#[derive(Debug)]
struct Arrays<'p, R> {
    archive: ZipArchive<R>,
    path: &'p Path,
}

impl<R: Read + Seek> Arrays<'_, R> {
    /// An array of that type, at its first element. `fits` says whether a shape is one that is wanted.
    fn open(
        &mut self,
        name: &'static str,
        descr: &str,
        fits: impl Fn(&[usize]) -> bool,
        wanted: impl Fn() -> String,
    ) -> Result<Array<'_, R>> {
        let part = FilePart::Array(name);
        let path = self.path;
        let refused = |found: String, wanted: String| DataError::format(path, part.clone(), found, wanted);
        let mut entry = self
            .archive
            .by_name(&format!("{name}.npy"))
            .map_err(|error| refused(error.to_string(), "what mimir-certify wrote".to_owned()))?;
        let header = NpyHeader::read(&mut entry, path, &part)?;
        if header.descr != descr {
            return Err(refused(format!("element type {}", header.descr), descr.to_owned()).into());
        }
        if !fits(&header.shape) {
            return Err(refused(format!("shape {:?}", header.shape), wanted()).into());
        }
        let bytes = header.data_bytes().and_then(|bytes| u64::try_from(bytes).ok());
        let there = entry.size().checked_sub(header.length as u64);
        match bytes.filter(|bytes| Some(*bytes) == there) {
            Some(_) => Ok(Array { entry, shape: header.shape, name, path: path.to_owned() }),
            None => {
                let found = format!("{} bytes", entry.size());
                let wanted = format!("a header and values of {descr} in the shape {:?}", header.shape);
                Err(refused(found, wanted).into())
            }
        }
    }
}

/// An array that is being unpacked.
struct Array<'a, R: Read> {
    entry: ZipFile<'a, R>,
    shape: Vec<usize>,
    name: &'static str,
    path: PathBuf,
}

impl<R: Read> Array<'_, R> {
    /// The next bytes, so many. What is unpacked may be less than the archive says: memory is taken as it comes.
    fn next(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.entry.by_ref().take(length).read_to_end(&mut bytes)?;
        match read as u64 == length {
            true => Ok(bytes),
            false => Err(self.refused(&format!("{read} bytes"), &format!("{length} bytes more"))),
        }
    }

    /// Checks that nothing comes any more; the archive then compares its checksum.
    fn expect_end(&mut self) -> Result<()> {
        match self.entry.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.refused("more bytes", "its end")),
        }
    }

    fn refused(&self, found: &str, wanted: &str) -> CounterexampleError {
        DataError::format(&self.path, FilePart::Array(self.name), found, wanted).into()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ndarray::{Array1, Array4};
    use ndarray_npy::NpzWriter;
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], image: ImageShape) -> Result<(Vec<f32>, CounterexampleRecords)> {
        read_most(bytes, image, 10)
    }

    /// In parts of one image and of three.
    fn read_most(bytes: &[u8], image: ImageShape, most: usize) -> Result<(Vec<f32>, CounterexampleRecords)> {
        let mut stored = StoredCounterexamples::open(Cursor::new(bytes), Path::new("x.npz"), image, most)?;
        let records = stored.records()?;
        let mut read = |rows| {
            let (mut parts, mut pixels) = (stored.pixels()?, Vec::new());
            while let Some(part) = parts.next(rows)? {
                assert!((1..=rows).contains(&part.nrows()));
                pixels.extend(part);
            }
            Ok::<_, CounterexampleError>(pixels)
        };
        let pixels = read(1)?;
        assert_eq!(pixels, read(3)?);
        Ok((pixels, records))
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
        let records =
            CounterexampleRecords { indices: vec![3, 17], labels: vec![1, 0], predictions: vec![0, 2] };
        assert_eq!(read(&bytes, IMAGE).unwrap(), (vec![0.0, 0.1, 0.5, 1.0], records));
        assert_eq!(written(&FOUND), bytes);
    }

    #[test]
    fn none_is_a_file_too() {
        let (pixels, none) = read(&written(&[]), IMAGE).unwrap();
        assert_eq!((pixels.len(), none.indices.len()), (0, 0));
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
        let error = read_most(&bytes, IMAGE, 1).unwrap_err().to_string();
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
        let of = |count: u64, most: usize| read_most(&hostile(&header(count), &[0; 8]), IMAGE, most);
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
        assert!(error.contains("a header and values of <f4 in the shape [1, 1, 1, 2]"), "{error}");
    }

    proptest! {
        #[test]
        fn a_changed_file_is_read_or_refused(place in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
            let mut bytes = written(&FOUND);
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
            if let Ok((pixels, records)) = read(&bytes, IMAGE) {
                prop_assert_eq!((pixels.len() / 2, records.labels.len()), (records.indices.len(), records.indices.len()));
            }
        }
    }
}
