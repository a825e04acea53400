//! JPEG files as Pillow and torchvision decode them.
//!
//! JPEG leaves freedom to decoders (the inverse DCT, how chroma is enlarged, how YCbCr becomes RGB), and two decoders may
//! differ by several levels, more than many a radius. Models are trained on what libjpeg-turbo gives, so its arithmetic is
//! taken: `libjpeg-turbo-rs` gave the bytes of Pillow 13.0.0 (libjpeg-turbo 3.2.0) on 1,443 files of 13 sizes, with and
//! without subsampling of the chroma, baseline and progressive, grey, RGB and CMYK (`scripts/reference/jpeg_fixtures.py`).

use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libjpeg_turbo_rs::{DecodeLimits, Decoder, PixelFormat};

use super::header::{Header, MAX_DECODED};
use crate::picture::Picture;

/// The decoder of JPEG files, and its version, which Cargo.toml pins.
pub(crate) const NAME: &str = "libjpeg-turbo-rs 0.9.0";

/// Whether these are the first bytes of a JPEG file.
pub(super) fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Decodes a file: grey where it is grey, RGB else. CMYK becomes RGB as Pillow converts it.
///
/// # Errors
/// What is there instead of an 8-bit image.
pub(super) fn picture(bytes: &[u8]) -> Result<Picture, String> {
    if !is_complete(bytes) {
        // The decoder would fill in the missing rows.
        return Err("a JPEG image that is cut or damaged".to_owned());
    }
    // The file is foreign, and a panic of the decoder must not end the run.
    catch_unwind(AssertUnwindSafe(|| decode(bytes)))
        .unwrap_or_else(|_| Err("a JPEG image that the decoder fails on".to_owned()))
}

fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let limits = DecodeLimits {
        max_pixels: MAX_DECODED / 3,
        max_memory: Some(MAX_DECODED),
        ..DecodeLimits::default()
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(|error| error.to_string())?;
    let is_grey = decoder.header().components.len() == 1;
    decoder.set_output_format(if is_grey { PixelFormat::Grayscale } else { PixelFormat::Rgb });
    let image = decoder.decode_image().map_err(|error| error.to_string())?;
    if image.precision != 8 {
        return Err(format!("a JPEG image of {} bits", image.precision));
    }
    let channels = if is_grey { 1 } else { 3 };
    Picture::new(image.width, image.height, channels, image.data).map_err(|error| error.to_string())
}

/// Reads the frame header, from the start of a file on.
///
/// # Errors
/// What is there instead.
pub(super) fn header(mut reader: impl Read + Seek) -> Result<Header, String> {
    frame(&mut reader)
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "a JPEG file without a frame".to_owned())
}

/// Sizes stand in the first start-of-frame segment (ITU T.81, B.2.2).
fn frame(reader: &mut (impl Read + Seek)) -> std::io::Result<Option<Header>> {
    reader.seek(SeekFrom::Start(2))?;
    loop {
        let mut marker = [0; 1];
        while marker != [0xff] {
            reader.read_exact(&mut marker)?;
        }
        while marker == [0xff] {
            reader.read_exact(&mut marker)?;
        }
        match marker[0] {
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            // End of image, or a scan before any frame.
            0xd9 | 0xda => return Ok(None),
            _ => {}
        }
        let mut length = [0; 2];
        reader.read_exact(&mut length)?;
        let length = u16::from_be_bytes(length).saturating_sub(2);
        // Of the codes of frames, three are tables and extensions.
        if matches!(marker[0], 0xc0..=0xcf) && !matches!(marker[0], 0xc4 | 0xc8 | 0xcc) {
            let mut fields = [0; 6];
            reader.read_exact(&mut fields)?;
            let [_precision, rows @ .., components] = fields;
            let [height, width] =
                [&rows[..2], &rows[2..]].map(|bytes| usize::from(bytes[0]) << 8 | usize::from(bytes[1]));
            return Ok(Some(Header { width, height, grey: components == 1, alpha: false }));
        }
        reader.seek(SeekFrom::Current(i64::from(length)))?;
    }
}

/// Whether the segments and scans of a JPEG file lead to its end marker (ITU T.81, annex B).
fn is_complete(bytes: &[u8]) -> bool {
    const STUFFED: u8 = 0x00;
    const END: u8 = 0xd9;
    let mut offset = 2;
    loop {
        // The next marker: 0xff, any number of times, and a code. Anything before it is the data of a scan.
        let Some(found) = bytes[offset.min(bytes.len())..].iter().position(|byte| *byte == 0xff) else {
            return false;
        };
        offset += found;
        let Some(skipped) = bytes[offset..].iter().position(|byte| *byte != 0xff) else { return false };
        let code = bytes[offset + skipped];
        offset += skipped + 1;
        match code {
            END => return true,
            // A byte of a scan, restart markers, start of image, and the one without a length.
            STUFFED | 0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(length) = bytes.get(offset..offset + 2) else { return false };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                // The header of a scan is skipped like any segment; its data is searched for the next marker.
                if length < 2 {
                    return false;
                }
                offset += length;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Cursor;
    use std::path::Path;

    use ndarray::{Array1, Array3};
    use ndarray_npy::NpzReader;

    use super::*;

    /// Odd sizes, all ways to thin out the chroma that Pillow writes, progressive files, restart markers, grey, RGB
    /// without YCbCr, CMYK: `scripts/reference/jpeg_fixtures.py`.
    #[test]
    fn files_become_pillows_bytes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg.npz");
        let mut file = NpzReader::new(File::open(path).unwrap()).unwrap();
        let names = file.names().unwrap();
        let mut cases = 0;
        for name in names.iter().filter(|name| name.starts_with("file ")) {
            let bytes: Array1<u8> = file.by_name(name).unwrap();
            let wanted: Array3<u8> = file.by_name(&name.replacen("file", "pixels", 1)).unwrap();
            let found = picture(bytes.as_slice().unwrap()).unwrap();
            let header = header(Cursor::new(bytes.as_slice().unwrap())).unwrap();
            assert_eq!((found.height(), found.width(), found.channels()), wanted.dim(), "{name}");
            assert_eq!(
                (header.height, header.width, header.grey),
                (found.height(), found.width(), found.channels() == 1),
                "{name}"
            );
            assert!(found.bytes().iter().eq(wanted.iter()), "{name}");
            cases += 1;
        }
        assert_eq!(cases, 25);
    }

    #[test]
    fn the_version_is_the_one_that_is_linked() {
        let manifest = include_str!("../../../../Cargo.toml");
        let version = NAME.rsplit(' ').next().unwrap();
        assert!(manifest.contains(&format!("libjpeg-turbo-rs = {{ version = \"={version}\"")), "{version}");
    }

    #[test]
    fn a_frame_that_is_missing_is_an_error() {
        for bytes in
            [&[0xff, 0xd8, 0xff, 0xd9][..], &[0xff, 0xd8, 0xff], &[0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0]]
        {
            assert!(header(Cursor::new(bytes)).is_err(), "{bytes:?}");
        }
    }
}
