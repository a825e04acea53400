//! What a check found, as text.

use std::fmt;

use mimir_bundle::{
    BatchMode, ChannelOrder, ImageShape, Layout, Manifest, Normalisation, OutputKind, one_line,
};
use mimir_runtime::report::percent;
use mimir_runtime::statistics::fraction;

use super::{Checked, CheckedOnImages, OtherNormalisation};

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { files, opset, ir_version, producer, classes, output, batch, .. } = &self.model;
        // What `sha256sum` prints of the file, as in the summary of a run.
        let digest = files.first().map_or("", |file| file.sha256.as_str());
        let digest = digest.get(..12).unwrap_or(digest);
        writeln!(f, "model              {} (sha256 {digest}…)", self.file)?;
        let producer = if producer.is_empty() { "unknown" } else { producer };
        writeln!(f, "format             opset {opset}, IR version {ir_version}, written by {producer}")?;
        writeln!(f, "input              {}", input(&self.model))?;
        let numbers = match output {
            OutputKind::Logits => "logits",
            OutputKind::Probabilities => "probabilities",
            OutputKind::Saturating => "scores that saturate",
        };
        writeln!(f, "output             {classes} classes, {numbers}")?;
        let batch = match batch {
            BatchMode::Dynamic => "any size".to_owned(),
            BatchMode::Rebatched => {
                "fixed in the file, any size after a change that leaves the logits as they are".to_owned()
            }
            BatchMode::One => "one image".to_owned(),
            BatchMode::Fixed(rows) => format!("{rows} images, no other number"),
        };
        writeln!(f, "batch              {batch}")?;
        let attacks = self.attacks.join(", ");
        writeln!(f, "gradients          built for {attacks}; {}", self.gradients())?;
        writeln!(f, "engine             {}", self.engine)?;
        if let Some(on_images) = &self.on_images {
            on_images.fmt(f)?;
        }
        for warning in &self.warnings {
            writeln!(f, "\nwarning: {}", one_line(warning))?;
        }
        Ok(())
    }
}

impl Checked {
    fn gradients(&self) -> String {
        match (self.scan.gradient_cuts.len(), self.scan.straight_through.len()) {
            (0, 0) => "every operator has its derivative".to_owned(),
            (0, approximated) => format!("{approximated} nodes have an approximation"),
            (cut, 0) => format!("{cut} nodes pass none"),
            (cut, approximated) => format!("{cut} nodes pass none, {approximated} have an approximation"),
        }
    }
}

fn input(manifest: &Manifest) -> String {
    let ImageShape { channels, height, width } = manifest.image;
    let layout = match manifest.layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
        Layout::Flat => "flat",
    };
    let pixels = manifest.normalisation.as_ref().map_or_else(|| "in [0, 1]".to_owned(), shown);
    let order = match manifest.channel_order {
        ChannelOrder::Rgb => "",
        ChannelOrder::Bgr => ", BGR (blue first)",
    };
    format!("{channels} × {height} × {width}, {layout}{order}, pixels {pixels}")
}

fn shown(Normalisation { scale, mean, std }: &Normalisation) -> String {
    let scale = if *scale == 1.0 { String::new() } else { format!(", for levels of 0 to {scale}") };
    format!("normalised with mean {} and standard deviation {}{scale}", list(mean), list(std))
}

fn list(values: &[f64]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for CheckedOnImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, images, classified, correct, non_finite, cost, .. } = self;
        let Self { suspicious_normalisation, tied_normalisations, .. } = self;
        writeln!(f, "images             {images} of {}", one_line(source))?;
        let accuracy = percent(fraction(*correct, *classified));
        writeln!(f, "clean accuracy     {accuracy}: {correct} of {classified} images, spread over the set")?;
        if *non_finite > 0 {
            writeln!(
                f,
                "not finite         the logits of {non_finite} of them hold NaN or +infinity and mean no class"
            )?;
        }
        let passes = cost.most_passes;
        let (forward, gradient) = (cost.forward_microseconds, cost.gradient_microseconds);
        let gradient = gradient.map_or_else(String::new, |time| format!(", with its gradient {time:.0} µs"));
        writeln!(
            f,
            "cost               at most {passes} passes, {}, on {} workers here (a forward pass takes {forward:.0} µs \
             an image{gradient})",
            duration(cost.most_seconds),
            cost.workers,
        )?;
        let Some(OtherNormalisation { name, flags, correct, .. }) = suspicious_normalisation else {
            return writeln!(f, "normalisation      no customary one makes the model better");
        };
        writeln!(
            f,
            "normalisation      suspicious: as for {name} ({flags}) the model is right on {correct} of {classified}"
        )?;
        tied_normalisations.iter().try_for_each(|OtherNormalisation { name, flags, correct, .. }| {
            writeln!(f, "                   or, so few images do not tell: {name} ({flags}), {correct} of {classified}")
        })
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{:.0} s", seconds.ceil()),
        ..5400.0 => format!("{:.0} min", (seconds / 60.0).ceil()),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
