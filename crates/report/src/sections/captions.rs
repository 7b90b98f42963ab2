//! How long and how varied the captions are, and how their scores spread.

use capwright_caption_metrics::Diversity;

use super::{end_table, row, swatch, table_of_models};
use crate::analysis::Analysis;
use crate::html::{Html, percent, thousands};
use crate::plot::{Histogram, histogram};

/// Captions of so many words or more share the last bin.
const LONGEST: usize = 30;
/// Bins of the histogram of CIDEr-D.
const BINS: usize = 20;

/// Writes the section.
pub(crate) fn captions(html: &mut Html, analysis: &Analysis) {
    html.raw("<section id=\"captions\">\n<h2>Lengths and variety</h2>\n<h3>Words in a caption</h3>\n");
    html.raw("<p>Bars: captions of the model. Line: references by people.</p>\n<div class=\"plots\">\n");
    lengths(html, analysis);
    html.raw("</div>\n<h3>CIDEr-D of single images</h3>\n<p>A mean hides how scores spread: many images near 0 are images ");
    html.raw("that the model did not understand, or says in words that no reference has.</p>\n<div class=\"plots\">\n");
    spread(html, analysis);
    html.raw("</div>\n<h3>Variety</h3>\n");
    variety(html, analysis);
    html.raw("</section>\n");
}

fn lengths(html: &mut Html, analysis: &Analysis) {
    let all = || analysis.models.iter().map(|m| &m.diversity).chain([&analysis.reference_diversity]);
    let bins = all().map(|d| d.lengths.len()).max().unwrap_or(0).clamp(1, LONGEST + 1);
    let cut = all().any(|d| d.lengths.len() > bins);
    let references = shares(&analysis.reference_diversity.lengths, bins);
    let models: Vec<Vec<f64>> = analysis.models.iter().map(|m| shares(&m.diversity.lengths, bins)).collect();
    let top = models.iter().chain([&references]).flatten().copied().fold(0.0, f64::max);
    let ticks: Vec<(f64, String)> = (0..bins)
        .step_by(5)
        .map(|bin| {
            (bin as f64 + 0.5, if cut && bin + 1 == bins { format!("{bin}+") } else { bin.to_string() })
        })
        .collect();
    for (place, (model, bars)) in analysis.models.iter().zip(&models).enumerate() {
        caption(html, place, &model.model.name, format!("mean {:.1}", model.diversity.mean_length));
        let title = format!("Words in the captions of {}", model.model.name);
        let line = Some(references.as_slice());
        let plot = Histogram { title, axis: "words", bars, line, top, ticks: &ticks, place };
        histogram(html, &plot);
        html.raw("</figure>\n");
    }
}

fn spread(html: &mut Html, analysis: &Analysis) {
    let values: Vec<Vec<f64>> =
        analysis.models.iter().map(|m| m.scores.images.iter().map(|i| i.cider.cider_d).collect()).collect();
    let highest = values.iter().flatten().copied().fold(0.0, f64::max).ceil().clamp(1.0, 10.0);
    let bars: Vec<Vec<f64>> = values
        .iter()
        .map(|values| {
            let mut counts = vec![0; BINS];
            values.iter().for_each(|v| counts[((v / highest * BINS as f64) as usize).min(BINS - 1)] += 1);
            shares(&counts, BINS)
        })
        .collect();
    let top = bars.iter().flatten().copied().fold(0.0, f64::max);
    let whole = (0..=highest as usize).step_by(if highest > 5.0 { 2 } else { 1 });
    let ticks: Vec<(f64, String)> =
        whole.map(|value| (value as f64 / highest * BINS as f64, value.to_string())).collect();
    for (place, (model, bars)) in analysis.models.iter().zip(&bars).enumerate() {
        let zero = values[place].iter().filter(|v| **v < 0.05).count() as f64 / values[place].len() as f64;
        caption(html, place, &model.model.name, format!("{} below 0.05", percent(zero)));
        let title = format!("CIDEr-D of the images with {}", model.model.name);
        let plot = Histogram { title, axis: "CIDEr-D", bars, line: None, top, ticks: &ticks, place };
        histogram(html, &plot);
        html.raw("</figure>\n");
    }
}

fn caption(html: &mut Html, place: usize, name: &str, figure: String) {
    html.raw("<figure><figcaption>");
    swatch(html, place);
    html.foreign(name).element(" <small>", figure, "</small></figcaption>");
}

/// Counts as shares of all, those past the last bin in it.
fn shares(counts: &[usize], bins: usize) -> Vec<f64> {
    let all = counts.iter().sum::<usize>().max(1) as f64;
    let mut shares = vec![0.0; bins];
    counts.iter().enumerate().for_each(|(k, count)| shares[k.min(bins - 1)] += *count as f64 / all);
    shares
}

fn variety(html: &mut Html, analysis: &Analysis) {
    table_of_models(html, "", &["References"], analysis, 0);
    let references = &analysis.reference_diversity;
    let mut line = |name: &str, reference: Option<String>, value: &dyn Fn(&Diversity) -> String| {
        row(html, name);
        html.element("<td>", reference.unwrap_or_else(|| "\u{2013}".into()), "</td>");
        analysis.models.iter().for_each(|m| _ = html.element("<td>", value(&m.diversity), "</td>"));
        html.raw("</tr>\n");
    };
    let mut both =
        |name: &str, value: &dyn Fn(&Diversity) -> String| line(name, Some(value(references)), value);
    both("Mean words", &|d| format!("{:.1}", d.mean_length));
    both("Different words in use", &|d| thousands(d.vocabulary));
    for (n, name) in ["Distinct words", "Distinct pairs", "Distinct runs of three", "Distinct runs of four"]
        .into_iter()
        .enumerate()
    {
        both(name, &|d| percent(d.distinct[n]));
    }
    both("Captions that repeat a word", &|d| percent(d.with_repetition[0]));
    both("Captions that repeat a pair", &|d| percent(d.with_repetition[1]));
    both("Captions that repeat a run of three", &|d| percent(d.with_repetition[2]));
    line("Words of the references that are used", None, &|d| percent(d.vocabulary_coverage));
    if !analysis.report.training.is_empty() {
        line("Captions that are no training caption", None, &|d| percent(d.novel.unwrap_or(0.0)));
    }
    end_table(html);
    html.raw("<p class=\"note\">Distinct: different ones among all that occur. It falls as there are more captions, so the ");
    html.raw("references, of which an image has several, are lower here than their variety deserves.");
    if analysis.report.training.is_empty() {
        html.raw(" No training captions were given, so it is not known which captions are new.");
    }
    html.raw("</p>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_captions_share_the_last_bin() {
        assert_eq!(shares(&[1, 0, 1, 1, 1], 3), [0.25, 0.0, 0.75]);
        assert_eq!(shares(&[], 2), [0.0, 0.0]);
    }
}
