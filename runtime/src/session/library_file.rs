//! Whether a file can be the library that it is taken for, before the system's loader maps it.
//!
//! The loader believes the headers: of a file that was cut off, as by an interrupted copy, it maps pages that are not there,
//! and the process ends with SIGBUS. A trial in a process of its own shows that too (`library_probe.rs`), but a library must
//! not start programs, and whether all that the headers name is in the file can be read from them.

use std::io;
use std::path::Path;

use object::elf::{ET_DYN, FileHeader64, PT_DYNAMIC, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, ReadCache};

/// Checks that a file is a whole shared library. The loader finds out the rest: the processor, and what else it needs.
///
/// A name without a folder is one that the loader looks for; that file is the system's.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn expect_library(path: &Path) -> Result<(), String> {
    if path.components().count() < 2 || !cfg!(target_os = "linux") {
        return Ok(());
    }
    let name = path.display();
    let unreadable = |error: io::Error| format!("{name}: {error}");
    let opened = mimir_files::open(path).map_err(unreadable)?;
    let length = opened.metadata.len();
    let file = ReadCache::new(opened.file);
    let no_library = |what: &str| format!("{name} is no shared library: {what}");
    let header = FileHeader64::<Endianness>::parse(&file).map_err(|error| no_library(&error.to_string()))?;
    let endian = header.endian().map_err(|error| no_library(&error.to_string()))?;
    if header.e_type(endian) != ET_DYN {
        return Err(no_library("it is an ELF file of another kind"));
    }
    let segments = header.program_headers(endian, &file);
    let segments = segments.map_err(|error| cut_off(path, length, &error.to_string()))?;
    let loaded = || segments.iter().filter(|segment| matches!(segment.p_type(endian), PT_LOAD | PT_DYNAMIC));
    if loaded().next().is_none() {
        return Err(no_library("it has nothing to load"));
    }
    let ends = loaded().map(|segment| segment.p_offset(endian).checked_add(segment.p_filesz(endian)));
    match ends.max_by_key(|end| end.unwrap_or(u64::MAX)).flatten() {
        Some(end) if end <= length => Ok(()),
        Some(end) => Err(cut_off(path, length, &format!("its headers speak of {end}"))),
        None => Err(no_library("its headers speak of more than a file can hold")),
    }
}

fn cut_off(path: &Path, length: u64, why: &str) -> String {
    format!("{} is cut off after {length} bytes ({why}): copy it again", path.display())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// A library of the system that every process of this kind has.
    fn whole() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/libc-")).unwrap();
        std::fs::read(&line[line.find('/').unwrap()..]).unwrap()
    }

    fn checked(bytes: &[u8]) -> Result<(), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        std::fs::write(&path, bytes).unwrap();
        expect_library(&path)
    }

    #[test]
    fn a_library_that_is_whole_is_taken() {
        assert_eq!(checked(&whole()), Ok(()));
        assert_eq!(expect_library(Path::new("libonnxruntime.so.1")), Ok(()), "the loader's to find");
    }

    /// Behind what is loaded lie only symbols for debuggers.
    #[test]
    fn a_library_that_is_cut_off_anywhere_is_refused() {
        let bytes = whole();
        let needed =
            (0..bytes.len()).step_by(bytes.len() / 97).filter(|length| checked(&bytes[..*length]).is_ok());
        let shortest = needed.min().unwrap_or(bytes.len());
        assert!(shortest > bytes.len() / 2, "{shortest} of {} bytes", bytes.len());
        let error = checked(&bytes[..shortest / 2]).unwrap_err();
        assert!(error.contains("is cut off after") && error.contains("copy it again"), "{error}");
        for length in 0..64 {
            assert!(checked(&bytes[..length]).unwrap_err().contains("no shared library"), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_library_is_refused() {
        for bytes in [&b""[..], b"libonnxruntime\n", b"\x7fELF", &[0; 4096]] {
            assert!(checked(bytes).unwrap_err().contains("no shared library"), "{bytes:?}");
        }
        let program = std::fs::read("/proc/self/exe").unwrap();
        let mut object_file = program[..4096].to_vec();
        object_file[16] = 1;
        assert!(checked(&object_file).unwrap_err().contains("of another kind"));
        let folder = tempfile::tempdir().unwrap();
        assert!(expect_library(folder.path()).unwrap_err().contains("a folder"));
        assert!(expect_library(&folder.path().join("none.so")).unwrap_err().contains("none.so"));
    }

    /// Headers whose numbers are all they can be.
    #[test]
    fn headers_of_huge_numbers_are_refused() {
        let mut bytes = whole();
        let first = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
        let count = usize::from(u16::from_le_bytes(bytes[56..58].try_into().unwrap()));
        for segment in 0..count {
            let start = first + 56 * segment;
            bytes[start + 8..start + 16].fill(0xff);
        }
        assert!(checked(&bytes).is_err());
        bytes[32..40].fill(0xff);
        assert!(checked(&bytes).is_err());
    }
}
