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
    /// `npz:FILE` with the arrays `images` and `labels`.
    Npz(PathBuf),
}

impl DataSource {
    /// The file or folder.
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Cifar10(path) | Self::Mnist(path) | Self::ImageFolder(path) | Self::Npz(path) => path,
        }
    }

    fn scheme(&self) -> &'static str {
        match self {
            Self::Cifar10(_) => "cifar10",
            Self::Mnist(_) => "mnist",
            Self::ImageFolder(_) => "folder",
            Self::Npz(_) => "npz",
        }
    }

    /// The same source with a relative path taken from `base`, for settings that stand in a file.
    #[must_use]
    pub fn relative_to(self, base: &std::path::Path) -> Self {
        match self {
            Self::Cifar10(path) => Self::Cifar10(base.join(path)),
            Self::Mnist(path) => Self::Mnist(base.join(path)),
            Self::ImageFolder(path) => Self::ImageFolder(base.join(path)),
            Self::Npz(path) => Self::Npz(base.join(path)),
        }
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
        for text in ["cifar10:data/bin", "mnist:/m", "folder:a:b", "npz:images.npz"] {
            let source: DataSource = text.parse().unwrap();
            assert_eq!(source.to_string(), text);
        }
        assert_eq!("idx:m".parse::<DataSource>().unwrap(), DataSource::Mnist("m".into()));
    }

    #[test]
    fn anything_else_is_refused_with_the_known_schemes() {
        for text in ["", "cifar10", "cifar10:", "imagenet:data", ":data", "CIFAR10:data"] {
            let error = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
            assert!(error.contains("cifar10, mnist, idx, folder, npz"), "{error}");
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
