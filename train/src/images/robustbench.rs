//! The 5,000 images of ImageNet's validation set that RobustBench evaluates on, by their numbers.

use std::collections::BTreeMap;

use mimir_data::{DataError, PictureSet};

/// The numbers of `imagenet_test_image_ids.txt` in RobustBench 78fcc9e, in rising order.
const NUMBERS: &str = include_str!("robustbench.txt");

/// In front of the number in the name of an image of the validation set.
const PREFIX: &str = "ILSVRC2012_val_";

/// Digits of the number.
const DIGITS: usize = 8;

/// Where those images are, of the ones at `places`, in their order.
///
/// # Errors
/// When one of them is not there under its name.
pub(super) fn positions(pictures: &PictureSet, places: &[usize]) -> Result<Vec<usize>, DataError> {
    let named = places.iter().filter_map(|&place| Some((number(&pictures.location(place))?, place)));
    let by_number: BTreeMap<u32, usize> = named.collect();
    let find = |wanted: u32| {
        by_number.get(&wanted).copied().ok_or_else(|| DataError::InvalidParameter {
            name: "evaluate.images",
            found: format!("\"robustbench\" and no image {PREFIX}{wanted:08}"),
            wanted: "the validation set of ImageNet-1K, its images under their names".to_owned(),
        })
    };
    let mut found = numbers().map(find).collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    Ok(found)
}

fn numbers() -> impl Iterator<Item = u32> {
    NUMBERS.split_whitespace().filter_map(|number| number.parse().ok())
}

/// The number in the name of a file, `ILSVRC2012_val_00000293.JPEG`.
fn number(location: &str) -> Option<u32> {
    let start = location.rfind(PREFIX)? + PREFIX.len();
    location.get(start..start + DIGITS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mimir_bundle::digest::digest_bytes;

    #[test]
    fn the_list_is_robustbenchs() {
        let listed: Vec<u32> = numbers().collect();
        assert_eq!(listed.len(), 5000);
        assert!(listed.is_sorted_by(|a, b| a < b) && listed[0] == 11 && listed[4999] == 49_999);
        let lines: String = listed.iter().map(|number| format!("{number}\n")).collect();
        // sed 's/.*val_0*//;s/.JPEG//' imagenet_test_image_ids.txt | sort -n | sha256sum
        assert_eq!(digest_bytes(lines.as_bytes()), DIGEST);
    }

    const DIGEST: &str = "4eef4d4c5655369ed67ca168a26f57c096d40bb5b0cf7fd1cd6ba7d86ad5442a";

    #[test]
    fn numbers_are_read_from_names() {
        for (location, wanted) in [
            ("val/n01440764/ILSVRC2012_val_00000293.JPEG", Some(293)),
            ("shard.tar, entry `ILSVRC2012_val_00049999.jpg`", Some(49_999)),
            ("val/n01440764/ILSVRC2012_val_293.JPEG", None),
            ("train/n01440764/n01440764_18.JPEG", None),
        ] {
            assert_eq!(number(location), wanted, "{location}");
        }
    }

    #[test]
    fn the_listed_images_are_found_by_name_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for class in ["n00000001", "n00000002"] {
            std::fs::create_dir(folder.path().join(class)).unwrap();
        }
        let name = |number: u32| {
            let class = ["n00000001", "n00000002"][number as usize % 2];
            folder.path().join(class).join(format!("{PREFIX}{number:08}.JPEG"))
        };
        // Headers are not read before the pixels are.
        let others = [1, 50_000];
        numbers().chain(others).for_each(|number| std::fs::write(name(number), "no image").unwrap());
        let open = || {
            let source = format!("folder:{}", folder.path().display()).parse().unwrap();
            let options = mimir_data::ReadOptions { split: mimir_data::Split::Test, first: None };
            mimir_data::open_pictures(&source, &options).unwrap()
        };
        let pictures = open();
        let all: Vec<usize> = (0..pictures.count()).collect();
        let found = positions(&pictures, &all).unwrap();
        assert_eq!((pictures.count(), found.len()), (5002, 5000));
        let left: Vec<_> = all.iter().filter(|place| !found.contains(place)).collect();
        let left: Vec<_> = left.iter().map(|&&place| number(&pictures.location(place))).collect();
        assert_eq!(left, [Some(50_000), Some(1)]);
        std::fs::remove_file(name(11)).unwrap();
        let pictures = open();
        let all: Vec<usize> = (0..pictures.count()).collect();
        let error = positions(&pictures, &all).unwrap_err().to_string();
        assert!(error.contains("no image ILSVRC2012_val_00000011"), "{error}");
    }
}
