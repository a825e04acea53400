//! What a masked encoder sees, and that it knows where.

use tch::{Device, Kind, Tensor};

use super::{FAMILIES, fill, images, mask, relative_difference, small, values};
use crate::model::build::build_encoder;
use crate::model::encoder::{Encoder, Positions};
use crate::model::patch_embed::PatchEmbed;
use crate::model::{Architecture, Family, Mask};
use crate::parameters::Parameters;

fn build(architecture: &Architecture) -> Box<dyn Encoder> {
    let mut parameters = Parameters::new(0, Device::Cpu);
    let encoder = build_encoder(&mut parameters.root(), architecture, Positions::Fixed, Kind::Float);
    fill(&parameters);
    encoder
}

/// The images with other values in all masked pixels.
fn with_other_masked_pixels(images: &Tensor, mask: &Mask, architecture: &Architecture) -> Tensor {
    let visible =
        mask.visible_pixels(architecture.grid_size(), architecture.grid_size(), architecture.patch_size);
    let other = values("other pixels", &images.size());
    images * &visible + other * (1.0 - visible)
}

#[test]
fn masked_pixels_do_not_reach_visible_tokens() {
    for family in FAMILIES {
        // Sixteen patches behind the stem too, so that visible ones have masked neighbours.
        let patch_size = small(family).patch_size;
        let architecture = Architecture { image_size: 4 * patch_size, ..small(family) };
        let (encoder, images, mask) = (build(&architecture), images(&architecture), mask(&architecture));
        let other = with_other_masked_pixels(&images, &mask, &architecture);
        let see = |images: &Tensor, hide: Option<&Mask>| mask.visible(&encoder.embed(images, hide));
        assert_eq!(see(&images, Some(&mask)), see(&other, Some(&mask)), "{family:?}");
        // The stem without its mask would see them; a patch convolution would not.
        let leaks = see(&images, None) != see(&other, None);
        assert_eq!(leaks, family == Family::VitConvStem);
    }
}

#[test]
fn tokens_lie_in_memory_one_after_the_other() {
    for family in FAMILIES {
        let architecture = small(family);
        assert!(build(&architecture).embed(&images(&architecture), None).is_contiguous(), "{family:?}");
    }
}

#[test]
fn visible_tokens_send_no_gradient_to_masked_pixels() {
    let architecture = Architecture { image_size: 64, ..small(Family::VitConvStem) };
    let (encoder, mask) = (build(&architecture), mask(&architecture));
    let images = images(&architecture).set_requires_grad(true);
    mask.visible(&encoder.embed(&images, Some(&mask))).square().sum(Kind::Float).backward();
    let gradient = images.grad();
    let visible = mask.visible_pixels(4, 4, 16);
    assert_eq!((&gradient * (1.0f64 - &visible)).abs().max().double_value(&[]), 0.0);
    assert!((&gradient * &visible).abs().max().double_value(&[]) > 0.0);
}

#[test]
fn to_the_stem_a_masked_patch_looks_like_padding() {
    let corner = small(Family::VitConvStem);
    let whole = Architecture { image_size: 64, ..corner };
    let images = images(&whole);
    // The four patches of the lower right corner stay visible; convolutions of stride 2 read across upper and left
    // borders.
    let noise: Vec<f32> = (0..32).map(|i| if i % 4 >= 2 && i % 16 >= 8 { 0.0 } else { 1.0 }).collect();
    let mask = Mask::from_noise(&Tensor::from_slice(&noise).reshape([2, 16]), 4);
    let stem = |architecture: &Architecture| {
        let mut parameters = Parameters::new(0, Device::Cpu);
        let stem = PatchEmbed::new(&mut parameters.root(), architecture, Kind::Float);
        fill(&parameters);
        stem
    };
    let visible = stem(&whole).forward(&images, Some(&mask)).reshape([2, 4, 4, -1]);
    let visible = visible.narrow(1, 2, 2).narrow(2, 2, 2).flatten(1, 2);
    let cut = stem(&corner).forward(&images.narrow(2, 32, 32).narrow(3, 32, 32), None);
    // The same sums of at most 9·192 terms, perhaps by another algorithm: √1728·2⁻²⁴ after each of five convolutions.
    let difference = relative_difference(&visible, &cut);
    assert!(difference < 1.3e-5, "{difference}");
}

#[test]
fn a_stem_under_an_empty_mask_is_the_stem() {
    let architecture = small(Family::VitConvStem);
    let (encoder, images) = (build(&architecture), images(&architecture));
    let mask =
        Mask::from_noise(&values("noise", &[2, architecture.num_patches()]), architecture.num_patches());
    assert_eq!(encoder.embed(&images, Some(&mask)), encoder.embed(&images, None));
}

#[test]
fn the_order_of_the_patches_does_not_matter_when_their_places_are_known() {
    for family in FAMILIES {
        let architecture = small(family);
        let (encoder, images) = (build(&architecture), images(&architecture));
        let mask =
            Mask::from_noise(&values("noise", &[2, architecture.num_patches()]), architecture.num_patches());
        let tokens = encoder.embed(&images, None);
        let in_order = encoder.encode(&tokens, None, None);
        let shuffled = encoder.encode(&mask.visible(&tokens), Some(&mask.ids_keep), None);
        let class_token = shuffled.narrow(1, 0, 1);
        let patches = shuffled.narrow(1, 1, architecture.num_patches());
        let ids = mask.ids_restore.unsqueeze(-1).expand_as(&patches);
        let restored = Tensor::cat(&[class_token, patches.gather(1, &ids, false)], 1);
        // Sums of at most 16 tokens in another order, in at most four blocks.
        let difference = relative_difference(&restored, &in_order);
        assert!(difference < 1e-5, "{family:?}: {difference}");
    }
}

#[test]
fn places_matter_to_convit() {
    let architecture = small(Family::Convit);
    let (encoder, images, mask) = (build(&architecture), images(&architecture), mask(&architecture));
    let tokens = mask.visible(&encoder.embed(&images, None));
    let places = encoder.encode(&tokens, Some(&mask.ids_keep), None);
    // As the authors number them: the four visible patches as the first ones of the grid.
    let first = Tensor::arange(4, (Kind::Int64, Device::Cpu)).expand([2, 4], true);
    let difference = relative_difference(&encoder.encode(&tokens, Some(&first), None), &places);
    assert!(difference > 1e-3, "{difference}");
}
