//! ImageNet-1K as two ImageFolders, `train/WNID/…` and `val/WNID/…`. The validation set is the test split here.

use std::path::Path;

use super::image_folder;
use crate::class_map::is_wordnet_id;
use crate::error::{DataError, FilePart};
use crate::picture_set::PictureSet;
use crate::source::{Dataset, Opener, Split};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "imagenet",
    alias: None,
    path: "FOLDER",
    content: "`train` and `val`, each a folder of class folders, or the class folders of `val` themselves",
    has_splits: true,
    open: Opener::Pictures(|root, options| pictures(root, options.split, options.first)),
};

/// Opens the first images of a split, of any sizes.
fn pictures(root: &Path, split: Split, first: Option<usize>) -> Result<PictureSet, DataError> {
    let [train, mut val] = ["train", "val"].map(|name| root.join(name));
    if split == Split::Test && !val.exists() && is_folder_of_classes(root) {
        val = root.to_owned();
    }
    let set = match split {
        Split::Train => image_folder::pictures(&train, first)?,
        Split::Test => image_folder::pictures(&val, first)?,
    };
    if split == Split::Test && train.exists() {
        let trained = image_folder::class_names(&train)?;
        let found = set.names.as_deref().unwrap_or_default();
        if found != trained {
            let other = found.iter().zip(&trained).find(|(found, trained)| found != trained);
            let found = other.map_or(format!("{} classes", found.len()), |(name, _)| format!("class {name}"));
            let wanted = format!("the {} classes of {}", trained.len(), train.display());
            return Err(DataError::format(val, FilePart::Whole, found, wanted));
        }
    }
    Ok(set)
}

/// Whether these are the class folders themselves.
fn is_folder_of_classes(root: &Path) -> bool {
    image_folder::class_names(root).is_ok_and(|names| names.iter().all(|name| is_wordnet_id(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn root(files: &[(&str, u32)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, width) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::from_pixel(*width, 3, Rgb([9, 9, 9])).save(path).unwrap();
        }
        root
    }

    #[test]
    fn images_keep_their_sizes() {
        let root =
            root(&[("train/n1/a.png", 5), ("train/n2/b.png", 7), ("val/n1/v.png", 2), ("val/n2/w.png", 3)]);
        for (split, widths) in [(Split::Train, [5, 7]), (Split::Test, [2, 3])] {
            let set = pictures(root.path(), split, None).unwrap();
            assert_eq!(set.labels, [0, 1]);
            assert_eq!([0, 1].map(|image| set.read_rgb(image).unwrap().width()), widths);
            let error = set.one_size(None).unwrap_err();
            assert!(matches!(error, DataError::MixedSizes { .. }), "{error}");
        }
    }

    #[test]
    fn the_folder_of_the_validation_set_is_taken_too() {
        let root = root(&[("n00000001/a.png", 5), ("n00000002/b.png", 5)]);
        assert_eq!(pictures(root.path(), Split::Test, None).unwrap().labels, [0, 1]);
        assert!(pictures(root.path(), Split::Train, None).is_err());
    }

    #[test]
    fn classes_of_both_folders_must_agree() {
        let root = root(&[("train/n1/a.png", 5), ("train/n2/b.png", 5), ("val/n2/v.png", 5)]);
        let error = pictures(root.path(), Split::Test, None).unwrap_err().to_string();
        assert!(error.contains("/val: found class n2, wanted the 2 classes of "), "{error}");
    }

    #[test]
    fn a_class_folder_without_images_is_named() {
        let root = root(&[("train/n1/a.png", 5)]);
        std::fs::create_dir(root.path().join("train/n2")).unwrap();
        let error = pictures(root.path(), Split::Train, None).unwrap_err().to_string();
        assert!(error.contains("train/n2: found no images"), "{error}");
    }
}
