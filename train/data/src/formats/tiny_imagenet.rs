//! Tiny-ImageNet as it is distributed: `train/WNID/images/*.JPEG`, and `val/images/*.JPEG` with
//! `val/val_annotations.txt`, whose lines are a file name, a WordNet id and a box, separated by tabs.
//!
//! Classes are all WordNet ids of the training folders and of the annotations, sorted by their bytes, so that both
//! splits have the same labels even if some classes are missing. Training images are in the order of an ImageFolder,
//! those of the validation set (the test split here) in the order of their annotations.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::image_folder;
use crate::error::{DataError, FilePart};
use crate::picture_set::PictureSet;
use crate::source::{Dataset, Opener, Split};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "tiny-imagenet",
    alias: None,
    path: "FOLDER",
    content: "`train` and `val` as distributed",
    has_splits: true,
    open: Opener::Pictures(|root, options| pictures(root, options.split, options.first)),
};

/// Bytes of annotations: the official file has 0.4 million.
const MAX_ANNOTATIONS: u64 = 1 << 26;

/// Opens the first images of a split, of any sizes.
fn pictures(root: &Path, split: Split, first: Option<usize>) -> Result<PictureSet, DataError> {
    let train = root.join("train");
    let annotated = if root.join("val").exists() { annotations(root)? } else { Vec::new() };
    let mut classes: BTreeSet<String> = annotated.iter().map(|(_, class)| class.clone()).collect();
    if train.exists() {
        classes.extend(image_folder::class_names(&train)?);
    }
    let names: Vec<String> = classes.into_iter().collect();
    let label = |class: &str| names.binary_search_by(|name| name.as_str().cmp(class)).unwrap_or_default();
    let files: Vec<(PathBuf, usize)> = match split {
        Split::Train => {
            let listing = image_folder::list(&train)?;
            let labels: Vec<usize> = listing.names.iter().map(|name| label(name)).collect();
            listing.files.into_iter().map(|(path, class)| (path, labels[class])).collect()
        }
        Split::Test => annotated.into_iter().map(|(path, class)| (path, label(&class))).collect(),
    };
    image_folder::picture_set(root, names, files, first)
}

/// Files of the validation set and their WordNet ids, in the order of the annotations.
fn annotations(root: &Path) -> Result<Vec<(PathBuf, String)>, DataError> {
    let path = root.join("val/val_annotations.txt");
    let text =
        mimir_files::read_text(&path, MAX_ANNOTATIONS).map_err(|source| DataError::io(&path, source))?;
    let images = root.join("val/images");
    let annotation = |(index, line): (usize, &str)| {
        let mut words = line.split('\t');
        match (words.next(), words.next()) {
            // A name with a separator would leave the folder of the images.
            (Some(file), Some(class)) if !file.contains(['/', '\\']) && !class.is_empty() => {
                Ok((images.join(file), class.to_owned()))
            }
            _ => {
                let found = format!("line `{}`", line.chars().take(60).collect::<String>());
                Err(DataError::format(
                    &path,
                    FilePart::Record(index),
                    found,
                    "FILE, tab, WNID, tab and a box",
                ))
            }
        }
    };
    text.lines().enumerate().map(annotation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};
    use std::fs;

    fn save(path: &Path, red: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_pixel(4, 4, Rgb([red, 0, 0])).save_with_format(path, image::ImageFormat::Png).unwrap();
    }

    /// Two training classes of three; the third is only annotated.
    fn root(annotations: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, red) in [
            ("train/n03/images/n03_1.JPEG", 31),
            ("train/n01/images/n01_1.JPEG", 12),
            ("train/n01/images/n01_0.JPEG", 11),
            ("val/images/val_0.JPEG", 101),
            ("val/images/val_1.JPEG", 102),
        ] {
            save(&root.path().join(path), red);
        }
        fs::write(root.path().join("train/n01/n01_boxes.txt"), "n01_0.JPEG\t0\t0\t3\t3").unwrap();
        fs::write(root.path().join("val/val_annotations.txt"), annotations).unwrap();
        root
    }

    const ANNOTATIONS: &str = "val_1.JPEG\tn02\t0\t0\t3\t3\nval_0.JPEG\tn03\t0\t0\t3\t3\n";

    #[test]
    fn both_splits_number_classes_alike() {
        let root = root(ANNOTATIONS);
        let open = |split| pictures(root.path(), split, None).unwrap();
        for (split, labels, reds) in
            [(Split::Train, vec![0, 0, 2], vec![11, 12, 31]), (Split::Test, vec![1, 2], vec![102, 101])]
        {
            let set = open(split);
            assert_eq!(set.labels, labels);
            assert_eq!(set.names.as_ref().unwrap(), &["n01", "n02", "n03"]);
            let red = |image| set.read_rgb(image).unwrap().bytes()[0];
            assert_eq!((0..labels.len()).map(red).collect::<Vec<_>>(), reds);
        }
    }

    #[test]
    fn bad_annotations_are_named() {
        for annotations in ["val_0.JPEG n03", "../../x.JPEG\tn03\t0", "val_0.JPEG\t\t0"] {
            let root = root(annotations);
            let error = pictures(root.path(), Split::Test, None).unwrap_err().to_string();
            assert!(error.contains("val_annotations.txt, image 0: found line"), "{error}");
        }
    }

    #[test]
    fn a_missing_image_is_named_when_it_is_read() {
        let root = root("val_7.JPEG\tn03\t0");
        let set = pictures(root.path(), Split::Test, None).unwrap();
        let error = set.read_rgb(0).unwrap_err().to_string();
        assert!(error.contains("val/images/val_7.JPEG: "), "{error}");
    }
}
