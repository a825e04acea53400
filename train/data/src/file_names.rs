//! The names of the files that images come from, for records.

use std::path::Path;

use crate::image_set::ImageSet;
use crate::storage::PixelStorage;

impl ImageSet {
    /// The file of each image relative to `folder`, where each image has a file of its own; `/` between its parts.
    pub fn file_names(&self, folder: &Path) -> Option<Vec<String>> {
        let PixelStorage::ImageFiles(files) = &self.pixels else { return None };
        let name = |path: &Path| {
            let parts = path.strip_prefix(folder).unwrap_or(path).components();
            parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
        };
        let place = |image: usize| self.order.as_ref().map_or(Some(image), |order| order.get(image).copied());
        (0..self.count()).map(|image| files.path(place(image)?).map(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use crate::{DataSource, ReadOptions, Split, open};

    #[test]
    fn image_folders_have_names_and_arrays_have_none() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a/2.png", "a/1.png", "b/deep/3.png"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(2, 2).save(path).unwrap();
        }
        let source: DataSource = format!("folder:{}", folder.path().display()).parse().unwrap();
        let names = |first| {
            let set = open(&source, &ReadOptions { split: Split::Test, first }).unwrap();
            set.file_names(source.path())
        };
        let all = ["a/1.png", "a/2.png", "b/deep/3.png"].map(str::to_owned);
        assert_eq!(names(None).as_deref(), Some(&all[..]));
        assert_eq!(names(Some(2)).as_deref(), Some(&all[..2]));
        std::fs::write(folder.path().join("test_batch.bin"), vec![0; 3073 * 2]).unwrap();
        let source: DataSource = format!("cifar10:{}", folder.path().display()).parse().unwrap();
        let set = open(&source, &ReadOptions { split: Split::Test, first: Some(1) }).unwrap();
        assert_eq!(set.file_names(source.path()), None);
    }
}
