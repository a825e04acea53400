//! Files of keys: PKCS#8 and SPKI in PEM, as openssl makes and reads them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use mimir_bundle::signature::{Algorithm, KeyId, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, OrKind, Result};

/// The most bytes of a file with a key. Ours have less than 300.
const MOST_BYTES: u64 = 1 << 16;

/// A pair of keys on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// `NAME.key`, readable by its owner only.
    pub private: PathBuf,
    /// `NAME.pub`.
    pub public: PathBuf,
    /// What the key is called.
    pub id: KeyId,
}

/// Makes a pair of keys, `NAME.key` and `NAME.pub`. Files that exist are never overwritten.
///
/// # Errors
/// [`ErrorKind::Options`] when one of the files exists, [`ErrorKind::Storage`] when one cannot be written.
pub fn generate_keys(name: &Path, algorithm: Algorithm) -> Result<KeyFiles> {
    let with = |end: &str| {
        let mut path = name.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    let (private, public) = (with(".key"), with(".pub"));
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            let message =
                format!("{} exists, and keys are not overwritten: give another name", path.display());
            return Err(Error::new(ErrorKind::Options, message));
        }
    }
    let key = PrivateKey::generate(algorithm).or_kind(ErrorKind::Internal)?;
    let secret = key.to_pem().or_kind(ErrorKind::Internal)?;
    let open = key.public().to_pem().or_kind(ErrorKind::Internal)?;
    write_new(&private, secret.as_bytes(), 0o600)?;
    write_new(&public, open.as_bytes(), 0o644)?;
    Ok(KeyFiles { private, public, id: key.public().id() })
}

/// Writes a file that does not exist yet.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let written = mimir_files::create_new(path, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.or_kind(ErrorKind::Storage).map_err(|error| error.context(path.display()))
}

/// Reads a private key: PKCS#8 in PEM, not encrypted.
///
/// # Errors
/// [`ErrorKind::Options`] when there is none in that file; says how openssl makes one of what is there.
pub fn read_private_key(path: &Path) -> Result<PrivateKey> {
    let text = Zeroizing::new(read(path)?);
    let key = PrivateKey::from_pem(&text).or_kind(ErrorKind::Options);
    key.map_err(|error| error.context(path.display()))
}

/// Reads a public key: SPKI in PEM.
///
/// # Errors
/// [`ErrorKind::Options`] when there is none in that file; says how openssl makes one of what is there.
pub fn read_public_key(path: &Path) -> Result<PublicKey> {
    let key = PublicKey::from_pem(&read(path)?).or_kind(ErrorKind::Options);
    key.map_err(|error| error.context(path.display()))
}

pub(crate) fn read(path: &Path) -> Result<String> {
    let read = mimir_files::read_text(path, MOST_BYTES).or_kind(ErrorKind::Options);
    read.map_err(|error| error.context(path.display()))
}

/// A sentence where others than the owner of a private key can read its file.
pub fn readable_by_others(path: &Path) -> Option<String> {
    #[cfg(unix)]
    let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().ok()?);
    #[cfg(not(unix))]
    let mode = 0;
    let name = path.display();
    (mode & 0o077 != 0).then(|| {
        format!("{name} has mode {:o}: others can read the private key; `chmod 600 {name}`", mode & 0o777)
    })
}
