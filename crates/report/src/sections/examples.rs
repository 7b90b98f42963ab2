//! Pictures with the best and the worst captions.

use super::swatch;
use crate::analysis::Analysis;
use crate::html::Html;
use crate::picture::{Picture, Pictures};

/// Most images of the best, and of the worst.
const EXAMPLES: usize = 8;
/// Most references that are shown of an image.
const MAX_REFERENCES: usize = 8;

/// Writes the section.
pub(crate) fn examples(html: &mut Html, analysis: &Analysis) {
    let Some(first) = analysis.models.first() else { return };
    let (best, worst) = analysis.extremes(EXAMPLES);
    html.raw("<section id=\"examples\">\n<h2>Best and worst images</h2>\n<p>Chosen by CIDEr-D of ");
    html.foreign(&first.model.name)
        .raw(". They show what the model can do and where it fails, not what is usual.</p>\n");
    let mut pictures = Pictures::default();
    for (heading, places) in [("Best", best), ("Worst", worst)] {
        if places.is_empty() {
            continue;
        }
        html.element("<h3>", heading, "</h3>\n<div class=\"cards\">\n");
        places.iter().for_each(|&place| card(html, analysis, place, &mut pictures));
        html.raw("</div>\n");
    }
    html.raw("</section>\n");
}

fn card(html: &mut Html, analysis: &Analysis, at: usize, pictures: &mut Pictures) {
    let image = &analysis.report.images[at];
    html.raw("<article class=\"card\">\n<div class=\"picture\">");
    match pictures.load(image.path.as_deref()) {
        Picture::Jpeg(base64, width, height) => {
            html.raw("<img").attr("src", format_args!("data:image/jpeg;base64,{base64}"));
            html.attr("width", width).attr("height", height);
            html.attr("alt", format_args!("image {}", crate::html::shorten(&image.id, 100))).raw(">");
        }
        Picture::Absent(why) => {
            html.element("<span class=\"absent\">No picture: ", why, "</span>");
        }
    }
    html.raw("</div>\n<div class=\"words\">\n<p class=\"id\">").foreign(&image.id).raw("</p>\n");
    for (place, model) in analysis.models.iter().enumerate() {
        let stats = &model.scores.images[at];
        html.raw("<p class=\"said\">");
        swatch(html, place);
        match model.model.captions[at].trim() {
            "" => html.raw("<em>(nothing)</em>"),
            caption => html.foreign(caption),
        };
        html.raw("<small>").foreign(&model.model.name);
        html.text(format_args!(" · CIDEr-D {:.2} · ROUGE-L {:.2}", stats.cider.cider_d, stats.rouge_l));
        html.raw("</small></p>\n");
    }
    html.raw("<ul class=\"references\" aria-label=\"references\">");
    for reference in image.references.iter().take(MAX_REFERENCES) {
        html.raw("<li>").foreign(reference).raw("</li>");
    }
    if image.references.len() > MAX_REFERENCES {
        html.element("<li>and ", image.references.len() - MAX_REFERENCES, " more</li>");
    }
    html.raw("</ul>\n</div>\n</article>\n");
}
