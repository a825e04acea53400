//! From the process's arguments to its output and exit code.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimir_bundle::certificate::RunSettings;
use mimir_bundle::printable;
use mimir_certify::check_policy;
use mimir_certify::describe::describe;
use mimir_certify::report_folder::{ADVERSARIAL, CERTIFICATE, PAGE, PREVIOUS, REPORT};
use mimir_certify::self_test::self_test;
use mimir_certify::signing::{
    ForeignSignature, KeyFiles, TrustedKeyFile, generate_keys, read_private_key, readable_by_others,
    sign_bundle, verify_bundle,
};
use mimir_certify::{
    Certified, ErrorKind, ModelInput, StoreCounterexamples, certify, check, classify, list_features,
    record_failure, replay, verify_certificate,
};
use mimir_runtime::evaluate::Ending;
use mimir_runtime::report::{ignored_settings, settings_line};
use mimir_runtime::session::Engine;
use mimir_views::{Shown, failure_summary, summary};

use crate::args::{
    CheckArgs, ClassifyArgs, Cli, Command, CompareArgs, ComparisonFormat, DescribeArgs, FeaturesArgs,
    KeygenArgs, ListFormat, ReplayArgs, ReportArgs, RunArgs, RunFormat, SelfTestArgs, SignArgs, VerifyArgs,
    mistyped_command,
};
use crate::failure::{Failure, OrKind, failure};
use crate::gates::{GatesRun, gates_of, run_gates};
use crate::options::{
    Options, Verbosity, attacks, check_options, classify_options, features_options, norm, replay_options,
    self_test_engine,
};
use crate::page::{Written, page_missing, write_page};
use crate::pages::{completions, write_manual};
use crate::progress::ProgressDisplay;
use crate::reports::{compare_reports, json, open_report, rendered};
use crate::settings::{LoadedSettings, Settings, given_settings, load_settings};
use crate::signals;
use crate::step_summary::append_summary;
use crate::terminal::tell;

/// What the program prints on standard output, and its exit code.
struct Answer {
    text: Vec<u8>,
    exit_code: u8,
}

impl Answer {
    fn new(text: impl Into<Vec<u8>>, exit_code: u8) -> Self {
        Self { text: text.into(), exit_code }
    }
}

/// The program: arguments of the process to exit code.
///
/// Usage errors of the command line itself end the process with 2, `--help` and `--version` with 0.
pub fn main() -> ExitCode {
    if let Some(exit_code) = Engine::try_libraries_in_processes_of_their_own() {
        return exit_code;
    }
    if let Some(mistyped) = mistyped_command(std::env::args_os()) {
        tell(&format!("error: {mistyped}"));
        return ExitCode::from(ErrorKind::Options.exit_code());
    }
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            let folder = report_folder_in(std::env::args_os());
            record(folder.as_deref(), &failure(ErrorKind::Options, error.render()));
        }
        error.exit()
    });
    let answer = match cli.into_command() {
        Command::Run(args) => answer_run(*args),
        Command::Replay(args) => answer_replay(args),
        Command::Check(args) => answer_check(*args),
        Command::Features(args) => answer_features(*args),
        Command::Classify(args) => answer_classify(*args),
        Command::SelfTest(args) => answer_self_test(args),
        Command::Completions(args) => Ok(Answer::new(completions(args.shell), 0)),
        Command::Man(args) => answer_man(&args.folder),
        Command::Verify(args) => answer_verify(&args),
        Command::Keygen(args) => answer_keygen(&args),
        Command::Sign(args) => answer_sign(&args),
        Command::Report(args) => answer_report(&args),
        Command::Compare(args) => answer_compare(&args),
        Command::Describe(args) => answer_describe(&args),
    };
    match answer {
        Ok(Answer { text, exit_code }) => {
            // Whoever closed standard output still wants the exit code.
            let _ = std::io::stdout().lock().write_all(&printable(text));
            ExitCode::from(exit_code)
        }
        Err(failure) => {
            let text = printable(format!("error: {failure}\n").into_bytes());
            let _ = std::io::stderr().lock().write_all(&text);
            ExitCode::from(failure.kind.exit_code())
        }
    }
}

fn answer_run(args: RunArgs) -> Result<Answer, Failure> {
    run(args).inspect_err(|failure| append_summary(&failure_summary(&failure.to_string())))
}

fn run(args: RunArgs) -> Result<Answer, Failure> {
    let format = args.format();
    let Some(model) = args.model else {
        return Err(failure(ErrorKind::Options, "no model: give an ONNX file"));
    };
    let folder = args.settings.report.clone();
    let model = ModelInput::open(model).map_err(Failure::from);
    let model = model.inspect_err(|failure| record(folder.as_deref(), failure))?;
    let settings = load_settings(&model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options);
    let loaded = settings.inspect_err(|failure| record(folder.as_deref(), failure))?;
    warn_of_ignored(&loaded.record);
    if args.print_config {
        return Ok(Answer::new(effective_settings(&loaded)?, 0));
    }
    let folder = loaded.settings.report.clone();
    let recorded = |failure: &Failure| record(folder.as_deref(), failure);
    let verbosity =
        Verbosity::new(loaded.settings.quiet == Some(true), args.verbose).inspect_err(recorded)?;
    let interrupted = signals::watch().or_kind(ErrorKind::Internal)?;
    if let Some(limit) = loaded.settings.time_limit {
        signals::limit(&interrupted, limit.0);
    }
    let gates = gates_of(&loaded).inspect_err(recorded)?;
    if !gates.is_empty() {
        let GatesRun { answers, reports, text } =
            run_gates(&model, gates, folder.as_deref(), verbosity, &interrupted)?;
        let shown: Vec<Shown<'_>> = reports
            .iter()
            .map(|(gate, report)| Shown { gate: Some(gate), answer: mimir_views::Answer::Finished(report) })
            .collect();
        append_summary(&summary(&shown));
        let text = match format {
            RunFormat::Text => text.into(),
            RunFormat::Json => json(&answers)?,
            other => rendered(other, &shown)?,
        };
        return Ok(Answer::new(text, answers.exit_code));
    }
    let options = Options::new(&model, loaded).inspect_err(recorded)?;
    let display = ProgressDisplay::new(verbosity);
    let earlier = Earlier::in_folder(folder.as_deref());
    let certified = certify(&options.certify, &display, &interrupted);
    display.finish();
    let Certified { report, bundle, unwritten, .. } = certified.inspect_err(|_| earlier.tell())?;
    let changed = bundle.map(|change| change.to_string()).unwrap_or_default();
    let bare = options.certify.report.as_ref().and_then(|report| page_missing(&report.folder));
    // Said beside the answer, which stays one.
    let failed = unwritten.is_some() || bare.is_some();
    let exit_code = if failed { ErrorKind::Storage.exit_code() } else { report.gate.exit_code };
    for reason in unwritten.map(|unwritten| unwritten.to_string()).into_iter().chain(bare) {
        tell(&format!("error: {reason}"));
    }
    let shown = [Shown::from(&report)];
    append_summary(&summary(&shown));
    let text = match format {
        RunFormat::Text => format!("{report}{}{changed}", written(&options, report.ending)).into(),
        other => {
            // Standard output is for the report alone.
            let _ = std::io::stderr().lock().write_all(&printable(changed.into_bytes()));
            rendered(other, &shown)?
        }
    };
    Ok(Answer::new(text, exit_code))
}

fn answer_check(args: CheckArgs) -> Result<Answer, Failure> {
    if let Some(policy) = &args.policy {
        return answer_policy(&args, policy);
    }
    let known = [&OF_CLASSIFY[..], &OF_CHECK].concat();
    expect_effect(&args.settings, "check", &known, "nothing is attacked, judged or reported")?;
    let model = ModelInput::open(args.model)?;
    let loaded = load_settings(&model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options)?;
    warn_of_ignored(&loaded.record);
    let checked = check(&check_options(&model, loaded.settings)?)?;
    let text = if args.json { json(&checked)? } else { checked.to_string().into() };
    Ok(Answer::new(text, 0))
}

fn answer_features(args: FeaturesArgs) -> Result<Answer, Failure> {
    expect_effect(&args.settings, "features", &OF_FEATURES, "tensors are listed, and nothing is run")?;
    let model = ModelInput::open(args.model)?;
    let loaded = load_settings(&model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options)?;
    warn_of_ignored(&loaded.record);
    let listed = list_features(&features_options(&model, loaded.settings)?)?;
    let text = match args.format {
        ListFormat::Text => listed.to_string().into(),
        ListFormat::Json => json(&listed)?,
    };
    Ok(Answer::new(text, 0))
}

/// Settings that a list of features uses, by the names of their flags.
const OF_FEATURES: [&str; 10] = [
    "channels",
    "device",
    "engine",
    "input-shape",
    "layout",
    "mean",
    "onnxruntime",
    "output",
    "preset",
    "std",
];

/// Settings that a classification uses, by the names of their flags.
const OF_CLASSIFY: [&str; 23] = [
    "batch",
    "channels",
    "class-map",
    "crop",
    "data",
    "device",
    "engine",
    "first",
    "input-shape",
    "interpolation",
    "layout",
    "mean",
    "onnxruntime",
    "output",
    "preset",
    "quiet",
    "resize",
    "sample",
    "seed",
    "split",
    "std",
    "threads",
    "workers",
];

/// Settings that a check uses besides, to say what attacks would search and cost.
const OF_CHECK: [&str; 20] = [
    "accept-approximate",
    "attacks",
    "epsilon",
    "eot",
    "feature",
    "norm",
    "pgd-momentum",
    "pgd-point",
    "pixels",
    "precision",
    "queries",
    "restarts",
    "samples",
    "step-size",
    "steps",
    "subset",
    "surrogate",
    "surrogate-mean",
    "surrogate-std",
    "targets",
];

/// Refuses flags that a command does not look at: whoever gives them expects something else of it.
fn expect_effect(settings: &Settings, command: &str, known: &[&str], reason: &str) -> Result<(), Failure> {
    let given = given_settings(settings).or_kind(ErrorKind::Internal)?;
    match given.iter().find(|name| !known.contains(&name.as_str())) {
        Some(other) => {
            let message = format!("--{other} has no effect with {command}: {reason}");
            Err(failure(ErrorKind::Options, message))
        }
        None => Ok(()),
    }
}

fn answer_classify(args: ClassifyArgs) -> Result<Answer, Failure> {
    expect_effect(&args.settings, "classify", &OF_CLASSIFY, "nothing is attacked, judged or reported")?;
    let model = ModelInput::open(args.model)?;
    let loaded = load_settings(&model, args.config.as_deref(), args.settings).or_kind(ErrorKind::Options)?;
    warn_of_ignored(&loaded.record);
    let classified = classify(&classify_options(&model, loaded.settings)?)?;
    let text = if args.json { json(&classified)? } else { classified.to_string().into() };
    Ok(Answer::new(text, 0))
}

fn answer_man(folder: &Path) -> Result<Answer, Failure> {
    write_manual(folder)
        .with_context(|| format!("cannot write manual pages to {}", folder.display()))
        .or_kind(ErrorKind::Storage)?;
    Ok(Answer::new(format!("written to {}\n", folder.display()), 0))
}

/// A run that fails before it begins: the report in its folder must not be that of an earlier one.
fn record(folder: Option<&Path>, failure: &Failure) {
    if let Some(folder) = folder {
        let earlier = Earlier::in_folder(Some(folder));
        record_failure(folder, failure.kind, &failure.to_string());
        earlier.tell();
    }
}

/// The result of an earlier run in a report folder. A run that fails moves it out of the way too, and whoever mistyped a flag
/// should not have to look for the work of hours.
struct Earlier<'a>(Option<&'a Path>);

impl<'a> Earlier<'a> {
    fn in_folder(folder: Option<&'a Path>) -> Self {
        Self(folder.filter(|folder| folder.join(CERTIFICATE).exists()))
    }

    /// Says where it is, if it was moved.
    fn tell(&self) {
        let Some(folder) = self.0 else { return };
        let previous = folder.join(PREVIOUS);
        if !folder.join(CERTIFICATE).exists() && previous.join(CERTIFICATE).exists() {
            tell(&format!("note: the result of the earlier run is in {}", previous.display()));
        }
    }
}

/// The folder of `--report` in arguments that cannot be understood as a whole.
fn report_folder_in(arguments: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut arguments = arguments.skip_while(|argument| {
        argument != "--report" && !argument.to_string_lossy().starts_with("--report=")
    });
    let flag = arguments.next()?;
    match flag.to_string_lossy().strip_prefix("--report=") {
        Some(folder) => Some(folder.into()),
        None => arguments.next().map(PathBuf::from),
    }
}

/// At once, and not only in the summary: what is missing after this may be in the file.
fn warn_of_ignored(record: &RunSettings) {
    for warning in ignored_settings(record) {
        tell(&format!("warning: {warning}"));
    }
}

/// The settings as a settings file; in its comments where they came from, and each parameter of each attack.
fn effective_settings(loaded: &LoadedSettings) -> Result<String, Failure> {
    let LoadedSettings { settings, record } = loaded;
    let text = toml::to_string(settings).or_kind(ErrorKind::Internal)?;
    let attacks = attacks(settings, norm(settings))?;
    let table = BTreeMap::from([("parameters", attacks)]);
    let table = toml::to_string(&table).or_kind(ErrorKind::Internal)?;
    let comment = |line: &str| format!("# {line}").trim_end().to_owned() + "\n";
    let parameters: String = table.lines().map(comment).collect();
    let files: String = record.files.iter().map(|file| comment(&settings_line(file))).collect();
    let files = if files.is_empty() { files } else { format!("\n# Settings files:\n{files}") };
    Ok(format!("{text}{files}\n# The attacks with all parameters:\n{parameters}"))
}

/// Where the report is now; nothing where none was asked for.
fn written(options: &Options, ending: Ending) -> String {
    let Some(report) = &options.certify.report else { return String::new() };
    let folder = display_path(&report.folder);
    let files = match (ending, report.counterexamples) {
        (Ending::Interrupted, _) => {
            let (folder, go_on) = (folder.display(), "run the same command with --resume to continue");
            return format!("\ninterrupted: {REPORT} in {folder} is partial; {go_on}\n");
        }
        (_, StoreCounterexamples::Yes) => [REPORT, CERTIFICATE, ADVERSARIAL, PAGE].join(", "),
        (_, StoreCounterexamples::No) => [REPORT, CERTIFICATE, PAGE].join(", "),
    };
    format!("\nwritten to {}: {files}\n", folder.display())
}

/// A folder as a person would name it: without `..`, and relative where it is inside the current folder.
fn display_path(folder: &Path) -> PathBuf {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    here.ok().and_then(|here| real.strip_prefix(here).ok().map(Path::to_owned)).unwrap_or(real)
}

fn answer_replay(args: ReplayArgs) -> Result<Answer, Failure> {
    let replay = replay(&replay_options(args)?)?;
    Ok(Answer::new(replay.to_string(), replay.conclusion().exit_code()))
}

fn answer_verify(args: &VerifyArgs) -> Result<Answer, Failure> {
    let Some(model) = &args.model else {
        if args.trust.is_empty() {
            let message = "verify CERTIFICATE MODEL: give the model that the certificate should be of; or verify BUNDLE \
                --trust FILE: give a public key, without which a signature shows nothing";
            return Err(failure(ErrorKind::Options, message));
        }
        let check = verify_bundle(&args.certificate, TrustedKeyFile::read(&args.trust)?)?;
        return Ok(Answer::new(check.to_string(), check.conclusion().exit_code()));
    };
    let check = verify_certificate(&args.certificate, &ModelInput::open(model)?)?;
    Ok(Answer::new(check.to_string(), check.conclusion().exit_code()))
}

fn answer_self_test(args: SelfTestArgs) -> Result<Answer, Failure> {
    let interrupted = signals::watch().or_kind(ErrorKind::Internal)?;
    let json_wanted = args.json;
    let test = self_test(&self_test_engine(args), &interrupted)?;
    let text = if json_wanted { json(&test)? } else { test.to_string().into() };
    Ok(Answer::new(text, test.exit_code()))
}

fn answer_policy(args: &CheckArgs, policy: &Path) -> Result<Answer, Failure> {
    if let Some(setting) = given_settings(&args.settings).or_kind(ErrorKind::Internal)?.first() {
        let message = format!("--{setting} has no effect with --policy: nothing is run");
        return Err(failure(ErrorKind::Options, message));
    }
    let check = check_policy(&args.model, policy, &TrustedKeyFile::read(&args.trust)?)?;
    let text = if args.json { json(&check.verdict)? } else { check.to_string().into() };
    Ok(Answer::new(text, check.verdict.exit_code()))
}

fn answer_keygen(args: &KeygenArgs) -> Result<Answer, Failure> {
    let KeyFiles { private, public, id } = generate_keys(&args.name, args.algorithm.into())?;
    let (private, public) = (private.display(), public.display());
    Ok(Answer::new(format!("written: {private} (keep it secret), {public}\nkey id   {id}\n"), 0))
}

fn answer_sign(args: &SignArgs) -> Result<Answer, Failure> {
    let key = read_private_key(&args.key)?;
    if let Some(warning) = readable_by_others(&args.key) {
        tell(&format!("warning: {warning}"));
    }
    let foreign = match args.replace_signature {
        true => ForeignSignature::Replace,
        false => ForeignSignature::Refuse,
    };
    let signed = sign_bundle(&args.bundle, &key, foreign)?;
    Ok(Answer::new(signed.to_string(), 0))
}

fn answer_describe(args: &DescribeArgs) -> Result<Answer, Failure> {
    Ok(Answer::new(describe(&args.bundle, args.format.into())?, 0))
}

/// Exit code 0 whatever the report says: it was shown.
fn answer_report(args: &ReportArgs) -> Result<Answer, Failure> {
    let Some(format) = args.format.of_run() else {
        let Written { page } = write_page(&args.report, args.output.as_deref(), args.data.as_deref())?;
        return Ok(Answer::new(format!("written to {}\n", page.display()), 0));
    };
    if args.data.is_some() {
        return Err(failure(
            ErrorKind::Options,
            "--data has no effect: only a page (--format html) has pictures",
        ));
    }
    let report = open_report(&args.report)?;
    let text = rendered(format, &[Shown::from(&report)])?;
    let Some(output) = &args.output else { return Ok(Answer::new(text, 0)) };
    mimir_files::write_named(output, &printable(text))
        .with_context(|| format!("cannot write {}", output.display()))
        .or_kind(ErrorKind::Storage)?;
    Ok(Answer::new(format!("written to {}\n", output.display()), 0))
}

fn answer_compare(args: &CompareArgs) -> Result<Answer, Failure> {
    let comparison = compare_reports(args)?;
    append_summary(&comparison.markdown());
    let text = match args.format {
        ComparisonFormat::Text => comparison.to_string().into(),
        ComparisonFormat::Json => json(&comparison)?,
        ComparisonFormat::Markdown => comparison.markdown().into(),
    };
    Ok(Answer::new(text, comparison.gate.exit_code))
}
