//! Gender, words that may offend, and limits.

use super::{end_table, row, table, table_of_models};
use crate::analysis::Analysis;
use crate::gender::{FEMALE, Gender, MALE, occurrences};
use crate::html::{Html, percent, thousands};
use crate::offensive;

/// Most captions with words that may offend that are listed of each model.
const LISTED: usize = 10;

/// One of the numbers of a model.
type Number = fn(&Gender) -> usize;

/// Writes the section.
pub(crate) fn responsible(html: &mut Html, analysis: &Analysis) {
    html.raw("<section id=\"responsible\">\n<h2>Responsible use</h2>\n<h3>Gender</h3>\n");
    html.raw(
        "<p>Does a model guess somebody's gender where people did not name one, or name the other one?</p>\n",
    );
    gender(html, analysis);
    words(html, analysis);
    html.raw("<h3>Words that may offend</h3>\n");
    offensive_words(html, analysis);
    html.raw("<h3>Licences</h3>\n");
    licences(html, analysis);
    html.raw("<h3>Limits</h3>\n<p>These are counts of English words, no judgement of fairness. A gender in a caption is what ");
    html.raw("somebody read from a picture; it need not be how the person sees themselves, and people who are neither man nor ");
    html.raw("woman do not appear in such counts. Words such as <q>his</q> may be about an animal. References are by few people ");
    html.raw("and have prejudices of their own, which a model can learn and still agree with them. Skin colour, age, ");
    html.raw("disability and religion are not looked at. Captions can be wrong in ways that harm: do not use them to ");
    html.raw("identify or judge people, and have a person check what is published.</p>\n</section>\n");
}

fn gender(html: &mut Html, analysis: &Analysis) {
    table_of_models(html, "Captions that \u{2026}", &[], analysis, 0);
    let lines: [(&str, Number); 5] = [
        ("name a gender", |g| g.named),
        ("name one where no reference does", |g| g.unsupported),
        ("name men only, references women only", |g| g.male_for_female),
        ("name women only, references men only", |g| g.female_for_male),
        ("name none where a reference does", |g| g.left_open),
    ];
    let images = analysis.report.images.len() as f64;
    for (name, number) in lines {
        row(html, name);
        for model in &analysis.models {
            let number = number(&model.gender);
            html.element("<td>", percent(number as f64 / images), "");
            html.element("<small>", thousands(number), "</small></td>");
        }
        html.raw("</tr>\n");
    }
    end_table(html);
}

fn words(html: &mut Html, analysis: &Analysis) {
    let references: usize = analysis.references.iter().map(Vec::len).sum();
    let mut rows = Vec::new();
    for word in MALE.iter().chain(FEMALE) {
        let mut counts = vec![occurrences(word, analysis.references.iter().flatten())];
        counts.extend(analysis.models.iter().map(|model| occurrences(word, model.words.iter())));
        if counts.iter().any(|count| *count > 0) {
            rows.push((*word, counts));
        }
    }
    if rows.is_empty() {
        html.raw("<p class=\"note\">No caption and no reference has a word from the lists of gendered words.</p>\n");
        return;
    }
    html.raw("<details>\n<summary>Gendered words, occurrences in 100 captions</summary>\n");
    table_of_models(html, "Word", &["References"], analysis, 0);
    for (word, counts) in rows {
        row(html, word);
        for (column, count) in counts.iter().enumerate() {
            let texts = if column == 0 { references } else { analysis.report.images.len() };
            html.element("<td>", format!("{:.1}", 100.0 * *count as f64 / texts as f64), "");
            html.element("<small>", thousands(*count), "</small></td>");
        }
        html.raw("</tr>\n");
    }
    end_table(html);
    html.raw("</details>\n");
}

fn offensive_words(html: &mut Html, analysis: &Analysis) {
    html.raw("<p>Looked up in ").text(offensive::SOURCE);
    html.raw(", for English only. Such lists miss much, and mark harmless words (<q>cracker</q>, <q>naked</q>): what is found ");
    html.raw("is for a person to look at.</p>\n");
    table_of_models(html, "", &["References"], analysis, 0);
    row(html, "Captions with such a word");
    let references: usize = analysis.references.iter().map(Vec::len).sum();
    let found = analysis.models.iter().map(|m| (m.offensive.len(), m.words.len()));
    for (number, all) in [(analysis.offensive_references, references)].into_iter().chain(found) {
        html.element("<td>", percent(number as f64 / all.max(1) as f64), "");
        html.element("<small>", thousands(number), "</small></td>");
    }
    html.raw("</tr>\n");
    end_table(html);
    for model in analysis.models.iter().filter(|m| !m.offensive.is_empty()) {
        html.raw("<details>\n<summary>Captions of ")
            .foreign(&model.model.name)
            .raw(" with such a word</summary>\n<ul>\n");
        for &at in model.offensive.iter().take(LISTED) {
            let word = offensive::word(&model.words[at]).unwrap_or_default();
            html.raw("<li>").foreign(&model.model.captions[at]).raw("<small>image ");
            html.foreign(&analysis.report.images[at].id).raw(", word ").foreign(word).raw("</small></li>\n");
        }
        if model.offensive.len() > LISTED {
            html.element("<li>and ", thousands(model.offensive.len() - LISTED), " more</li>\n");
        }
        html.raw("</ul>\n</details>\n");
    }
}

fn licences(html: &mut Html, analysis: &Analysis) {
    if analysis.report.licences.is_empty() {
        html.raw("<p class=\"warning\">No licences of data or weights were given. Find them out before you pass on captions or models.</p>\n");
        return;
    }
    table(html, "What", ["Licence"]);
    for licence in &analysis.report.licences {
        html.raw("<tr><th scope=\"row\">").foreign(&licence.what).raw("</th><td class=\"text\">");
        html.foreign(&licence.licence).raw("</td></tr>\n");
    }
    end_table(html);
}
