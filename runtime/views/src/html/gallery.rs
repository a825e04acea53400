//! Originals, perturbations and counterexamples as pictures.

use std::io::Cursor;

use base64ct::{Base64, Encoding as _};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use mimir_bundle::{ImageShape, Norm};
use mimir_runtime::evaluate::{ImageOutcome, Verdict};
use mimir_runtime::report::Report;
use serde::Serialize;

use super::classes::class_name;
use super::text::clipped;

/// Cards that the page shows at most.
const MOST: usize = 12;

/// Bytes of all pictures, as they stand in the page: it stays below 3 MB.
const MOST_BYTES: usize = 1_600_000;

/// Rows and columns of a picture; larger images are shown smaller.
const MOST_PIXELS: usize = 128;

/// The pixels of an image and of its counterexample, both `[C, H, W]` in `[0, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PicturePair {
    /// Position of the image in the evaluation set.
    pub image: usize,
    /// The image as it is.
    pub original: Vec<f32>,
    /// Its counterexample.
    pub adversarial: Vec<f32>,
}

/// The images whose counterexamples a page shows: some of each attack, in the order of the images.
pub fn shown_images(report: &Report) -> Vec<usize> {
    let mut attacks: Vec<(&str, Vec<usize>)> = Vec::new();
    for outcome in &report.outcomes {
        let Verdict::Broken { attack, .. } = &outcome.verdict else { continue };
        match attacks.iter_mut().find(|(name, _)| name == attack) {
            Some((_, images)) => images.push(outcome.image),
            None => attacks.push((attack, vec![outcome.image])),
        }
    }
    let rounds = (0..MOST).flat_map(|round| attacks.iter().filter_map(move |(_, images)| images.get(round)));
    let mut chosen: Vec<usize> = rounds.copied().take(MOST).collect();
    chosen.sort_unstable();
    chosen
}

/// One card of the gallery.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Card {
    image: usize,
    file: Option<String>,
    label: String,
    clean_answer: String,
    clean_margin: Option<String>,
    answer: String,
    margin: String,
    attack: String,
    distance: String,
    /// How much larger the perturbation is shown than it is.
    factor: String,
    /// The three pictures as data URIs.
    original: String,
    perturbation: String,
    adversarial: String,
}

/// Cards for the pairs, as many as fit; and how many were left out.
///
/// # Errors
/// When a picture cannot be encoded.
pub(super) fn cards(report: &Report, pairs: &[PicturePair]) -> Result<Vec<Card>, String> {
    let shape = report.model.manifest.image;
    let mut cards = Vec::new();
    let mut bytes = 0;
    for pair in pairs.iter().take(MOST) {
        let Some(card) = card(report, shape, pair)? else { continue };
        bytes += card.original.len() + card.perturbation.len() + card.adversarial.len();
        if bytes > MOST_BYTES {
            break;
        }
        cards.push(card);
    }
    Ok(cards)
}

/// `None` for images of other channels than grey, colour, and colour with alpha, and for pairs that are not of the report.
fn card(report: &Report, shape: ImageShape, pair: &PicturePair) -> Result<Option<Card>, String> {
    let pixels = shape.pixels();
    let fits = matches!(shape.channels, 1 | 3 | 4)
        && pair.original.len() == pixels
        && pair.adversarial.len() == pixels;
    let Some(outcome) = report.outcomes.get(pair.image).filter(|_| fits && pixels > 0) else {
        return Ok(None);
    };
    let Verdict::Broken { attack, prediction, distance, margin, .. } = &outcome.verdict else {
        return Ok(None);
    };
    let delta: Vec<f32> = pair.adversarial.iter().zip(&pair.original).map(|(new, old)| new - old).collect();
    let largest = delta.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let full = match report.threat_model.norm {
        Norm::Linf => report.threat_model.epsilon as f32,
        Norm::L2 | Norm::L1 => largest,
    };
    // What fills the range from black to white. Grey is no change.
    let factor = if full > 0.0 { 0.5 / full } else { 1.0 };
    let shown: Vec<f32> = delta.iter().map(|value| 0.5 + factor * value).collect();
    let name = |class: usize| class_name(&report.data, class);
    Ok(Some(Card {
        image: outcome.image,
        file: report
            .data
            .image_files
            .as_ref()
            .and_then(|files| files.get(outcome.image))
            .map(|file| clipped(file, 80)),
        label: name(outcome.label),
        clean_answer: outcome.clean_prediction.map_or_else(|| "no class".to_owned(), name),
        clean_margin: clean_margin(outcome),
        answer: name(*prediction),
        margin: signed(*margin),
        attack: clipped(attack, 40),
        distance: format!("{distance:.5}"),
        factor: if factor < 10.0 { format!("{factor:.1}") } else { format!("{factor:.0}") },
        original: data_uri(&pair.original, shape)?,
        perturbation: data_uri(&shown, shape)?,
        adversarial: data_uri(&pair.adversarial, shape)?,
    }))
}

fn clean_margin(outcome: &ImageOutcome) -> Option<String> {
    outcome.clean_margin.map(signed)
}

/// A number with its sign, and of a small one enough digits to show that it is not zero.
fn signed(value: f32) -> String {
    let (sign, size) = (if value < 0.0 { "−" } else { "+" }, value.abs());
    let digits = if size > 0.0 && size < 0.001 { format!("{size:.1e}") } else { format!("{size:.3}") };
    sign.to_owned() + &digits.replace("e-", "e−")
}

/// A picture as a PNG in a data URI.
fn data_uri(pixels: &[f32], shape: ImageShape) -> Result<String, String> {
    let (bytes, height, width) = levels(pixels, shape);
    let colour = match shape.channels {
        1 => ExtendedColorType::L8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut png = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(Cursor::new(&mut png), CompressionType::Fast, FilterType::Adaptive);
    encoder.write_image(&bytes, width as u32, height as u32, colour).map_err(|error| error.to_string())?;
    Ok(format!("data:image/png;base64,{}", Base64::encode_string(&png)))
}

/// `[C, H, W]` in `[0, 1]` as levels `[h, w, C]`, each the mean of a square where the image is too large.
fn levels(pixels: &[f32], shape: ImageShape) -> (Vec<u8>, usize, usize) {
    let ImageShape { channels, height, width } = shape;
    let square = height.max(width).div_ceil(MOST_PIXELS).max(1);
    let (rows, columns) = (height.div_ceil(square), width.div_ceil(square));
    let mut bytes = Vec::with_capacity(rows * columns * channels);
    for row in 0..rows {
        for column in 0..columns {
            for channel in 0..channels {
                let (top, left) = (row * square, column * square);
                let (bottom, right) = ((top + square).min(height), (left + square).min(width));
                let values = (top..bottom).flat_map(|y| (left..right).map(move |x| (y, x)));
                let sum: f32 = values.map(|(y, x)| pixels[(channel * height + y) * width + x]).sum();
                let mean = sum / ((bottom - top) * (right - left)) as f32;
                bytes.push((mean.clamp(0.0, 1.0) * 255.0).round() as u8);
            }
        }
    }
    (bytes, rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn some_images_of_each_attack_are_shown() {
        assert_eq!(shown_images(&report("raaaaaaaaaaaaaaamsr")), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17]);
        assert_eq!(shown_images(&report("rrm")), [0_usize; 0]);
    }

    #[test]
    fn margins_are_not_rounded_to_zero() {
        let shown = [0.0, 1.25, -0.25, -0.0004, 0.0009999, -3e-8].map(signed);
        assert_eq!(shown, ["+0.000", "+1.250", "−0.250", "−4.0e−4", "+1.0e−3", "−3.0e−8"]);
    }

    #[test]
    fn a_card_shows_what_was_changed() {
        let report = report("ra");
        let (original, mut adversarial) = (vec![0.5; 12], vec![0.5; 12]);
        adversarial[0] += 2.0 / 255.0;
        let pair = PicturePair { image: 1, original, adversarial };
        let cards = cards(&report, &[pair.clone(), PicturePair { image: 0, ..pair.clone() }]).unwrap();
        let [card] = &cards[..] else { panic!("{cards:?}") };
        assert_eq!((card.image, card.label.as_str(), card.answer.as_str()), (1, "dog", "fox"));
        assert_eq!(
            (card.factor.as_str(), card.clean_margin.as_deref(), card.margin.as_str()),
            ("64", Some("+0.500"), "−0.250")
        );
        let png =
            Base64::decode_vec(card.perturbation.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let read = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(
            (read.dimensions(), read.get_pixel(0, 0).0, read.get_pixel(1, 1).0),
            ((2, 2), [255, 128, 128], [128; 3])
        );
        let short = PicturePair { adversarial: vec![0.5; 3], ..pair };
        assert!(super::cards(&report, &[short]).unwrap().is_empty());
    }

    #[test]
    fn large_images_are_shown_smaller_and_pages_stay_below_their_limit() {
        let mut report = report("aaaaaaaaaaaa");
        let shape = ImageShape { channels: 3, height: 300, width: 200 };
        report.model.manifest.image = shape;
        // Noise, which no PNG makes smaller.
        let mut state = 1_u32;
        let mut noise = || -> Vec<f32> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32
            };
            (0..shape.pixels()).map(|_| next()).collect()
        };
        let (_, rows, columns) = levels(&noise(), shape);
        assert_eq!((rows, columns), (100, 67));
        let pair = |image| PicturePair { image, original: noise(), adversarial: noise() };
        let pairs: Vec<PicturePair> = (0..12).map(pair).collect();
        let cards = cards(&report, &pairs).unwrap();
        let bytes: usize = cards
            .iter()
            .map(|card| card.original.len() + card.perturbation.len() + card.adversarial.len())
            .sum();
        assert!(!cards.is_empty() && bytes <= MOST_BYTES, "{} cards, {bytes} bytes", cards.len());
    }
}
