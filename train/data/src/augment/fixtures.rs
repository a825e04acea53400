//! What Pillow, torchvision and timm made of small images: `scripts/reference/augment_fixtures.py` and
//! `transform_fixtures.py` wrote it and name the arrays.

use std::fs::File;
use std::path::Path;

use ndarray::{Array2, Array3};
use ndarray_npy::NpzReader;

use crate::picture::Picture;

/// The arrays by name.
pub(crate) struct Fixtures {
    pictures: Vec<(String, Picture)>,
    levels: Vec<(String, Array2<f64>)>,
}

impl Fixtures {
    pub(crate) fn read() -> Self {
        Self::read_from("augment.npz")
    }

    /// Another file of the folder.
    pub(crate) fn read_from(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
        let mut file = NpzReader::new(File::open(path).unwrap()).unwrap();
        let (mut pictures, mut levels) = (Vec::new(), Vec::new());
        for name in file.names().unwrap() {
            let name = name.trim_end_matches(".npy").to_owned();
            if name.starts_with("level ") {
                levels.push((name.clone(), file.by_name(&name).unwrap()));
            } else {
                pictures.push((name.clone(), picture(&file.by_name(&name).unwrap())));
            }
        }
        Self { pictures, levels }
    }

    /// An input.
    pub(crate) fn image(&self, name: &str) -> Picture {
        let name = format!("image {name}");
        self.pictures.iter().find(|(found, _)| *found == name).unwrap().1.clone()
    }

    /// The words of a name and the picture that was made, for all names whose first word is `kind`.
    pub(crate) fn cases<'a>(
        &'a self,
        kind: &'a str,
    ) -> impl Iterator<Item = (Vec<&'a str>, Picture)> + use<'a> {
        let split =
            |(name, picture): &'a (String, Picture)| (name.split(' ').collect::<Vec<_>>(), picture.clone());
        self.pictures.iter().map(split).filter(move |(words, _)| words[0] == kind)
    }

    /// Operation and `[10, 3]`: magnitude, argument, negated argument.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (&str, &Array2<f64>)> {
        self.levels.iter().map(|(name, rows)| (name.trim_start_matches("level "), rows))
    }
}

fn picture(array: &Array3<u8>) -> Picture {
    let (height, width, channels) = array.dim();
    let bytes = array.as_standard_layout().iter().copied().collect();
    Picture::new(width, height, channels, bytes).unwrap()
}
