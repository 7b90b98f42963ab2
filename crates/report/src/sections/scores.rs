//! The table of scores, what each score means, and warnings of collapsed models.

use capwright_caption_metrics::{CollapseReport, Figures};

use super::{end_table, row, table_of_models};
use crate::analysis::{Analysis, best};
use crate::html::{Html, count, percent, thousands};

/// Name and explanation of each metric, in the order of [`Figures::entries`].
const METRICS: [(&str, &str); 9] = [
    (
        "BLEU-1",
        "Of the words in the captions, how many does a person use for the same image? 0 to 1. Order does not count.",
    ),
    ("BLEU-2", "As BLEU-1, for single words and pairs of neighbouring words together. 0 to 1."),
    ("BLEU-3", "As BLEU-2, with runs of three words too. 0 to 1."),
    (
        "BLEU-4",
        "As BLEU-3, with runs of four words too. 0 to 1. The most quoted of the four; captions that are shorter than \
         those of people lose points.",
    ),
    (
        "ROUGE-L",
        "How much of a reference comes up in the caption in the same order, with gaps allowed? The reference that fits \
         best counts. 0 to 1.",
    ),
    (
        "CIDEr",
        "How much do the words resemble those that people chose for this image, where words that are seldom in the \
         data set count more? 0 to 10; the form of the paper.",
    ),
    (
        "CIDEr-D",
        "CIDEr made harder to trick with repeated words and odd lengths. 0 to 10. Most papers print this one as \
         \u{201c}CIDEr\u{201d}, often times 100.",
    ),
    (
        "METEOR",
        "How many words of caption and reference can be paired, and how little is their order disturbed? 0 to 1. See the \
         name in brackets: it tells which ways to pair words were in use.",
    ),
    (
        "LEMUR BLEU",
        "A smoothed BLEU-4 of each caption alone, averaged, as the LEMUR data set of neural networks prints it. 0 to 1. \
         Not to be compared with BLEU-4.",
    ),
];

/// Names of the metrics for people.
pub(super) fn names<T>(figures: &Figures<T>) -> [String; 9] {
    let keys = figures.entries().map(|(key, _)| key);
    std::array::from_fn(|k| match METRICS[k].0 {
        "METEOR" if keys[k] != "meteor" => {
            format!("METEOR ({})", keys[k].trim_start_matches("meteor_").replace('_', ", "))
        }
        name => name.to_owned(),
    })
}

/// The values of all metrics in their order.
pub(super) fn values<T: Copy>(figures: &Figures<T>) -> [T; 9] {
    figures.entries().map(|(_, value)| *value)
}

/// Writes the section.
pub(crate) fn scores(html: &mut Html, analysis: &Analysis) {
    html.raw("<section id=\"scores\">\n<h2>Scores</h2>\n");
    analysis.models.iter().for_each(|model| warning(html, &model.model.name, &model.collapse));
    html.raw("<p>Higher is better in every row. ");
    if analysis.models.len() > 1 {
        html.raw("The best figure of a row is <strong class=\"best\">marked</strong>. ");
    }
    if analysis.models.iter().any(|model| model.scores.intervals.is_some()) {
        let score = &analysis.report.options.score;
        html.raw("Below each figure stands its ").text(percent_of_confidence(score.confidence));
        html.raw(" interval: had other images of the same kind been taken, the figure would likely lie there (bootstrap, ");
        html.text(thousands(score.resamples)).raw(" draws).");
    }
    html.raw("</p>\n");
    score_table(html, analysis);
    html.raw("<details>\n<summary>What the scores mean</summary>\n<dl>\n");
    for (name, meaning) in METRICS {
        html.element("<dt>", name, "</dt>").element("<dd>", meaning, "</dd>\n");
    }
    html.raw("</dl>\n</details>\n<details open>\n<summary>What the scores are not</summary>\n<p>");
    html.raw("All of them count words that captions share with a few sentences by people. They do not look at the image: ");
    html.raw("a right caption in other words scores low, and a fluent caption with one fatal mistake (a wrong colour, a ");
    html.raw("missing person) scores high. They are no percentages of right captions. Compare them only between models ");
    html.raw("on the same images, with the same references and the same way to split words.</p>\n</details>\n</section>\n");
}

fn score_table(html: &mut Html, analysis: &Analysis) {
    table_of_models(html, "Metric", &[], analysis, 0);
    let columns: Vec<[f64; 9]> = analysis.models.iter().map(|m| values(&m.scores.corpus)).collect();
    let Some(first) = analysis.models.first() else { return };
    for (metric, name) in names(&first.scores.corpus).iter().enumerate() {
        row(html, name);
        let values_here: Vec<f64> = columns.iter().map(|c| c[metric]).collect();
        let marked = if values_here.len() > 1 { best(&values_here) } else { Vec::new() };
        for (place, model) in analysis.models.iter().enumerate() {
            let value = format!("{:.3}", values_here[place]);
            html.raw("<td>");
            if marked.contains(&place) {
                html.element("<strong class=\"best\">", value, "</strong>");
            } else {
                html.text(value);
            }
            if let Some(intervals) = &model.scores.intervals {
                let interval = values(intervals)[metric];
                let range = format!("{:.3}\u{2013}{:.3}", interval.low, interval.high);
                html.element("<small>", range, "</small>");
            }
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    end_table(html);
}

fn percent_of_confidence(confidence: f64) -> String {
    format!("{} %", (confidence * 1000.0).round() / 10.0)
}

fn warning(html: &mut Html, name: &str, collapse: &CollapseReport) {
    if !collapse.is_collapsed() {
        return;
    }
    html.raw("<p class=\"warning\"><strong>Collapsed:</strong> ").foreign(name);
    html.raw(" says (nearly) the same for every image, so its scores mean nothing. It has ");
    html.text(count(collapse.distinct, "caption", "different captions")).raw(" for ");
    html.text(thousands(collapse.images))
        .raw(" images; the most frequent, for ")
        .text(percent(collapse.top_share))
        .raw(" of them, is: <q>");
    html.foreign(&collapse.top_caption).raw("</q></p>\n");
}
