use super::*;

#[test]
fn every_name_gives_the_attack_of_that_name() {
    for name in AttackSpec::NAMES {
        let spec = AttackSpec::named(name).unwrap();
        assert_eq!(spec.name(), *name);
        assert_eq!(spec.check(), Ok(()));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<AttackSpec>(&json).unwrap(), spec, "{json}");
        assert!(json.starts_with(&format!("{{\"attack\":\"{name}\"")), "{json}");
    }
    assert_eq!(AttackSpec::named("apgd"), None);
}

/// The key of an attack's random numbers holds the first eight bytes of its name.
#[test]
fn names_differ_in_their_first_eight_bytes() {
    let keys: std::collections::BTreeSet<&str> =
        AttackSpec::NAMES.iter().map(|name| &name[..name.len().min(8)]).collect();
    assert_eq!(keys.len(), AttackSpec::NAMES.len());
}

/// Every parameter is found by its name, once, and is a field that is written.
#[test]
fn parameters_have_the_names_of_their_fields() {
    for name in AttackSpec::NAMES {
        let mut spec = AttackSpec::named(name).unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        let names: Vec<&str> = spec.parameters().iter().map(|parameter| parameter.name).collect();
        for (position, parameter) in names.iter().enumerate() {
            assert!(json.contains(&format!("\"{parameter}\":")), "{name}: {parameter} is not in {json}");
            assert!(!names[..position].contains(parameter), "{name} has {parameter} twice");
        }
    }
}

#[test]
fn a_parameter_is_set_by_its_name_and_kind() {
    let mut spec = AttackSpec::named("apgd-t").unwrap();
    assert!(spec.set("targets", Argument::Count(3)) && spec.set("rho", Argument::Number(0.5)));
    assert_eq!((spec.targets(), spec.get("rho")), (Some(3), Some(Argument::Number(0.5))));
    let before = spec.clone();
    assert!(!spec.set("queries", Argument::Count(3)) && !spec.set("steps", Argument::Number(3.0)));
    assert_eq!(spec, before);
    let counts =
        |name: &str| AttackSpec::named(name).map(|spec| (spec.restarts(), spec.targets(), spec.eot()));
    assert_eq!(counts("fgsm"), Some((1, None, 1)));
    assert_eq!(counts("fab-t"), Some((1, Some(9), 1)));
}

/// Certificates of earlier releases are read by these names.
#[test]
fn the_written_form_is_pinned() {
    let form = |name: &&str| serde_json::to_string(&AttackSpec::named(name)).unwrap();
    let forms: Vec<String> = AttackSpec::NAMES.iter().map(form).collect();
    let apgd = concat!(
        r#""steps":100,"restarts":1,"eot":1,"radius_schedule":"fixed","rho":0.75,"momentum":0.75,"#,
        r#""initial_step":2.0,"first_period":0.22,"period_decrement":0.03,"shortest_period":0.06"#
    );
    let fab = r#""steps":100,"restarts":1,"alpha_max":0.1,"overshoot":1.05,"backward":0.9"#;
    let expected = [
        format!(r#"{{"attack":"apgd-ce",{apgd}}}"#),
        format!(r#"{{"attack":"apgd-dlr",{apgd}}}"#),
        format!(r#"{{"attack":"apgd-t","targets":9,"apgd":{{{apgd}}}}}"#),
        format!(r#"{{"attack":"apgd-mt","targets":99,"apgd":{{{apgd}}}}}"#),
        format!(r#"{{"attack":"malt","candidates":100,"targets":9,"apgd":{{{apgd}}}}}"#),
        format!(r#"{{"attack":"fab",{fab}}}"#),
        format!(r#"{{"attack":"fab-t","targets":9,"fab":{{{fab}}}}}"#),
        concat!(
            r#"{"attack":"fmn","steps":100,"restarts":1,"first_length":1.0,"last_length":0.01,"first_change":0.05,"#,
            r#""last_change":0.0001}"#
        )
        .to_owned(),
        concat!(
            r#"{"attack":"ddn","steps":100,"initial_radius":1.0,"change":0.05,"first_length":1.0,"#,
            r#""last_length":0.01}"#
        )
        .to_owned(),
        concat!(
            r#"{"attack":"cw","searches":9,"steps":200,"learning_rate":0.01,"confidence":0.0,"#,
            r#""initial_constant":1.0}"#
        )
        .to_owned(),
        r#"{"attack":"square","queries":5000,"restarts":1,"p_init":0.8}"#.to_owned(),
        concat!(
            r#"{"attack":"hopskipjump","subset":0.1,"queries":5000,"restarts":1,"directions":100,"#,
            r#""starts":100}"#
        )
        .to_owned(),
        concat!(
            r#"{"attack":"pgd","steps":20,"restarts":1,"step_size":0.25,"momentum_decay":0.0,"#,
            r#""point":"best","eot":1}"#
        )
        .to_owned(),
        r#"{"attack":"fgsm"}"#.to_owned(),
        r#"{"attack":"noise","samples":100}"#.to_owned(),
        r#"{"attack":"transfer","surrogate":null,"targets":3,"steps":100,"restarts":1}"#.to_owned(),
        concat!(
            r#"{"attack":"relaxed-pgd","targets":9,"steps":100,"restarts":1,"relaxed_share":0.75,"#,
            r#""initial_step":2.0}"#
        )
        .to_owned(),
        r#"{"attack":"pgd-feature","steps":100,"restarts":1,"step_size":0.25,"feature":null}"#.to_owned(),
        concat!(
            r#"{"attack":"pgd-mi","steps":100,"restarts":1,"step_size":0.25,"penalty_weight":0.00001,"penalty_batch":16,"#,
            r#""kernel_width":5.0,"ridge":0.00001,"feature":null,"reference_images":[]}"#
        )
        .to_owned(),
        r#"{"attack":"feature-ce","steps":100,"restarts":1,"distance_weight":1.0,"feature":null}"#.to_owned(),
    ];
    assert_eq!(forms, expected);
}

/// What an attack in one norm only says in another.
#[test]
fn attacks_in_l2_say_so_in_other_norms() {
    for name in AttackSpec::NAMES {
        let spec = AttackSpec::named(name).unwrap();
        assert_eq!(spec.check_norm(Norm::L2), Ok(()));
        for norm in [Norm::Linf, Norm::L1] {
            let error = spec.check_norm(norm).map_err(|error| error.to_string());
            match *name {
                "ddn" | "cw" => {
                    let error = error.unwrap_err();
                    assert!(error.contains(&format!("{name} is an attack in L2, not in {norm}")), "{error}");
                    assert!(error.contains("use fmn"), "{error}");
                }
                _ => assert_eq!(error, Ok(())),
            }
        }
    }
}

/// MALT ranks classes itself; the scheduler must know the candidates.
#[test]
fn the_classes_that_must_be_ranked_are_targets_or_candidates() {
    let of = |name: &str| AttackSpec::named(name).map(|spec| (spec.targets(), spec.ranked_classes()));
    assert_eq!(of("apgd-ce"), Some((None, 0)));
    assert_eq!(of("apgd-t"), Some((Some(9), 9)));
    assert_eq!(of("malt"), Some((None, 100)));
    assert_eq!(of("transfer"), Some((None, 3)));
    assert_eq!(AttackSpec::named("hopskipjump").map(|spec| spec.subset()), Some(0.1));
    assert_eq!(AttackSpec::named("square").map(|spec| spec.subset()), Some(1.0));
}

#[test]
fn parameters_out_of_range_are_named() {
    let apgd = |change: fn(&mut ApgdSpec)| {
        let mut spec = ApgdSpec::default();
        change(&mut spec);
        spec
    };
    let cases = [
        (AttackSpec::ApgdCe(apgd(|s| s.steps = 0)), "apgd-ce: steps is 0, must be 1 to 1000000"),
        (AttackSpec::ApgdDlr(apgd(|s| s.rho = 1.5)), "apgd-dlr: rho is 1.5, must be 0 to 1"),
        (AttackSpec::ApgdCe(apgd(|s| s.momentum = f64::NAN)), "momentum is NaN"),
        (AttackSpec::ApgdCe(apgd(|s| s.initial_step = f64::INFINITY)), "initial_step is inf"),
        (AttackSpec::ApgdT(TargetedApgdSpec { targets: 0, ..Default::default() }), "apgd-t: targets is 0"),
        (AttackSpec::FabT(TargetedFabSpec { targets: 0, ..Default::default() }), "fab-t: targets is 0"),
        (AttackSpec::Fab(FabSpec { overshoot: 0.0, ..Default::default() }), "fab: overshoot is 0"),
        (AttackSpec::Square(SquareSpec { p_init: -0.1, ..Default::default() }), "square: p_init is -0.1"),
        (AttackSpec::Pgd(PgdSpec { step_size: 0.0, ..Default::default() }), "pgd: step_size is 0"),
        (
            AttackSpec::Pgd(PgdSpec { momentum_decay: 1.1, ..Default::default() }),
            "pgd: momentum_decay is 1.1",
        ),
        (
            AttackSpec::Cw(CwSpec { confidence: -1.0, ..Default::default() }),
            "cw: confidence is -1, must be 0 or more",
        ),
        (AttackSpec::HopSkipJump(HopSkipJumpSpec { subset: 2.0, ..Default::default() }), "subset is 2"),
        (AttackSpec::Noise(NoiseSpec { samples: 0 }), "noise: samples is 0"),
    ];
    for (spec, expected) in cases {
        let error = spec.check().unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(serde_json::from_str::<AttackSpec>(r#"{"attack":"square","querys":1}"#).is_err());
    assert!(serde_json::from_str::<AttackSpec>(r#"{"attack":"squre"}"#).is_err());
}

/// A policy that asks for an attack takes it at whatever tensor and with whatever images it ran.
#[test]
fn what_the_program_filled_in_is_no_weakness() {
    for name in ["pgd-feature", "pgd-mi", "feature-ce"] {
        let wanted = AttackSpec::named(name).unwrap();
        let mut ran = wanted.clone();
        *ran.feature_mut().unwrap() = Some("/blocks.1/Add".to_owned());
        if let AttackSpec::PgdMi(spec) = &mut ran {
            spec.reference_images = vec![3, 1];
        }
        assert_eq!(ran.feature(), Some(Some("/blocks.1/Add".to_owned())));
        assert_eq!(weaker(&ran, &wanted, ""), None, "{name}");
        let mut other = ran.clone();
        *other.feature_mut().unwrap() = None;
        assert_eq!(weaker(&other, &ran, "").unwrap(), format!("{name} has other parameters"));
        assert!(ran.set("steps", Argument::Count(9)) && weaker(&ran, &wanted, "").is_some());
    }
    assert_eq!(AttackSpec::named("pgd").unwrap().feature(), None);
}
