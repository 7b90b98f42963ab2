//! The models against the first one.

use capwright_caption_metrics::PairedTest;

use super::scores::{names, values};
use super::{end_table, row, table_of_models};
use crate::analysis::{Analysed, Analysis};
use crate::html::{Html, thousands};
use crate::plot::{Whisker, whiskers};

/// p-values below this are marked.
const NOTABLE: f64 = 0.05;

/// Writes the section; nothing for a single model.
pub(crate) fn comparison(html: &mut Html, analysis: &Analysis) {
    let [first, others @ ..] = analysis.models.as_slice() else { return };
    if others.is_empty() {
        return;
    }
    html.raw("<section id=\"comparison\">\n<h2>Comparison with ").foreign(&first.model.name);
    html.raw("</h2>\n<p>Figure of the model minus that of ").foreign(&first.model.name);
    html.raw(
        ", and below it <i>p</i>: if the two models were equally good, how often would chance alone make a ",
    );
    html.raw("difference at least this large? Differences with <i>p</i> below 0.05 are ");
    html.raw("<strong>bold</strong>; the others may well be chance.</p>\n");
    table_of_models(html, "Metric", &[], analysis, 1);
    for (metric, name) in names(&first.scores.corpus).iter().enumerate() {
        row(html, name);
        for test in others.iter().filter_map(|model| model.test.as_ref()) {
            cell(html, &values(test)[metric]);
        }
        html.raw("</tr>\n");
    }
    end_table(html);
    how(html, others);
    html.raw("<h3>Figures with their intervals</h3>\n<div class=\"plots\">\n");
    panels(html, analysis);
    html.raw("</div>\n</section>\n");
}

fn cell(html: &mut Html, test: &PairedTest) {
    // Without this, a difference that rounds to zero would be written -0.000.
    let difference = if test.difference.abs() < 0.0005 { 0.0 } else { test.difference };
    let text = format!("{difference:+.3}").replace('-', "\u{2212}");
    html.raw("<td>");
    if test.p_value < NOTABLE {
        html.element("<strong>", text, "</strong>");
    } else {
        html.text(text);
    }
    let p = if test.p_value < 0.0005 { "p < 0.001".to_owned() } else { format!("p = {:.3}", test.p_value) };
    html.element("<small>", p, "</small></td>");
}

fn how(html: &mut Html, others: &[Analysed]) {
    let Some(test) = others.first().and_then(|model| model.test.as_ref()) else { return };
    let tests = 9 * others.len();
    html.raw("<p class=\"note\">Paired permutation test: the captions of an image change sides or stay, ");
    html.text(thousands(test.bleu4.swaps)).raw(if test.bleu4.exact {
        " ways, which are all."
    } else {
        " times drawn."
    });
    html.raw(" Of ").text(tests).raw(" tests, about ").text(format!("{:.1}", tests as f64 * NOTABLE));
    html.raw(" fall below 0.05 even where nothing differs. A difference that is sure need not be one that matters.</p>\n");
}

fn panels(html: &mut Html, analysis: &Analysis) {
    let Some(first) = analysis.models.first() else { return };
    for (metric, name) in names(&first.scores.corpus).into_iter().enumerate() {
        let rows: Vec<Whisker> = analysis
            .models
            .iter()
            .enumerate()
            .map(|(place, model)| Whisker {
                name: &model.model.name,
                value: values(&model.scores.corpus)[metric],
                interval: model.scores.intervals.as_ref().map(|all| values(all)[metric]),
                place,
            })
            .collect();
        html.element("<figure><figcaption>", &name, "</figcaption>");
        whiskers(html, format!("{name} of each model with its interval"), &rows);
        html.raw("</figure>\n");
    }
}
