//! What was typed. Meaning is given to it in [`crate::options`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use mimir_bundle::signature::Algorithm;
use mimir_certify::describe::DescriptionFormat;

use crate::settings::{DeviceName, EngineName, Fraction, GateOnName, Settings, did_you_mean};

const AFTER_HELP: &str = "\
`mimir-certify MODEL ...` is short for `mimir-certify run MODEL ...`. Every setting can also be
given in a TOML file, under the name of its flag: `--config FILE`, or `mimir-certify.toml` in the
current folder. Flags take precedence over the file. A `mimir-certify.toml` beside a model elsewhere
may only describe the model: its normalisation, layout and output. A bundle (a folder, or a file
that ends in .mimir) describes its model itself, and receives the certificate of a complete run.

Examples:
  mimir-certify model.onnx --data cifar10:data/cifar-10-batches-bin --first 500 \\
      --mean .4914,.4822,.4465 --std .2023,.1994,.2010 --norm linf --epsilon 2/255 --report out/
  mimir-certify model.onnx --min-attacked-accuracy 0.40     # a gate
  mimir-certify model.onnx --attacks apgd-ce,square --steps 50 --queries 1000
  mimir-certify model.onnx --report out/ --resume           # resume an interrupted run
  mimir-certify replay out/ model.onnx                      # verify the counterexamples again
  mimir-certify check model.onnx                            # what it is, what attacks would cost
  mimir-certify verify out/ model.onnx                      # is the certificate of this model?
  mimir-certify report out/                                 # out/report.html again, from the files
  mimir-certify report out/ --format junit > junit.xml      # or sarif, markdown, json, text
  mimir-certify compare old/ new/ --max-regression 0.005    # what changed, image by image
  mimir-certify keygen robustness                           # robustness.key, robustness.pub
  mimir-certify sign bundle/ --key robustness.key
  mimir-certify verify bundle/ --trust robustness.pub       # is it signed by this key, all of it?
  mimir-certify check bundle/ --policy policy.toml          # each requirement, met or not
  mimir-certify self-test                                   # does this installation work?
  mimir-certify describe bundle/ --format model-card

Exit codes:
   0  finished; with a gate: every requirement holds
  10  a requirement does not hold, an accuracy is lower than --max-regression allows, a replayed
      counterexample was not confirmed, or a verified certificate contradicts itself or is of
      another model; a bundle is not signed by a trusted key, or does not meet a policy
  11  inconclusive: the estimate is enough, but its lower limit (--gate-on lower) is not, or a
      warning weakens the verdict (--deny-warnings)
   2  usage: flags, settings, or a report folder that cannot be written
   3  the model is not valid, not supported, or stochastic and attacked without EOT
   4  the images or labels cannot be used
  70  internal error, the requested engine or device is missing, or a self-test failed
  74  a file cannot be written, e.g. on a full disk; --resume continues a run with --report
  75  interrupted (Ctrl-C, SIGTERM, --time-limit); --resume continues a run with --report";

/// Attacks an ONNX image classifier white-box and reports its attacked accuracy, an upper bound of its robust
/// accuracy.
#[derive(Debug, Parser)]
#[command(
    name = "mimir-certify",
    bin_name = "mimir-certify",
    version,
    after_help = AFTER_HELP,
    arg_required_else_help = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    max_term_width = 110
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Attack a model and report
    Run(Box<RunArgs>),
    /// Verify the counterexamples of a report again, without attacking
    Replay(ReplayArgs),
    /// Say what a model is, whether it can be attacked, and what that would cost; with --data its clean accuracy
    Check(Box<CheckArgs>),
    /// List the tensors inside a model that attacks on features can move
    Features(Box<FeaturesArgs>),
    /// Say what a model sees in images, without attacking it
    Classify(Box<ClassifyArgs>),
    /// Attack models whose answers are known: does this installation find what there is to find?
    SelfTest(SelfTestArgs),
    /// Print a completion script, e.g. `mimir-certify completions bash`
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
    /// Check that a certificate is consistent and of this model, or that a bundle is signed, all of it, by a trusted key
    Verify(VerifyArgs),
    /// Make a pair of keys, NAME.key and NAME.pub, that openssl reads too
    Keygen(KeygenArgs),
    /// Sign a bundle: all its files, and what its certificates say
    Sign(SignArgs),
    /// Make the page of a report, or another form of it, from its files, without running anything
    Report(ReportArgs),
    /// Compare two reports of the same images, image by image, without running anything; with a limit it is a gate
    Compare(CompareArgs),
    /// Describe a bundle as a CycloneDX ML-BOM, a Hugging Face model card or Markdown, on standard output
    Describe(DescribeArgs),
}

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The old report: a report folder, or its report.json
    pub(crate) old: PathBuf,
    /// The new report
    pub(crate) new: PathBuf,
    /// By how much the clean and the attacked accuracy may each be lower than before, as a fraction of the images (half a
    /// point is 0.005); exit code 10 if one is lower. The attacks of both must then be the same
    #[arg(long, value_name = "FRACTION")]
    pub(crate) max_regression: Option<Fraction>,
    /// What is held against --max-regression: the difference on these images, or the lower end of its 95 % interval too
    /// (exit code 11 if only that is below) [default: estimate]
    #[arg(long, requires = "max_regression")]
    pub(crate) gate_on: Option<GateOnName>,
    /// The form on standard output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ComparisonFormat,
}

/// The form of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ComparisonFormat {
    /// Text for a terminal
    Text,
    /// JSON (docs/compare.schema.json)
    Json,
    /// Markdown, for the summary of a pipeline
    Markdown,
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Name of the files without their endings; files that exist are not overwritten
    pub(crate) name: PathBuf,
    /// How the key signs
    #[arg(long, value_enum, default_value = "ed25519")]
    pub(crate) algorithm: AlgorithmName,
}

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlgorithmName {
    /// Ed25519
    Ed25519,
    /// ECDSA over P-256 with SHA-256
    EcdsaP256,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Ed25519 => Self::Ed25519,
            AlgorithmName::EcdsaP256 => Self::EcdsaP256,
        }
    }
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The bundle: a folder, or a .mimir file
    pub(crate) bundle: PathBuf,
    /// The private key: PKCS#8 in PEM, Ed25519 or ECDSA P-256
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Replace a signature.json that another program made; it is kept beside the bundle
    #[arg(long)]
    pub(crate) replace_signature: bool,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The bundle: a folder, or a .mimir file
    pub(crate) bundle: PathBuf,
    /// The form of the description
    #[arg(long, value_enum, default_value = "markdown")]
    pub(crate) format: FormatName,
}

/// The form of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// CycloneDX 1.6 ML-BOM, JSON
    #[value(name = "cyclonedx")]
    CycloneDx,
    /// README.md for Hugging Face, with model-index
    ModelCard,
    /// Markdown
    Markdown,
}

impl From<FormatName> for DescriptionFormat {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::CycloneDx => Self::CycloneDx,
            FormatName::ModelCard => Self::ModelCard,
            FormatName::Markdown => Self::Markdown,
        }
    }
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The certificate, or a folder with certificate.json; without MODEL a bundle
    pub(crate) certificate: PathBuf,
    /// The ONNX model or bundle that it should be of
    #[arg(conflicts_with = "trust")]
    pub(crate) model: Option<PathBuf>,
    /// A public key, SPKI in PEM, that may have signed the bundle; several are given one by one
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: Vec<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The ONNX model, or a bundle: a folder with manifest.json, or a .mimir file
    // Clap requires it, except where another command is given.
    #[arg(required = true)]
    pub(crate) model: Option<PathBuf>,
    /// Settings file [default: `mimir-certify.toml` in the current folder, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the effective settings as TOML and exit
    #[arg(long)]
    pub(crate) print_config: bool,
    /// The form of the answer on standard output [default: text]; a report folder gives all of them later: `report`
    #[arg(long, value_enum, conflicts_with = "json")]
    pub(crate) format: Option<RunFormat>,
    /// Short for --format json
    #[arg(long)]
    pub(crate) json: bool,
    /// Tell every step on standard error: what was found, chosen and built
    #[arg(long, short)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The form of an answer on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunFormat {
    /// The summary for people
    Text,
    /// report.json
    Json,
    /// A page for the summary of a pipeline; where GITHUB_STEP_SUMMARY names a file, it is added there in any case
    Markdown,
    /// JUnit XML: each requirement is a test case
    Junit,
    /// SARIF 2.1.0: requirements that are not met, and warnings
    Sarif,
}

/// The form in which a report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// A page that needs nothing else: figures, tables, pictures of counterexamples
    Html,
    /// The summary for people
    Text,
    /// report.json
    Json,
    /// A page for the summary of a pipeline
    Markdown,
    /// JUnit XML: each requirement is a test case
    Junit,
    /// SARIF 2.1.0: requirements that are not met, and warnings
    Sarif,
}

impl ReportFormat {
    /// The form of an answer; none where it is a page.
    pub(crate) fn of_run(self) -> Option<RunFormat> {
        match self {
            Self::Html => None,
            Self::Text => Some(RunFormat::Text),
            Self::Json => Some(RunFormat::Json),
            Self::Markdown => Some(RunFormat::Markdown),
            Self::Junit => Some(RunFormat::Junit),
            Self::Sarif => Some(RunFormat::Sarif),
        }
    }
}

impl RunArgs {
    /// The form of the answer.
    pub(crate) fn format(&self) -> RunFormat {
        match self.json {
            true => RunFormat::Json,
            false => self.format.unwrap_or(RunFormat::Text),
        }
    }
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The report folder, or its report.json
    pub(crate) report: PathBuf,
    /// The form: html is written to report.html in the folder (or to --output), the others to standard output
    #[arg(long, value_enum, default_value = "html")]
    pub(crate) format: ReportFormat,
    /// A file in place of report.html, or of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Source of the original images, for the pictures of the page [default: the source named in the report]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Folder with certificate.json and adversarial.npz
    pub(crate) report: PathBuf,
    /// The ONNX model or bundle that the counterexamples belong to
    pub(crate) model: PathBuf,
    /// Only the counterexample of this image, by its position in the report, counted from 0
    #[arg(long, value_name = "N")]
    pub(crate) image: Option<usize>,
    /// Source of the original images [default: the source named in the certificate]
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
    /// Engine that runs the model [default: the engine named in the certificate]
    #[arg(long)]
    pub(crate) engine: Option<EngineName>,
    /// Device: cpu, cuda:N or tensorrt:N; the device named in the certificate is not used
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceName,
    /// The ONNX Runtime library
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
}

/// Arguments of `classify`.
#[derive(Debug, Args)]
pub(crate) struct ClassifyArgs {
    /// The ONNX model, or a bundle
    pub(crate) model: PathBuf,
    /// Settings file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON in place of text
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The ONNX model, or a bundle
    pub(crate) model: PathBuf,
    /// Settings file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON in place of text
    #[arg(long)]
    pub(crate) json: bool,
    /// Hold a policy against a bundle in place of all else; exit code 0 if each requirement is met, 10 if not
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) policy: Option<PathBuf>,
    /// A public key for --policy, SPKI in PEM: one that the policy names by its id, or, if it asks for no signature,
    /// one of those that must have signed
    #[arg(long, value_name = "FILE", requires = "policy")]
    pub(crate) trust: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// Arguments of `features`.
#[derive(Debug, Args)]
pub(crate) struct FeaturesArgs {
    /// The ONNX model, or a bundle
    pub(crate) model: PathBuf,
    /// Settings file [default: as for `run`]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The form on standard output
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ListFormat,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// The form of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// A table for a terminal
    Text,
    /// JSON
    Json,
}

/// Arguments of `self-test`.
#[derive(Debug, Args)]
pub(crate) struct SelfTestArgs {
    /// What runs the models [default: ONNX Runtime where it is found, else rten]
    #[arg(long, value_enum)]
    pub(crate) engine: Option<EngineName>,
    /// Device: cpu, cuda:N or tensorrt:N
    #[arg(long, value_name = "DEVICE", default_value_t)]
    pub(crate) device: DeviceName,
    /// The ONNX Runtime library
    #[arg(long, value_name = "PATH")]
    pub(crate) onnxruntime: Option<PathBuf>,
    /// Print JSON in place of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Folder for mimir-certify.1 and a page for each command; it is made where it is missing
    pub(crate) folder: PathBuf,
}

/// What a word is that stands where a model or a command stands and is neither: nothing where it may be a file.
///
/// A word without a dot or a separator that is no file looks like a command.
pub(crate) fn mistyped_command(arguments: impl IntoIterator<Item = OsString>) -> Option<String> {
    let word = arguments.into_iter().nth(1)?.into_string().ok()?;
    if word.starts_with('-') || word.contains(['.', '/', '\\']) || Path::new(&word).exists() {
        return None;
    }
    let cli = Cli::command();
    let known: Vec<&str> = cli.get_subcommands().map(clap::Command::get_name).chain(["help"]).collect();
    if known.contains(&word.as_str()) {
        return None;
    }
    let near = did_you_mean(&word, &known);
    let list = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Some(format!("there is no command and no model file `{word}`{near} (commands: {list})"))
}

impl Cli {
    /// The command; without a name it is `run`.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Run(Box::new(self.run)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What is not a terminal has a hundred columns.
    #[test]
    fn lines_of_the_help_are_not_broken() {
        for line in AFTER_HELP.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn the_short_form_is_run() {
        for words in [
            &["mimir-certify", "m.onnx", "--first", "3"][..],
            &["mimir-certify", "run", "--first", "3", "m.onnx"],
        ] {
            let Command::Run(run) = Cli::parse_from(words).into_command() else { panic!("{words:?}") };
            assert_eq!(
                (run.model, run.settings.first),
                (Some(PathBuf::from("m.onnx")), Some(3)),
                "{words:?}"
            );
        }
        let replay = Cli::parse_from(["mimir-certify", "replay", "out", "m.onnx"]).into_command();
        let Command::Replay(replay) = replay else { panic!("replay") };
        assert_eq!((replay.report, replay.model), (PathBuf::from("out"), PathBuf::from("m.onnx")));
    }

    #[test]
    fn mistyped_commands_are_named() {
        let of = |words: &[&str]| mistyped_command(words.iter().map(OsString::from));
        let message = of(&["mimir-certify", "repaly", "out", "m.onnx"]).unwrap();
        assert!(
            message.contains("no command and no model file `repaly`, did you mean `replay`?"),
            "{message}"
        );
        for words in [
            &["mimir-certify"][..],
            &["x", "replay"],
            &["x", "m.onnx"],
            &["x", "--help"],
            &["x", "help"],
            &["x", "a/b"],
        ] {
            assert_eq!(of(words), None, "{words:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let cases: [(&[&str], &str); 10] = [
            (&["mimir-certify", "m.onnx", "--workers", "0"], "--workers"),
            (&["mimir-certify", "--first", "3"], "<MODEL>"),
            (&["mimir-certify", "m.onnx", "--epsilom", "1"], "--epsilon"),
            (&["mimir-certify", "m.onnx", "--attacks", "apgd-cf"], "did you mean \"apgd-ce\"?"),
            (&["mimir-certify", "m.onnx", "--norm", "linff"], "linf"),
            (&["mimir-certify", "m.onnx", "--precision", "float16"], "float32, mixed"),
            (&["mimir-certify", "m.onnx", "--epsilon", "2/0"], "2/255"),
            (&["mimir-certify", "replay", "out"], "<MODEL>"),
            (&["mimir-certify", "m.onnx", "--engine", "tract"], "ort, rten"),
            (&["mimir-certify", "m.onnx", "--device", "cuda"], "cuda:N"),
        ];
        for (words, expected) in cases {
            let error = Cli::try_parse_from(words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
