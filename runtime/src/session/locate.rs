//! Where libonnxruntime is looked for. Nothing is loaded here.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What is mapped into this process, and the most bytes of that list.
const MAPS: &str = "/proc/self/maps";
const MOST_MAPS: u64 = 1 << 28;

/// What the search depends on, so that it can be tested without touching the process.
#[derive(Debug, Default)]
pub(super) struct LibrarySearch {
    /// Path that the user gave.
    pub(super) explicit: Option<PathBuf>,
    /// `MIMIR_ORT_DYLIB`.
    pub(super) mimir_variable: Option<OsString>,
    /// `ORT_DYLIB_PATH`.
    pub(super) ort_variable: Option<OsString>,
    /// `LD_LIBRARY_PATH`.
    pub(super) loader_variable: Option<OsString>,
    /// Folder of the shared library that this code is in; none where it is a part of the program.
    pub(super) library_folder: Option<PathBuf>,
    /// Folder of the running program; none where this code is in a shared library, which may be of any program.
    pub(super) program_folder: Option<PathBuf>,
    /// Current folder.
    pub(super) current_folder: Option<PathBuf>,
}

impl LibrarySearch {
    /// Those of this process.
    pub(super) fn from_process(explicit: Option<&Path>) -> Self {
        let program = std::env::current_exe().ok();
        let library = own_file().filter(|file| !same_place(file, program.as_deref()));
        let program = program.filter(|_| library.is_none());
        let folder = |file: PathBuf| file.parent().map(Path::to_path_buf);
        Self {
            explicit: explicit.map(Path::to_path_buf),
            mimir_variable: std::env::var_os("MIMIR_ORT_DYLIB"),
            ort_variable: std::env::var_os("ORT_DYLIB_PATH"),
            loader_variable: std::env::var_os("LD_LIBRARY_PATH"),
            library_folder: library.and_then(folder),
            program_folder: program.and_then(folder),
            current_folder: std::env::current_dir().ok(),
        }
    }

    /// The files to try, best first.
    ///
    /// What somebody asked for by name is the only candidate: a wrong path must not be papered over by another copy. Only
    /// what was installed with our own library comes before a variable. Else the search stays within the program's own
    /// installation: a folder further up may be one that everybody writes.
    pub(super) fn candidates(&self) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = Vec::new();
        if let (Some(folder), None) = (&self.library_folder, &self.explicit) {
            // `make install` puts it into a folder of its own.
            found.extend(
                [folder.clone(), folder.join("mimir")].iter().flat_map(|folder| libraries_in(folder)),
            );
        }
        if let Some(path) = self.named() {
            found.push(self.absolute(path));
            return found;
        }
        found.extend(self.program_folder.as_deref().map(installed_for).unwrap_or_default());
        // A bare name: the loader searches its own path.
        if !self.loader_would_take_the_current_folders() {
            found.push(PathBuf::from(LOADER_NAME));
        }
        found
    }

    /// Whether somebody asked for a library by name.
    pub(super) fn names_a_library(&self) -> bool {
        self.named().is_some()
    }

    fn named(&self) -> Option<PathBuf> {
        let variables = [&self.mimir_variable, &self.ort_variable];
        let variable = variables.into_iter().flatten().find(|value| !value.is_empty()).map(PathBuf::from);
        self.explicit.clone().or(variable)
    }

    /// Relative to the current folder; `ort` would take it relative to the program.
    fn absolute(&self, path: PathBuf) -> PathBuf {
        match &self.current_folder {
            Some(folder) => folder.join(path),
            None => path,
        }
    }

    /// An empty element of `LD_LIBRARY_PATH`, as in `/opt/lib:`, means the current folder, and a relative one a folder in
    /// it: a library there may have come with a foreign model.
    fn loader_would_take_the_current_folders(&self) -> bool {
        let (Some(folders), Some(current)) = (&self.loader_variable, &self.current_folder) else {
            return false;
        };
        let mut relative = std::env::split_paths(folders).filter(|folder| folder.is_relative());
        !folders.is_empty() && relative.any(|folder| current.join(folder).join(LOADER_NAME).exists())
    }
}

/// What the system's loader is asked for.
const LOADER_NAME: &str = "libonnxruntime.so.1";

/// The libraries of a program in `folder`: of the checkout that built it, beside it, and of the prefix whose `bin` it is in.
fn installed_for(folder: &Path) -> Vec<PathBuf> {
    let checkout = checkout_that_built(folder).map(checkout_copies).unwrap_or_default();
    let prefix = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "bin"));
    let prefix = prefix.map(of_prefix).unwrap_or_default();
    checkout.into_iter().chain(libraries_in(folder)).chain(prefix).collect()
}

/// `CHECKOUT` of `CHECKOUT/target/PROFILE`, `CHECKOUT/target/TRIPLE/PROFILE` and the folders of tests below them.
fn checkout_that_built(folder: &Path) -> Option<&Path> {
    let is_target = |folder: &&Path| folder.file_name().is_some_and(|name| name == "target");
    folder.ancestors().skip(1).take(3).find(is_target)?.parent()
}

/// `PREFIX/lib/mimir`, where `make install` puts it, `PREFIX/lib`, and the `onnxruntime` package of a Python there, which
/// the wheel of the commands brings along.
fn of_prefix(prefix: &Path) -> Vec<PathBuf> {
    let lib = prefix.join("lib");
    let mut pythons = entries(&lib);
    pythons.retain(|path| file_name(path).starts_with("python3"));
    pythons.sort_by_key(|path| std::cmp::Reverse(version_numbers(&file_name(path))));
    let packages =
        pythons.iter().flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name)));
    let packages = packages.map(|packages| packages.join("onnxruntime/capi"));
    [lib.join("mimir"), lib].into_iter().chain(packages).flat_map(|folder| libraries_in(&folder)).collect()
}

/// The file that this code was loaded from: the program, or a shared library of ours.
fn own_file() -> Option<PathBuf> {
    let here = own_file as *const () as usize;
    let maps = mimir_files::read_text(Path::new(MAPS), MOST_MAPS).ok()?;
    let number = |text: &str| usize::from_str_radix(text, 16).ok();
    let holds = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((number(start)?..number(end)?).contains(&here))
    };
    let line = maps.lines().find(|line| holds(line) == Some(true))?;
    line.find('/').map(|start| PathBuf::from(&line[start..]))
}

fn same_place(file: &Path, other: Option<&Path>) -> bool {
    let place = |path: &Path| path.canonicalize().ok();
    other.is_some_and(|other| place(file) == place(other))
}

/// The file of a library that is loaded. Where it was given by its name alone, the system's loader chose the file: the
/// process's list of mapped files has it.
///
/// # Errors
/// When the list cannot be read, or does not have it.
pub(super) fn loaded_from(library: &Path) -> io::Result<PathBuf> {
    if library.components().count() > 1 {
        return library.canonicalize();
    }
    let maps = mimir_files::read_text(Path::new(MAPS), MOST_MAPS)?;
    let wanted = file_name(library);
    // Address, rights, offset, device, inode, path.
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..])));
    // A link may have led to a file with a longer name.
    let found = paths.find(|path| file_name(path).starts_with(&wanted));
    found.map(Path::to_path_buf).ok_or_else(|| io::Error::other("not among the mapped files"))
}

/// `FOLDER/.mimir/onnxruntime-*/libonnxruntime.so*`, newest version first: where `make setup` puts it.
fn checkout_copies(folder: &Path) -> Vec<PathBuf> {
    let mut copies = entries(&folder.join(".mimir"));
    copies.retain(|path| file_name(path).starts_with("onnxruntime-"));
    copies.sort_by_key(|path| std::cmp::Reverse(version_numbers(&file_name(path))));
    copies.iter().flat_map(|copy| libraries_in(copy)).collect()
}

/// `FOLDER/libonnxruntime.so*`.
fn libraries_in(folder: &Path) -> Vec<PathBuf> {
    let mut libraries = entries(folder);
    libraries.retain(|path| file_name(path).starts_with("libonnxruntime.so"));
    libraries.sort();
    libraries
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(listing) = std::fs::read_dir(folder) else { return Vec::new() };
    listing.flatten().map(|entry| entry.path()).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `onnxruntime-1.32.0` as `[1, 32, 0]`, so that 1.9 comes before 1.32.
fn version_numbers(name: &str) -> Vec<u32> {
    name.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }

    #[test]
    fn what_is_named_is_the_only_candidate() {
        struct Case {
            explicit: Option<&'static str>,
            mimir: Option<&'static str>,
            ort: Option<&'static str>,
            want: &'static str,
        }
        let cases = [
            Case { explicit: Some("a.so"), mimir: Some("/b.so"), ort: Some("/c.so"), want: "/here/a.so" },
            Case { explicit: None, mimir: Some("/b.so"), ort: Some("/c.so"), want: "/b.so" },
            Case { explicit: None, mimir: Some(""), ort: Some("/c.so"), want: "/c.so" },
            Case { explicit: None, mimir: None, ort: None, want: "libonnxruntime.so.1" },
        ];
        for case in cases {
            let search = LibrarySearch {
                explicit: case.explicit.map(PathBuf::from),
                library_folder: None,
                mimir_variable: case.mimir.map(OsString::from),
                ort_variable: case.ort.map(OsString::from),
                loader_variable: None,
                program_folder: None,
                current_folder: Some(PathBuf::from("/here")),
            };
            assert_eq!(search.candidates(), [PathBuf::from(case.want)]);
            assert_eq!(search.names_a_library(), case.want != "libonnxruntime.so.1");
        }
    }

    #[test]
    fn a_checkout_around_the_program_is_found_newest_first() {
        let checkout = tempfile::tempdir().unwrap();
        let library = |version: &str| {
            let name = format!("libonnxruntime.so.{version}");
            checkout.path().join(format!(".mimir/onnxruntime-{version}")).join(name)
        };
        touch(&library("1.9.0"));
        touch(&library("1.32.0"));
        let search = LibrarySearch {
            program_folder: Some(checkout.path().join("target/release")),
            ..LibrarySearch::default()
        };
        let candidates = search.candidates();
        assert_eq!(candidates[..2], [library("1.32.0"), library("1.9.0")]);
        assert_eq!(candidates.last(), Some(&PathBuf::from("libonnxruntime.so.1")));
    }

    #[test]
    fn beside_our_own_library_comes_before_a_variable_and_after_what_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("libonnxruntime.so.1");
        touch(&beside);
        let search = LibrarySearch {
            mimir_variable: Some("/b.so".into()),
            library_folder: Some(folder.path().to_path_buf()),
            ..LibrarySearch::default()
        };
        assert_eq!(search.candidates(), [beside.clone(), PathBuf::from("/b.so")]);
        let explicit = LibrarySearch { explicit: Some("/a.so".into()), ..search };
        assert_eq!(explicit.candidates(), [PathBuf::from("/a.so")]);
        let neither = LibrarySearch { explicit: None, mimir_variable: None, ..explicit };
        let installed = folder.path().join("mimir/libonnxruntime.so.1.32.0");
        touch(&installed);
        assert_eq!(neither.candidates(), [beside, installed, PathBuf::from("libonnxruntime.so.1")]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_code_is_in_the_program_of_the_tests() {
        assert!(same_place(&own_file().unwrap(), std::env::current_exe().ok().as_deref()));
        let search = LibrarySearch::from_process(None);
        assert!(search.library_folder.is_none() && search.program_folder.is_some());
    }

    /// The C library is loaded in every process.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_the_loader_chose_is_found_among_the_mapped_files() {
        let found = loaded_from(Path::new("libc.so")).unwrap();
        assert!(found.is_file() && file_name(&found).starts_with("libc.so"), "{}", found.display());
        assert!(loaded_from(Path::new("libnothing.so.1")).is_err());
        let folder = tempfile::tempdir().unwrap();
        touch(&folder.path().join("lib.so.1.2"));
        std::os::unix::fs::symlink("lib.so.1.2", folder.path().join("lib.so")).unwrap();
        let real = folder.path().canonicalize().unwrap().join("lib.so.1.2");
        assert_eq!(loaded_from(&folder.path().join("lib.so")).unwrap(), real);
    }

    #[test]
    fn the_current_folder_cannot_bring_a_library_along() {
        let folder = tempfile::tempdir().unwrap();
        touch(&folder.path().join(".mimir/onnxruntime-9.9.9/libonnxruntime.so.9.9.9"));
        touch(&folder.path().join("libonnxruntime.so.1"));
        let search =
            LibrarySearch { current_folder: Some(folder.path().to_path_buf()), ..LibrarySearch::default() };
        assert_eq!(search.candidates(), [PathBuf::from("libonnxruntime.so.1")]);
    }

    #[test]
    fn a_library_beside_the_program_comes_before_the_loaders() {
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("libonnxruntime.so.1");
        touch(&beside);
        let search =
            LibrarySearch { program_folder: Some(folder.path().to_path_buf()), ..LibrarySearch::default() };
        assert_eq!(search.candidates(), [beside, PathBuf::from("libonnxruntime.so.1")]);
    }

    /// `/tmp/.mimir` is for everybody to write; a program in `/tmp/tools` is none of its business.
    #[test]
    fn the_search_does_not_climb_out_of_the_installation() {
        let root = tempfile::tempdir().unwrap();
        touch(&root.path().join(".mimir/onnxruntime-9.9.9/libonnxruntime.so.9.9.9"));
        touch(&root.path().join("libonnxruntime.so.1"));
        touch(&root.path().join("lib/libonnxruntime.so.1"));
        for program in ["tools", "a/b/c/d", "target", "a/target/b/c/d/e", "project/tools/deps"] {
            let search =
                LibrarySearch { program_folder: Some(root.path().join(program)), ..LibrarySearch::default() };
            assert_eq!(search.candidates(), [PathBuf::from(LOADER_NAME)], "{program}");
        }
    }

    #[test]
    fn a_program_in_a_prefix_finds_what_was_installed_with_it() {
        let prefix = tempfile::tempdir().unwrap();
        let bundled = prefix.path().join("lib/mimir/libonnxruntime.so.1.32.0");
        let shared = prefix.path().join("lib/libonnxruntime.so.1");
        let wheel = |python: &str, folder: &str| {
            prefix.path().join(format!("lib/{python}/{folder}/onnxruntime/capi/libonnxruntime.so.1.32.0"))
        };
        let wheels = [wheel("python3.12", "site-packages"), wheel("python3.9", "dist-packages")];
        for library in wheels.iter().chain([&bundled, &shared]) {
            touch(library);
        }
        let search = |folder: &str| LibrarySearch {
            program_folder: Some(prefix.path().join(folder)),
            ..LibrarySearch::default()
        };
        let [python12, python9] = wheels;
        let loader = PathBuf::from(LOADER_NAME);
        assert_eq!(search("bin").candidates(), [bundled, shared, python12, python9, loader.clone()]);
        assert_eq!(search("sbin").candidates(), [loader]);
    }

    #[test]
    fn an_empty_or_relative_element_of_the_loaders_path_brings_nothing_from_the_current_folder() {
        let folder = tempfile::tempdir().unwrap();
        let search = |variable: &str| LibrarySearch {
            loader_variable: Some(variable.into()),
            current_folder: Some(folder.path().to_path_buf()),
            ..LibrarySearch::default()
        };
        let loader = [PathBuf::from(LOADER_NAME)];
        assert_eq!(search("/opt/lib:").candidates(), loader);
        touch(&folder.path().join(LOADER_NAME));
        touch(&folder.path().join("lib").join(LOADER_NAME));
        for variable in ["/opt/lib:", ":/opt/lib", "/a::/b", ".", "lib"] {
            assert!(search(variable).candidates().is_empty(), "{variable}");
        }
        for variable in ["", "/opt/lib", "other"] {
            assert_eq!(search(variable).candidates(), loader, "{variable}");
        }
    }
}
