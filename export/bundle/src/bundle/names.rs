//! The files of a bundle: which names there are, and how large each may be.
//!
//! The set is closed. A name is ASCII, so that no two systems disagree on what it is, and nothing in it leads to another
//! folder.

use super::error::{BundleError, BundleErrorKind, Result};

/// The description of the model, and the list of the other files.
pub const MANIFEST: &str = "manifest.json";
/// The model.
pub const MODEL: &str = "model.onnx";
/// Weights of the model and of gradient graphs that share them.
pub const MODEL_DATA: &str = "model.onnx.data";
/// The first certificate.
pub const CERTIFICATE: &str = "certificate.json";
/// The folder of the other certificates, one for each threat model.
pub const CERTIFICATES: &str = "certificates";
/// The signature.
pub const SIGNATURE: &str = "signature.json";

/// The end of the name of a bundle that is one file.
pub const EXTENSION: &str = "mimir";

/// The most bytes that all files of a bundle have together: whoever opens it has them in memory.
pub(super) const MOST_TOTAL: u64 = 8 << 30;

/// The longest name.
const MOST_BYTES: usize = 100;

/// What a file of a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// [`MANIFEST`].
    Manifest,
    /// [`MODEL`], or a gradient graph `gradient-LOSS.onnx`.
    Graph,
    /// [`MODEL_DATA`], or the data of one gradient graph, `gradient-LOSS.onnx.data`.
    Data,
    /// [`CERTIFICATE`], or `certificates/NAME.json`.
    Certificate,
    /// [`SIGNATURE`].
    Signature,
}

impl FileKind {
    /// The kind of a file by its name, relative to the bundle.
    ///
    /// # Errors
    /// When no file of a bundle has such a name; says why.
    pub fn of(name: &str) -> Result<Self> {
        check_spelling(name)?;
        match name {
            MANIFEST => return Ok(Self::Manifest),
            MODEL => return Ok(Self::Graph),
            MODEL_DATA => return Ok(Self::Data),
            CERTIFICATE => return Ok(Self::Certificate),
            SIGNATURE => return Ok(Self::Signature),
            _ => {}
        }
        if let Some(file) = name.strip_prefix(CERTIFICATES).and_then(|rest| rest.strip_prefix('/'))
            && file.len() > ".json".len()
            && file.ends_with(".json")
            && !file.contains('/')
        {
            return Ok(Self::Certificate);
        }
        if let Some(rest) = name.strip_prefix("gradient-")
            && !rest.contains('/')
        {
            let is = |end: &str| rest.len() > end.len() && rest.ends_with(end);
            if is(".onnx") {
                return Ok(Self::Graph);
            }
            if is(".onnx.data") {
                return Ok(Self::Data);
            }
        }
        Err(BundleError::format(
            name,
            "is no file of a bundle: these are manifest.json, model.onnx, model.onnx.data, gradient-LOSS.onnx, \
             gradient-LOSS.onnx.data, certificate.json, certificates/NAME.json and signature.json",
        ))
    }

    /// Whether the manifest lists such files with their digests. What is written after it, it cannot list.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Graph | Self::Data)
    }

    /// The most bytes that such a file may have.
    pub fn most_bytes(self) -> u64 {
        match self {
            Self::Manifest => 4 << 20,
            Self::Certificate | Self::Signature => 32 << 20,
            // The most that protobuf allows.
            Self::Graph => (1 << 31) - 1,
            Self::Data => 8 << 30,
        }
    }

    /// Checks the size of a file before it is read.
    ///
    /// # Errors
    /// [`BundleErrorKind::Limit`].
    pub(super) fn check_size(self, name: &str, bytes: u64) -> Result<()> {
        let most = self.most_bytes();
        if bytes <= most {
            return Ok(());
        }
        Err(BundleError::new(BundleErrorKind::Limit, name, format!("has {bytes} bytes, more than {most}")))
    }
}

/// Checks the size of each file and of all together, before any of them is read.
///
/// # Errors
/// [`BundleErrorKind::Limit`]; when no file of a bundle has such a name.
pub(super) fn check_sizes<'n>(files: impl IntoIterator<Item = (&'n str, u64)>) -> Result<()> {
    let mut total = 0_u64;
    for (name, bytes) in files {
        FileKind::of(name)?.check_size(name, bytes)?;
        total = total.saturating_add(bytes);
    }
    if total <= MOST_TOTAL {
        return Ok(());
    }
    let message = format!("have {total} bytes together, more than {MOST_TOTAL}");
    Err(BundleError::new(BundleErrorKind::Limit, "the files", message))
}

/// Checks that a name is a plain relative one: of `[A-Za-z0-9._-]`, each part beginning with a letter or digit.
fn check_spelling(name: &str) -> Result<()> {
    let refuse = |what: &str| Err(BundleError::format(format!("`{}`", name.escape_debug()), what));
    if name.len() > MOST_BYTES {
        return Err(BundleError::format(
            format!("`{}…`", name.chars().take(20).collect::<String>().escape_debug()),
            format!("is a name of more than {MOST_BYTES} bytes"),
        ));
    }
    if name.starts_with('/') {
        return refuse("is an absolute path: names are relative to the bundle");
    }
    if name.split('/').any(|part| part == ".." || part == ".") {
        return refuse("leads to another folder: names have no `.` and `..`");
    }
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-/".contains(character);
    if let Some(other) = name.chars().find(|&character| !is_plain(character)) {
        return refuse(&format!(
            "has the character {other:?}: names are made of A-Z, a-z, 0-9, `.`, `_` and `-`"
        ));
    }
    if name.split('/').any(|part| !part.starts_with(|first: char| first.is_ascii_alphanumeric())) {
        return refuse("is empty or begins with a point or dash: names begin with a letter or digit");
    }
    Ok(())
}

/// Checks that no two names are the same, also where letters of both cases are.
pub(super) fn check_twins<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<()> {
    let mut seen = std::collections::BTreeMap::new();
    for name in names {
        match seen.insert(name.to_ascii_lowercase(), name) {
            None => {}
            Some(first) if first == name => {
                return Err(BundleError::format(name, "stands twice in the bundle"));
            }
            Some(first) => {
                let message = format!("differs from `{first}` only in the case of letters");
                return Err(BundleError::format(name, message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_names_is_closed() {
        let cases = [
            ("manifest.json", FileKind::Manifest),
            ("model.onnx", FileKind::Graph),
            ("model.onnx.data", FileKind::Data),
            ("gradient-cross-entropy.onnx", FileKind::Graph),
            ("gradient-dlr.onnx.data", FileKind::Data),
            ("certificate.json", FileKind::Certificate),
            ("certificates/linf-8_255.json", FileKind::Certificate),
            ("signature.json", FileKind::Signature),
        ];
        for (name, kind) in cases {
            assert_eq!(FileKind::of(name), Ok(kind), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused_with_the_reason() {
        let long = format!("certificates/{}.json", "x".repeat(90));
        let cases = [
            ("../model.onnx", "leads to another folder"),
            ("certificates/../model.onnx", "leads to another folder"),
            ("./model.onnx", "leads to another folder"),
            ("/etc/passwd", "absolute path"),
            ("C:\\model.onnx", "the character ':'"),
            ("certificates\\x.json", "the character '\\\\'"),
            ("model.onnx\0", "the character '\\0'"),
            ("mödel.onnx", "the character 'ö'"),
            ("", "is empty"),
            ("certificates//x.json", "is empty"),
            (".hidden", "begins with a point"),
            ("-rf", "begins with a point or dash"),
            ("readme.txt", "no file of a bundle"),
            ("Model.onnx", "no file of a bundle"),
            ("certificates/a/b.json", "no file of a bundle"),
            ("certificates/x.txt", "no file of a bundle"),
            ("gradient-.onnx", "no file of a bundle"),
            ("gradient-a/b.onnx", "no file of a bundle"),
            (&long, "more than 100 bytes"),
        ];
        for (name, wanted) in cases {
            let error = FileKind::of(name).unwrap_err().to_string();
            assert!(error.contains(wanted), "{name}: {error}");
        }
    }

    #[test]
    fn twins_are_refused() {
        check_twins(["a", "b"]).unwrap();
        assert!(check_twins(["a", "b", "a"]).unwrap_err().to_string().contains("a: stands twice"));
        let error = check_twins(["gradient-a.onnx", "gradient-A.onnx"]).unwrap_err().to_string();
        assert!(error.contains("only in the case"), "{error}");
    }
}
