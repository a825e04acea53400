//! PNG and JPEG files as 8-bit pictures, grey, RGB or RGB with alpha: [`Colour`] says which, and what becomes of a file of
//! another kind. No orientation tag is applied.

mod header;
mod jpeg;

use std::io::{BufRead, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use image::{ColorType, DynamicImage, ImageDecoder, ImageReader};

use crate::error::{DataError, FilePart};
use crate::picture::Picture;

pub(crate) use header::Header;
use header::MAX_DECODED;

/// The decoder of JPEG files and its version. Other decoders give other pixels, by several levels.
pub const JPEG_DECODER: &str = jpeg::NAME;

/// What pictures are decoded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// One channel. An RGB file whose pixels are all grey is taken too; colours are refused, because there is more than
    /// one way to make grey of them.
    Grey,
    /// Three channels. Grey is repeated, and an alpha channel is dropped, as Pillow's `convert("RGB")` does.
    Rgb,
    /// Four channels; files without alpha are refused.
    Rgba,
}

impl Colour {
    /// That of so many channels.
    pub(crate) fn of(channels: usize) -> Option<Self> {
        match channels {
            1 => Some(Self::Grey),
            3 => Some(Self::Rgb),
            4 => Some(Self::Rgba),
            _ => None,
        }
    }

    /// Channels of a picture.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// Where bytes come from, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub(crate) path: &'a Path,
    /// Within an archive.
    pub(crate) entry: Option<&'a str>,
}

impl Origin<'_> {
    fn refuse(self, found: String) -> DataError {
        self.error(found, "an 8-bit PNG or JPEG image")
    }

    fn error(self, found: impl Into<String>, wanted: &str) -> DataError {
        let part = self.entry.map_or(FilePart::Whole, |entry| FilePart::Entry(entry.to_owned()));
        DataError::format(self.path, part, found, wanted)
    }
}

impl Picture {
    /// The same picture in so many channels: grey is repeated for three, alpha is dropped, and grey is made only of pixels that
    /// are grey.
    ///
    /// # Errors
    /// Where there are not 1, 3 or 4, the picture has colours and one is wanted, or no alpha and four are.
    pub fn with_channels(self, channels: usize) -> Result<Self, DataError> {
        let origin = Origin { path: Path::new("picture"), entry: None };
        let colour = Colour::of(channels);
        let refuse = || origin.error(format!("a model of {channels} channels"), "one of 1, 3 or 4 channels");
        in_colour(self, colour.ok_or_else(refuse)?, origin)
    }
}

/// Decodes an image. The format is detected by content, not by name.
pub(crate) fn picture(bytes: &[u8], colour: Colour, origin: Origin<'_>) -> Result<Picture, DataError> {
    let picture = if jpeg::starts(bytes) {
        jpeg::picture(bytes).map_err(|found| origin.refuse(found))?
    } else {
        png(bytes, origin)?
    };
    in_colour(picture, colour, origin)
}

/// A PNG file in its own channels, palettes as what they stand for.
fn png(bytes: &[u8], origin: Origin<'_>) -> Result<Picture, DataError> {
    let decoder = png_decoder(Cursor::new(bytes), origin)?;
    let image = DynamicImage::from_decoder(decoder).map_err(|error| origin.refuse(error.to_string()))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    match image {
        DynamicImage::ImageLuma8(grey) => Picture::new(width, height, 1, grey.into_raw()),
        DynamicImage::ImageRgb8(rgb) => Picture::new(width, height, 3, rgb.into_raw()),
        // Grey with alpha and RGB with alpha.
        other => Picture::new(width, height, 4, other.into_rgba8().into_raw()),
    }
}

/// A picture in other channels.
fn in_colour(picture: Picture, colour: Colour, origin: Origin<'_>) -> Result<Picture, DataError> {
    let (width, height, channels) = picture.shape();
    if channels == colour.channels() {
        return Ok(picture);
    }
    let bytes = picture.bytes();
    let bytes: Vec<u8> = match (colour, channels) {
        (Colour::Rgb, 1) => bytes.iter().flat_map(|grey| [*grey; 3]).collect(),
        (Colour::Rgb, _) => bytes.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect(),
        (Colour::Grey, _) => {
            let mut pixels = bytes.chunks_exact(channels);
            if pixels.any(|pixel| pixel[1] != pixel[0] || pixel[2] != pixel[0]) {
                let wanted = "a grey image: the model takes one channel; convert the images as in training";
                return Err(origin.error("colours", wanted));
            }
            bytes.chunks_exact(channels).map(|pixel| pixel[0]).collect()
        }
        (Colour::Rgba, _) => {
            return Err(
                origin.error("no alpha channel", "an image with alpha: the model takes four channels")
            );
        }
    };
    Picture::new(width, height, colour.channels(), bytes)
}

/// Reads the header of an image, without its pixels.
pub(crate) fn read_header(mut reader: impl BufRead + Seek, origin: Origin<'_>) -> Result<Header, DataError> {
    let refuse = |error: std::io::Error| origin.refuse(error.to_string());
    let mut start = Vec::new();
    (&mut reader).take(3).read_to_end(&mut start).map_err(refuse)?;
    reader.seek(SeekFrom::Start(0)).map_err(refuse)?;
    if jpeg::starts(&start) {
        return jpeg::header(reader).map_err(|found| origin.refuse(found));
    }
    let decoder = png_decoder(reader, origin)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    Ok(Header {
        width: width as usize,
        height: height as usize,
        grey: !color.has_color(),
        alpha: color.has_alpha(),
    })
}

/// A decoder that has read the header.
fn png_decoder<'r, R: BufRead + Seek + 'r>(
    reader: R,
    origin: Origin<'_>,
) -> Result<impl ImageDecoder + use<'r, R>, DataError> {
    let mut reader =
        ImageReader::new(reader).with_guessed_format().map_err(|error| origin.refuse(error.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| origin.refuse(error.to_string()))?;
    let color = decoder.color_type();
    if !matches!(color, ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8) {
        let wanted =
            "an 8-bit PNG or JPEG image: how 16 bits become 8 must be decided where the images are saved";
        return Err(origin.error(format!("{color:?} pixels"), wanted));
    }
    // The limits above hold inside the decoder, not for the image that it fills.
    if decoder.total_bytes() > MAX_DECODED {
        let (width, height) = decoder.dimensions();
        return Err(origin.refuse(format!("{width} x {height} pixels, more than {MAX_DECODED} bytes")));
    }
    Ok(decoder)
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
    use crate::testing::jpeg_file;
    use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
    use proptest::prelude::*;

    fn origin() -> Origin<'static> {
        Origin { path: Path::new("x"), entry: None }
    }

    fn decoded(bytes: &[u8]) -> Result<Picture, DataError> {
        picture(bytes, Colour::Rgb, origin())
    }

    fn encoded(is_jpeg: bool) -> Vec<u8> {
        let image = RgbImage::from_fn(24, 17, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, (x * y) as u8]));
        if is_jpeg {
            return jpeg_file(image.as_raw(), 24, 17, 3);
        }
        png_file(&image.into())
    }

    fn png_file(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// What a picture of one pixel is decoded to.
    fn pixel_of(image: impl Into<DynamicImage>, colour: Colour) -> Result<Vec<u8>, String> {
        let bytes = png_file(&image.into());
        picture(&bytes, colour, origin())
            .map(|picture| picture.bytes().to_vec())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn channels_are_those_that_are_asked_for() {
        let grey = || GrayImage::from_pixel(1, 1, Luma([9]));
        let rgb = |pixel| RgbImage::from_pixel(1, 1, Rgb(pixel));
        let rgba = |pixel| RgbaImage::from_pixel(1, 1, Rgba(pixel));
        let cases = [
            (pixel_of(grey(), Colour::Grey), vec![9]),
            (pixel_of(rgb([7, 7, 7]), Colour::Grey), vec![7]),
            (pixel_of(rgba([7, 7, 7, 3]), Colour::Grey), vec![7]),
            (pixel_of(grey(), Colour::Rgb), vec![9, 9, 9]),
            (pixel_of(rgba([1, 2, 3, 4]), Colour::Rgb), vec![1, 2, 3]),
            (pixel_of(rgba([1, 2, 3, 4]), Colour::Rgba), vec![1, 2, 3, 4]),
        ];
        for (found, wanted) in cases {
            assert_eq!(found.unwrap(), wanted);
        }
        let refused = [
            (pixel_of(rgb([7, 7, 8]), Colour::Grey), "x: found colours, wanted a grey image"),
            (pixel_of(rgb([7, 7, 8]), Colour::Rgba), "x: found no alpha channel"),
            (pixel_of(grey(), Colour::Rgba), "x: found no alpha channel"),
        ];
        for (found, wanted) in refused {
            assert!(found.clone().unwrap_err().starts_with(wanted), "{found:?}");
        }
    }

    #[test]
    fn headers_tell_size_and_kind() {
        let of = |bytes: &[u8]| read_header(Cursor::new(bytes), origin()).unwrap();
        let wanted = Header { width: 24, height: 17, grey: false, alpha: false };
        assert_eq!([of(&encoded(true)), of(&encoded(false))], [wanted; 2]);
        let alpha = png_file(&RgbaImage::from_pixel(2, 1, Rgba([0; 4])).into());
        assert_eq!(of(&alpha), Header { width: 2, height: 1, grey: false, alpha: true });
        let grey = png_file(&GrayImage::from_pixel(2, 1, Luma([0])).into());
        assert_eq!(of(&grey), Header { width: 2, height: 1, grey: true, alpha: false });
    }

    #[test]
    fn a_cut_jpeg_is_an_error_wherever_it_is_cut() {
        let bytes = encoded(true);
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
        let error = picture(b"no image", Colour::Rgb, origin).unwrap_err().to_string();
        assert!(error.starts_with("shard.tar, entry `a.jpg`: found "), "{error}");
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(offset in 0_usize..2000, byte: u8, cut in 0_usize..2000) {
            for is_jpeg in [true, false] {
                let mut bytes = encoded(is_jpeg);
                let length = bytes.len();
                bytes[offset % length] = byte;
                let _ = decoded(&bytes);
                let _ = decoded(&bytes[..cut % length]);
                let _ = read_header(Cursor::new(&bytes), origin());
                let _ = read_header(Cursor::new(&bytes[..cut % length]), origin());
            }
        }
    }
}
