//! One folder of PNG or JPEG files per class, as torchvision's `ImageFolder` reads it.
//!
//! Classes are the folders, sorted by the bytes of their names, as `ImageFolder` does; where all names are numbers, by
//! number (`2` before `10`), which `ImageFolder` does not. Their position is the label. Within a class, files are
//! sorted by the path of their folder, then by their name, again as bytes. Every image becomes 8-bit RGB as
//! [`decode`](crate::decode) says. Nothing is resized.
//!
//! Listing asks the file system for the entries of folders, which say what is a file and what a folder: only what a link
//! leads to is asked for by itself. On a disk of a network, a question for each of the 1.28 million files of ImageNet takes minutes.
//!
//! Opening as an [`ImageSet`](crate::ImageSet) reads every header, so that a file of another size is found before
//! anything is computed, and decodes nothing; opening as a [`PictureSet`] reads none. Damage behind a header is found
//! when that image is read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::decode::is_image;
use crate::error::{DataError, FilePart};
use crate::image_set::{LeftOut, count_classes};
use crate::input::count_to_read;
use crate::picture_set::PictureSet;
use crate::source::{Dataset, Opener};
use crate::storage::{ImageFiles, PixelStorage};

pub(super) const DATASET: Dataset = Dataset {
    scheme: "folder",
    alias: None,
    path: "FOLDER",
    content: "one folder of PNG or JPEG files per class",
    has_splits: false,
    open: Opener::Pictures(|root, options| pictures(root, options.first)),
};

/// Folders inside a class folder; more is a mistake or a loop.
const MAX_DEPTH: usize = 8;

/// Opens the first images of a folder of class folders, of any sizes.
pub(super) fn pictures(root: &Path, first: Option<usize>) -> Result<PictureSet, DataError> {
    let Listing { names, files, left_out } = list(root)?;
    Ok(PictureSet { left_out, ..picture_set(root, names, files, first)? })
}

/// The first of these images, in their order.
pub(super) fn picture_set(
    root: &Path,
    names: Vec<String>,
    mut files: Vec<(PathBuf, usize)>,
    first: Option<usize>,
) -> Result<PictureSet, DataError> {
    let all = files.len();
    let count = count_to_read(root, all, first)?;
    let whole =
        (count < all).then(|| count_classes(&files.iter().map(|(_, label)| *label).collect::<Vec<_>>()));
    files.truncate(count);
    let (paths, labels): (Vec<PathBuf>, Vec<usize>) = files.into_iter().unzip();
    Ok(PictureSet {
        labels,
        names: Some(names),
        channels: 3,
        whole,
        order: None,
        left_out: None,
        pixels: PixelStorage::ImageFiles(ImageFiles::new(paths)),
    })
}

/// What a root holds.
pub(super) struct Listing {
    /// Class names by label.
    pub(super) names: Vec<String>,
    /// Every image with its label, in file order.
    pub(super) files: Vec<(PathBuf, usize)>,
    /// Files of the class folders that are no images.
    pub(super) left_out: Option<LeftOut>,
}

/// Every image of every class.
pub(super) fn list(root: &Path) -> Result<Listing, DataError> {
    let classes = classes(root)?;
    let (mut files, mut others) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let mut images = Vec::new();
        collect_images(class, 0, &mut images, &mut others)?;
        if images.is_empty() {
            return Err(DataError::format(
                class,
                FilePart::Whole,
                "no images",
                "PNG or JPEG files of that class",
            ));
        }
        images.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        files.extend(images.into_iter().map(|path| (path, label)));
    }
    let left_out =
        others.first().map(|path| LeftOut { count: others.len(), first: path.display().to_string() });
    Ok(Listing { names: classes.iter().map(|class| name(class)).collect(), files, left_out })
}

/// The folders of a root, sorted by the bytes of their names; by number where all names are different numbers.
fn classes(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let (mut classes, mut others) = (Vec::new(), Vec::new());
    for Entry { path, kind } in entries(root)? {
        let is_folder = matches!(kind, EntryKind::Folder | EntryKind::LinkToFolder);
        if is_folder { classes.push(path) } else { others.push(path) }
    }
    if classes.is_empty() {
        let images = others.iter().filter(|path| matches!(is_image(path), Ok(true))).count();
        let (found, wanted) = match images {
            0 => ("no folders".to_owned(), "one folder of images per class"),
            _ => (
                format!("{images} images and no folders"),
                "one folder of images per class: move each image into the folder of its class (ImageNet's validation \
                 images are published with a script that does)",
            ),
        };
        return Err(DataError::format(root, FilePart::Whole, found, wanted));
    }
    let number = |path: &PathBuf| {
        name(path).bytes().all(|byte| byte.is_ascii_digit()).then(|| name(path).parse().ok())?
    };
    if let Some(numbers) = classes.iter().map(number).collect::<Option<Vec<u64>>>() {
        let different: BTreeSet<u64> = numbers.into_iter().collect();
        if different.len() == classes.len() {
            classes.sort_by_key(number);
        }
    }
    Ok(classes)
}

/// The names of the class folders, by label.
pub(super) fn class_names(root: &Path) -> Result<Vec<String>, DataError> {
    Ok(classes(root)?.iter().map(|class| name(class)).collect())
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn sort_key(path: &Path) -> (&[u8], &[u8]) {
    fn bytes(part: Option<&OsStr>) -> &[u8] {
        part.unwrap_or_default().as_encoded_bytes()
    }
    (bytes(path.parent().map(Path::as_os_str)), bytes(path.file_name()))
}

/// What a folder holds under one name.
struct Entry {
    path: PathBuf,
    kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryKind {
    Folder,
    LinkToFolder,
    /// A file, or whatever else is no folder: opening it shows what it is.
    Other,
}

impl EntryKind {
    /// From the entry of the folder alone, but for links: what they lead to is asked.
    fn of(entry: &fs::DirEntry) -> std::io::Result<Self> {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            return Ok(Self::Folder);
        }
        if !kind.is_symlink() {
            return Ok(Self::Other);
        }
        Ok(if leads_to_folder(&entry.path()) { Self::LinkToFolder } else { Self::Other })
    }
}

/// Asks the file system about one path.
fn leads_to_folder(link: &Path) -> bool {
    #[cfg(test)]
    tests::ASKED.set(tests::ASKED.get() + 1);
    link.is_dir()
}

/// The entries of a folder sorted by the bytes of their names, hidden ones left out.
fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let entry = |entry: std::io::Result<fs::DirEntry>| -> std::io::Result<Option<Entry>> {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return Ok(None);
        }
        Ok(Some(Entry { kind: EntryKind::of(&entry)?, path: entry.path() }))
    };
    let list =
        || fs::read_dir(folder)?.filter_map(|found| entry(found).transpose()).collect::<Result<_, _>>();
    let mut entries: Vec<Entry> = list().map_err(|source| DataError::io(folder, source))?;
    entries.sort_unstable_by(|a, b| sort_key(&a.path).1.cmp(sort_key(&b.path).1));
    Ok(entries)
}

fn collect_images(
    folder: &Path,
    depth: usize,
    images: &mut Vec<PathBuf>,
    others: &mut Vec<PathBuf>,
) -> Result<(), DataError> {
    if depth > MAX_DEPTH {
        let (found, wanted) = (format!("folders {depth} deep"), format!("at most {MAX_DEPTH}"));
        return Err(DataError::format(folder, FilePart::Whole, found, wanted));
    }
    for Entry { path, kind } in entries(folder)? {
        match kind {
            EntryKind::Folder => collect_images(&path, depth + 1, images, others)?,
            // It could lead back up, which the link to a file cannot.
            EntryKind::LinkToFolder => {}
            EntryKind::Other if is_image(&path)? => images.push(path),
            EntryKind::Other => others.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dims::ImageDims;
    use crate::image_set::ImageSet;
    use crate::input::pixel;
    use crate::testing::jpeg_file;
    use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use std::cell::Cell;
    use std::fs::File;

    thread_local! {
        /// Paths that the file system was asked about one by one.
        pub(super) static ASKED: Cell<usize> = const { Cell::new(0) };
    }

    fn open(root: &Path, first: Option<usize>) -> Result<ImageSet, DataError> {
        pictures(root, first)?.one_size(None)
    }

    const RED: Rgb<u8> = Rgb([255, 51, 0]);

    fn rgb(width: u32, height: u32) -> RgbImage {
        RgbImage::from_pixel(width, height, RED)
    }

    /// A root with one image per path, all of one size; the class is the first folder of the path.
    fn root(paths: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for path in paths {
            save(root.path(), path, &rgb(3, 2).into());
        }
        root
    }

    fn save(root: &Path, path: &str, image: &DynamicImage) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if path.extension().is_some_and(|extension| extension == "jpg" || extension == "JPEG") {
            let (width, height) = (image.width() as usize, image.height() as usize);
            let channels = usize::from(image.color().channel_count());
            fs::write(path, jpeg_file(image.as_bytes(), width, height, channels)).unwrap();
        } else {
            image.save(path).unwrap();
        }
    }

    #[test]
    fn order_is_by_class_then_folder_then_name_as_bytes() {
        let root = root(&["b/10.png", "b/9.png", "b/sub/0.png", "a/z.png", "B/x.PNG", ".hidden/x.png"]);
        fs::write(root.path().join("readme.txt"), "not a class").unwrap();
        fs::write(root.path().join("a/notes.txt"), "not an image").unwrap();
        let Listing { names, files, left_out } = list(root.path()).unwrap();
        assert_eq!(names, ["B", "a", "b"]);
        let first = root.path().join("a/notes.txt").display().to_string();
        assert_eq!(left_out, Some(LeftOut { count: 1, first }));
        let order: Vec<_> = files
            .iter()
            .map(|(path, label)| (path.strip_prefix(root.path()).unwrap().to_str().unwrap(), *label))
            .collect();
        assert_eq!(
            order,
            [("B/x.PNG", 0), ("a/z.png", 1), ("b/10.png", 2), ("b/9.png", 2), ("b/sub/0.png", 2)]
        );
    }

    /// A file system in a network answers some thousand questions a second: a million files are to need none each.
    #[test]
    #[cfg(unix)]
    fn files_are_listed_without_a_question_for_each() {
        use std::os::unix::fs::symlink;
        let root = root(&["a/0.png", "a/1.png", "a/deep/2.png", "b/0.png"]);
        let at = |name: &str| root.path().join(name);
        symlink(at("a/0.png"), at("b/1.png")).unwrap();
        // Back up, and to a class elsewhere.
        symlink(at("a"), at("b/loop")).unwrap();
        symlink(at("a"), at("c")).unwrap();
        let before = ASKED.get();
        let Listing { names, files, .. } = list(root.path()).unwrap();
        assert_eq!(ASKED.get() - before, 3, "the three links alone");
        assert_eq!(names, ["a", "b", "c"]);
        let labels: Vec<usize> = files.iter().map(|(_, label)| *label).collect();
        assert_eq!(labels, [0, 0, 0, 1, 1, 2, 2, 2]);
        assert_eq!(files[4].0, at("b/1.png"));
    }

    #[test]
    fn numbers_are_in_their_order() {
        for (folders, wanted) in [
            (["10", "9", "2"], ["2", "9", "10"]),
            (["010", "009", "2"], ["2", "009", "010"]),
            // One that is no number, and two that are the same.
            (["10", "9", "x"], ["10", "9", "x"]),
            (["10", "1", "01"], ["01", "1", "10"]),
        ] {
            let root =
                root(&folders.map(|folder| ["", folder, "/0.png"].concat()).each_ref().map(String::as_str));
            assert_eq!(list(root.path()).unwrap().names, wanted);
        }
    }

    #[test]
    fn a_part_of_imagenet_is_labelled_as_the_whole() {
        let root = root(&["n01443537/0.png", "n15075141/0.png"]);
        let mut set = open(root.path(), None).unwrap();
        assert!(!set.label_as_imagenet(10) && set.labels == [0, 1]);
        assert!(set.label_as_imagenet(1000) && set.labels == [1, 999] && set.mapped);
        let names = set.names.unwrap();
        assert_eq!((names[1].as_str(), names[2].as_str(), names.len()), ("n01443537", "", 1000));
    }

    #[test]
    fn images_without_class_folders_are_named() {
        let root = root(&["ILSVRC2012_val_00000001.JPEG"]);
        let error = open(root.path(), None).unwrap_err().to_string();
        assert!(
            error.contains("found 1 images and no folders, wanted one folder of images per class"),
            "{error}"
        );
    }

    #[test]
    fn every_kind_of_8_bit_image_becomes_rgb_planes() {
        let images: [(&str, DynamicImage, [f32; 3]); 4] = [
            ("rgb.png", rgb(2, 1).into(), [1.0, 0.2, 0.0]),
            ("grey.png", GrayImage::from_pixel(2, 1, Luma([102])).into(), [0.4, 0.4, 0.4]),
            ("alpha.png", RgbaImage::from_pixel(2, 1, Rgba([0, 51, 255, 7])).into(), [0.0, 0.2, 1.0]),
            ("grey.jpg", GrayImage::from_pixel(2, 1, Luma([102])).into(), [0.4, 0.4, 0.4]),
        ];
        for (name, image, [red, green, blue]) in images {
            let root = tempfile::tempdir().unwrap();
            save(root.path(), &format!("class/{name}"), &image);
            let set = open(root.path(), None).unwrap();
            assert_eq!(set.dims, ImageDims { channels: 3, height: 1, width: 2 }, "{name}");
            assert_eq!(set.row(0), [red, red, green, green, blue, blue], "{name}");
        }
    }

    #[test]
    fn the_first_images_keep_all_class_names() {
        let root = root(&["a/0.png", "b/0.png"]);
        let set = open(root.path(), Some(1)).unwrap();
        assert_eq!((set.labels, set.names), (vec![0], Some(vec!["a".to_owned(), "b".to_owned()])));
        let error = open(root.path(), Some(3)).unwrap_err().to_string();
        assert!(error.ends_with("found 2 images, but 3 were asked for"), "{error}");
    }

    #[test]
    fn two_sizes_are_an_error_that_names_both_files() {
        let root = root(&["a/0.png"]);
        save(root.path(), "a/1.png", &rgb(2, 2).into());
        let error = open(root.path(), None).unwrap_err().to_string();
        for part in ["a/0.png is 3x2x3", "a/1.png is 3x2x2"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let deep = format!("a/{}x.png", "d/".repeat(MAX_DEPTH + 1));
        let sixteen = ImageBuffer::from_pixel(2, 2, Rgb([1_u16, 2, 3]));
        let cases: [(&str, Option<DynamicImage>, &str); 5] = [
            ("a/x.png", None, "a/x.png: found"),
            ("a/x.webp", None, "x.webp: found a .webp image, wanted PNG or JPEG"),
            ("a/x.txt", None, "/a: found no images"),
            ("a/x.png", Some(sixteen.into()), "found Rgb16 pixels, wanted an 8-bit"),
            (&deep, Some(rgb(1, 1).into()), "wanted at most 8"),
        ];
        for (path, image, wanted) in cases {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
            match image {
                Some(image) => save(root.path(), path, &image),
                None => fs::write(root.path().join(path), "no image").unwrap(),
            }
            let error = open(root.path(), None).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(open(empty.path(), None).unwrap_err().to_string().contains("one folder of images per class"));
    }

    #[test]
    fn truncated_images_are_errors() {
        let root = root(&["a/0.png"]);
        let path = root.path().join("a/0.png");
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() - 12 {
            // The last 12 bytes are the IEND chunk, which decoders may forgive.
            fs::write(&path, &bytes[..length]).unwrap();
            let read = open(root.path(), None).and_then(|set| set.read(0, &mut [0.0; 18]));
            assert!(read.is_err(), "cut to {length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn damage_behind_a_header_is_named_when_it_is_read() {
        let paths = ["a/0.png", "a/1.png", "b/2.png", "b/3.png"];
        let root = root(&paths);
        let damaged = root.path().join(paths[2]);
        let mut bytes = fs::read(&damaged).unwrap();
        let data = bytes.windows(4).position(|window| window == b"IDAT").unwrap() + 4;
        bytes[data..data + 4].fill(0xff);
        fs::write(&damaged, bytes).unwrap();
        let set = open(root.path(), None).unwrap();
        let mut out = [0.0; 18];
        for image in [0, 1, 3] {
            set.read(image, &mut out).unwrap();
        }
        let error = set.read(2, &mut out).unwrap_err().to_string();
        assert!(error.contains("b/2.png: found "), "{error}");
        assert!(error.ends_with("wanted an 8-bit PNG or JPEG image"), "{error}");
        let error = set.read(4, &mut out).unwrap_err();
        assert!(matches!(error, DataError::NoSuchImage { image: 4, count: 4 }), "{error}");
    }

    #[test]
    fn files_that_change_after_opening_are_errors() {
        let changes: [fn(&Path); 3] = [
            |path| File::options().write(true).open(path).unwrap().set_len(50).unwrap(),
            |path| rgb(2, 2).save(path).unwrap(),
            |path| fs::remove_file(path).unwrap(),
        ];
        let wanted = ["a/1.png: the file changed", "a/1.png: the file changed", "a/1.png: "];
        for (change, wanted) in changes.into_iter().zip(wanted) {
            let root = root(&["a/0.png", "a/1.png"]);
            let set = open(root.path(), None).unwrap();
            change(&root.path().join("a/1.png"));
            set.read(0, &mut [0.0; 18]).unwrap();
            let error = set.read(1, &mut [0.0; 18]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn threads_decode_the_same_pixels_in_any_order() {
        let root = tempfile::tempdir().unwrap();
        let red = |image: usize| 20 * image as u8;
        for image in 0..10 {
            let image_file = RgbImage::from_pixel(3, 2, Rgb([red(image), 0, 255]));
            save(root.path(), &format!("a/{image}.png"), &image_file.into());
        }
        let set = open(root.path(), None).unwrap();
        let expect = |image: usize| {
            let wanted = [[pixel(red(image)); 6], [0.0; 6], [1.0; 6]].concat();
            assert_eq!(set.row(image), wanted, "image {image}");
        };
        std::thread::scope(|scope| {
            for step in [3, 7] {
                scope.spawn(move || (0..40).for_each(|turn| expect(turn * step % 10)));
            }
        });
    }

    #[test]
    fn a_header_cannot_ask_for_the_machine() {
        let root = root(&["a/0.png"]);
        let path = root.path().join("a/0.png");
        let mut bytes = fs::read(&path).unwrap();
        // IHDR: 8 bytes of signature, 4 of length, 4 of name, then width and height; its checksum is at 29.
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        fs::write(&path, bytes).unwrap();
        let error = open(root.path(), None).unwrap_err().to_string();
        assert!(error.contains("found 65536 x 65536 pixels, more than 1073741824 bytes"), "{error}");
    }

    /// The checksum of PNG (ISO 3309), bit by bit.
    fn crc32(bytes: &[u8]) -> u32 {
        let shift = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), shift))
    }
}
