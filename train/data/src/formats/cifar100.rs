//! The binary version of CIFAR-100 (Krizhevsky 2009): per image a coarse and a fine label byte, then the pixels as in
//! CIFAR-10. The fine labels count.

use std::path::Path;

use super::cifar10::CifarFormat;
use crate::error::DataError;
use crate::image_set::ImageSet;
use crate::source::{Dataset, Opener, ReadOptions, Split};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "cifar100",
    alias: None,
    path: "FOLDER",
    content: "the official binary files",
    has_splits: true,
    open: Opener::Images(open),
};

const FORMAT: CifarFormat = CifarFormat {
    label_bytes: 2,
    names: &NAMES,
    max_records: 50_000,
    inside: "cifar-100-binary",
    archive: "cifar-100-binary.tar.gz",
    pickles: &["train", "test", "meta"],
};

/// Opens `train.bin` or `test.bin`.
fn open(folder: &Path, options: &ReadOptions) -> Result<ImageSet, DataError> {
    let name = match options.split {
        Split::Train => "train.bin",
        Split::Test => "test.bin",
    };
    FORMAT.open(folder, &[name], options.first)
}

/// As in `fine_label_names.txt`.
#[rustfmt::skip]
const NAMES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver",
    "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly",
    "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach",
    "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard",
    "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum",
    "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew",
    "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table",
    "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe",
    "whale", "willow_tree", "wolf", "woman", "worm",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Coarse label, fine label, planes of three consecutive bytes.
    fn record([coarse, fine]: [u8; 2]) -> Vec<u8> {
        let planes = (0..3).flat_map(|plane| [2 * fine + plane; 1024]);
        [coarse, fine].into_iter().chain(planes).collect()
    }

    fn open_test(records: &[[u8; 2]], cut: usize) -> Result<ImageSet, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = records.iter().copied().flat_map(record).collect();
        std::fs::write(folder.path().join("test.bin"), &bytes[..bytes.len() - cut]).unwrap();
        open(folder.path(), &ReadOptions { split: Split::Test, first: None })
    }

    #[test]
    fn fine_labels_and_pixels_are_read() {
        let set = open_test(&[[19, 11], [0, 99]], 0).unwrap();
        assert_eq!(set.labels, [11, 99]);
        let names = set.names.as_ref().unwrap();
        assert_eq!((names[11].as_str(), names[99].as_str()), ("boy", "worm"));
        assert_eq!(set.read_rgb(1).unwrap().bytes()[..3], [198, 199, 200]);
        assert_eq!(set.row(0)[1024], 23.0 / 255.0);
    }

    #[test]
    fn bad_files_are_named() {
        for (records, cut, wanted) in [
            (&[[3, 100]], 0, "test.bin, image 0: found label 100, wanted 0 to 99"),
            (&[[3, 9]], 1, "3073 bytes, wanted at most 50000 whole records of 3074 bytes"),
        ] {
            let error = open_test(records, cut).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
