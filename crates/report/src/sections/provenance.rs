//! Where the figures come from.

use capwright_caption_metrics::Tokenizer;

use super::{end_table, table};
use crate::analysis::Analysis;
use crate::html::{Html, thousands};

/// Writes the section.
pub(crate) fn provenance(html: &mut Html, analysis: &Analysis) {
    html.raw("<section id=\"provenance\">\n<h2>Provenance</h2>\n");
    table(html, "", [""]);
    for (name, value) in &analysis.report.provenance {
        html.raw("<tr><th scope=\"row\">")
            .foreign(name)
            .raw("</th><td class=\"text\">")
            .foreign(value)
            .raw("</td></tr>\n");
    }
    let options = &analysis.report.options;
    let score = &options.score;
    let words = match score.tokenizer {
        Tokenizer::Ptb => "PTB tokenizer of the COCO evaluation",
        Tokenizer::Characters => "Han characters and kana as words, others by the PTB tokenizer",
    };
    let scoring = format!(
        "{words}; {} bootstrap draws at {} %, {} swaps, seed {}",
        thousands(score.resamples),
        (score.confidence * 1000.0).round() / 10.0,
        thousands(options.swaps),
        score.seed
    );
    html.element("<tr><th scope=\"row\">Scoring</th><td class=\"text\">", scoring, "</td></tr>\n");
    end_table(html);
    html.raw("</section>\n");
}
