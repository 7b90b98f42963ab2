//! The best design of each kind.

use super::{Told, number};
use crate::html::Html;
use crate::sections::{end_table, table};

/// Writes the archive.
pub(super) fn archive(html: &mut Html, told: &Told) {
    html.raw("<section id=\"kinds\">\n<h2>Kinds of designs</h2>\n");
    let archive = told.study.archive(&told.board);
    html.raw(
        "<p class=\"note\">The best of each kind: encoder family, decoder family, and size in total.</p>\n",
    );
    table(html, "encoder", ["decoder", "size", told.score.name(), "parameters", "trial", "design"]);
    for (kind, trial) in &archive {
        let Some(row) = told.board.rows.iter().find(|row| row.trial == *trial) else { continue };
        html.raw("<tr><th scope=\"row\">").foreign(&kind.encoder).raw("</th>");
        html.element("<td class=\"text\">", kind.decoder, "</td>").element("<td>", kind.size, "</td>");
        html.element("<td>", format_args!("{:.4}", told.score_of(row)), "</td>");
        html.element("<td>", number(row.params_total), "</td>").element("<td>", trial, "</td>");
        html.raw("<td class=\"text\">").foreign(&row.design).raw("</td></tr>\n");
    }
    end_table(html);
    html.raw("</section>\n");
}
