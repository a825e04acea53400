//! Says what a model sees in a picture, if the model meets a policy:
//!
//! ```sh
//! cargo run -p mimir-certify --example classify -- policy.toml model.mimir cat.png
//! ```

use std::path::Path;
use std::process::ExitCode;

use mimir_bundle::policy::Requirement;
use mimir_certify::read_policy;
use mimir_certify::serve::{CallLimits, ServeError, ServeOptions, ServedModel, Session};
use mimir_data::Picture;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policy, bundle, picture] = &arguments[..] else {
        eprintln!("usage: classify POLICY.toml BUNDLE PICTURE.png");
        return ExitCode::from(2);
    };
    match classify(policy.as_ref(), bundle.as_ref(), picture.as_ref()) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(ServeError::Refused { verdict, .. }) = error.downcast_ref() {
                for requirement in verdict.requirements().iter().filter(|requirement| !requirement.met) {
                    let Requirement { name, wanted, found, .. } = requirement;
                    eprintln!("  not met: {name}: wanted {wanted}, found {found}");
                }
            }
            ExitCode::FAILURE
        }
    }
}

fn classify(policy: &Path, bundle: &Path, path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let model = ServedModel::load(bundle, &read_policy(policy)?, &[])?;
    let session = Session::new(&model, &ServeOptions::default())?;
    let mut pixels = vec![0.0; model.image().pixels()];
    model.prepare_picture(read_png(path)?, &mut pixels)?;
    let answer = session.classify(&pixels, &CallLimits::default())?[0];
    let Some(class) = answer.class else { return Ok("no class, the scores are not numbers".to_owned()) };
    let name = model.class_name(class).unwrap_or("unnamed");
    let (probability, margin) = (answer.probability.unwrap_or(f32::NAN), answer.margin.unwrap_or(f32::NAN));
    Ok(format!(
        "{}: {name} (class {class}), probability {probability:.4}, margin {margin:.4}",
        path.display()
    ))
}

fn read_png(path: &Path) -> Result<Picture, Box<dyn std::error::Error>> {
    let picture = image::open(path)?.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Picture::new(width, height, 3, picture.into_raw())?)
}
