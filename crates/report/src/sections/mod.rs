//! The sections of a page, each in a file of its own.

mod captions;
mod comparison;
mod examples;
mod provenance;
mod responsible;
mod scores;

pub(crate) use captions::captions;
pub(crate) use comparison::comparison;
pub(crate) use examples::examples;
pub(crate) use provenance::provenance;
pub(crate) use responsible::responsible;
pub(crate) use scores::scores;

use crate::analysis::Analysis;
use crate::html::{Html, shorten_inside};
use crate::plot::COLOURS;

/// Most characters of a model's name in the head of a table.
const MAX_HEAD: usize = 48;

/// The colour of a model as a small square, which stays on the line of what follows.
pub(crate) fn swatch(html: &mut Html, place: usize) {
    html.raw("<i aria-hidden=\"true\"")
        .attr("class", format_args!("swatch {}", COLOURS[place % COLOURS.len()]));
    html.raw(">\u{25a0}\u{a0}</i>");
}

/// Begins a table of texts that scrolls by itself where it is too wide; `first` heads the column of names.
pub(crate) fn table(html: &mut Html, first: &'static str, columns: impl IntoIterator<Item = &'static str>) {
    html.raw("<div class=\"wide\"><table>\n<thead><tr>").element("<th scope=\"col\">", first, "</th>");
    for column in columns {
        html.element("<th scope=\"col\" class=\"text\">", column, "</th>");
    }
    html.raw("</tr></thead>\n<tbody>\n");
}

/// As [`table`], with a column for each model after those of `columns`; the first models may be left out.
fn table_of_models(
    html: &mut Html,
    first: &'static str,
    columns: &[&'static str],
    analysis: &Analysis,
    skip: usize,
) {
    html.raw("<div class=\"wide\"><table>\n<thead><tr>").element("<th scope=\"col\">", first, "</th>");
    for column in columns {
        html.element("<th scope=\"col\">", column, "</th>");
    }
    for (place, model) in analysis.models.iter().enumerate().skip(skip) {
        html.raw("<th scope=\"col\">");
        swatch(html, place);
        html.foreign(&shorten_inside(&model.model.name, MAX_HEAD)).raw("</th>");
    }
    html.raw("</tr></thead>\n<tbody>\n");
}

/// Ends it.
pub(crate) fn end_table(html: &mut Html) {
    html.raw("</tbody></table></div>\n");
}

/// Begins a row that is named by text of this program.
fn row(html: &mut Html, name: &str) {
    html.element("<tr><th scope=\"row\">", name, "</th>");
}
