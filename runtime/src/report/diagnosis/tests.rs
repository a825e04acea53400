//! Each rule on a run that it must complain about, and on one that it must not.

use mimir_bundle::attack::{Argument, FgsmSpec};
use mimir_bundle::certificate::{AcceptedDifference, ComparedQuantity, CrossCheck, Disagreement};
use mimir_bundle::{AttackSpec, Norm, OutputKind, ScannedNode};

use super::RuleVerdict::{Fail, NotExamined, Pass, Warn};
use super::*;
use crate::attack::Preset;
use crate::evaluate::{AttackResult, Verdict};
use crate::experiments::{
    BrokenWithin, Compared, Experiments, FirstOrder, NoisePoints, Promise, Stability, Stronger, Unconstrained,
};
use crate::report::tests::{description, evaluation};
use crate::report::{BetterScaling, Findings, ScalingProbe};

/// A run of 40 images of 10 classes: the first 30 broken by the first attack, the rest robust, by the standard attacks.
struct Run {
    description: RunDescription,
    evaluation: Evaluation,
}

impl Run {
    fn good() -> Self {
        let (mut description, one) = (description(), evaluation());
        description.warnings.clear();
        description.first_order = Ok(promises(0, 10));
        description.gate = super::super::Requirements::default();
        let (broken, robust) = (&one.outcomes[1], &one.outcomes[2]);
        let mut evaluation = Evaluation { slots: vec![None; 40], ..one.clone() };
        let outcome = |image: usize| {
            let like = if image < 30 { broken } else { robust };
            let (label, clean_prediction) = (image % 10, Some(image % 10));
            crate::evaluate::ImageOutcome { image, label, clean_prediction, ..like.clone() }
        };
        evaluation.outcomes = (0..40).map(outcome).collect();
        let attack = |(index, name): (usize, &str)| AttackResult {
            name: name.into(),
            spec: Preset::Standard.attacks(Norm::Linf)[index].clone(),
            attacked: if index == 0 { 40 } else { 10 },
            broken: if index == 0 { 30 } else { 0 },
            still_robust: 10,
            passes: crate::evaluate::PassCounts {
                forwards: 100,
                backwards: if name == "square" { 0 } else { 100 },
            },
            ..one.attacks[0].clone()
        };
        evaluation.attacks =
            ["apgd-ce", "apgd-t", "fab-t", "square"].into_iter().enumerate().map(attack).collect();
        Self { description, evaluation }
    }

    fn answers(&self) -> Vec<RuleAnswer> {
        Findings::new(&self.description, &self.evaluation).report().diagnosis
    }

    fn answer(&self, rule: Rule) -> RuleAnswer {
        self.answers().into_iter().find(|answer| answer.rule == rule).unwrap()
    }

    fn with_experiments(change: impl FnOnce(&mut Experiments)) -> Self {
        let mut run = Self::good();
        let mut experiments = good_experiments();
        change(&mut experiments);
        run.description.experiments = Some(experiments);
        run
    }
}

/// What gradients promise at so many images where they mislead, and so many where they do not.
fn promises(broken: usize, kept: usize) -> FirstOrder {
    let promise = |image: usize| Promise {
        image: 30 + image,
        promised: 1.0,
        kept: if image < broken { 0.01 } else { 0.9 },
        most: 5.0,
        elsewhere: 0.1,
        rounding: 1e-6,
    };
    FirstOrder { promises: (0..broken + kept).map(promise).collect(), left_out: 0 }
}

fn good_experiments() -> Experiments {
    let stronger = |attack: &str| Some(Stronger { attack: attack.into(), images: 10, broken: vec![] });
    let compared = || Some(Compared { images: 40, ..Compared::default() });
    let within = |(factor, images): (f64, std::ops::Range<usize>)| BrokenWithin {
        factor,
        images: 32,
        broken: images.collect(),
    };
    Experiments {
        repeated: compared(),
        regrouped: compared(),
        stability: Some(Stability { offsets: 100, reach: 1.0 / 255.0, changes: vec![(0, 0.02), (1, 0.15)] }),
        doubled: stronger("apgd-ce"),
        restarted: stronger("apgd-ce"),
        one_step: stronger("fgsm"),
        noise: Some(NoisePoints { images: 4, points: 10_000, broken: vec![] }),
        radii: [(0.25, 0..3), (0.5, 0..10), (1.0, 0..30), (2.0, 0..32)].map(within).into(),
        unconstrained: Some(Unconstrained { attack: "apgd-ce".into(), images: 32, left: vec![] }),
    }
}

#[test]
fn every_rule_is_in_the_table_once_and_in_its_documentation() {
    let names: Vec<String> = Run::good().answers().iter().map(RuleAnswer::id).collect();
    let page = include_str!("../../../../docs/report.md");
    for name in &names {
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
        assert!(page.contains(&format!("\n| `{name}` ")), "docs/report.md has no row of {name}");
    }
    assert_eq!(names.len(), RULES.len());
}

#[test]
fn a_good_run_passes_whatever_is_examined() {
    let good = Run::good();
    let odd = |run: &Run| -> Vec<RuleAnswer> {
        let is_odd = |answer: &RuleAnswer| matches!(answer.verdict, Warn | Fail);
        run.answers().into_iter().filter(is_odd).collect()
    };
    assert_eq!(odd(&good), []);
    let not_examined: Vec<String> =
        good.answers().iter().filter(|answer| answer.verdict == NotExamined).map(RuleAnswer::id).collect();
    assert_eq!(
        not_examined,
        [
            "input_scaling",
            "engines_agree",
            "stable_predictions",
            "steps_enough",
            "restarts_enough",
            "one_step_not_better",
            "transfer_not_better",
            "noise_not_better",
            "monotone_in_epsilon",
            "unconstrained_attack"
        ]
    );
    let examined = Run::with_experiments(|_| {});
    assert_eq!(odd(&examined), []);
    let text = Findings::new(&examined.description, &examined.evaluation).report().to_string();
    assert!(text.contains("0 rules fail, 0 warn, 28 pass, 3 not examined"), "{text}");
}

/// What a rule answers after a change of the good run.
fn expect(rule: Rule, verdict: RuleVerdict, found: &str, change: impl FnOnce(&mut Run)) -> RuleAnswer {
    let mut run = Run::good();
    change(&mut run);
    let answer = run.answer(rule);
    assert_eq!(answer.verdict, verdict, "{answer:?}");
    assert!(answer.found.contains(found), "{found}: {answer:?}");
    let is_odd = matches!(verdict, Warn | Fail);
    assert!(!is_odd || answer.way_out.is_some(), "{answer:?}");
    answer
}

#[test]
fn rules_of_the_data() {
    expect(Rule::CleanAccuracy, Fail, "0 of 40", |run| {
        for outcome in &mut run.evaluation.outcomes {
            (outcome.clean_prediction, outcome.verdict) = (Some(99), Verdict::Misclassified);
        }
    });
    expect(Rule::CleanAccuracy, Warn, "guessing", |run| run.description.manifest.classes = 1);
    let probe = |tried, better: Option<usize>| {
        let better = better.map(|correct| BetterScaling {
            name: "pixels in [-1, 1]".into(),
            flags: "--mean 0.5 --std 0.5".into(),
            correct,
            tied: vec!["CIFAR-10".into()],
        });
        Some(ScalingProbe { images: 40, given: 10, tried, better })
    };
    let answer = expect(
        Rule::InputScaling,
        Warn,
        "right on 38 of 40 images with pixels in [-1, 1], and on 10 as it was given; so few images do not tell it from CIFAR-10",
        |run| {
            run.description.scaling = probe(9, Some(38));
        },
    );
    assert_eq!(answer.way_out.as_deref(), Some("if the model was trained so, run with --mean 0.5 --std 0.5"));
    expect(Rule::InputScaling, Pass, "none of 9", |run| run.description.scaling = probe(9, None));
    expect(Rule::InputScaling, Pass, "where it is low", |run| run.description.scaling = probe(0, None));
    for (norm, epsilon, verdict, way_out) in [
        (Norm::Linf, 8.0 / 255.0, Pass, ""),
        (Norm::Linf, 0.03 / 255.0, Warn, "--epsilon 0.03"),
        (Norm::Linf, 0.5, Warn, "--epsilon 127.5/255"),
        (Norm::Linf, 1.0, Warn, "--epsilon 8/255"),
        (Norm::L2, 8.0 / 255.0, Warn, "--norm linf"),
        (Norm::L2, 0.5, Pass, ""),
        (Norm::L2, 128.0, Warn, "--epsilon 0.502"),
        (Norm::L1, 0.01, Warn, "--norm linf"),
        (Norm::L1, 0.5, Warn, "--norm l2"),
        (Norm::Linf, 1e-4, Warn, "--epsilon 0.0255"),
        (Norm::Linf, 1e-8, Warn, "--epsilon 0.00000255"),
    ] {
        let answer = expect(Rule::EpsilonUnit, verdict, "epsilon", |run| {
            (run.description.threat_model.norm, run.description.threat_model.epsilon) = (norm, epsilon);
        });
        assert!(answer.way_out.unwrap_or_default().contains(way_out), "{norm} {epsilon}");
    }
    expect(Rule::ImageSelection, Warn, "class folders", |run| {
        run.description.warnings.push(Warning::NumberedClasses { folders: 12 });
    });
}

#[test]
fn labels_in_another_order_are_found_with_the_order() {
    let rotate = |run: &mut Run, by: usize| {
        for outcome in &mut run.evaluation.outcomes {
            outcome.label = (outcome.label + by) % 10;
            outcome.verdict = Verdict::Misclassified;
        }
    };
    let answer = expect(
        Rule::LabelOrder,
        Warn,
        "0 of 40 images are classified as their labels say; 40 would be",
        |run| {
            rotate(run, 1);
            // The last label stays apart: not all are shifted by one.
            run.evaluation.outcomes.iter_mut().filter(|outcome| outcome.label == 0).for_each(|outcome| {
                outcome.clean_prediction = Some(9);
            });
        },
    );
    assert!(answer.found.contains("0 → 9, 1 → 0, 2 → 1"), "{answer:?}");
    assert_eq!((answer.image_count, answer.images.len()), (40, 20));
    let answer = expect(Rule::LabelOrder, Warn, "cat (1) → 0", |run| {
        rotate(run, 1);
        run.description.data.class_names =
            Some((0..10).map(|class| if class == 1 { "cat".into() } else { format!("c{class}") }).collect());
    });
    assert!(answer.way_out.unwrap().contains("--class-map"));
    // Labels from 1.
    let answer = expect(Rule::LabelOrder, Warn, "1 → 0", |run| {
        for outcome in &mut run.evaluation.outcomes {
            outcome.label += 1;
            outcome.verdict = Verdict::Misclassified;
        }
    });
    assert_eq!(answer.way_out.as_deref(), Some("the labels are off by 1: correct them in the data by -1"));
    // One class for all images fits the order in which it is the most frequent label, and is a guess.
    expect(Rule::LabelOrder, Pass, "no other order", |run| {
        for (image, outcome) in run.evaluation.outcomes.iter_mut().enumerate() {
            outcome.label = if image < 30 { 7 } else { image % 3 };
            (outcome.clean_prediction, outcome.verdict) = (Some(3), Verdict::Misclassified);
        }
    });
    // A model that guesses, and one that is wrong at random, fit no order.
    expect(Rule::LabelOrder, Pass, "no other order", |run| {
        for (image, outcome) in run.evaluation.outcomes.iter_mut().enumerate() {
            outcome.clean_prediction = Some((7 * image + image / 10 * 3) % 10);
        }
    });
}

#[test]
#[expect(clippy::too_many_lines, reason = "one case for each rule")]
fn rules_of_the_model() {
    expect(Rule::ScoresOfClasses, Fail, "sorted", |run| {
        run.description.warnings.push(Warning::SortedScores { images: 8 });
    });
    expect(Rule::ScoresOfClasses, Warn, "probabilities", |run| {
        run.description.manifest.output = OutputKind::Probabilities;
    });
    expect(Rule::ScoresOfClasses, Warn, "saturates", |run| {
        run.description.manifest.output = OutputKind::Saturating;
    });
    let answer = expect(Rule::FiniteScores, Warn, "2 images", |run| {
        for image in [31, 35] {
            run.evaluation.outcomes[image].verdict = Verdict::NonFinite { attack: None };
        }
    });
    assert_eq!(answer.images, [31, 35]);
    expect(Rule::Deterministic, Warn, "random operators", |run| {
        let nodes = vec!["noise".to_owned()];
        run.description.warnings.push(Warning::Random { votes: 1000, error_rate: 0.001, nodes });
    });
    let differing = |images: &[usize]| {
        Some(Compared { images: 40, different: images.to_vec(), rounded: vec![7], rounding: 1e-6 })
    };
    let answer = Run::with_experiments(|found| found.repeated = differing(&[3])).answer(Rule::Deterministic);
    assert_eq!((answer.verdict, answer.images), (Fail, vec![3]));
    let answer =
        Run::with_experiments(|found| found.regrouped = differing(&[3, 4])).answer(Rule::IndependentImages);
    assert_eq!((answer.verdict, answer.image_count), (Fail, 2));
    // An engine that rounds by the place of a row.
    let rounded =
        || Some(Compared { images: 40, rounded: vec![3, 5], rounding: 7.4e-7, ..Compared::default() });
    let answer = Run::with_experiments(|found| found.regrouped = rounded()).answer(Rule::IndependentImages);
    assert_eq!((answer.verdict, &answer.images[..]), (Pass, &[3, 5][..]));
    assert_eq!(
        answer.found,
        "no operator mixes images, and the logits of 40 images were the same up to rounding, but for 2 of them not to the \
         last bit (by up to 7.4e-7) among others: with another --batch margins and stored points may differ so"
    );
    let answer = Run::with_experiments(|found| found.repeated = rounded()).answer(Rule::Deterministic);
    assert_eq!((answer.verdict, answer.image_count), (Pass, 2));
    assert!(
        answer.found.ends_with("in another run margins and stored points may differ so"),
        "{}",
        answer.found
    );
    let answer = expect(Rule::IndependentImages, Warn, "by its operators", |run| {
        run.description.warnings.push(Warning::MixesImages { nodes: vec!["mean".into()] });
    });
    assert_eq!(answer.nodes, ["mean"]);
    let node = |name: &str| ScannedNode { name: name.into(), operator: "Round".into() };
    let answer = expect(
        Rule::DifferentiableOperators,
        Warn,
        "1 nodes between images and output pass no gradient, and 30",
        |run| {
            run.description.scan.gradient_cuts = vec![node("cut")];
            run.description.scan.straight_through = vec![node("round"); 30];
        },
    );
    assert_eq!((answer.node_count, answer.nodes.len()), (31, 20));
    expect(Rule::DifferentiableOperators, Fail, "apgd-ce did not run", |run| {
        run.description.skipped_attacks = vec!["apgd-ce".into()];
    });
    expect(Rule::SearchedFunction, Fail, "1 ways", |run| {
        run.description.accepted_differences = vec![AcceptedDifference {
            graph: "gradient".into(),
            quantity: ComparedQuantity::Scores,
            difference: 1.0,
            explained: 0.1,
            differing: 4,
            compared: 4,
        }];
    });
    expect(Rule::Transfer, Warn, "for 1 images", |run| {
        run.evaluation.attacks[0].signs.rejected = vec![3, 31];
    });
    expect(Rule::Transfer, Fail, "for 2 images", |run| {
        run.evaluation.attacks[1].signs.rejected = vec![31, 32];
    });
    let answer = expect(Rule::Transfer, Fail, "for 2 images", |run| {
        run.description.execution.precision = "mixed".into();
        run.evaluation.attacks[1].signs.rejected = vec![31, 32];
    });
    assert!(answer.way_out.unwrap().ends_with("run with --precision float32"));
    let check = |images: &[usize]| {
        let disagreements = images
            .iter()
            .map(|image| Disagreement { image: *image, attack: "apgd-ce".into(), prediction: None })
            .collect();
        Some(CrossCheck {
            engine: "rten".into(),
            engine_version: "1".into(),
            counterexamples: 30,
            confirmed: 30 - images.len(),
            attacks: vec![],
            disagreements,
        })
    };
    expect(Rule::EnginesAgree, Warn, "29 of 30", |run| run.description.cross_check = check(&[4]));
    expect(Rule::EnginesAgree, Pass, "30 of 30", |run| run.description.cross_check = check(&[]));
    expect(Rule::BeyondRounding, Warn, "1 of 30", |run| {
        if let Verdict::Broken { fragile, .. } = &mut run.evaluation.outcomes[7].verdict {
            *fragile = true;
        }
    });
}

#[test]
fn rules_of_gradients() {
    let without = |run: &mut Run, images: &[usize]| {
        for attack in &mut run.evaluation.attacks[..3] {
            attack.signs.without_gradient = images.to_vec();
            attack.zero_gradients = images.len();
        }
    };
    expect(Rule::AvailableGradients, Warn, "1 images", |run| without(run, &[2, 35]));
    let answer = expect(Rule::AvailableGradients, Fail, "3 images", |run| without(run, &[33, 35, 37]));
    assert_eq!(answer.images, [33, 35, 37]);
    // Another loss had a gradient there.
    let one_loss = |run: &mut Run| {
        without(run, &[33, 35, 37]);
        run.evaluation.attacks[1].signs.without_gradient.clear();
        run.evaluation.attacks[1].zero_gradients = 0;
    };
    expect(Rule::AvailableGradients, Pass, "", one_loss);
    let answer = expect(Rule::UnsaturatedLosses, Warn, "apgd-ce: 3 of 40 images", one_loss);
    assert_eq!(answer.images, [33, 35, 37]);
    expect(Rule::FiniteGradients, Warn, "up to 1 images", |run| {
        run.evaluation.attacks[0].signs.non_finite_gradient = vec![2];
        run.evaluation.attacks[0].non_finite_gradients = 1;
    });
    expect(Rule::FiniteGradients, Fail, "up to 4 images", |run| {
        for attack in &mut run.evaluation.attacks[..3] {
            attack.signs.non_finite_gradient = vec![31, 32, 33, 34];
            attack.non_finite_gradients = 4;
        }
    });
    let no_gradients = |run: &mut Run| run.evaluation.attacks.retain(|attack| attack.name == "square");
    for rule in [Rule::AvailableGradients, Rule::UnsaturatedLosses, Rule::FiniteGradients] {
        expect(rule, NotExamined, "no attack followed gradients", no_gradients);
        expect(rule, Fail, "no gradient reaches", |run| {
            no_gradients(run);
            run.description.skipped_attacks = vec!["apgd-ce".into()];
        });
    }
    for (change, verdict) in [(0.09, Pass), (0.11, Warn), (0.6, Fail)] {
        let run = Run::with_experiments(|found| {
            found.stability.as_mut().unwrap().changes = vec![(0, change), (1, change)];
        });
        assert_eq!(run.answer(Rule::StablePredictions).verdict, verdict, "{change}");
    }
}

#[test]
fn rules_of_attacks() {
    expect(Rule::BestPointCounts, Warn, "of pgd only the last", |run| {
        let mut spec = AttackSpec::named("pgd").unwrap();
        assert!(spec.set("point", Argument::Point(mimir_bundle::attack::PgdPoint::Last)));
        run.evaluation.attacks.push(AttackResult {
            name: "pgd".into(),
            spec,
            ..run.evaluation.attacks[0].clone()
        });
    });
    let rising = |run: &mut Run, images: std::ops::Range<usize>| {
        for attack in &mut run.evaluation.attacks[..3] {
            attack.signs.incomplete = images.clone().collect();
        }
    };
    expect(Rule::Converged, Warn, "2 (20.00 %)", |run| rising(run, 30..32));
    let answer = expect(Rule::Converged, Fail, "9 (90.00 %)", |run| rising(run, 30..39));
    assert_eq!(answer.image_count, 9);
    // One attack that has come to its end is enough.
    expect(Rule::Converged, Pass, "0 (0.00 %)", |run| {
        rising(run, 30..39);
        run.evaluation.attacks[1].signs.incomplete.clear();
    });
    expect(Rule::StandardAttacks, Warn, "square is missing", |run| drop(run.evaluation.attacks.pop()));
    expect(Rule::SeveralLosses, Warn, "1 untargeted and 0 targeted", |run| {
        run.evaluation.attacks.truncate(1);
    });
    let square = |run: &mut Run, images: &[usize]| {
        for image in images {
            if let Verdict::Broken { attack, .. } = &mut run.evaluation.outcomes[*image].verdict {
                *attack = "square".into();
            }
        }
    };
    let answer = expect(Rule::GradientFreeNotBetter, Warn, "broke 2 images", |run| square(run, &[3, 5]));
    assert_eq!(answer.images, [3, 5]);
    expect(Rule::GradientFreeNotBetter, Fail, "broke 3 images", |run| square(run, &[3, 5, 7]));
    expect(Rule::GradientFreeNotBetter, NotExamined, "an attack without gradients did not run", |run| {
        run.evaluation.attacks.pop();
    });
}

#[test]
fn a_second_model_that_breaks_more_is_seen() {
    expect(Rule::TransferNotBetter, Fail, "transfer broke 3 images", |run| {
        let spec = AttackSpec::named("transfer").unwrap();
        run.evaluation.attacks.push(AttackResult {
            name: "transfer".into(),
            spec,
            ..run.evaluation.attacks[0].clone()
        });
        for outcome in &mut run.evaluation.outcomes[..3] {
            if let Verdict::Broken { attack, .. } = &mut outcome.verdict {
                *attack = "transfer".into();
            }
        }
    });
}

#[test]
fn rules_of_strength() {
    let after = |rule, change: &dyn Fn(&mut Experiments)| Run::with_experiments(change).answer(rule);
    let broken =
        |images: &[usize]| Stronger { attack: "apgd-ce".into(), images: 10, broken: images.to_vec() };
    let answer = after(Rule::StepsEnough, &|found| found.doubled = Some(broken(&[31])));
    assert_eq!((answer.verdict, answer.images), (Warn, vec![31]));
    assert!(
        answer.found.contains("breaks 1 of 10 images that nothing broke: about 2.50 % of all"),
        "{}",
        answer.found
    );
    let answer = after(Rule::RestartsEnough, &|found| found.restarted = Some(broken(&[31])));
    assert_eq!(answer.verdict, Warn);
    for (images, verdict) in [(&[31][..], Warn), (&[31, 33], Fail)] {
        let answer = after(Rule::OneStepNotBetter, &|found| found.one_step = Some(broken(images)));
        assert_eq!(answer.verdict, verdict);
    }
    let answer = after(Rule::NoiseNotBetter, &|found| found.noise.as_mut().unwrap().broken = vec![31]);
    assert_eq!(answer.verdict, Fail);
    // An image broken at ε and not at 2 ε; one that nothing broke, broken within half of ε.
    let answer = after(Rule::MonotoneInEpsilon, &|found| found.radii[3].broken = (1..32).collect());
    assert_eq!((answer.verdict, answer.images), (Warn, vec![0]));
    let answer =
        after(Rule::MonotoneInEpsilon, &|found| found.radii[1].broken = (0..10).chain([35]).collect());
    assert_eq!((answer.verdict, answer.images), (Fail, vec![35]));
    for (left, verdict) in [(1, Warn), (2, Fail)] {
        let answer = after(Rule::UnconstrainedAttack, &|found| {
            found.unconstrained.as_mut().unwrap().left = (0..left).collect();
        });
        assert_eq!(answer.verdict, verdict, "{left}");
    }
    // Attacks of the list answer too, without extra passes.
    let listed = |name: &str, spec: AttackSpec| {
        let mut run = Run::good();
        let attack = AttackResult {
            name: name.into(),
            spec,
            attacked: 10,
            passes: crate::evaluate::PassCounts::default(),
            ..run.evaluation.attacks[0].clone()
        };
        run.evaluation.attacks.push(attack);
        for outcome in &mut run.evaluation.outcomes[..2] {
            if let Verdict::Broken { attack, .. } = &mut outcome.verdict {
                *attack = name.into();
            }
        }
        run
    };
    let fgsm = listed("fgsm", AttackSpec::Fgsm(FgsmSpec::default())).answer(Rule::OneStepNotBetter);
    assert_eq!((fgsm.verdict, fgsm.images), (Fail, vec![0, 1]));
    let noise = listed("noise", AttackSpec::named("noise").unwrap()).answer(Rule::NoiseNotBetter);
    assert_eq!((noise.verdict, noise.images), (Fail, vec![0, 1]));
}

#[test]
fn a_rule_that_fails_weakens_the_verdict_and_is_said_once() {
    let failing = Run::with_experiments(|found| found.noise.as_mut().unwrap().broken = vec![31]);
    let report = Findings::new(&failing.description, &failing.evaluation).report();
    assert_eq!(report.gate.weakened_by, ["diagnosis_fails"]);
    assert!(
        report.warnings[0].message.contains("noise_not_better (10000 random points"),
        "{:?}",
        report.warnings
    );
    assert!(report.to_string().contains("1 rule fails"));
    // Where a warning says it, no other one is added.
    let mut said = Run::good();
    for image in 0..5 {
        if let Verdict::Broken { attack, .. } = &mut said.evaluation.outcomes[image].verdict {
            *attack = "square".into();
        }
    }
    said.evaluation.attacks[3].broken = 5;
    let report = Findings::new(&said.description, &said.evaluation).report();
    assert_eq!(report.gate.weakened_by, ["square_beats_gradients"]);
    assert_eq!(said.answer(Rule::GradientFreeNotBetter).verdict, Fail);
    // No rule changes a verdict.
    assert_eq!(
        report.counts,
        Findings::new(&Run::good().description, &Run::good().evaluation).report().counts
    );
}

#[test]
fn asked_for_passes_that_could_not_be_made_say_why() {
    let mut run = Run::good();
    run.description.without_experiments = Some("the model has random operators".into());
    let answer = run.answer(Rule::UnconstrainedAttack);
    assert_eq!((answer.verdict, answer.way_out), (NotExamined, None));
    assert!(answer.found.contains("the model has random operators"));
}

#[test]
fn gradients_that_do_not_say_what_happens_weaken_the_verdict() {
    for (broken, kept, verdict) in [(2, 0, Pass), (3, 9, Pass), (3, 8, Warn), (5, 5, Warn), (6, 4, Fail)] {
        let mut run = Run::good();
        run.description.first_order = Ok(promises(broken, kept));
        let answer = run.answer(Rule::GradientsPredict);
        assert_eq!((answer.verdict, answer.image_count), (verdict, broken), "{answer:?}");
        let report = Findings::new(&run.description, &run.evaluation).report();
        let weakens: Vec<String> = report
            .warnings
            .iter()
            .filter(|notice| notice.severity == Severity::WeakensVerdict)
            .map(|notice| notice.warning.kind())
            .collect();
        let wanted: &[&str] = if verdict == Pass { &[] } else { &["misleading_gradients"] };
        assert_eq!(weakens, wanted, "{broken} {kept}");
    }
    let mut run = Run::good();
    let found =
        |run: &Run| (run.answer(Rule::GradientsPredict).verdict, run.answer(Rule::GradientsPredict).found);
    run.description.first_order = Ok(FirstOrder::default());
    assert_eq!(found(&run).0, Pass);
    run.description.first_order = Err("the run was interrupted".to_owned());
    assert_eq!(found(&run), (NotExamined, "the run was interrupted".to_owned()));
    run.evaluation.attacks.retain(|attack| attack.name == "square");
    assert_eq!(found(&run).0, NotExamined);
}
