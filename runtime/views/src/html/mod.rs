//! One page of HTML that needs nothing else: no network, no script. Styles and figures stand in it, pictures are data URIs.
//!
//! The page is a template, `page.html`, filled with text that was made here. The template escapes all of it; only the style
//! sheet and the figures, which are ours, are put in as they are.

mod canvas;
mod classes;
mod command;
mod facts;
mod figures;
mod gallery;
mod landscapes;
mod rules;
mod text;
mod traces;

use mimir_bundle::Certificate;
use mimir_runtime::report::{FailureReport, Report};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use crate::answer::{Answer, Shown};
use facts::Facts;
use text::clipped;

pub use gallery::{PicturePair, shown_images};

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct PageContent<'a> {
    /// The report, or why there is none.
    pub shown: Shown<'a>,
    /// The certificate of the same run, where it has one: it knows the settings.
    pub certificate: Option<&'a Certificate>,
    /// The report folder, as the user names it.
    pub folder: &'a str,
    /// Images and counterexamples, those of [`shown_images`] that could be read.
    pub pairs: &'a [PicturePair],
    /// Why there are no pictures, where somebody may look for them.
    pub without_pictures: Option<&'a str>,
}

/// Why a page could not be made: a defect of this library.
#[derive(Debug, thiserror::Error)]
#[error("the page could not be made: {0}")]
pub struct PageError(String);

/// The page.
///
/// # Errors
/// [`PageError`].
pub fn page(content: &PageContent<'_>) -> Result<String, PageError> {
    let made = match content.shown.answer {
        Answer::Finished(report) => report_page(content, report),
        Answer::Failed(failed) => failure_page(content, failed),
    };
    made.map_err(PageError)
}

fn report_page(content: &PageContent<'_>, report: &Report) -> Result<String, String> {
    let figure = |svg: String| Value::from_safe_string(svg);
    let curve = figures::curve(report).transpose()?;
    let iterates = figures::iterates(report).transpose()?;
    let traces = traces::traces(report).transpose()?;
    let landscapes = landscapes::landscapes(report)?;
    fill(
        "page.html",
        context! {
            facts => serialised(Facts::new(report, content.shown.gate)),
            accuracies => figure(figures::accuracies(report)?),
            curve => curve.map(figure),
            iterates => iterates.map(figure),
            traces => traces.map(figure),
            trace_rows => serialised(traces::rows(report)),
            diagnosis => serialised(rules::diagnosis(report)),
            landscapes => landscapes.map(serialised),
            classes => serialised(classes::classes(report)),
            confusion => serialised(classes::confusion(report)),
            cards => serialised(gallery::cards(report, content.pairs)?),
            without_pictures => content.without_pictures.map(|reason| clipped(reason, 1000)),
            commands => serialised(command::commands(report, content.certificate, content.folder)),
        },
    )
}

fn failure_page(content: &PageContent<'_>, failed: &FailureReport) -> Result<String, String> {
    let kind = serde_json::to_value(failed.error.kind).unwrap_or_default();
    fill(
        "failure.html",
        context! {
            gate => content.shown.gate.map(|gate| clipped(gate, 100)),
            kind => kind.as_str(),
            message => clipped(&failed.error.message, 20_000),
            exit_code => failed.gate.exit_code,
            created_at => clipped(&failed.created_at, 60),
            tool => clipped(&format!("{} {}", failed.tool.name, failed.tool.version), 60),
        },
    )
}

/// A value of the template. What cannot be serialised is an error when the template uses it.
fn serialised(value: impl Serialize) -> Value {
    Value::from(Serde(value))
}

/// Blocks on lines of their own leave no trace.
fn lines_of_their_own() -> Result<SyntaxConfig, String> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|error| error.to_string())
}

/// Fills a template. What is put in is escaped, because the names of the templates end in `.html`.
fn fill(template: &str, values: Value) -> Result<String, String> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    templates.set_syntax(lines_of_their_own()?);
    templates.add_global("style", Value::from_safe_string(include_str!("style.css").to_owned()));
    for (name, text) in
        [("page.html", include_str!("page.html")), ("failure.html", include_str!("failure.html"))]
    {
        templates.add_template(name, text).map_err(|error| format!("{error:#}"))?;
    }
    let template = templates.get_template(template).map_err(|error| format!("{error:#}"))?;
    template.render(values).map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests;
