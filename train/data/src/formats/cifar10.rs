//! The binary version of CIFAR-10 (Krizhevsky 2009): per image one label byte and 3,072 bytes, the red, green and blue
//! plane of 32x32 pixels, row by row. [`CifarFormat`] is what differs in CIFAR-100,
//! whose records have a second label in front.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::{ImageSet, count_classes};
use crate::input::{FileStamp, contents, count_to_read, open_file};
use crate::source::{Dataset, Opener, ReadOptions, Split};
use crate::storage::PixelLayout;
use crate::storage::PixelStorage;
use crate::storage::SharedFile;
use crate::storage::{RecordFile, Records};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "cifar10",
    alias: None,
    path: "FOLDER",
    content: "the official binary files",
    has_splits: true,
    open: Opener::Images(open),
};

const DIMS: ImageDims = ImageDims { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;
const NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const FORMAT: CifarFormat = CifarFormat {
    label_bytes: 1,
    names: &NAMES,
    max_records: 10_000,
    inside: "cifar-10-batches-bin",
    archive: "cifar-10-binary.tar.gz",
    pickles: &["data_batch_1", "test_batch", "batches.meta"],
};

/// What differs between CIFAR-10 and CIFAR-100.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CifarFormat {
    /// Label bytes in front of the pixels; the last one counts.
    pub(crate) label_bytes: usize,
    /// Class names by label.
    pub(crate) names: &'static [&'static str],
    /// As many as every official file has at most.
    pub(crate) max_records: u64,
    /// The folder that the archive unpacks to.
    pub(crate) inside: &'static str,
    /// The archive of the binary version.
    pub(crate) archive: &'static str,
    /// Files of the Python version.
    pub(crate) pickles: &'static [&'static str],
}

/// Opens `test_batch.bin`, or `data_batch_1.bin` to `data_batch_5.bin` one after the other.
fn open(folder: &Path, options: &ReadOptions) -> Result<ImageSet, DataError> {
    let names: &[&str] = match options.split {
        Split::Train => &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        Split::Test => &["test_batch.bin"],
    };
    FORMAT.open(folder, names, options.first)
}

impl CifarFormat {
    /// The first images of these files, one after the other.
    pub(crate) fn open(
        self,
        folder: &Path,
        names: &[&str],
        first: Option<usize>,
    ) -> Result<ImageSet, DataError> {
        let folder = &self.folder(folder, names)?;
        let files = names.iter().map(|name| self.file(folder.join(name))).collect::<Result<Vec<_>, _>>()?;
        let found = files.iter().map(|file| file.records).sum();
        let count = count_to_read(folder, found, first)?;
        let mut labels = Vec::with_capacity(count);
        let mut records = Vec::with_capacity(files.len());
        // The others count only for a comparison of the classes.
        let labels_of_all =
            || files.iter().map(|file| file.labels(file.records)).collect::<Result<Vec<_>, _>>();
        let whole = (count < found).then(labels_of_all).and_then(Result::ok);
        for file in files {
            let taken = file.records.min(count - labels.len());
            labels.extend(file.labels(taken)?);
            records.push(file.into_records(taken));
        }
        let names = self.names.iter().map(|name| (*name).to_owned()).collect();
        let pixels = Records { files: records, dims: DIMS, layout: PixelLayout::ChannelsFirst };
        let set = ImageSet::new(DIMS, labels, Some(names), PIXELS, PixelStorage::Records(pixels));
        Ok(ImageSet { whole: whole.map(|labels| count_classes(&labels.concat())), ..set })
    }

    /// The folder of the files: this one, or the one of the archive inside it.
    fn folder(self, folder: &Path, names: &[&str]) -> Result<PathBuf, DataError> {
        let inside = folder.join(self.inside);
        let places = [folder, &inside];
        if let Some(place) = places.iter().find(|place| names.iter().any(|name| place.join(name).exists())) {
            return Ok(place.to_path_buf());
        }
        let python = [
            folder.to_owned(),
            folder.join(self.inside.replace("-binary", "-python").replace("-bin", "-py")),
        ];
        let is_pickle = |place: &PathBuf| self.pickles.iter().any(|name| place.join(name).is_file());
        let is_archive = |suffix: &str| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            folder.is_file() && name.ends_with(suffix)
        };
        let found = if python.iter().any(is_pickle) {
            format!("the Python version ({}: pickles)", self.pickles.join(", "))
        } else if is_archive(".gz") || is_archive(".tar") {
            "an archive: unpack it with `tar -xf`".to_owned()
        } else if folder.is_file() {
            "a file".to_owned()
        } else {
            contents(folder)?
        };
        let wanted = format!(
            "a folder with {}: the binary version ({} of https://www.cs.toronto.edu/~kriz/cifar.html), or save its arrays \
             as an NPZ file, numpy.savez(\"test.npz\", images=data.reshape(-1, 3, 32, 32), labels=labels), and name it npz:test.npz",
            names.join(", "),
            self.archive,
        );
        Err(DataError::format(folder, FilePart::Whole, found, wanted))
    }

    fn file(self, path: PathBuf) -> Result<BatchFile, DataError> {
        let (file, stamp) = open_file(&path)?;
        let (bytes, record) = (stamp.length, self.label_bytes + PIXELS);
        let records = bytes / record as u64;
        if bytes % record as u64 != 0 || records > self.max_records {
            let wanted = format!("at most {} whole records of {record} bytes", self.max_records);
            return Err(DataError::format(path, FilePart::Whole, format!("{bytes} bytes"), wanted));
        }
        Ok(BatchFile { format: self, path, file, stamp, records: records as usize })
    }
}

struct BatchFile {
    format: CifarFormat,
    path: PathBuf,
    file: File,
    stamp: FileStamp,
    records: usize,
}

impl BatchFile {
    fn record(&self) -> usize {
        self.format.label_bytes + PIXELS
    }

    /// The labels of the first records.
    fn labels(&self, records: usize) -> Result<Vec<usize>, DataError> {
        let mut record = vec![0; self.record()];
        (&self.file).rewind().map_err(|source| DataError::io(&self.path, source))?;
        let mut reader = BufReader::with_capacity(64 * record.len(), &self.file);
        let classes = self.format.names.len();
        let label = |index| {
            reader.read_exact(&mut record).map_err(|source| DataError::io(&self.path, source))?;
            let label = usize::from(record[self.format.label_bytes - 1]);
            if label >= classes {
                let (part, wanted) = (FilePart::Record(index), format!("0 to {}", classes - 1));
                return Err(DataError::format(&self.path, part, format!("label {label}"), wanted));
            }
            Ok(label)
        };
        (0..records).map(label).collect()
    }

    /// The first records, to be read when they are asked for.
    fn into_records(self, count: usize) -> RecordFile {
        let (start, stride) = (self.format.label_bytes as u64, self.record() as u64);
        let file = SharedFile::new(self.path, self.file, self.stamp);
        RecordFile { file, start, stride, count }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DATASETS;
    use super::*;
    use crate::input::pixel;

    const RECORD: usize = 1 + PIXELS;

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
        open(folder.path(), &ReadOptions { split: Split::Test, first })
    }

    #[test]
    fn planes_stay_channel_major() {
        let set = test_split(records(&[3, 9]), None).unwrap();
        assert_eq!((set.dims, set.count(), set.pixels_per_image()), (DIMS, 2, 3072));
        assert_eq!(set.labels, [3, 9]);
        assert_eq!(set.names.as_ref().unwrap()[3], "cat");
        let row = set.row(1);
        for (index, byte) in [(0, 90), (1023, 90), (1024, 91), (2048, 92), (3071, 92)] {
            assert_eq!(row[index], pixel(byte), "value {index}");
        }
    }

    #[test]
    fn the_train_split_is_five_files_in_order() {
        let names = [1, 2, 3, 4, 5].map(|number| format!("data_batch_{number}.bin"));
        let files: Vec<_> =
            names.iter().enumerate().map(|(i, name)| (name.as_str(), records(&[i as u8, 9]))).collect();
        let folder = folder(&files);
        let open = |first| open(folder.path(), &ReadOptions { split: Split::Train, first }).unwrap();
        let all = open(None);
        assert_eq!(all.labels, [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]);
        for (image, label) in all.labels.iter().enumerate().rev() {
            assert_eq!(all.row(image)[0], pixel(10 * *label as u8), "image {image}");
        }
        let first = open(Some(3));
        assert_eq!(first.labels, [0, 9, 1]);
        let error = first.read(3, &mut [0.0; PIXELS]).unwrap_err();
        assert!(matches!(error, DataError::NoSuchImage { image: 3, count: 3 }), "{error}");
    }

    /// Every image has pixels of its own.
    fn numbered() -> Vec<u8> {
        let record = |index: u32| {
            let pixels = (0..PIXELS as u32).map(move |place| ((place * 7 + index * 31) % 256) as u8);
            std::iter::once((index % 10) as u8).chain(pixels)
        };
        (0..40).flat_map(record).collect()
    }

    #[test]
    fn threads_read_the_same_pixels_in_any_order() {
        let bytes = numbered();
        let set = test_split(bytes.clone(), None).unwrap();
        let expect = |image: usize| {
            let record = &bytes[image * RECORD..][..RECORD];
            let wanted: Vec<f32> = record[1..].iter().copied().map(pixel).collect();
            assert_eq!(set.row(image), wanted, "image {image}");
        };
        std::thread::scope(|scope| {
            for step in [7, 33] {
                scope.spawn(move || (0..400).for_each(|turn| expect(turn * step % 40)));
            }
        });
    }

    #[test]
    fn a_file_cut_after_opening_is_an_error() {
        let folder = folder(&[("test_batch.bin", numbered())]);
        let set = open(folder.path(), &ReadOptions { split: Split::Test, first: None }).unwrap();
        let file = File::options().write(true).open(folder.path().join("test_batch.bin")).unwrap();
        file.set_len(20 * RECORD as u64).unwrap();
        for image in [0, 19, 20, 39] {
            let error = set.read(image, &mut [0.0; PIXELS]).unwrap_err().to_string();
            assert!(error.contains("test_batch.bin: the file changed after it was opened"), "{error}");
        }
    }

    #[test]
    fn bad_files_are_named() {
        let cases = [
            (records(&[1, 2])[..6145].to_vec(), None, "6145 bytes, wanted at most 10000 whole records"),
            (vec![0; 10_001 * RECORD], None, "wanted at most 10000"),
            (records(&[1, 10]), None, "test_batch.bin, image 1: found label 10, wanted 0 to 9"),
            (records(&[1]), Some(2), "found 1 images, but 2 were asked for"),
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
            open(Path::new("/nowhere"), &ReadOptions { split: Split::Test, first: None }).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere: "), "{error}");
    }

    /// What opening a folder with these files says; of CIFAR-100 where `is_100`.
    fn message(files: &[&str], is_100: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"\x80\x02").unwrap();
        }
        let scheme = if is_100 { "cifar100" } else { "cifar10" };
        let dataset = DATASETS.iter().find(|dataset| dataset.scheme == scheme).unwrap();
        let Opener::Images(open) = dataset.open else { panic!("{scheme}") };
        open(folder.path(), &ReadOptions { split: Split::Test, first: None }).unwrap_err().to_string()
    }

    #[test]
    fn what_is_there_instead_is_named_with_the_way_out() {
        let cases = [
            (&["data_batch_1", "test_batch", "batches.meta"][..], false, "found the Python version"),
            (&["cifar-10-batches-py/test_batch"], false, "found the Python version"),
            (&["train", "test", "meta"], true, "found the Python version"),
            (&["cifar-100-python/test"], true, "found the Python version"),
            (
                &["a.txt", "b.txt"],
                false,
                "found a folder with a.txt, b.txt, wanted a folder with test_batch.bin",
            ),
            (&[], true, "found an empty folder, wanted a folder with test.bin"),
        ];
        for (files, is_100, wanted) in cases {
            let message = message(files, is_100);
            assert!(message.contains(wanted), "{message}");
            assert!(message.contains("-binary.tar.gz") && message.contains("numpy.savez"), "{message}");
        }
        let file = tempfile::NamedTempFile::with_suffix("cifar-10-binary.tar.gz").unwrap();
        let error =
            open(file.path(), &ReadOptions { split: Split::Test, first: None }).unwrap_err().to_string();
        assert!(error.contains("found an archive: unpack it with `tar -xf`"), "{error}");
    }

    #[test]
    fn the_folder_of_the_archive_is_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("test_batch.bin"), records(&[3, 5, 5])).unwrap();
        let set = open(folder.path(), &ReadOptions { split: Split::Test, first: Some(1) }).unwrap();
        assert_eq!((set.labels, set.whole), (vec![3], Some([(3, 1), (5, 2)].into())));
    }
}
