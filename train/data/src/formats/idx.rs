//! IDX, the format of MNIST and its successors: a big-endian magic number whose last byte counts the dimensions, the
//! dimensions as `u32`, then unsigned bytes. Files may be compressed, as they are distributed: their names end in `.gz`,
//! and they are unpacked into memory.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::{ImageSet, count_classes};
use crate::input::{
    FileStamp, MAX_VALUES, contents, count_to_read, image_len, len_in_memory, open_file, read_exactly,
};
use crate::source::{Dataset, Opener, ReadOptions, Split};
use crate::storage::{InMemory, PixelLayout, PixelStorage, RecordFile, Records, SharedFile};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "mnist",
    alias: Some("idx"),
    path: "FOLDER",
    content: "IDX files under their MNIST names, or these compressed (.gz)",
    has_splits: true,
    open: Opener::Images(open),
};

/// Where the files may be: here, or where torchvision puts them.
const PLACES: [&str; 3] = ["", "raw", "MNIST/raw"];

/// Opens `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` (or `train-…`), with `-` or `.` before `idx`, with or
/// without `.gz`.
fn open(folder: &Path, options: &ReadOptions) -> Result<ImageSet, DataError> {
    let prefix = match options.split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images: Idx<3> = Idx::open(existing(folder, &format!("{prefix}-images"), "idx3-ubyte")?)?;
    let mut labels: Idx<1> = Idx::open(existing(folder, &format!("{prefix}-labels"), "idx1-ubyte")?)?;
    let [found, height, width] = images.dims;
    if labels.dims != [found] {
        let (seen, wanted) = (format!("{} labels", labels.dims[0]), format!("{found}, one for each image"));
        return Err(DataError::format(labels.path, FilePart::Header, seen, wanted));
    }
    let count = count_to_read(&images.path, found, options.first)?;
    let dims = ImageDims { channels: 1, height, width };
    let pixels_per_image = image_len(&images.path, dims)?;
    let mut all: Vec<usize> = labels.first_bytes(found)?.into_iter().map(usize::from).collect();
    let whole = (count < found).then(|| count_classes(&all));
    all.truncate(count);
    let pixels = images.into_pixels(dims, pixels_per_image, count)?;
    Ok(ImageSet { whole, ..ImageSet::new(dims, all, None, pixels_per_image, pixels) })
}

/// The spelling that is there.
fn existing(folder: &Path, stem: &str, suffix: &str) -> Result<PathBuf, DataError> {
    for place in PLACES {
        for name in [format!("{stem}-{suffix}"), format!("{stem}.{suffix}")] {
            for end in ["", ".gz"] {
                let path = folder.join(place).join(format!("{name}{end}"));
                if path.exists() {
                    return Ok(path);
                }
            }
        }
    }
    let found = if folder.is_file() { "a file".to_owned() } else { contents(folder)? };
    let wanted = format!("a folder with {stem}-{suffix} or {stem}-{suffix}.gz");
    Err(DataError::format(folder, FilePart::Whole, found, wanted))
}

/// An IDX file of unsigned bytes whose length fits its header.
struct Idx<const NDIM: usize> {
    path: PathBuf,
    content: Content,
    dims: [usize; NDIM],
}

/// A file at its data.
enum Content {
    /// As it is.
    Plain(File, FileStamp),
    /// All data of a compressed one.
    Unpacked(Vec<u8>),
}

impl<const NDIM: usize> Idx<NDIM> {
    /// Bytes of the magic number and the dimensions.
    const HEADER: usize = 4 * (1 + NDIM);

    fn open(path: PathBuf) -> Result<Self, DataError> {
        let (mut file, stamp) = open_file(&path)?;
        if path.extension().is_some_and(|extension| extension == "gz") {
            return Self::unpack(file, path);
        }
        let dims = Self::dims(&read_exactly(&mut file, Self::HEADER, &path, FilePart::Header)?, &path)?;
        check_length(&path, stamp.length, Self::HEADER, &dims)?;
        Ok(Self { path, content: Content::Plain(file, stamp), dims })
    }

    /// All of a compressed file, which must be what its header says: not more is unpacked.
    fn unpack(file: File, path: PathBuf) -> Result<Self, DataError> {
        let mut reader = MultiGzDecoder::new(file);
        let dims = Self::dims(&read_exactly(&mut reader, Self::HEADER, &path, FilePart::Header)?, &path)?;
        let wanted = dims.iter().try_fold(1, |len, dim| len_in_memory(&path, len, *dim))?;
        let mut data = Vec::new();
        let most = (wanted as u64).saturating_add(1).min(MAX_VALUES as u64);
        reader.take(most).read_to_end(&mut data).map_err(|source| DataError::io(&path, source))?;
        if data.len() != wanted {
            let more = if data.len() > wanted { "more than " } else { "only " };
            let found = format!("{more}{} bytes", data.len().min(wanted));
            return Err(DataError::format(
                path,
                FilePart::Whole,
                found,
                format!("{wanted} bytes for dimensions {dims:?}"),
            ));
        }
        Ok(Self { path, content: Content::Unpacked(data), dims })
    }

    fn dims(header: &[u8], path: &Path) -> Result<[usize; NDIM], DataError> {
        let mut words = header.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
        let magic = words.next().unwrap_or_default();
        // Type 0x08 is unsigned byte.
        let wanted = 0x0800 + NDIM as u32;
        if magic != wanted {
            let hint =
                if magic >> 16 == 0x1f8b { "; it is compressed: its name must end in .gz" } else { "" };
            let wanted = format!("{wanted:#010x} ({NDIM} dimensions of unsigned bytes{hint})");
            return Err(DataError::format(
                path,
                FilePart::Header,
                format!("magic number {magic:#010x}"),
                wanted,
            ));
        }
        let mut dims = [0; NDIM];
        for (dim, word) in dims.iter_mut().zip(words) {
            *dim = word as usize;
        }
        Ok(dims)
    }

    fn first_bytes(&mut self, count: usize) -> Result<Vec<u8>, DataError> {
        match &mut self.content {
            Content::Plain(file, _) => read_exactly(file, count, &self.path, FilePart::Whole),
            Content::Unpacked(data) => Ok(data[..count.min(data.len())].to_vec()),
        }
    }

    /// The first `count` records of `len` bytes.
    fn into_pixels(self, dims: ImageDims, len: usize, count: usize) -> Result<PixelStorage, DataError> {
        match self.content {
            Content::Plain(file, stamp) => {
                let file = SharedFile::new(self.path, file, stamp);
                let files = vec![RecordFile { file, start: Self::HEADER as u64, stride: len as u64, count }];
                Ok(PixelStorage::Records(Records { files, dims, layout: PixelLayout::ChannelsFirst }))
            }
            Content::Unpacked(mut data) => {
                data.truncate(len_in_memory(&self.path, count, len)?);
                Ok(PixelStorage::InMemory(InMemory::from_bytes(data, dims, PixelLayout::ChannelsFirst)))
            }
        }
    }
}

fn check_length(path: &Path, length: u64, header: usize, dims: &[usize]) -> Result<(), DataError> {
    let data = dims.iter().try_fold(1_u64, |product, dim| product.checked_mul(*dim as u64));
    let wanted = data.and_then(|data| data.checked_add(header as u64));
    if wanted == Some(length) {
        return Ok(());
    }
    let wanted = wanted.map_or_else(|| "a size".to_owned(), |bytes| format!("{bytes} bytes"));
    Err(DataError::format(
        path,
        FilePart::Whole,
        format!("{length} bytes"),
        format!("{wanted} for dimensions {dims:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn idx(magic: u32, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let header = std::iter::once(magic).chain(dims.iter().copied()).flat_map(u32::to_be_bytes);
        header.chain(data.iter().copied()).collect()
    }

    fn open_files(
        names: [&str; 2],
        images: &[u8],
        labels: &[u8],
        first: Option<usize>,
    ) -> Result<ImageSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(names[0]), images).unwrap();
        std::fs::write(folder.path().join(names[1]), labels).unwrap();
        open(folder.path(), &ReadOptions { split: Split::Test, first })
    }

    const DASHED: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

    #[test]
    fn both_spellings_are_read() {
        let images = idx(0x803, &[2, 1, 3], &[0, 51, 102, 153, 204, 255]);
        let labels = idx(0x801, &[2], &[7, 200]);
        for names in [DASHED, ["t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"]] {
            let set = open_files(names, &images, &labels, None).unwrap();
            assert_eq!(set.dims, ImageDims { channels: 1, height: 1, width: 3 });
            assert_eq!(set.labels, [7, 200]);
            assert_eq!([set.row(1), set.row(0)], [[0.6, 0.8, 1.0], [0.0, 0.2, 0.4]]);
        }
        let first = open_files(DASHED, &images, &labels, Some(1)).unwrap();
        assert_eq!((&first.labels, first.count(), first.pixels_per_image()), (&vec![7], 1, 3));
        let error = first.read(1, &mut [0.0; 3]).unwrap_err();
        assert!(matches!(error, DataError::NoSuchImage { image: 1, count: 1 }), "{error}");
    }

    /// A file as `gzip` writes it.
    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        std::io::Write::write_all(&mut writer, bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn compressed_files_are_read_where_they_are_distributed_to() {
        let images = idx(0x803, &[2, 1, 3], &[0, 51, 102, 153, 204, 255]);
        let labels = idx(0x801, &[2], &[7, 200]);
        for place in PLACES {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join(place)).unwrap();
            for (name, bytes) in DASHED.iter().zip([&images, &labels]) {
                std::fs::write(folder.path().join(place).join(format!("{name}.gz")), gz(bytes)).unwrap();
            }
            let open = |first| open(folder.path(), &ReadOptions { split: Split::Test, first }).unwrap();
            let set = open(None);
            assert_eq!((&set.labels, &set.whole), (&vec![7, 200], &None));
            assert_eq!([set.row(1), set.row(0)], [[0.6, 0.8, 1.0], [0.0, 0.2, 0.4]]);
            let first = open(Some(1));
            assert_eq!((first.labels, first.whole), (vec![7], Some([(7, 1), (200, 1)].into())));
        }
    }

    #[test]
    fn bad_compressed_files_are_named() {
        let images = idx(0x803, &[2, 1, 1], &[1, 2]);
        let labels = gz(&idx(0x801, &[2], &[0, 1]));
        let names = DASHED.map(|name| format!("{name}.gz"));
        let cut = gz(&images)[..12].to_vec();
        let cases = [
            (gz(&images[..17]), "found only 1 bytes, wanted 2 bytes for dimensions [2, 1, 1]"),
            (gz(&[images.as_slice(), b"x"].concat()), "found more than 2 bytes, wanted 2 bytes"),
            (gz(&idx(0x803, &[u32::MAX; 3], &[])), "pixel values in memory"),
            (images.clone(), "t10k-images-idx3-ubyte.gz: "),
            (cut, "t10k-images-idx3-ubyte.gz"),
        ];
        for (images, wanted) in cases {
            let error = open_files([&names[0], &names[1]], &images, &labels, None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_folder_without_the_files_is_listed() {
        let error = open_files(["a.txt", "b.txt"], b"", b"", None).unwrap_err().to_string();
        let wanted = "found a folder with a.txt, b.txt, wanted a folder with t10k-images-idx3-ubyte or \
                      t10k-images-idx3-ubyte.gz";
        assert!(error.ends_with(wanted), "{error}");
    }

    #[test]
    fn bad_files_are_named() {
        let images = idx(0x803, &[2, 1, 1], &[1, 2]);
        let labels = idx(0x801, &[2], &[0, 1]);
        let cases = [
            (
                idx(0x1f8b_0808, &[2, 1, 1], &[1, 2]),
                labels.clone(),
                "unsigned bytes; it is compressed: its name must end in .gz",
            ),
            (
                idx(0x803, &[2, 1, 1], &[1]),
                labels.clone(),
                "17 bytes, wanted 18 bytes for dimensions [2, 1, 1]",
            ),
            (idx(0x803, &[2, 1, 1], &[1, 2, 3]), labels.clone(), "found 19 bytes"),
            (images[..7].to_vec(), labels.clone(), "header: found only 7 bytes, wanted 16 bytes"),
            (idx(0x803, &[u32::MAX; 3], &[]), labels.clone(), "wanted a size for dimensions"),
            (idx(0x803, &[2, 0, 5], &[]), labels.clone(), "no empty dimension"),
            (images, idx(0x801, &[1], &[0]), "labels-idx1-ubyte, header: found 1 labels, wanted 2"),
        ];
        for (images, labels, wanted) in cases {
            let error = open_files(DASHED, &images, &labels, None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    proptest! {
        #[test]
        fn hostile_headers_never_panic_or_allocate(dims in any::<[u32; 3]>(), data in any::<Vec<u8>>()) {
            let images = idx(0x803, &dims, &data);
            let labels = idx(0x801, &dims[..1], &data);
            let result = open_files(DASHED, &images, &labels, None);
            let product = dims.iter().map(|dim| u128::from(*dim)).product::<u128>();
            if product != data.len() as u128 {
                prop_assert!(result.is_err());
            }
        }
    }
}
