//! Where images come from, as a person writes it: `SCHEME:PATH`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::DataError;

/// A place with labelled images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSource {
    /// `cifar10:FOLDER` with the official binary files.
    Cifar10(PathBuf),
    /// `mnist:FOLDER` (or `idx:FOLDER`) with IDX files under their MNIST names.
    Mnist(PathBuf),
    /// `folder:FOLDER` with one folder of PNG or JPEG files per class.
    ImageFolder(PathBuf),
    /// `npz:FILE` with the arrays `images` and `labels`, or `image` and `label`.
    Npz(PathBuf),
    /// `cifar100:FOLDER` with the official binary files.
    Cifar100(PathBuf),
    /// `tiny-imagenet:FOLDER` with `train` and `val` as distributed.
    TinyImageNet(PathBuf),
    /// `imagenet:FOLDER` with `train` and `val`, each a folder of class folders.
    ImageNet(PathBuf),
    /// `webdataset:PATH` with tar files: one, a folder of them, or a pattern such as `train-{0000..0063}.tar` or
    /// `train-*.tar`.
    WebDataset(PathBuf),
}

impl DataSource {
    /// The file or folder.
    pub fn path(&self) -> &PathBuf {
        self.parts().1
    }

    /// Whether it has a training and a test part, so that a [`Split`](crate::Split) has an effect.
    pub fn has_splits(&self) -> bool {
        match self {
            Self::Cifar10(_)
            | Self::Cifar100(_)
            | Self::Mnist(_)
            | Self::TinyImageNet(_)
            | Self::ImageNet(_) => true,
            Self::ImageFolder(_) | Self::WebDataset(_) | Self::Npz(_) => false,
        }
    }

    fn scheme(&self) -> &'static str {
        self.parts().0
    }

    fn parts(&self) -> (&'static str, &PathBuf) {
        match self {
            Self::Cifar10(path) => ("cifar10", path),
            Self::Mnist(path) => ("mnist", path),
            Self::ImageFolder(path) => ("folder", path),
            Self::Npz(path) => ("npz", path),
            Self::Cifar100(path) => ("cifar100", path),
            Self::TinyImageNet(path) => ("tiny-imagenet", path),
            Self::ImageNet(path) => ("imagenet", path),
            Self::WebDataset(path) => ("webdataset", path),
        }
    }

    /// The same source with a relative path taken from `base`, for settings that stand in a file.
    #[must_use]
    pub fn relative_to(mut self, base: &std::path::Path) -> Self {
        match &mut self {
            Self::Cifar10(path)
            | Self::Mnist(path)
            | Self::ImageFolder(path)
            | Self::Npz(path)
            | Self::Cifar100(path)
            | Self::TinyImageNet(path)
            | Self::ImageNet(path)
            | Self::WebDataset(path) => *path = base.join(&*path),
        }
        self
    }
}

impl FromStr for DataSource {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let unknown = || DataError::UnknownSource { given: text.to_owned() };
        let (scheme, path) = text.split_once(':').ok_or_else(unknown)?;
        if path.is_empty() {
            return Err(unknown());
        }
        let path = PathBuf::from(path);
        match scheme {
            "cifar10" => Ok(Self::Cifar10(path)),
            "mnist" | "idx" => Ok(Self::Mnist(path)),
            "folder" => Ok(Self::ImageFolder(path)),
            "npz" => Ok(Self::Npz(path)),
            "cifar100" => Ok(Self::Cifar100(path)),
            "tiny-imagenet" => Ok(Self::TinyImageNet(path)),
            "imagenet" => Ok(Self::ImageNet(path)),
            "webdataset" => Ok(Self::WebDataset(path)),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for DataSource {
    /// The text that parses to this source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme(), self.path().display())
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
        ] {
            let source: DataSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        assert_eq!("idx:m".parse::<DataSource>().unwrap(), DataSource::Mnist("m".into()));
    }

    #[test]
    fn anything_else_is_refused_with_the_known_schemes() {
        for text in ["", "cifar10", "cifar10:", "imagenet1k:data", ":data", "CIFAR10:data"] {
            let error = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
            assert!(
                error.contains(
                    "cifar10, mnist, idx, folder, npz, cifar100, tiny-imagenet, imagenet, webdataset"
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn only_relative_paths_move() {
        let moved = |text: &str| {
            text.parse::<DataSource>().unwrap().relative_to(std::path::Path::new("/base")).to_string()
        };
        assert_eq!(moved("npz:images.npz"), "npz:/base/images.npz");
        assert_eq!(moved("folder:/abs"), "folder:/abs");
    }
}
