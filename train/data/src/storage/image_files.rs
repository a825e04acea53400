//! One PNG or JPEG file an image, decoded when the image is asked for.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::identity::Identity;
use crate::decode::{self, Colour, Header, Origin};
use crate::error::{DataError, FilePart};
use crate::input::{FileStamp, MAX_ENCODED, open_file};
use crate::picture::Picture;

/// Files of one image each.
#[derive(Debug)]
pub(crate) struct ImageFiles {
    files: Vec<ImageFile>,
    /// What they are decoded to.
    pub(crate) colour: Colour,
}

#[derive(Debug)]
struct ImageFile {
    path: PathBuf,
    /// Of the file when its header was read, if it was.
    stamp: Option<FileStamp>,
}

impl ImageFiles {
    /// To be decoded to RGB. Nothing is opened.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let files = paths.into_iter().map(|path| ImageFile { path, stamp: None }).collect();
        Self { files, colour: Colour::Rgb }
    }

    /// Reads the header of one image, and remembers the state of the file.
    pub(crate) fn read_header(&mut self, image: usize) -> Result<Header, DataError> {
        let count = self.files.len();
        let file = self.files.get_mut(image).ok_or(DataError::NoSuchImage { image, count })?;
        let (open, stamp) = open_file(&file.path)?;
        file.stamp = Some(stamp);
        decode::read_header(BufReader::new(open), Origin { path: &file.path, entry: None })
    }

    pub(crate) fn path(&self, image: usize) -> Option<&Path> {
        self.files.get(image).map(|file| file.path.as_path())
    }

    /// Name and length of one image's file: the name within its folder, after the folder's own, which is that of a class.
    pub(crate) fn identity(&self, image: usize) -> Result<Identity, DataError> {
        let no_image = || DataError::NoSuchImage { image, count: self.files.len() };
        let path = self.path(image).ok_or_else(no_image)?;
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        let name = Path::new(folder).join(path.file_name().unwrap_or_default());
        let bytes = std::fs::metadata(path).map_err(|source| DataError::io(path, source))?.len();
        Ok(Identity::File { name: name.to_string_lossy().into_owned(), bytes })
    }

    /// Decodes one image.
    pub(crate) fn picture(&self, image: usize) -> Result<Picture, DataError> {
        let count = self.files.len();
        let ImageFile { path, stamp } =
            self.files.get(image).ok_or(DataError::NoSuchImage { image, count })?;
        let (mut file, found) = open_file(path)?;
        if stamp.is_some_and(|stamp| stamp != found) {
            return Err(DataError::Changed { path: path.clone() });
        }
        if found.length > MAX_ENCODED {
            let (found, wanted) =
                (format!("{} bytes", found.length), format!("an image of at most {MAX_ENCODED}"));
            return Err(DataError::format(path, FilePart::Whole, found, wanted));
        }
        let mut bytes = Vec::new();
        let read = (&mut file).take(MAX_ENCODED).read_to_end(&mut bytes);
        read.map_err(|source| DataError::io(path, source))?;
        decode::picture(&bytes, self.colour, Origin { path, entry: None })
    }
}
