//! The command line.

use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{EvaluatedPart, InitialWeights, Precision};
use crate::device::DeviceChoice;
use crate::efficiency::{Images, Work};

/// Trains adversarially robust vision transformers with MIMIR.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 success, 1 the run failed, 2 invalid usage, configuration or checkpoint, 4 images \
                          that cannot be read, 70 internal error, 75 interrupted by a signal or --time-limit after the \
                          state was saved (continue with --resume).";

/// The stages of an experiment, and tools for their results.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Pre-train a masked autoencoder: the [pretrain] section.
    Pretrain(TrainArguments),
    /// Train a classifier, by default from the weights of `pretrain`: the [finetune] section.
    Finetune(FinetuneArguments),
    /// Accuracy on the test set, clean and under PGD: the [evaluate] section.
    Evaluate(EvaluateArguments),
    /// Run a grid of methods and seeds through all stages, export and attack the networks, and print the table.
    Experiment(GridArguments),
    /// Print a table of runs, mean ± spread over seeds, and draw it with the paper's numbers.
    Report(ReportArguments),
    /// Plot loss and accuracy of runs as SVG.
    Plot(PlotArguments),
    /// Compute the loss around the weights of a classifier on a plane of two random directions (figure 3).
    Landscape(LandscapeArguments),
    /// Print and plot the bounds on I(x + δ; z) of propositions 3.2 and 3.3 (figure 2).
    Bounds(BoundsArguments),
    /// Split the state of a run into parts with checksums, to move it to another machine.
    Split(SplitArguments),
    /// Join the parts of a state and verify their checksums.
    Join(JoinArguments),
    /// Convert a PyTorch checkpoint of MAE, MIMIR or timm to safetensors under the names that mimir-train reads.
    Convert(ConvertArguments),
    /// Resize images once and write them as bytes, which training reads as prepared:FOLDER.
    Prepare(PrepareArguments),
    /// Time and memory of each method, network and image size on this machine: table 12.
    Efficiency(EfficiencyArguments),
    /// Show the version of libtorch, the devices and the threads.
    Doctor,
}

/// Arguments of every command that takes an experiment.
#[derive(Debug, Args)]
pub(crate) struct ExperimentArguments {
    /// The experiment (TOML).
    pub config: PathBuf,
    /// One of the variants of a file that has some.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Takes precedence over `seed`.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Takes precedence over `data.source`, for example cifar10:FOLDER (--help lists the datasets).
    #[arg(long, value_name = "SCHEME:PATH", long_help = data_help())]
    pub data: Option<String>,
    /// Takes precedence over `data.test`: the test set, for datasets whose path names one part.
    #[arg(long, value_name = "SCHEME:PATH")]
    pub test: Option<String>,
    /// Output folder; each stage has a folder inside. Default: runs/NAME/seed-SEED, NAME being that of the file,
    /// and -VARIANT.
    #[arg(long, value_name = "FOLDER")]
    pub run: Option<PathBuf>,
    /// Device: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// Threads of libtorch. Default: one per core.
    #[arg(long)]
    pub threads: Option<usize>,
}

/// A checkpoint of PyTorch.
#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// A file of torch.save. Only tensors and plain values are read from it; anything else is refused.
    #[arg(value_name = "CHECKPOINT.pth")]
    pub checkpoint: PathBuf,
    /// The file to write. With unknown keys nothing is written.
    #[arg(value_name = "OUTPUT.safetensors")]
    pub output: PathBuf,
    /// Key of the file under which the weights are, for example model_ema. Default: model, state_dict,
    /// model_state_dict, model_ema, state_dict_ema, or the file itself.
    #[arg(long, value_name = "KEY")]
    pub take: Option<String>,
    /// Leave unknown keys out instead of stopping.
    #[arg(long)]
    pub allow: bool,
}

fn data_help() -> String {
    format!("Takes precedence over `data.source`:\n{}", mimir_data::DataSource::help())
}

/// A training stage.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// Resume from the state in the run folder.
    #[arg(long)]
    pub resume: bool,
    /// Save the state and exit with code 75 before this time is up: 45m, 1h30m, 90s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_limit: Option<Duration>,
    /// Store the optimizer state in bfloat16: half the size, but a resumed run is not bit-identical.
    #[arg(long)]
    pub compact_state: bool,
    /// Print the effective configuration, with all defaults, and exit.
    #[arg(long)]
    pub print_config: bool,
}

/// Fine-tuning.
#[derive(Debug, Args)]
pub(crate) struct FinetuneArguments {
    #[command(flatten)]
    pub train: TrainArguments,
    /// Takes precedence over `finetune.initial_weights`.
    #[arg(long, value_enum)]
    pub initial_weights: Option<InitialWeights>,
    /// Start from the weights of a pre-training that has not finished too.
    #[arg(long)]
    pub unfinished: bool,
}

/// Evaluation.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    #[command(flatten)]
    pub experiment: ExperimentArguments,
    /// Checkpoint to evaluate. Default: the best of the experiment's `finetune` stage, or the last if no images were
    /// held out.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Takes precedence over `evaluate.images`: a number of images, drawn, or robustbench.
    #[arg(long, value_name = "NUMBER|robustbench")]
    pub images: Option<EvaluatedPart>,
}

/// A grid.
#[derive(Debug, Args)]
pub(crate) struct GridArguments {
    /// The grid (TOML): seeds, methods, and how exported networks are attacked.
    pub grid: PathBuf,
    /// Takes precedence over `data.source` of every experiment.
    #[arg(long, value_name = "SCHEME:PATH", long_help = data_help())]
    pub data: Option<String>,
    /// Takes precedence over `data.test` of every experiment.
    #[arg(long, value_name = "SCHEME:PATH")]
    pub test: Option<String>,
    /// Output folder. Default: runs/NAME.
    #[arg(long, value_name = "FOLDER")]
    pub run: Option<PathBuf>,
    /// Device of training: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// Threads of libtorch. Default: one per core.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Stop in order, with exit code 75, before this time is up; the same command goes on: 45m, 1h30m, 90s.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub time_limit: Option<Duration>,
}

/// Results of runs.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Folders of runs: of a grid, or runs/NAME of experiments, each with seed-SEED inside.
    #[arg(required = true, value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
    /// Where the table and the figure are written, with the endings .md and .svg.
    #[arg(long, default_value = "report", value_name = "FILE")]
    pub out: PathBuf,
}

/// Table 12.
#[derive(Debug, Args)]
pub(crate) struct EfficiencyArguments {
    /// Networks by their names in a configuration.
    #[arg(long, value_delimiter = ',', default_value = "vit_small,vit_base,convit_small")]
    pub networks: Vec<String>,
    /// What a step does.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pgd10,fast-at,mae,mimir")]
    pub methods: Vec<Work>,
    /// Sizes of images.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "cifar10,tiny-imagenet,imagenet")]
    pub images: Vec<Images>,
    /// Images in a step. Default: 8, or 128 on a GPU.
    #[arg(long)]
    pub batch: Option<usize>,
    /// Steps that are timed, after one that warms up.
    #[arg(long, default_value_t = 3)]
    pub steps: usize,
    /// Type of matrix products: float32, tf32 or bfloat16.
    #[arg(long, value_enum, default_value = "float32")]
    pub precision: Precision,
    /// Device: cpu, cuda or cuda:N.
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// Threads of libtorch. Default: one per core.
    #[arg(long)]
    pub threads: Option<usize>,
    /// Operations in a second that the device is sold with, in units of 10¹². Default: those of a large matrix product.
    #[arg(long, value_name = "TERA")]
    pub peak: Option<f64>,
    /// Measure in this process, and print rows without their head.
    #[arg(long, hide = true)]
    pub row: bool,
}

/// Plots of runs.
#[derive(Debug, Args)]
pub(crate) struct PlotArguments {
    /// Folders of runs, or of their stages: runs/NAME/seed-SEED or runs/NAME/seed-SEED/finetune.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// The SVG file to write.
    #[arg(long, default_value = "curves.svg")]
    pub out: PathBuf,
}

/// Figure 3.
#[derive(Debug, Args)]
pub(crate) struct LandscapeArguments {
    #[command(flatten)]
    pub evaluate: EvaluateArguments,
    /// Points along each direction.
    #[arg(long, default_value_t = 21)]
    pub points: usize,
    /// How far the plane reaches; 1 changes every filter by its own length.
    #[arg(long, default_value_t = 1.0)]
    pub reach: f64,
    /// The table to write: first, second, clean_loss, attacked_loss.
    #[arg(long, default_value = "landscape.csv", value_name = "FILE.csv")]
    pub out: PathBuf,
}

/// Figure 2.
#[derive(Debug, Args)]
pub(crate) struct BoundsArguments {
    /// Number of classes |𝒴|.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..))]
    pub classes: u32,
    /// Also plot them to this file.
    #[arg(long, value_name = "FILE.svg")]
    pub out: Option<PathBuf>,
}

/// Images to prepare.
#[derive(Debug, Args)]
pub(crate) struct PrepareArguments {
    /// The images, for example imagenet:FOLDER (--help lists the datasets).
    #[arg(value_name = "SCHEME:PATH", long_help = mimir_data::DataSource::help())]
    pub source: String,
    /// The folder to write; what it has of the same images already is kept.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Which part, of sets that have two: train or test.
    #[arg(long, value_enum, default_value_t = PreparedSplit::Train)]
    pub split: PreparedSplit,
    /// Pixels of the shorter side. Images whose shorter side is not longer stay as they are.
    #[arg(long, default_value_t = 256)]
    pub side: usize,
    /// Threads. Default: one per core.
    #[arg(long)]
    pub threads: Option<NonZero<usize>>,
}

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PreparedSplit {
    /// What is trained on.
    Train,
    /// What is held out.
    Test,
}

/// A state to split.
#[derive(Debug, Args)]
pub(crate) struct SplitArguments {
    /// The state of a run: state.safetensors.
    pub state: PathBuf,
    /// Folder for the parts and their index.
    pub folder: PathBuf,
    /// Maximum size of a part in MiB.
    #[arg(long, default_value_t = 15)]
    pub mib: u64,
}

/// A state to join.
#[derive(Debug, Args)]
pub(crate) struct JoinArguments {
    /// Index written by `split`: NAME.parts.json.
    pub index: PathBuf,
    /// The file to write.
    pub out: PathBuf,
}

/// `1h30m`, `45m`, `90s`, `90`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; wanted 45m, 1h30m or 90s");
    let (mut seconds, mut digits) = (0u64, String::new());
    for letter in text.chars() {
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => {
                digits.push(letter);
                continue;
            }
        };
        let count: u64 = std::mem::take(&mut digits).parse().map_err(|_| wrong())?;
        seconds = count.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
    }
    if !digits.is_empty() {
        seconds += digits.parse::<u64>().map_err(|_| wrong())?;
    }
    if seconds == 0 { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_read_as_written() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("45m", 2700), ("1h30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "m", "1x", "-5", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
