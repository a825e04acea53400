//! From the text of a source to the images: everything here follows the table [`DATASETS`].

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::augment::Transform;
use crate::class_map::ClassMap;
use crate::error::DataError;
use crate::formats::DATASETS;
use crate::image_set::ImageSet;
use crate::picture_set::PictureSet;
use crate::sample::Sample;
use crate::source::{DataSource, Indices, Opener, Place, ReadOptions};

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let unknown = || DataError::UnknownSource { given: text.to_owned(), schemes: schemes() };
        let (scheme, path) = text.split_once(':').filter(|(_, path)| !path.is_empty()).ok_or_else(unknown)?;
        let dataset = DATASETS.iter().find(|dataset| dataset.is_named(scheme)).ok_or_else(unknown)?;
        Ok(Self::new(dataset, PathBuf::from(path)))
    }
}

impl DataSource {
    /// One line for each dataset that can be read: how it is written, and what must be at its path.
    pub fn help() -> String {
        let line = |dataset: &crate::source::Dataset| {
            let path = dataset.path;
            let alias = dataset.alias.map(|alias| format!(" (or {alias}:{path})")).unwrap_or_default();
            format!("{}:{path}{alias}: {}", dataset.scheme, dataset.content)
        };
        DATASETS.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// All schemes, separated by commas.
fn schemes() -> String {
    let names = DATASETS.iter().flat_map(|dataset| [Some(dataset.scheme), dataset.alias]).flatten();
    names.collect::<Vec<_>>().join(", ")
}

/// Opens labelled images in file order: everything is checked that can be without reading the pixels, and the labels
/// are read.
///
/// # Errors
/// When a file is missing, is not what its format says, or holds fewer images than asked for.
pub fn open(source: &DataSource, options: &ReadOptions) -> Result<ImageSet, DataError> {
    open_prepared(source, options, &Preparation::default())
}

/// What is done to the images of a source before a model sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preparation {
    /// A part of them, drawn; all that [`ReadOptions::first`] leaves where absent.
    pub sample: Option<Sample>,
    /// What is done to each picture.
    pub transform: Option<Transform>,
    /// The indices of the classes; where absent, those of the source.
    pub classes: Option<ClassMap>,
}

/// As [`open`], and prepared.
///
/// # Errors
/// As [`open`], and when pictures have other sizes after the transform, or a class is not in the map.
pub fn open_prepared(
    source: &DataSource,
    options: &ReadOptions,
    preparation: &Preparation,
) -> Result<ImageSet, DataError> {
    let Preparation { sample, transform, classes } = preparation;
    let path = source.path();
    let mut set = match opened(source, options, Indices::Ignored)? {
        Opened::Images(mut set) => {
            if let Some(sample) = drawn(*sample, path, &set.labels)? {
                set.select(&sample);
            }
            match transform {
                Some(transform) => set.transformed(*transform, path)?,
                None => set,
            }
        }
        Opened::Pictures(mut set) => {
            if let Some(sample) = drawn(*sample, path, &set.labels)? {
                set.select(&sample);
            }
            set.one_size(*transform)?
        }
    };
    if let Some(classes) = classes {
        set.map_classes(classes)?;
    }
    Ok(set)
}

/// A source as it is, of images of one size or of pictures of any.
enum Opened {
    Images(ImageSet),
    Pictures(PictureSet),
}

fn opened(source: &DataSource, options: &ReadOptions, indices: Indices) -> Result<Opened, DataError> {
    match source.place() {
        Place::Memory(images) => images.open(options.first).map(Opened::Images),
        Place::Path(dataset, path) => match dataset.open {
            Opener::Images(open) => open(path, options).map(Opened::Images),
            Opener::Pictures(open) => open(path, options).map(Opened::Pictures),
            Opener::Indexed(open) => open(path, options, indices).map(Opened::Pictures),
        },
    }
}

/// The images of a sample, of which there must be as many as were asked for.
fn drawn(sample: Option<Sample>, path: &Path, labels: &[usize]) -> Result<Option<Vec<usize>>, DataError> {
    match sample {
        Some(Sample { count, .. }) if count > labels.len() => {
            Err(DataError::TooFew { path: path.to_owned(), found: labels.len(), wanted: count })
        }
        Some(sample) => Ok(Some(sample.draw(labels))),
        None => Ok(None),
    }
}

/// Opens labelled images of any sizes, in file order, for training: as [`open`], but the headers of PNG and JPEG files
/// are read with their pixels, not before. What is in a tar file of a WebDataset is kept in a file beside it, so that it is read
/// through once.
///
/// # Errors
/// As [`open`]; images of `f32`, in an NPZ or in memory, are refused, because augmentation works on bytes.
pub fn open_pictures(source: &DataSource, options: &ReadOptions) -> Result<PictureSet, DataError> {
    match opened(source, options, Indices::Kept)? {
        Opened::Images(set) => PictureSet::from_image_set(set, source.path()),
        Opened::Pictures(set) => Ok(set),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "cifar10:data/bin",
            "mnist:/m",
            "folder:a:b",
            "npz:images.npz",
            "cifar100:c",
            "tiny-imagenet:t",
            "imagenet:/i",
            "webdataset:w-{00..10}.tar",
            "prepared:p",
        ] {
            let source: DataSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        assert_eq!("idx:m".parse::<DataSource>().unwrap(), "mnist:m".parse().unwrap());
        assert_ne!("npz:m".parse::<DataSource>().unwrap(), "mnist:m".parse().unwrap());
    }

    #[test]
    fn anything_else_is_refused_with_the_known_schemes() {
        for text in ["", "cifar10", "cifar10:", "imagenet1k:data", ":data", "CIFAR10:data"] {
            let error = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
            assert!(
                error.contains(
                    "cifar10, mnist, idx, folder, npz, cifar100, tiny-imagenet, imagenet, webdataset, prepared"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn the_help_has_a_line_for_each_dataset() {
        let help = DataSource::help();
        assert_eq!(help.lines().count(), DATASETS.len());
        assert!(help.starts_with("cifar10:FOLDER"), "{help}");
        assert!(help.contains("mnist:FOLDER (or idx:FOLDER)"), "{help}");
    }

    #[test]
    fn schemes_are_unique() {
        let mut names: Vec<_> =
            DATASETS.iter().flat_map(|dataset| [Some(dataset.scheme), dataset.alias]).flatten().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn only_relative_paths_move() {
        let moved =
            |text: &str| text.parse::<DataSource>().unwrap().relative_to(Path::new("/base")).to_string();
        assert_eq!(moved("npz:images.npz"), "npz:/base/images.npz");
        assert_eq!(moved("folder:/abs"), "folder:/abs");
    }
}
