//! IDX, the format of MNIST and its successors: a big-endian magic number whose last byte counts the dimensions, the
//! dimensions as `u32`, then unsigned bytes.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::image_set::ImageSet;
use crate::input::{FileStamp, count_to_read, image_len, open_file, read_exactly};
use crate::source::{Dataset, Opener, ReadOptions, Split};
use crate::storage::PixelLayout;
use crate::storage::PixelStorage;
use crate::storage::SharedFile;
use crate::storage::{RecordFile, Records};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "mnist",
    alias: Some("idx"),
    path: "FOLDER",
    content: "IDX files under their MNIST names",
    has_splits: true,
    open: Opener::Images(open),
};

/// Opens `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte` (or `train-…`), with `-` or `.` before `idx`.
fn open(folder: &Path, options: &ReadOptions) -> Result<ImageSet, DataError> {
    let prefix = match options.split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let images: Idx<3> = Idx::open(existing(folder, &format!("{prefix}-images"), "idx3-ubyte"))?;
    let mut labels: Idx<1> = Idx::open(existing(folder, &format!("{prefix}-labels"), "idx1-ubyte"))?;
    let [found, height, width] = images.dims;
    if labels.dims != [found] {
        let (seen, wanted) = (format!("{} labels", labels.dims[0]), format!("{found}, one for each image"));
        return Err(DataError::format(labels.path, FilePart::Header, seen, wanted));
    }
    let count = count_to_read(&images.path, found, options.first)?;
    let dims = ImageDims { channels: 1, height, width };
    let pixels_per_image = image_len(&images.path, dims)?;
    Ok(ImageSet {
        dims,
        labels: labels.first_bytes(count)?.into_iter().map(usize::from).collect(),
        names: None,
        pixels_per_image,
        pixels: PixelStorage::Records(Records {
            files: vec![images.into_records(pixels_per_image, count)],
            dims,
            layout: PixelLayout::ChannelsFirst,
        }),
    })
}

/// The spelling that is there; the usual one where neither is, so that the error names it.
fn existing(folder: &Path, stem: &str, suffix: &str) -> PathBuf {
    let [dashed, dotted] = ["-", "."].map(|separator| folder.join(format!("{stem}{separator}{suffix}")));
    if !dashed.exists() && dotted.exists() { dotted } else { dashed }
}

/// An IDX file of unsigned bytes whose length fits its header.
struct Idx<const NDIM: usize> {
    path: PathBuf,
    file: File,
    stamp: FileStamp,
    dims: [usize; NDIM],
}

impl<const NDIM: usize> Idx<NDIM> {
    /// Bytes of the magic number and the dimensions.
    const HEADER: usize = 4 * (1 + NDIM);

    fn open(path: PathBuf) -> Result<Self, DataError> {
        let (mut file, stamp) = open_file(&path)?;
        let header = read_exactly(&mut file, Self::HEADER, &path, FilePart::Header)?;
        let mut words = header.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word));
        let magic = words.next().unwrap_or_default();
        // Type 0x08 is unsigned byte.
        let wanted = 0x0800 + NDIM as u32;
        if magic != wanted {
            let hint = "unsigned bytes; a file that ends in .gz must be unpacked first";
            let wanted = format!("{wanted:#010x} ({NDIM} dimensions of {hint})");
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
        check_length(&path, stamp.length, Self::HEADER, &dims)?;
        Ok(Self { path, file, stamp, dims })
    }

    fn first_bytes(&mut self, count: usize) -> Result<Vec<u8>, DataError> {
        read_exactly(&mut self.file, count, &self.path, FilePart::Whole)
    }

    /// The first `count` records of `len` bytes, to be read when they are asked for.
    fn into_records(self, len: usize, count: usize) -> RecordFile {
        let file = SharedFile::new(self.path, self.file, self.stamp);
        RecordFile { file, start: Self::HEADER as u64, stride: len as u64, count }
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

    #[test]
    fn bad_files_are_named() {
        let images = idx(0x803, &[2, 1, 1], &[1, 2]);
        let labels = idx(0x801, &[2], &[0, 1]);
        let cases = [
            (
                idx(0x1f8b_0808, &[2, 1, 1], &[1, 2]),
                labels.clone(),
                "magic number 0x1f8b0808, wanted 0x00000803",
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
