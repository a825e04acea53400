//! The steps of a certification.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use mimir_bundle::attack::{AttackSpec, Preset, RelaxedPgdSpec, SquareSpec};
use mimir_bundle::certificate::{AcceptedDifference, CrossCheck, EvaluationData, Execution};
use mimir_bundle::{ImageShape, Manifest, ThreatModel};
use mimir_export::InputSpec;
use mimir_runtime::evaluate::{Control, Curve, Ending, Evaluation, EvaluationSet, Observer, Plan, evaluate};
use mimir_runtime::majority;
use mimir_runtime::model::{Classifier, KeptModels, ModelSource, WithSurrogate};
use mimir_runtime::probe::{Sampled, correct_of_some};
use mimir_runtime::processor;
use mimir_runtime::report::{Baseline, BetterScaling, RunDescription, ScalingProbe};
use mimir_runtime::session::{Engine, Precision, SessionOptions, SessionPlan};
use mimir_runtime::statistics::clopper_pearson;

use crate::attackable::AttackableModel;
use crate::baseline::{expect_preset, read_baseline};
use crate::bundle_certificate::{expect_room, write_into_bundle};
use crate::certified::Certified;
use crate::clock;
use crate::described_images::open_for;
use crate::engines::Engines;
use crate::error::{Error, ErrorKind, OptionName, OrKind, Result, with_causes};
use crate::extra_passes::Evaluated;
use crate::features::{FeatureRequest, with_features};
use crate::images::{OpenedImages, describe, shown};
use crate::model::{CalibratedModel, PreparedModel, SearchedWays};
use crate::options::{CertifyOptions, ExtraAttacks, Gate, GateMode, MakeExtraPasses};
use crate::prepare::prepare_for;
use crate::report_folder::ReportFolder;
use crate::run_state::{RunState, identity, keeps_counterexamples};
use crate::scalings::{GivenInput, OtherNormalisation, Tried};
use crate::surrogate::{
    calibrate_surrogate, expect_together, prepare_surrogate, surrogate_facts, surrogate_sessions,
    useless_surrogate, with_surrogate,
};
use crate::tool::this_tool;
use crate::write::{write, write_failure};

/// Attacks the model, tells `observer` how far it is, and writes what was found where a report is asked for.
///
/// Whoever sets `interrupted` ends it in order, soon: the report says so, and its journal stays, so that the run can be
/// resumed.
///
/// # Errors
/// With the kind of what is at fault. A gate that does not hold is no error, nor is an interruption when there was
/// something to report. After an error the journal keeps what was finished, and `report.json` says what went wrong.
pub fn certify(
    options: &CertifyOptions,
    observer: &dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Certified> {
    // The one file that may be in the folder of the report.
    let baseline = expect_preset(options, &options.attacks).and_then(|()| read_baseline(options));
    // Before anything else is read: what an earlier run left there must not pass for the result of this one.
    let folder = report_folder(options)?;
    let certified =
        baseline.and_then(|baseline| attack(options, folder.as_ref(), baseline, observer, interrupted));
    if let (Err(error), Some(folder)) = (&certified, &folder) {
        write_failure(folder, error.kind(), &with_causes(error));
    }
    certified
}

/// The steps, within the folder of the report.
#[expect(clippy::too_many_lines, reason = "one line for each step")]
fn attack(
    options: &CertifyOptions,
    folder: Option<&ReportFolder>,
    baseline: Option<Baseline>,
    observer: &dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Certified> {
    // Between two steps, as long as nothing has to be resumed.
    let go_on = |done: &str| {
        observer.detail(done);
        expect_wanted(interrupted)
    };
    expect_together(options)?;
    expect_room(options)?;
    let engines = Engines::load(&options.engine)?;
    go_on("engine loaded")?;
    let (mut images, source) = open_for(&options.model, &options.images)?;
    go_on("images opened")?;
    let prepared = prepare(options, &engines.deciding, &mut images)?;
    go_on("model prepared")?;
    let surrogate = options
        .surrogate
        .as_ref()
        .map(|source| prepare_surrogate(&engines.deciding, source, prepared.manifest(), &mut images));
    let surrogate = surrogate.transpose()?;
    let threat_model = options.threat_model_of(prepared.manifest().pixel_type)?;
    let set = images.for_model(prepared.manifest(), threat_model.pixels)?;
    let model = prepared.calibrate(&set, &options.attacks, options.engine.overrides)?;
    let model = model.with_silent_units_counted(&set, &threat_model)?;
    let calibrate = |surrogate| calibrate_surrogate(surrogate, &set, options, model.session_plan());
    let surrogate = surrogate.map(calibrate).transpose()?;
    let useless = surrogate.as_ref().map(|surrogate| useless_surrogate(surrogate, &set)).transpose()?;
    go_on("model calibrated")?;
    let data = describe(&source, &images, &set, model.manifest().image)?;
    go_on("images digested")?;
    let mut attacks = attacks(options, &model);
    let (named, seed) = (options.feature.as_deref(), options.seed);
    let request = FeatureRequest { named, model: &options.model, images: set.count(), seed };
    let model = with_features(model, &mut attacks, request)?;
    let plan = plan(options, attacks, threat_model, &model, surrogate.as_ref());
    let attackable = AttackableModel::new(plan, &model, options.engine.precision)?;
    let no_gradient = attackable.warning();
    let AttackableModel { plan, sessions, skipped } = attackable;
    go_on("graphs made")?;
    expect_preset(options, &plan.attacks)?;
    expect_same_as(baseline.as_ref(), &data, &plan)?;
    let other = other_session(&engines, &model)?;
    let surrogate =
        surrogate.map(|it| surrogate_sessions(&it, &plan, options.engine.precision)).transpose()?;
    let source = WithSurrogate::new(&sessions, surrogate.as_ref().map(|it| it as &dyn ModelSource));
    let sessions = KeptModels::new(&source);
    let differences = differences(options, &model, &sessions, &plan, &set, observer, interrupted)?;
    let scaling = scaling(options, &engines.deciding, &model, &sessions, &set)?;
    if let Some(better) = scaling.as_ref().and_then(|scaling| scaling.better.as_ref()) {
        observer.detail(&format!(
            "clean accuracy looks low: {} is right more often ({})",
            better.name, better.flags
        ));
    }
    let identity = identity(model.manifest(), &data, &plan, options, &engines.deciding)?;
    tell(observer, &engines, &model, &plan);
    let execution = execution(&engines.deciding, model.session_plan(), options.engine.precision)?;
    let Manifest { image, classes, .. } = *model.manifest();
    let possible = plan.possible_records(&set, image, classes, keeps_counterexamples(options));
    let possible = possible.or_kind(ErrorKind::Options)?;
    let state = RunState::open(folder, options, &identity, &possible, set.pixels_per_image())?;

    let start = Instant::now();
    let float64 = model.float64();
    let control = Control { observer, archive: &state.archive, float64: Some(&float64), interrupted };
    let mut evaluation = match evaluate(&sessions, &set, &plan, &control) {
        Ok(evaluation) => evaluation,
        Err(error) => {
            state.remove_if_empty();
            return Err(error.into());
        }
    };
    let cross_check = cross_check(&engines, other, &evaluation, &state)?;
    let seconds = start.elapsed().as_secs_f64();
    let precision = options.engine.precision;
    let evaluated = Evaluated {
        model: &model,
        precision,
        set: &set,
        plan: &plan,
        evaluation: &evaluation,
        observer,
        interrupted,
    };
    let first_order = evaluated.first_order(&sessions);
    let extra = (options.extra_passes == MakeExtraPasses::Yes).then(|| evaluated.extra_passes());
    let landscapes = (options.landscapes > 0).then(|| evaluated.landscapes(options.landscapes));
    if (extra.is_some() || landscapes.is_some()) && interrupted.load(Ordering::Relaxed) {
        // Every verdict is known, but not every answer that was asked for, and one of those may weaken the verdicts.
        evaluation.ending = Ending::Interrupted;
    }
    let mut description = description(options, &engines, &model, &plan, data, execution, seconds);
    description.cross_check = cross_check;
    description.accepted_differences = differences;
    description.baseline = baseline;
    description.scaling = scaling;
    description.first_order = first_order;
    description.without_experiments = extra.as_ref().and_then(|extra| extra.as_ref().err().cloned());
    description.experiments = extra.and_then(std::result::Result::ok);
    if let Some(Err(reason)) = &landscapes {
        observer.detail(&format!("no landscapes: {reason}"));
    }
    description.landscapes = landscapes.and_then(std::result::Result::ok);
    description.warnings.extend(no_gradient.into_iter().chain(useless.flatten()));
    description.skipped_attacks = skipped;
    description.warnings.extend(images.warnings(model.manifest()));

    let certified = match folder {
        Some(folder) => write(folder, options, description, &evaluation, &state.archive),
        None => Ok(Certified::new(&description, &evaluation)),
    }?;
    let counterexamples = state.into_counterexamples(options, evaluation.slots, set.pixels_per_image());
    Ok(write_into_bundle(options, Certified { counterexamples, ..certified }))
}

/// An older report can be compared with one of the same images, threat model and attacks.
fn expect_same_as(baseline: Option<&Baseline>, data: &EvaluationData, plan: &Plan) -> Result<()> {
    let Some(baseline) = baseline else { return Ok(()) };
    let same = baseline.expect_same(data, &plan.threat_model, &plan.attacks);
    same.or_kind(ErrorKind::Options).map_err(|error| error.about(OptionName::Baseline))
}

/// Where the graphs that will be searched are not the function of the file, as far as that is accepted.
fn differences(
    options: &CertifyOptions,
    model: &CalibratedModel,
    sessions: &KeptModels,
    plan: &Plan,
    set: &EvaluationSet,
    observer: &dyn Observer,
    interrupted: &AtomicBool,
) -> Result<Vec<AcceptedDifference>> {
    let start = Instant::now();
    let ways = SearchedWays { precision: options.engine.precision, approximate: options.approximate_search };
    let found = model.accepted_differences(sessions, plan, set, ways, interrupted)?;
    let seconds = start.elapsed().as_secs_f64();
    observer.detail(&format!("searched graphs compared with the file in {seconds:.3} s"));
    Ok(found)
}

/// Images that are classified before the attacks, at most, spread over the set.
const PROBED: usize = 256;

/// Whether fewer than half of some images are classified correctly, or fewer than three quarters and perhaps no more than by
/// guessing.
fn looks_low(correct: usize, classified: usize, classes: usize) -> bool {
    let by_guessing = || clopper_pearson(correct, classified).lower <= 1.0 / classes as f64;
    2 * correct < classified || (4 * correct < 3 * classified && by_guessing())
}

/// What other scalings of the pixels and orders of colours do, where the clean accuracy of some images [looks low](looks_low).
fn scaling(
    options: &CertifyOptions,
    engine: &Engine,
    model: &CalibratedModel,
    sessions: &KeptModels,
    set: &EvaluationSet,
) -> Result<Option<ScalingProbe>> {
    if model.votes() > 1 {
        return Ok(None);
    }
    let mut classifier = sessions.classifier().or_kind(ErrorKind::Model)?;
    let sampled = correct_of_some(classifier.as_mut(), set, PROBED)?;
    let Sampled { correct, classified, .. } = sampled;
    drop(classifier);
    let probe = ScalingProbe { images: classified, given: correct, tried: 0, better: None };
    if !looks_low(correct, classified, model.manifest().classes) {
        return Ok(Some(probe));
    }
    let input = InputSpec { image: Some(model.manifest().image), ..input_spec(options) };
    let (model_input, attacks) = (&options.model, &options.attacks[..]);
    let given = GivenInput { model: model_input, engine, calibrated: model, set, input: &input, attacks };
    let Tried { tried, better, tied } = given.try_others(sampled, PROBED)?;
    let tied: Vec<String> = tied.into_iter().map(|other| other.name).collect();
    let better = better.map(|OtherNormalisation { name, flags, correct, .. }| BetterScaling {
        name,
        flags,
        correct,
        tied,
    });
    Ok(Some(ScalingProbe { tried, better, ..probe }))
}

/// # Errors
/// [`ErrorKind::Interrupted`] when somebody wants the run to end.
fn expect_wanted(interrupted: &AtomicBool) -> Result<()> {
    match interrupted.load(Ordering::Relaxed) {
        true => Err(Error::new(ErrorKind::Interrupted, "interrupted before the attacks began")),
        false => Ok(()),
    }
}

/// What was found and chosen, for people who want to see every step.
fn tell(observer: &dyn Observer, engines: &Engines, model: &CalibratedModel, plan: &Plan) {
    let engine = &engines.deciding;
    observer.detail(&format!("engine: {} {} on {}", engine.kind().name(), engine.version(), engine.device()));
    let Manifest { opset, ir_version, producer, classes, image, .. } = model.manifest();
    let ImageShape { channels, height, width } = image;
    observer.detail(&format!(
        "model: opset {opset}, IR version {ir_version}, written by {producer}, {channels} × {height} × {width} images, \
         {classes} classes"
    ));
    let SessionPlan { batch, workers, threads } = model.session_plan();
    observer.detail(&format!("sessions: batches of {batch}, {workers} workers with {threads} threads each"));
    for attack in &plan.attacks {
        observer.detail(&format!("attack: {attack:?}"));
    }
}

fn report_folder(options: &CertifyOptions) -> Result<Option<ReportFolder>> {
    let folder = options.report.as_ref().map(|report| ReportFolder::claim(&report.folder));
    folder.transpose().or_kind(ErrorKind::Options)
}

/// What the options say of the model's own input.
fn input_spec(options: &CertifyOptions) -> InputSpec {
    InputSpec {
        normalisation: options.normalisation.clone(),
        channel_order: options.channel_order,
        layout: options.layout,
        image: options.input_shape,
        output: options.output.clone(),
    }
}

fn prepare(options: &CertifyOptions, engine: &Engine, images: &mut OpenedImages) -> Result<PreparedModel> {
    let stated = options.input_shape;
    let prepared = prepare_for(engine, &options.model, &input_spec(options), images)?;
    let found = prepared.manifest().image;
    match stated.filter(|stated| *stated != found) {
        None => Ok(prepared),
        Some(stated) => {
            let message =
                format!("an image is said to be {}, but the model takes {}", shown(stated), shown(found));
            Err(Error::new(ErrorKind::Options, message).about(OptionName::InputShape))
        }
    }
}

fn plan(
    options: &CertifyOptions,
    attacks: Vec<AttackSpec>,
    threat_model: ThreatModel,
    model: &CalibratedModel,
    surrogate: Option<&CalibratedModel>,
) -> Plan {
    let facts = options.surrogate.as_ref().zip(surrogate);
    let facts = facts.map(|(source, model)| surrogate_facts(source, model));
    let stops = |gate: &&Gate| gate.mode == GateMode::StopWhenDecided && gate.baseline.is_none();
    let stop = options.gate.as_ref().filter(stops);
    Plan {
        threat_model,
        attacks: with_surrogate(attacks, facts.as_ref()),
        seed: options.seed,
        workers: model.session_plan().workers,
        stop_when_decided: stop.map(|gate| gate.requirements),
        curve: options.curve,
        votes: model.votes(),
    }
}

/// The attacks that are asked for, and after them the one that the model calls for.
fn attacks(options: &CertifyOptions, model: &CalibratedModel) -> Vec<AttackSpec> {
    let relaxed = AttackSpec::RelaxedPgd(RelaxedPgdSpec::default());
    let square = AttackSpec::Square(SquareSpec::default());
    let is_called_for = options.extra_attacks == ExtraAttacks::WhereCalledFor && model.votes() == 1;
    let is_asked_for =
        |extra: &AttackSpec| options.attacks.iter().any(|attack| attack.name() == extra.name());
    let adds_relaxed = is_called_for && model.needs_relaxed_search() && !is_asked_for(&relaxed);
    let is_masked = is_called_for && looks_masked(model);
    // The standard evaluation has it anyway.
    let adds_square = is_masked && !is_asked_for(&square);
    let extra = [adds_square.then_some(square), adds_relaxed.then_some(relaxed)];
    let norm = options.threat_model.norm;
    let attacks = match is_masked {
        true => Preset::where_masked(&options.attacks, norm),
        false => options.attacks.clone(),
    };
    attacks.into_iter().chain(extra.into_iter().flatten()).collect()
}

/// Whether gradients may mislead: operators pass none or a stand-in, or most units are off.
fn looks_masked(model: &CalibratedModel) -> bool {
    let scan = model.scan();
    let is_exact = scan.gradient_cuts.is_empty() && scan.straight_through.is_empty();
    !is_exact || model.needs_relaxed_search()
}

/// The original model on the engine that is asked too, where there is one: before the attacks, so that they are not
/// run for nothing.
fn other_session(engines: &Engines, model: &CalibratedModel) -> Result<Option<Box<dyn Classifier>>> {
    let Some(other) = &engines.other else { return Ok(None) };
    let models = model.original_on_other(other);
    let session = models.and_then(|models| models.classifier().or_kind(ErrorKind::Model));
    session.map(Some).map_err(|error| error.about(OptionName::CrossChecking))
}

/// What the other engine says about the counterexamples; of an interrupted run, nothing.
fn cross_check(
    engines: &Engines,
    session: Option<Box<dyn Classifier>>,
    evaluation: &Evaluation,
    state: &RunState,
) -> Result<Option<CrossCheck>> {
    let (Some(other), Some(mut session)) = (&engines.other, session) else { return Ok(None) };
    if evaluation.ending == Ending::Interrupted {
        return Ok(None);
    }
    let store = state.archive.counterexamples();
    let store = store.ok_or_else(|| Error::new(ErrorKind::Internal, "counterexamples were not stored"))?;
    let checked = mimir_runtime::cross_check::cross_check(other, session.as_mut(), evaluation, store);
    checked.map(Some).or_kind(ErrorKind::Internal)
}

fn description(
    options: &CertifyOptions,
    engines: &Engines,
    model: &CalibratedModel,
    plan: &Plan,
    data: EvaluationData,
    execution: Execution,
    seconds: f64,
) -> RunDescription {
    RunDescription {
        model_file: options.model.name(),
        data,
        manifest: model.manifest().clone(),
        scan: model.scan().clone(),
        threat_model: plan.threat_model,
        seed: options.seed,
        majority_test: (model.votes() > 1).then(majority::description),
        settings: options.settings.clone(),
        execution,
        cross_check: None,
        accepted_differences: Vec::new(),
        curve: options.curve == Curve::Yes,
        gate: options.gate.as_ref().map(|gate| gate.requirements).unwrap_or_default(),
        min_preset: options
            .gate
            .as_ref()
            .and_then(|gate| gate.min_preset)
            .map(|preset| preset.name().to_owned()),
        baseline: None,
        warnings: engines.warning.iter().chain(model.warnings()).cloned().collect(),
        seconds,
        created_at: clock::now(),
        tool: this_tool(),
        counterexamples: None,
        skipped_attacks: Vec::new(),
        scaling: None,
        first_order: Err("no attack follows gradients of a loss".to_owned()),
        experiments: None,
        without_experiments: None,
        landscapes: None,
    }
}

fn execution(engine: &Engine, plan: SessionPlan, precision: Precision) -> Result<Execution> {
    let library = engine.library_file().or_kind(ErrorKind::Internal)?;
    Ok(Execution {
        engine: engine.kind().name().to_owned(),
        engine_version: engine.version().to_owned(),
        library,
        device: engine.device().to_string(),
        optimisation: SessionOptions::default().optimisation.name().to_owned(),
        precision: precision.name().to_owned(),
        batch: plan.batch,
        workers: plan.workers,
        threads: plan.threads,
        architecture: std::env::consts::ARCH.to_owned(),
        operating_system: std::env::consts::OS.to_owned(),
        processor: processor::detect(),
    })
}
