//! What was typed. Meaning is given to it in [`crate::options`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::numbers::{ClassList, Numbers, PictureSize, ShapeArg};

const AFTER_HELP: &str = "\
`mimir-export CHECKPOINT ...` is short for `mimir-export export CHECKPOINT ...`.

Examples:
  mimir-export runs/quick/seed-0/finetune/best.safetensors -o bundle/
  mimir-export vit_tiny.safetensors --architecture vit_tiny_patch16_224 --classes 1000 \\
      --mean 0.5 --std 0.5 --resize 248 --crop 224 --interpolation bicubic -o vit_tiny.mimir
  mimir-export bundle model.onnx --mean 0.5 --std 0.5 --classes names.txt -o model.mimir
  mimir-export bundle bundle/ -o model.mimir  # a bundle as one file, and back: -o folder/
  mimir-export show model.onnx                # the graph as text: one line an input, weight, node, output
  mimir-export diff old.onnx new.onnx         # what differs: nodes, and each weight with its differences

Exit codes:
   0  done; `diff`: equal
   1  `diff`: different
   2  usage, or a file that cannot be read, written or understood";

/// Exports checkpoints of vision transformers to ONNX, and shows and compares ONNX models.
#[derive(Debug, Parser)]
#[command(
    name = "mimir-export",
    bin_name = "mimir-export",
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
    export: ExportArgs,
}

impl Cli {
    /// The command; without a name it is `export`.
    pub(crate) fn into_command(self) -> Command {
        self.command.unwrap_or_else(|| Command::Export(Box::new(self.export)))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Export a checkpoint (safetensors, of mimir-train or timm) as a bundle or an ONNX file
    Export(Box<ExportArgs>),
    /// Make a bundle of an ONNX classifier of any origin: the file as it is, and the description of its images
    Bundle(Box<BundleArgs>),
    /// Print what stands in an ONNX file or a bundle, as canonical text
    Show(ShowArgs),
    /// Compare two ONNX files, graph and weights, or two bundles, their descriptions and gradient graphs too
    Diff(DiffArgs),
    /// Print a completion script, e.g. `mimir-export completions bash`
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The checkpoint: a safetensors file of mimir-train, or one with the names of timm
    #[arg(required = true)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Where to: a folder or NAME.mimir for a bundle, NAME.onnx for the model alone
    #[arg(long, short, required = true, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the bundle or file that is there, certificates and signature included
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    #[command(flatten)]
    pub(crate) graph: GraphArgs,
}

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The ONNX file; or a bundle: it is written in the other form, certificates and signature included, or with other
    /// --classes, --resize, --crop and --interpolation, without these
    pub(crate) model: PathBuf,
    /// Where to: a folder, or NAME.mimir
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Replace the bundle that is there, certificates and signature included
    #[arg(long)]
    pub(crate) force: bool,
    /// A file with the names of the classes, one a line, in the order of the scores; or their number, which is checked
    #[arg(long, value_name = "N|FILE")]
    pub(crate) classes: Option<ClassList>,
    #[command(flatten)]
    pub(crate) images: ImageArgs,
    /// Shape of an image, where the file does not fix it
    #[arg(long, value_name = "C,H,W", help_heading = "Images")]
    pub(crate) input_shape: Option<ShapeArg>,
    /// Layout of the file's input, where it can be read in two ways
    #[arg(long, value_enum, value_name = "LAYOUT", help_heading = "Images")]
    pub(crate) layout: Option<LayoutArg>,
    /// Order of the colours in the file's input [default: rgb]
    #[arg(long, value_enum, value_name = "ORDER", help_heading = "Images")]
    pub(crate) channels: Option<ChannelsArg>,
    /// The output with the scores of the classes, where the file has several that can have them
    #[arg(long, value_name = "NAME")]
    pub(crate) output_name: Option<String>,
}

/// Layouts of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    Nchw,
    Nhwc,
    Flat,
}

/// Orders of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelsArg {
    Rgb,
    Bgr,
}

/// Which network it is, where the checkpoint does not say so.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network, for checkpoints without a header of mimir-train")]
pub(crate) struct NetworkArgs {
    /// Name of the network, as timm spells it: vit_tiny_patch16_224, deit_small, convit_base, cait_xxs24
    #[arg(long, value_name = "NAME")]
    pub(crate) architecture: Option<String>,
    /// Side of the images in pixels; positions for another grid are resampled
    #[arg(long, value_name = "PIXELS")]
    pub(crate) image_size: Option<usize>,
    /// Side of a patch in pixels
    #[arg(long, value_name = "PIXELS")]
    pub(crate) patch_size: Option<usize>,
    /// Attention heads
    #[arg(long, value_name = "N")]
    pub(crate) heads: Option<usize>,
    /// Number of classes, or a file with their names, one a line, in the order of the logits
    #[arg(long, value_name = "N|FILE")]
    pub(crate) classes: Option<ClassList>,
}

/// How pictures become the input.
#[derive(Debug, Args)]
#[command(next_help_heading = "Images")]
pub(crate) struct ImageArgs {
    /// Mean of the pixels that the network was trained on, one value or one a channel; for [0, 1], or levels of 0 to 255
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    pub(crate) mean: Option<Numbers>,
    /// Their standard deviation
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    pub(crate) std: Option<Numbers>,
    /// Pictures are resized to this shorter side, or to HEIGHTxWIDTH
    #[arg(long, value_name = "PIXELS")]
    pub(crate) resize: Option<PictureSize>,
    /// Of them the middle is taken: a square's side, or HEIGHTxWIDTH
    #[arg(long, value_name = "PIXELS")]
    pub(crate) crop: Option<PictureSize>,
    /// Filter of --resize, with antialiasing [default: bilinear]
    #[arg(long, value_enum, value_name = "FILTER")]
    pub(crate) interpolation: Option<InterpolationArg>,
}

/// How the graph is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Graph")]
pub(crate) struct GraphArgs {
    /// Opset of the graph; from 20 on Gelu is one operator
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(17..=23))]
    pub(crate) opset: u32,
    /// Type of weights and arithmetic. float16 has half the size and 11 significant bits: logits differ by about 1e-3 of
    /// their size; images and logits stay float32
    #[arg(long, value_enum, default_value_t)]
    pub(crate) precision: PrecisionArg,
    /// Where pixels are normalised: by whoever runs the model, as the manifest says, or by nodes of the graph
    #[arg(long, value_enum, default_value_t, value_name = "PLACE")]
    pub(crate) normalisation: NormalisationArg,
    /// Store weights in NAME.onnx.data beside the file [default: above 100 MB]
    #[arg(long)]
    pub(crate) external_data: bool,
    /// Return the encoder's tokens too, as the output `features`
    #[arg(long)]
    pub(crate) feature: bool,
    /// Add gradient graphs for these losses, which share the weights
    #[arg(long, value_enum, value_name = "LOSS", value_delimiter = ',', num_args = 1..)]
    pub(crate) gradient: Vec<LossArg>,
}

/// Where pixels are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum NormalisationArg {
    #[default]
    Manifest,
    Graph,
}

/// Filters of `--resize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InterpolationArg {
    Bilinear,
    Bicubic,
}

/// Types of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PrecisionArg {
    #[default]
    Float32,
    Float16,
}

/// Losses of gradient graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LossArg {
    CrossEntropy,
    Dlr,
    TargetedDlr,
    Margin,
    RelaxedMargin,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// An ONNX file, or a bundle: its folder or .mimir file
    pub(crate) model: PathBuf,
    /// Print JSON in place of text (docs/snapshots.md)
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The ONNX file or bundle before
    pub(crate) before: PathBuf,
    /// The ONNX file or bundle after
    pub(crate) after: PathBuf,
    /// Weights of the same type count as equal where no element differs by more than this
    #[arg(long, value_name = "NUMBER", default_value_t = 0.0, value_parser = tolerance)]
    pub(crate) tolerance: f64,
    /// Print JSON in place of text (docs/snapshots.md)
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
    /// Folder for mimir-export.1 and a page for each command; it is made where it is missing
    pub(crate) folder: PathBuf,
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("wanted a number of 0 or more, such as 1e-6".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_short_form_is_export() {
        for words in [
            &["mimir-export", "a.safetensors", "-o", "out/", "--gradient", "dlr,cross-entropy"][..],
            &["mimir-export", "export", "a.safetensors", "-o", "out/", "--gradient", "dlr", "cross-entropy"],
        ] {
            let Command::Export(export) = Cli::parse_from(words).into_command() else { panic!("{words:?}") };
            assert_eq!(export.checkpoint, Some(PathBuf::from("a.safetensors")), "{words:?}");
            assert_eq!(export.graph.gradient, [LossArg::Dlr, LossArg::CrossEntropy], "{words:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        let cases: [(&[&str], &str); 9] = [
            (&["diff", "a.onnx"], "<AFTER>"),
            (&["diff", "a", "b", "--tolerance=-1"], "--tolerance"),
            (&["diff", "a", "b", "--tolerance", "NaN"], "1e-6"),
            (&["show", "a", "--jsom"], "--json"),
            (&["a.safetensors"], "--output"),
            (&["a.safetensors", "-o", "b", "--opset", "16"], "17..=23"),
            (&["a.safetensors", "-o", "b", "--precision", "float64"], "float32, float16"),
            (&["a.safetensors", "-o", "b", "--mean", "0.5,x"], "1/255"),
            (&["a.safetensors", "-o", "b", "--resize", "0"], "HEIGHTxWIDTH"),
        ];
        for (words, expected) in cases {
            let words = [&["mimir-export"], words].concat();
            let error = Cli::try_parse_from(&words).unwrap_err().to_string();
            assert!(error.contains(expected), "{words:?}: {error}");
        }
    }
}
