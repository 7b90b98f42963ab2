//! One HTML page about a study: what was tried, what it brought, and why the rest was refused.

mod kinds;
mod parallel;
mod plane;
mod predictor;
mod tables;

use crate::html::{Html, count, thousands};
use crate::page::page;
use crate::plot::COLOURS;
use crate::sections::swatch;
use capwright_contract::Score;
use capwright_study::{Event, Leaderboard, LedgerError, Row, Study, front, hypervolume};
use plane::{Axis, Plane, Point};
use std::collections::BTreeMap;

/// Trials whose learning curves are drawn, best first.
const CURVES: usize = COLOURS.len();

/// What the sections read.
struct Told<'a> {
    events: &'a [Event],
    study: Study,
    board: Leaderboard,
    score: Score,
    /// Authors of trials and their colours.
    authors: BTreeMap<String, usize>,
}

impl Told<'_> {
    fn score_of(&self, row: &Row) -> f64 {
        row.score(self.score)
    }

    fn colour(&self, author: &str) -> usize {
        self.authors.get(author).copied().unwrap_or(0)
    }
}

/// Makes the page of a study from its ledger. Equal ledgers give equal pages; no clock is read. Texts of models are escaped.
///
/// # Errors
/// [`LedgerError`] where the events are no study.
pub fn render_study(events: &[Event]) -> Result<String, LedgerError> {
    let study = Study::fold(events)?;
    let mut authors = BTreeMap::new();
    for trial in study.trials.values() {
        let next = authors.len();
        authors.entry(trial.author.clone()).or_insert(next);
    }
    let board = Leaderboard::of(&study);
    let told = Told { events, score: study.contract().score(), board, authors, study };
    Ok(page("Study", |html| {
        header(html, &told);
        html.raw("<main>\n");
        history(html, &told);
        costs(html, &told);
        parallel::choices(html, &told);
        kinds::archive(html, &told);
        curves(html, &told);
        predictor::predictor(html, &told);
        tables::ranking(html, &told);
        tables::lineage(html, &told);
        tables::architects(html, &told);
        tables::refused(html, &told);
        tables::contract(html, &told);
        html.raw("</main>\n");
    }))
}

fn header(html: &mut Html, told: &Told) {
    let study = &told.study;
    let request = &study.contract().request;
    html.raw("<header>\n<h1>");
    html.foreign(if request.is_empty() { "A study" } else { request }).raw("</h1>\n<p class=\"lead\">");
    html.text(count(study.trials.len(), "design", "designs")).raw(" admitted of ");
    html.text(count(study.proposals.len(), "proposal", "proposals")).raw("; ");
    html.text(told.board.rows.len())
        .raw(" ranked. Scores are of the validation images, on which designs were chosen.");
    html.raw("</p>\n<ul class=\"legend\">");
    for (author, place) in &told.authors {
        html.raw("<li>");
        swatch(html, *place);
        html.foreign(author).raw("</li>");
    }
    html.raw("</ul>\n<nav><a href=\"#history\">History</a> <a href=\"#costs\">Quality and cost</a>");
    html.raw(" <a href=\"#choices\">Choices</a> <a href=\"#kinds\">Kinds of designs</a>");
    html.raw(" <a href=\"#curves\">Learning curves</a> <a href=\"#ranking\">Ranking</a>");
    html.raw(" <a href=\"#architects\">Architects</a> <a href=\"#refused\">What was refused</a>");
    html.raw(" <a href=\"#contract\">Contract</a></nav>\n</header>\n");
}

fn three(value: f64) -> String {
    format!("{value:.3}")
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// `1.2 M`.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.1} G", v / 1e9),
        v if v >= 1e6 => format!("{:.1} M", v / 1e6),
        v if v >= 1e3 => format!("{:.1} k", v / 1e3),
        v if v < 100.0 && v.fract() != 0.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

fn history(html: &mut Html, told: &Told) {
    html.raw("<section id=\"history\">\n<h2>History</h2>\n<div class=\"plots\">\n");
    let mut rows: Vec<&Row> = told.board.rows.iter().collect();
    rows.sort_by_key(|row| row.trial);
    let at = |row: &Row| (row.trial as f64, told.score_of(row));
    let mut steps: Vec<Point> = Vec::new();
    for (trial, score) in rows.iter().map(|row| at(row)) {
        let best = steps.last().map_or(score, |last| last.1);
        steps.extend([(trial, best), (trial, best.max(score))]);
    }
    let values = rows.iter().map(|row| told.score_of(row));
    Plane {
        title: format!("{} of each trial, and the best so far", told.score.name()),
        x: Axis::over(rows.iter().map(|row| row.trial as f64), "trial", false, whole),
        y: Axis::over(values, told.score.name(), false, three),
        points: rows.iter().map(|row| (at(row), told.colour(&row.author), said(row))).collect(),
        lines: vec![(steps, None)],
    }
    .draw_in(html, "Each trial in the colour of its author; the line is the best so far.");
    volume(html, told, &rows);
    html.raw("</div>\n</section>\n");
}

/// How the front of quality against cost has grown.
fn volume(html: &mut Html, told: &Told, rows: &[&Row]) {
    let merit = told.study.cost_merit();
    let points: Vec<Point> = rows.iter().map(|row| told.study.point(row, merit)).collect();
    let most = points.iter().map(|point| point.0).filter(|cost| cost.is_finite()).fold(0.0, f64::max);
    // As a share of what a score of 1 at no cost would have.
    let share = |n: usize| if most > 0.0 { hypervolume(&points[..n], most) / most } else { 0.0 };
    let grown: Vec<Point> = (1..=rows.len()).map(|n| (rows[n - 1].trial as f64, share(n))).collect();
    let (score, cost) = (told.score.name(), merit.noun());
    Plane {
        title: format!("hypervolume of {score} and {cost} by trial"),
        x: Axis::over(grown.iter().map(|point| point.0), "trial", false, whole),
        y: Axis::over(grown.iter().map(|point| point.1), "hypervolume", false, three),
        points: Vec::new(),
        lines: vec![(grown, None)],
    }
    .draw_in(
        html,
        format!("Hypervolume: the area below the front of {score} against {cost}, as a share of that up to the costliest design."),
    );
}

fn said(row: &Row) -> String {
    format!("trial {} by {}: {}", row.trial, row.author, row.design)
}

fn costs(html: &mut Html, told: &Told) {
    html.raw("<section id=\"costs\">\n<h2>Quality and cost</h2>\n<div class=\"plots\">\n");
    let parameters = |row: &Row| row.params_total as f64;
    let caption = |row: &Row| {
        let cost = told.study.trials.get(&row.trial).map(|trial| trial.cost);
        cost.map_or(0.0, |cost| told.study.macs_caption(&cost) as f64)
    };
    cost_plot(html, told, "parameters in total", &parameters);
    cost_plot(html, told, "multiply-accumulates of the longest caption", &caption);
    let result = |row: &Row| told.study.trials.get(&row.trial)?.result();
    measured_plot(html, told, "milliseconds of a caption, as measured", &|row| result(row)?.caption_ms);
    measured_plot(html, told, "joules of a caption, as measured", &|row| result(row)?.caption_joules);
    html.raw("</div>\n<p class=\"note\">The lines join the designs that no other is better than in both.</p>\n</section>\n");
}

/// A plot of what every design has been measured for; none where one has not.
fn measured_plot(html: &mut Html, told: &Told, label: &'static str, cost: &dyn Fn(&Row) -> Option<f64>) {
    let rows = &told.board.rows;
    if !rows.is_empty() && rows.iter().all(|row| cost(row).is_some()) {
        cost_plot(html, told, label, &|row| cost(row).unwrap_or(f64::INFINITY));
    }
}

fn cost_plot(html: &mut Html, told: &Told, label: &'static str, cost: &dyn Fn(&Row) -> f64) {
    let rows = &told.board.rows;
    let points: Vec<Point> = rows.iter().map(|row| (cost(row), told.score_of(row))).collect();
    let best = front(&points);
    let line = best.iter().map(|place| points[*place]).collect();
    let names: Vec<String> = best.iter().map(|place| rows[*place].trial.to_string()).collect();
    let colours = rows.iter().map(|row| told.colour(&row.author));
    Plane {
        title: format!("{} against {label}", told.score.name()),
        x: Axis::over(points.iter().map(|point| point.0), label, true, short),
        y: Axis::over(points.iter().map(|point| point.1), told.score.name(), false, three),
        points: points
            .iter()
            .zip(colours)
            .zip(rows)
            .map(|((at, place), row)| (*at, place, said(row)))
            .collect(),
        lines: vec![(line, None)],
    }
    .draw_in(html, format!("Front: trials {}.", names.join(", ")));
}

fn curves(html: &mut Html, told: &Told) {
    html.raw("<section id=\"curves\">\n<h2>Learning curves</h2>\n");
    let trials: Vec<(u64, Vec<Point>)> = told
        .board
        .rows
        .iter()
        .take(CURVES)
        .filter_map(|row| {
            let epochs = &told.study.trials.get(&row.trial)?.epochs;
            let at = |epoch: &capwright_study::Epoch| (f64::from(epoch.epoch), epoch.scores.of(told.score));
            Some((row.trial, epochs.iter().map(at).collect()))
        })
        .collect();
    let all = || trials.iter().flat_map(|(_, points)| points);
    let colours = trials.iter().map(|(trial, _)| trial.to_string()).collect::<Vec<_>>().join(", ");
    Plane {
        title: format!("{} by epoch of the best trials", told.score.name()),
        x: Axis::over(all().map(|point| point.0), "epoch", false, whole),
        y: Axis::over(all().map(|point| point.1), told.score.name(), false, three),
        points: trials
            .iter()
            .zip(0..)
            .flat_map(|((trial, points), place)| {
                points.last().map(|at| (*at, place, format!("trial {trial}")))
            })
            .collect(),
        lines: trials.iter().zip(0..).map(|((_, points), place)| (points.clone(), Some(place))).collect(),
    }
    .draw_in(html, format!("The best trials, best first: {colours}. Colours are of this figure alone."));
    html.raw("</section>\n");
}

impl Plane {
    fn draw_in(&self, html: &mut Html, caption: impl std::fmt::Display) {
        html.raw("<figure>");
        self.draw(html);
        html.element("<figcaption class=\"note\">", caption, "</figcaption></figure>\n");
    }
}

/// Seconds for people.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}

fn number(value: u64) -> String {
    thousands(usize::try_from(value).unwrap_or(usize::MAX))
}
