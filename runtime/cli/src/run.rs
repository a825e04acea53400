//! The story of `mimir-certify run`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mimir_bundle::certificate::{CrossCheck, EvaluationData, Execution, Tool};
use mimir_runtime::evaluate::{Control, Curve, Ending, Evaluation, EvaluationSet, Plan, evaluate};
use mimir_runtime::model::{Classifier, ModelSource};
use mimir_runtime::report::{Findings, Report, RunDescription};
use mimir_runtime::session::{Engine, Precision, SessionOptions, SessionPlan};

use crate::data::OpenedImages;
use crate::engines::Engines;
use crate::failure::{Blame, Failure, OrBlame, failure};
use crate::kept::{Kept, header};
use crate::model::{Model, of_evaluation};
use crate::options::{Extent, Options};
use crate::progress::ProgressDisplay;
use crate::report_folder::ReportFolder;
use crate::{clock, data, model, signals, write};

/// Attacks the model and writes what was found.
///
/// # Errors
/// With the blame that decides the exit code. A gate that does not hold is no error, nor is a run that was interrupted
/// when there was something to report: the report says so.
pub(crate) fn run(options: &Options) -> Result<Report, Failure> {
    let interrupted = signals::watch().or_blame(Blame::Internal)?;
    let folder = report_folder(options)?;
    let engines = Engines::load(&options.engine)?;
    let engine = &engines.deciding;
    let images = OpenedImages::open(&options.images)?;
    let classifier = model::read(engine, options, images.shape())?;
    let set = images.for_model(classifier.manifest())?;
    let model = Model::probe(engine, classifier, &set, options)?;
    let data = data::record(&options.images, &set, model.manifest().image)?;
    let plan = plan(options, &model);
    let sessions = model.sessions(engine, &plan, options.engine.precision)?;
    let other = model.other_session(&engines)?;
    let header = header(model.manifest(), &data, &plan, options, engine)?;
    let kept = Kept::open(folder.as_ref(), options, &header, set.pixels_per_image())?;

    let start = Instant::now();
    let (evaluation, kept) = attack(&sessions, &set, &plan, options, kept, &interrupted)?;
    let cross_check = cross_check(&engines, other, &evaluation, &kept)?;
    let mut description = description(options, &engines, &model, data, start.elapsed().as_secs_f64());
    description.cross_check = cross_check;

    match folder {
        Some(folder) => write::write(&folder, options, description, &evaluation, &kept.archive),
        None => Ok(Findings::new(&description, &evaluation).report()),
    }
}

fn report_folder(options: &Options) -> Result<Option<ReportFolder>, Failure> {
    let folder = options.report.as_ref().map(|report| ReportFolder::create(&report.folder));
    folder.transpose().or_blame(Blame::Usage)
}

fn plan(options: &Options, model: &Model) -> Plan {
    let stop = options.gate.filter(|gate| gate.extent == Extent::UntilDecided);
    Plan {
        threat_model: options.threat_model,
        attacks: options.attacks.clone(),
        seed: options.seed,
        workers: model.plan.workers,
        stop_when_decided: stop.map(|gate| gate.requirement),
        curve: options.curve,
        votes: model.votes,
    }
}

fn attack(
    sessions: &dyn ModelSource,
    set: &EvaluationSet,
    plan: &Plan,
    options: &Options,
    kept: Kept,
    interrupted: &Arc<AtomicBool>,
) -> Result<(Evaluation, Kept), Failure> {
    let display = ProgressDisplay::new(options.verbosity);
    let control = Control { observer: &display, archive: &kept.archive, interrupted };
    let evaluation = evaluate(sessions, set, plan, &control);
    display.finish();
    match evaluation {
        Ok(evaluation) => Ok((evaluation, kept)),
        Err(error) => {
            kept.forget_if_empty();
            Err(of_evaluation(error))
        }
    }
}

/// What the other engine says about the counterexamples; of an interrupted run, nothing.
fn cross_check(
    engines: &Engines,
    session: Option<Box<dyn Classifier>>,
    evaluation: &Evaluation,
    kept: &Kept,
) -> Result<Option<CrossCheck>, Failure> {
    let (Some(other), Some(mut session)) = (&engines.other, session) else { return Ok(None) };
    if evaluation.ending == Ending::Interrupted {
        return Ok(None);
    }
    let store = kept.archive.counterexamples();
    let store = store.ok_or_else(|| failure(Blame::Internal, "counterexamples were not kept"))?;
    let checked = mimir_runtime::cross_check::cross_check(other, session.as_mut(), evaluation, store);
    checked.map(Some).or_blame(Blame::Internal)
}

fn description(
    options: &Options,
    engines: &Engines,
    model: &Model,
    data: EvaluationData,
    seconds: f64,
) -> RunDescription {
    RunDescription {
        model_file: options.model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        data,
        manifest: model.manifest().clone(),
        scan: model.scan().clone(),
        threat_model: options.threat_model,
        seed: options.seed,
        execution: execution(&engines.deciding, model.plan, options.engine.precision),
        cross_check: None,
        curve: options.curve == Curve::Yes,
        gate: options.gate.map(|gate| gate.requirement),
        warnings: engines.warning.iter().chain(&model.warnings).cloned().collect(),
        seconds,
        created_at: clock::now(),
        tool: Tool { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() },
        counterexamples: None,
    }
}

fn execution(engine: &Engine, plan: SessionPlan, precision: Precision) -> Execution {
    Execution {
        engine: engine.kind().name().to_owned(),
        engine_version: engine.version().to_owned(),
        device: engine.device().to_string(),
        optimisation: SessionOptions::default().optimisation.name().to_owned(),
        precision: precision.name().to_owned(),
        batch: plan.batch,
        workers: plan.workers,
        threads: plan.threads,
        architecture: std::env::consts::ARCH.to_owned(),
        operating_system: std::env::consts::OS.to_owned(),
    }
}
