//! PNG and JPEG files as 8-bit RGB: grey is repeated over the three channels, an alpha channel is dropped, CMYK is
//! converted. No orientation tag is applied.
//!
//! JPEG leaves some freedom to decoders. On 1,000 images of Tiny-ImageNet, 80 % of the values are those of Pillow 13
//! (libjpeg-turbo), and the largest difference is 5/255.

use std::io::{BufRead, Cursor, Seek};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use crate::dims::ImageDims;
use crate::error::{DataError, FilePart};
use crate::picture::Picture;

/// Bytes that decoding one image may take.
const MAX_DECODED: u64 = 1 << 30;

/// Where bytes come from, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) path: &'a Path,
    /// Within an archive.
    pub(crate) entry: Option<&'a str>,
}

impl Origin<'_> {
    fn refuse(self, found: String) -> DataError {
        let part = self.entry.map_or(FilePart::Whole, |entry| FilePart::Entry(entry.to_owned()));
        DataError::format(self.path, part, found, "an 8-bit PNG or JPEG image")
    }
}

/// Decodes an image.
pub(crate) fn picture(bytes: &[u8], origin: Origin<'_>) -> Result<Picture, DataError> {
    let (decoder, format) = decoder(Cursor::new(bytes), origin)?;
    if format == Some(ImageFormat::Jpeg) && !jpeg_is_complete(bytes) {
        // The decoder would fill in the missing rows.
        return Err(origin.refuse("a JPEG image that is cut or damaged".to_owned()));
    }
    let rgb =
        DynamicImage::from_decoder(decoder).map_err(|error| origin.refuse(error.to_string()))?.into_rgb8();
    let (width, height) = rgb.dimensions();
    Picture::new(width as usize, height as usize, 3, rgb.into_raw())
}

/// Dimensions of an image as RGB, without its pixels.
pub(crate) fn dims(reader: impl BufRead + Seek, origin: Origin<'_>) -> Result<ImageDims, DataError> {
    let (width, height) = decoder(reader, origin)?.0.dimensions();
    Ok(ImageDims { channels: 3, height: height as usize, width: width as usize })
}

/// A decoder that has read the header. The format is detected by content, not by name.
fn decoder<'r, R: BufRead + Seek + 'r>(
    reader: R,
    origin: Origin<'_>,
) -> Result<(impl ImageDecoder + use<'r, R>, Option<ImageFormat>), DataError> {
    let mut reader =
        ImageReader::new(reader).with_guessed_format().map_err(|error| origin.refuse(error.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let format = reader.format();
    let decoder = reader.into_decoder().map_err(|error| origin.refuse(error.to_string()))?;
    let color = decoder.color_type();
    if !matches!(color, ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8) {
        return Err(origin.refuse(format!("{color:?} pixels")));
    }
    // The limits above hold inside the decoder, not for the image that it fills.
    if decoder.total_bytes() > MAX_DECODED {
        let (width, height) = decoder.dimensions();
        return Err(origin.refuse(format!("{width} x {height} pixels, more than {MAX_DECODED} bytes")));
    }
    Ok((decoder, format))
}

/// Whether the segments and scans of a JPEG file lead to its end marker (ITU T.81, annex B).
fn jpeg_is_complete(bytes: &[u8]) -> bool {
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

/// Whether the name ends like a PNG or JPEG; other image formats are refused rather than left out.
pub(crate) fn is_image(path: &Path) -> Result<bool, DataError> {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "png" | "jpg" | "jpeg" => Ok(true),
        "bmp" | "gif" | "webp" | "tif" | "tiff" | "ppm" | "pgm" | "avif" => {
            Err(DataError::format(path, FilePart::Whole, format!("a .{extension} image"), "PNG or JPEG"))
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};
    use proptest::prelude::*;

    fn decoded(bytes: &[u8]) -> Result<Picture, DataError> {
        picture(bytes, Origin { path: Path::new("x"), entry: None })
    }

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let image = RgbImage::from_fn(24, 17, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_cut_jpeg_is_an_error_wherever_it_is_cut() {
        let bytes = encoded(ImageFormat::Jpeg);
        let whole = decoded(&bytes).unwrap();
        assert_eq!(whole.shape(), (24, 17, 3));
        for length in 0..bytes.len() {
            let error = decoded(&bytes[..length]).unwrap_err().to_string();
            assert!(error.ends_with("wanted an 8-bit PNG or JPEG image"), "{length}: {error}");
        }
        // Bytes after the end are no harm: cameras write them.
        let longer = [bytes.as_slice(), b"trailer"].concat();
        assert!(decoded(&longer).unwrap() == whole);
    }

    #[test]
    fn an_entry_is_named_with_its_archive() {
        let origin = Origin { path: Path::new("shard.tar"), entry: Some("a.jpg") };
        let error = picture(b"no image", origin).unwrap_err().to_string();
        assert!(error.starts_with("shard.tar, entry `a.jpg`: found "), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(offset in 0_usize..2000, byte: u8, cut in 0_usize..2000) {
            for format in [ImageFormat::Jpeg, ImageFormat::Png] {
                let mut bytes = encoded(format);
                let length = bytes.len();
                bytes[offset % length] = byte;
                let _ = decoded(&bytes);
                let _ = decoded(&bytes[..cut % length]);
                let _ = jpeg_is_complete(&bytes[cut % length..]);
            }
        }
    }
}
