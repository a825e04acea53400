//! No search takes more passes than its attack says beforehand.

use mimir_bundle::Norm;
use mimir_bundle::attack::AttackSpec;
use ndarray::{Array1, Array2};

use super::testing::{clean_image, context, run};
use super::{Preset, attack};
use crate::testing::{NORMS, key, linear_around_grey, noise};

/// A classifier that is hard to break, so that searches spend what they have.
#[test]
fn no_unit_takes_more_passes_than_the_attack_announced() {
    const CLASSES: usize = 4;
    for norm in NORMS {
        let context = context(norm, 1e-4, 12, CLASSES);
        let weights: Array2<f32> = noise(key(3, 0, "weights"), CLASSES, 12);
        let logits = Array1::from(vec![2.0, 0.5, 0.0, -1.0]);
        let mut model = linear_around_grey(weights, &logits, context.image, 4);
        let clean = clean_image(&mut model, 0, &[0.5; 12]);
        for spec in specs(norm) {
            let attack = attack(&spec, &context).unwrap();
            for unit in 0..attack.units() {
                let trace = run(&model, attack.as_ref(), &context, &clean, unit);
                let passes = (trace.forwards + trace.backwards) as u64;
                let most = attack.most_passes();
                assert!(passes <= most, "{norm:?} {}: {passes} of {most}", spec.name());
                // FAB skips a forward pass where it guesses right, Square every window that changes nothing; searches of the
                // attack of Carlini and Wagner end where they make no progress, HopSkipJump where it finds no start.
                let may_end_early = ["square", "cw", "hopskipjump"].contains(&spec.name());
                let spends_most = may_end_early || 2 * passes >= most;
                assert!(spends_most, "{norm:?} {}: {passes} of {most}", spec.name());
            }
        }
    }
}

/// Of a model that stays robust, whatever its number of classes.
#[test]
fn mimir_takes_at_most_half_as_much_again_as_the_standard_evaluation() {
    let passes = |preset: Preset, norm: Norm, classes: usize| -> u64 {
        let context = context(norm, 0.1, 12, classes);
        let attacks = preset.attacks(norm).into_iter().map(|spec| attack(&spec, &context).unwrap());
        attacks.map(|attack| attack.units() as u64 * attack.most_passes()).sum()
    };
    for norm in NORMS {
        for classes in [10, 100, 1000] {
            let [standard, mimir] = [Preset::Standard, Preset::Mimir].map(|it| passes(it, norm, classes));
            assert!(2 * mimir <= 3 * standard, "{norm:?}, {classes} classes: {mimir} of {standard}");
        }
    }
}

fn specs(norm: Norm) -> Vec<AttackSpec> {
    let presets = Preset::ALL.into_iter().flat_map(|preset| preset.attacks(norm));
    let others = ["apgd-mt", "malt", "ddn", "cw", "hopskipjump", "transfer", "pgd", "fgsm", "noise"];
    let others = others.into_iter().filter_map(AttackSpec::named);
    presets.chain(others).filter(|spec| spec.check_norm(norm).is_ok()).collect()
}
