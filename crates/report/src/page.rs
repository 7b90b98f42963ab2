//! The page as a whole: head, sections, foot.

use crate::analysis::Analysis;
use crate::html::{Html, count, shorten};
use crate::{Report, ReportError, sections};

const HEAD: &str = concat!(
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
    "<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n",
    // Should anything ever slip through, a browser still runs and loads nothing.
    "<meta http-equiv=\"Content-Security-Policy\" ",
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">\n",
    "<style>\n",
    include_str!("style.css"),
    "</style>\n",
);

/// Makes the page. Equal reports, with equal picture files, give equal pages.
///
/// ```
/// use capwright_report::{Image, Model, Report, render};
/// let report = Report {
///     title: "Two dogs".into(),
///     images: vec![Image { id: "1".into(), path: None, references: vec!["two dogs play".into()] }],
///     models: vec![Model { name: "first".into(), captions: vec!["a dog <b>plays</b>".into()] }],
///     ..Report::default()
/// };
/// let page = render(&report).unwrap();
/// assert!(page.contains("a dog &lt;b&gt;plays&lt;/b&gt;"));
/// ```
///
/// # Errors
/// [`ReportError::Input`] with everything that does not fit together, [`ReportError::Metric`] when there is nothing to
/// score.
pub fn render(report: &Report) -> Result<String, ReportError> {
    report.check()?;
    let analysis = Analysis::new(report)?;
    Ok(page(&report.title, |html| {
        header(html, &analysis);
        html.raw("<main>\n");
        sections::scores(html, &analysis);
        sections::comparison(html, &analysis);
        sections::captions(html, &analysis);
        sections::examples(html, &analysis);
        sections::responsible(html, &analysis);
        sections::provenance(html, &analysis);
        html.raw("</main>\n");
    }))
}

/// A whole page with that title around what `body` writes.
pub(crate) fn page(title: &str, body: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::default();
    html.raw(HEAD).element("<title>", shorten(title, 200), "</title>\n</head>\n<body>\n");
    body(&mut html);
    html.raw("<footer>Made by capwright-report ").text(env!("CARGO_PKG_VERSION"));
    html.raw(". This page has no scripts and loads nothing.</footer>\n</body>\n</html>\n");
    html.finish()
}

fn header(html: &mut Html, analysis: &Analysis) {
    let report = analysis.report;
    let references = report.images.iter().map(|image| image.references.len()).sum();
    html.raw("<header>\n<h1>").foreign(&report.title).raw("</h1>\n<p class=\"lead\">");
    html.text(count(report.models.len(), "model", "models")).raw(" on ");
    html.text(count(report.images.len(), "image", "images")).raw(" with ");
    html.text(count(references, "reference caption", "reference captions"))
        .raw(".</p>\n<ul class=\"legend\">");
    for (place, model) in report.models.iter().enumerate() {
        html.raw("<li>");
        sections::swatch(html, place);
        html.foreign(&model.name).raw("</li>");
    }
    html.raw("</ul>\n<nav><a href=\"#scores\">Scores</a>");
    if report.models.len() > 1 {
        html.raw(" <a href=\"#comparison\">Comparison</a>");
    }
    html.raw(" <a href=\"#captions\">Lengths and variety</a> <a href=\"#examples\">Best and worst</a>");
    html.raw(" <a href=\"#responsible\">Responsible use</a> <a href=\"#provenance\">Provenance</a></nav>\n</header>\n");
}
