//! The binary version of CIFAR-10 (Krizhevsky 2009): per image one label byte and 3,072 bytes, the red, green and blue
//! plane of 32x32 pixels, row by row.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::error::{DataError, Part};
use crate::image_set::{ImageDims, ImageSet};
use crate::input::{open, pixel, read_exactly, take_count};
use crate::read::{ReadOptions, Split};

const DIMS: ImageDims = ImageDims { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;
const RECORD: usize = 1 + PIXELS;
const NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Reads `test_batch.bin`, or `data_batch_1.bin` to `data_batch_5.bin` one after the other.
pub(crate) fn read(folder: &Path, options: &ReadOptions) -> Result<ImageSet, DataError> {
    let files = files(folder, options.split)?;
    let found = files.iter().map(|file| file.records).sum();
    let count = take_count(folder, found, options.first)?;
    let mut set = Records { pixels: Vec::with_capacity(count * PIXELS), labels: Vec::with_capacity(count) };
    for file in files {
        let records = file.records.min(count - set.labels.len());
        set.append(file, records)?;
    }
    Ok(set.into_image_set())
}

struct BatchFile {
    path: PathBuf,
    file: File,
    records: usize,
}

fn files(folder: &Path, split: Split) -> Result<Vec<BatchFile>, DataError> {
    let names: &[&str] = match split {
        Split::Train => &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        Split::Test => &["test_batch.bin"],
    };
    names.iter().map(|name| batch_file(folder.join(name))).collect()
}

fn batch_file(path: PathBuf) -> Result<BatchFile, DataError> {
    /// As many as every official file has.
    const MAX_RECORDS: u64 = 10_000;
    let (file, bytes) = open(&path)?;
    let records = bytes / RECORD as u64;
    if bytes % RECORD as u64 != 0 || records > MAX_RECORDS {
        let wanted = format!("at most {MAX_RECORDS} whole records of {RECORD} bytes");
        return Err(DataError::format(path, Part::Whole, format!("{bytes} bytes"), wanted));
    }
    Ok(BatchFile { path, file, records: records as usize })
}

struct Records {
    pixels: Vec<f32>,
    labels: Vec<usize>,
}

impl Records {
    /// Reads the first records of a file.
    fn append(&mut self, mut file: BatchFile, records: usize) -> Result<(), DataError> {
        let bytes = read_exactly(&mut file.file, records * RECORD, &file.path, Part::Whole)?;
        for (index, record) in bytes.as_chunks::<RECORD>().0.iter().enumerate() {
            let [label, pixels @ ..] = record;
            if usize::from(*label) >= NAMES.len() {
                let part = Part::Record(index);
                return Err(DataError::format(file.path, part, format!("label {label}"), "0 to 9"));
            }
            self.labels.push(usize::from(*label));
            self.pixels.extend(pixels.iter().copied().map(pixel));
        }
        Ok(())
    }

    fn into_image_set(self) -> ImageSet {
        let shape = (self.labels.len(), PIXELS);
        ImageSet {
            dims: DIMS,
            images: Array2::from_shape_vec(shape, self.pixels).expect("append adds one row per label"),
            labels: self.labels,
            names: Some(NAMES.map(str::to_owned).to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records whose label is their index and whose planes are filled with three consecutive bytes.
    fn records(labels: &[u8]) -> Vec<u8> {
        let record = |label: &u8| {
            let planes = (0..3).flat_map(|plane| [10 * label + plane; 1024]);
            std::iter::once(*label).chain(planes).collect::<Vec<u8>>()
        };
        labels.iter().flat_map(record).collect()
    }

    fn folder(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn test_split(bytes: Vec<u8>, first: Option<usize>) -> Result<ImageSet, DataError> {
        let folder = folder(&[("test_batch.bin", bytes)]);
        read(folder.path(), &ReadOptions { split: Split::Test, first })
    }

    #[test]
    fn planes_stay_channel_major() {
        let set = test_split(records(&[3, 9]), None).unwrap();
        assert_eq!((set.dims, set.images.dim()), (DIMS, (2, 3072)));
        assert_eq!(set.labels, [3, 9]);
        assert_eq!(set.names.unwrap()[3], "cat");
        for (index, byte) in [(0, 90), (1023, 90), (1024, 91), (2048, 92), (3071, 92)] {
            assert_eq!(set.images[[1, index]], pixel(byte), "value {index}");
        }
    }

    #[test]
    fn the_train_split_is_five_files_in_order() {
        let names = [1, 2, 3, 4, 5].map(|number| format!("data_batch_{number}.bin"));
        let files: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), records(&[i as u8, 9]))).collect();
        let folder = folder(&files);
        let read = |first| read(folder.path(), &ReadOptions { split: Split::Train, first }).unwrap().labels;
        assert_eq!(read(None), [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        assert_eq!(read(Some(3)), [0, 9, 1]);
    }

    #[test]
    fn bad_files_are_named() {
        let cases = [
            (records(&[1, 2])[..6145].to_vec(), None, "6145 bytes, wanted at most 10000 whole records"),
            (vec![0; 10_001 * RECORD], None, "wanted at most 10000"),
            (records(&[1, 10]), None, "test_batch.bin, image 1: found label 10, wanted 0 to 9"),
            (records(&[1]), Some(2), "found 1 images, but the first 2 were asked for"),
            (Vec::new(), None, "no images"),
        ];
        for (bytes, first, wanted) in cases {
            let error = test_split(bytes, first).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error =
            read(Path::new("/nowhere"), &ReadOptions { split: Split::Test, first: None }).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/test_batch.bin: "), "{error}");
    }
}
