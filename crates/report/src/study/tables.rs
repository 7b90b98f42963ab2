//! Tables of a study's page.

use super::{Told, number, time};
use crate::html::{Html, percent};
use crate::sections::{end_table, swatch, table};
use capwright_study::{Event, Row, TrialStatus, Verdict, describe};
use std::collections::{BTreeMap, BTreeSet};

/// Writes the leaderboard, and what has no rank.
pub(super) fn ranking(html: &mut Html, told: &Told) {
    html.raw("<section id=\"ranking\">\n<h2>Ranking</h2>\n");
    table(html, "rank", ["trial", "author", "design", "parameters", "BLEU-4", "CIDEr-D", "epochs", "time"]);
    for row in &told.board.rows {
        html.element("<tr><th scope=\"row\">", row.rank, "</th>").element("<td>", row.trial, "</td>");
        html.raw("<td class=\"text\">");
        swatch(html, told.colour(&row.author));
        html.foreign(&row.author).raw("</td><td class=\"text\">").foreign(&row.design).raw("</td>");
        html.element("<td>", number(row.params_total), "</td>");
        html.element("<td>", format_args!("{:.4}", row.bleu[3]), "</td>");
        html.element("<td>", format_args!("{:.4}", row.cider_d), "</td>");
        html.element("<td>", row.trained(), "</td>");
        html.element("<td>", time(told.study.seconds(row.trial)), "</td></tr>\n");
    }
    end_table(html);
    let board = &told.board;
    if let Some(verdict) = board.verdict() {
        html.raw("<p class=\"note\">").text(verdict).raw("</p>\n");
    }
    for (title, trials) in
        [("Collapsed", &board.collapsed), ("Failed", &board.failed), ("Unfinished", &board.unfinished)]
    {
        for trial in trials {
            html.raw("<p class=\"note\">").text(title).raw(": trial ").text(trial.trial).raw(", ");
            html.foreign(&trial.design).raw(": ").foreign(&trial.reason).raw("</p>\n");
        }
    }
    html.raw("</section>\n");
}

/// Writes from which designs the best one comes, by the chief parent of each.
pub(super) fn lineage(html: &mut Html, told: &Told) {
    let Some(best) = told.board.best() else { return };
    html.raw("<section id=\"lineage\">\n<h2>Where the best design comes from</h2>\n<ol>\n");
    let rows: BTreeMap<u64, &Row> = told.board.rows.iter().map(|row| (row.trial, row)).collect();
    let (mut next, mut seen) = (Some(best), BTreeSet::new());
    while let Some((number, trial)) = next.and_then(|n| Some((n, told.study.trials.get(&n)?))) {
        if !seen.insert(number) {
            break;
        }
        html.raw("<li>trial ").text(number).raw(", ");
        if let Some(row) = rows.get(&number) {
            html.text(format_args!("{} {:.4}, ", told.score.name(), told.score_of(row)));
        }
        html.foreign(&describe(&trial.blueprint)).raw(" <small>by ").foreign(&trial.author);
        for (at, parent) in trial.parents.iter().enumerate() {
            html.raw(if at == 0 { ", from trial " } else { " and trial " }).text(parent);
        }
        html.raw("</small></li>\n");
        next = trial.parents.first().copied();
    }
    html.raw("</ol>\n</section>\n");
}

/// Writes what each author cost and brought.
pub(super) fn architects(html: &mut Html, told: &Told) {
    html.raw("<section id=\"architects\">\n<h2>Architects</h2>\n");
    let columns = [
        "proposals",
        "admitted as written",
        "after repair",
        "tokens",
        "time to propose",
        "time to train",
        "best",
        "median rank",
    ];
    table(html, "author", columns);
    for (author, stats) in &told.study.authors {
        let own: Vec<&Row> = told.board.rows.iter().filter(|row| row.author == *author).collect();
        // Designs that collapsed or failed were trained too.
        let trials = told.study.trials.iter().filter(|(_, trial)| trial.author == *author);
        let trained: f64 = trials.map(|(number, _)| told.study.seconds(*number)).sum();
        html.raw("<tr><th scope=\"row\">");
        swatch(html, told.colour(author));
        html.foreign(author).raw("</th>").element("<td>", number(stats.proposals), "</td>");
        let share = |n: u64| percent(n as f64 / stats.proposals.max(1) as f64);
        html.element("<td>", share(stats.admitted_first), "</td>");
        html.element("<td>", share(stats.admitted_repaired), "</td>");
        let tokens = stats.prompt_tokens.saturating_add(stats.completion_tokens);
        html.element("<td>", number(tokens), "</td>").element("<td>", time(stats.seconds), "</td>");
        html.element("<td>", time(trained), "</td>");
        match own.first() {
            Some(best) => {
                // Of an even number the mean of the two in the middle.
                let middle = own[(own.len() - 1) / 2].rank + own[own.len() / 2].rank;
                html.element("<td>", format_args!("{:.4}", told.score_of(best)), "</td>");
                html.element("<td>", middle as f64 / 2.0, "</td></tr>\n");
            }
            None => {
                html.raw("<td></td><td></td></tr>\n");
            }
        }
    }
    end_table(html);
    html.raw("</section>\n");
}

/// Writes how often texts were refused, and for what.
pub(super) fn refused(html: &mut Html, told: &Told) {
    let mut reasons: BTreeMap<(String, String), usize> = BTreeMap::new();
    let proposals = told.events.iter().filter_map(|event| match event {
        Event::Proposed(proposal) => Some(&proposal.verdict),
        _ => None,
    });
    for verdict in proposals {
        let found: Vec<(String, String)> = match verdict {
            Verdict::Unreadable { diagnostics } | Verdict::Rejected { diagnostics } => {
                diagnostics.iter().map(|d| (d.code.as_str().to_owned(), d.message.clone())).collect()
            }
            Verdict::Violates { violations } => {
                violations.iter().map(|v| (v.clause.as_str().to_owned(), v.message.clone())).collect()
            }
            Verdict::Duplicate { .. } => vec![("duplicate".into(), "a design that was tried already".into())],
            Verdict::Admitted { .. } => Vec::new(),
        };
        // A rule counts once for a text, with the first thing that it said.
        let mut rules = BTreeSet::new();
        for (rule, message) in found.into_iter().filter(|(rule, _)| rules.insert(rule.clone())) {
            let known = reasons.keys().find(|(known, _)| *known == rule).cloned();
            *reasons.entry(known.unwrap_or((rule, message))).or_default() += 1;
        }
    }
    for trial in told.study.trials.values() {
        if let TrialStatus::Failed(reason) = &trial.status {
            *reasons.entry(("failed in training".into(), reason.clone())).or_default() += 1;
        }
    }
    html.raw("<section id=\"refused\">\n<h2>What was refused</h2>\n");
    if reasons.is_empty() {
        html.raw("<p>Nothing: every text was admitted as it was written, and ");
        let ended = told.study.unfinished().is_empty();
        html.raw(if ended { "every trial ended" } else { "no trial has failed so far" });
        html.raw(".</p>\n</section>\n");
        return;
    }
    table(html, "rule", ["texts", "for example"]);
    let mut all: Vec<_> = reasons.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for ((rule, message), texts) in all {
        html.raw("<tr><th scope=\"row\">").foreign(&rule).raw("</th>").element("<td>", texts, "</td>");
        html.raw("<td class=\"text\">").foreign(&message).raw("</td></tr>\n");
    }
    end_table(html);
    html.raw("</section>\n");
}

/// Writes the contract and the versions of what took part.
pub(super) fn contract(html: &mut Html, told: &Told) {
    html.raw("<section id=\"contract\">\n<h2>Contract</h2>\n<details><summary>as kept with the study</summary><pre>");
    html.text(told.study.contract().to_toml().unwrap_or_default()).raw("</pre></details>\n");
    table(html, "", [""]);
    for (name, version) in &told.study.opened.versions {
        html.raw("<tr><th scope=\"row\">").foreign(name).raw("</th><td class=\"text\">");
        html.foreign(version).raw("</td></tr>\n");
    }
    end_table(html);
    html.raw("</section>\n");
}
