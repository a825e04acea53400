use std::io::Read as _;

use super::*;
use crate::bundle::container::Container as _;

const FILES: [(&str, &[u8]); 3] =
    [("manifest.json", b"{}"), ("certificate.json", b"a record"), ("model.onnx", b"the model")];

fn written() -> Vec<u8> {
    let mut out = Vec::new();
    write_archive(FILES, &mut out).unwrap();
    out
}

#[test]
fn files_come_back_and_can_be_mapped() {
    let bytes = written();
    let mut archive = MemoryArchive::new(bytes.clone().into()).unwrap();
    for (index, (name, content)) in FILES.into_iter().enumerate() {
        assert_eq!(archive.files()[index].name, name);
        assert_eq!(archive.read(index).unwrap().bytes, content);
        let place = bytes.windows(content.len()).position(|window| window == content).unwrap();
        assert_eq!(place % 4096, 0, "{name}");
    }
}

/// The crate `zip` knows nothing of our rules.
#[test]
fn another_program_reads_it() {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(written())).unwrap();
    assert_eq!(archive.len(), FILES.len());
    for (name, content) in FILES {
        let mut found = Vec::new();
        let mut file = archive.by_name(name).unwrap();
        assert_eq!(file.compression(), zip::CompressionMethod::Stored);
        file.read_to_end(&mut found).unwrap();
        assert_eq!(found, content);
    }
}

/// Every byte is a file's, and has its checksum, or is compared.
#[test]
fn no_byte_can_be_another() {
    let bytes = written();
    let opens = |bytes: &[u8]| {
        let mut archive = MemoryArchive::new(bytes.to_vec().into())?;
        (0..archive.files().len()).try_for_each(|index| archive.read(index).map(drop))
    };
    opens(&bytes).unwrap();
    // Of the zeros of the padding some, of the others each.
    for at in (0..bytes.len()).filter(|at| bytes[*at] != 0 || at % 29 == 0) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(opens(&changed).is_err(), "byte {at}");
    }
    for length in (0..bytes.len()).step_by(61) {
        assert!(opens(&bytes[..length]).is_err(), "{length} bytes");
    }
}
