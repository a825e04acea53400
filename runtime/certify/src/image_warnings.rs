//! What a reader must know of the images: whether a part stands for the whole, which class was taken as which, and what
//! was left out.

use mimir_bundle::Manifest;
use mimir_data::{ImageSet, LeftOut};
use mimir_runtime::report::Warning;
use mimir_runtime::statistics::class_mix_probability;

/// A random part whose classes are as far from the whole's is drawn less than once in a thousand times.
const UNLIKELY: f64 = 0.001;

/// The warnings that images call for, labelled as that model's classes ask for.
pub(crate) fn image_warnings(set: &ImageSet, manifest: &Manifest) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warnings.extend(class_mix(set));
    warnings.extend(fewer_classes(set, manifest.classes));
    warnings.extend(numbered_classes(set));
    if set.alpha > 0 && manifest.image.channels != 4 {
        warnings.push(Warning::AlphaDropped { files: set.alpha });
    }
    if let Some(LeftOut { count, first }) = &set.left_out {
        warnings.push(Warning::FilesLeftOut { files: *count, first: first.clone() });
    }
    warnings
}

fn class_mix(set: &ImageSet) -> Option<Warning> {
    let whole = set.whole.as_ref()?;
    let part = set.class_counts();
    let probability = class_mix_probability(&part, whole);
    (probability < UNLIKELY).then(|| Warning::ClassMix {
        images: set.count(),
        of_images: whole.values().sum(),
        classes: part.len(),
        of_classes: whole.len(),
        probability,
    })
}

fn fewer_classes(set: &ImageSet, classes: usize) -> Option<Warning> {
    let names = set.names.as_ref().filter(|_| !set.mapped)?;
    let named = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
    let class_map: Vec<String> = named.map(|(index, name)| format!("{name} → {index}")).collect();
    (class_map.len() < classes).then_some(Warning::FewerClasses { class_map, classes })
}

/// Names that are numbers, and in another order as text.
fn numbered_classes(set: &ImageSet) -> Option<Warning> {
    let names: Vec<&String> = set.names.iter().flatten().filter(|name| !name.is_empty()).collect();
    let numbers = names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    (!set.mapped && numbers && !names.is_sorted())
        .then_some(Warning::NumberedClasses { folders: names.len() })
}
