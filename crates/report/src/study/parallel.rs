//! Parallel coordinates: each design a line over its choices, costs and score.

use super::plane::Axis;
use super::{Told, short, three};
use crate::html::{Html, shorten};
use crate::plot::{COLOURS, WIDTH, label, line, open, path};
use capwright_study::Trial;
use serde_json::Value;

const HEIGHT: f64 = 212.0;
const TOP: f64 = 24.0;
const BASE: f64 = 172.0;
const EDGE: f64 = 26.0;

/// An axis and what each row has on it.
struct Column {
    axis: Axis,
    values: Vec<Option<f64>>,
}

/// Writes the figure.
pub(super) fn choices(html: &mut Html, told: &Told) {
    html.raw("<section id=\"choices\">\n<h2>Choices, costs and score</h2>\n<figure>");
    draw(html, told);
    html.raw("<figcaption class=\"note\">Each line is a design in the colour of its author; the heavy one is the best. ");
    html.raw("Learning rate and costs on logarithmic axes; a design without a value crosses an axis at its middle.");
    html.raw("</figcaption></figure>\n</section>\n");
}

fn columns(told: &Told) -> Vec<Column> {
    let rows = &told.board.rows;
    let cost = |read: fn(&Trial) -> u64| -> Vec<Option<f64>> {
        rows.iter().map(|row| told.study.trials.get(&row.trial).map(|trial| read(trial) as f64)).collect()
    };
    let designs: Vec<Value> = rows
        .iter()
        .map(|row| told.study.trials.get(&row.trial))
        .map(|trial| trial.and_then(|t| serde_json::to_value(&t.blueprint).ok()).unwrap_or_default())
        .collect();
    let choice = |at: &str| -> Vec<Option<f64>> {
        designs.iter().map(|design| design.pointer(at).and_then(Value::as_f64)).collect()
    };
    let column = |name, values: Vec<Option<f64>>, log, write| Column {
        axis: Axis::over(values.iter().flatten().copied(), name, log, write),
        values,
    };
    vec![
        column("pixels", choice("/encoder/input"), false, short),
        column("bridge", choice("/bridge/dim"), false, short),
        column("rate", choice("/recipe/lr"), true, rate),
        column("dropout", choice("/decoder/dropout_pct"), false, short),
        column("trained", cost(|trial| trial.cost.params_trainable), true, short),
        column("image", cost(|trial| trial.cost.macs_image), true, short),
        column("word", cost(|trial| trial.cost.macs_token), true, short),
        column(told.score.name(), rows.iter().map(|row| Some(told.score_of(row))).collect(), false, three),
    ]
}

/// A rate of the language has few digits; those of rounding are left out.
fn rate(value: f64) -> String {
    format!("{}", (value * 1e6).round() / 1e6)
}

impl Column {
    /// How high a row's value lies.
    fn y(&self, row: usize) -> f64 {
        let share = self.values[row].map_or(0.5, |value| self.axis.share(value));
        BASE - (BASE - TOP) * share
    }
}

fn draw(html: &mut Html, told: &Told) {
    let columns = columns(told);
    let x = |at: usize| EDGE + (WIDTH - 2.0 * EDGE) * at as f64 / (columns.len() - 1) as f64;
    open(html, HEIGHT, "choices, costs and scores of all ranked designs");
    for (at, column) in columns.iter().enumerate() {
        line(html, "grid", (x(at), TOP), (x(at), BASE));
        if column.values.iter().any(Option::is_some) {
            label(html, "middle", (x(at), TOP - 5.0), column.axis.said(1.0));
            label(html, "middle", (x(at), BASE + 13.0), column.axis.said(0.0));
        }
        label(html, "middle", (x(at), BASE + 29.0), column.axis.label());
    }
    // The best is drawn last, over the others.
    for (place, row) in told.board.rows.iter().enumerate().rev() {
        let points = columns.iter().enumerate().map(|(at, column)| (x(at), column.y(place)));
        html.raw("<g").attr("class", COLOURS[told.colour(&row.author) % COLOURS.len()]).raw(">");
        path(html, if place == 0 { "curve" } else { "thin" }, points);
        html.raw("><title>").text(shorten(&super::said(row), 200)).raw("</title></path></g>");
    }
    html.raw("</svg>\n");
}
