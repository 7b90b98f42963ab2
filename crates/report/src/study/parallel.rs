//! Parallel coordinates: each design a line over its choices, costs and score.

use super::{Told, short, three};
use crate::html::{Html, shorten};
use crate::plot::{COLOURS, WIDTH, label, line, one, open};
use capwright_study::Row;
use serde_json::Value;

const HEIGHT: f64 = 212.0;
const TOP: f64 = 24.0;
const BASE: f64 = 172.0;
const EDGE: f64 = 26.0;

/// An axis and what each row has on it.
struct Column {
    name: &'static str,
    values: Vec<Option<f64>>,
    log: bool,
    write: fn(f64) -> String,
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
    let cost = |read: fn(&capwright_study::Trial) -> u64| -> Vec<Option<f64>> {
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
    let column = |name, values, log, write| Column { name, values, log, write };
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

fn rate(value: f64) -> String {
    format!("{value}")
}

impl Column {
    fn ends(&self) -> Option<(f64, f64)> {
        let known = || self.values.iter().flatten().copied();
        let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        (low <= high).then_some((low, high))
    }

    /// How high a row's value lies.
    fn y(&self, row: usize) -> f64 {
        let scaled = |value: f64| if self.log { value.max(1e-9).ln() } else { value };
        let share = match (self.ends(), self.values.get(row).copied().flatten()) {
            (Some((low, high)), Some(value)) if high > low => {
                (scaled(value) - scaled(low)) / (scaled(high) - scaled(low))
            }
            _ => 0.5,
        };
        BASE - (BASE - TOP) * share
    }
}

fn draw(html: &mut Html, told: &Told) {
    let columns = columns(told);
    let x = |at: usize| EDGE + (WIDTH - 2.0 * EDGE) * at as f64 / (columns.len() - 1) as f64;
    open(html, HEIGHT, "choices, costs and scores of all ranked designs");
    for (at, column) in columns.iter().enumerate() {
        line(html, "grid", (x(at), TOP), (x(at), BASE));
        if let Some((low, high)) = column.ends() {
            label(html, "middle", (x(at), TOP - 5.0), (column.write)(high));
            label(html, "middle", (x(at), BASE + 13.0), (column.write)(low));
        }
        label(html, "middle", (x(at), BASE + 29.0), column.name);
    }
    // The best is drawn last, over the others.
    for (place, row) in told.board.rows.iter().enumerate().rev() {
        draw_row(html, told, row, |at| (x(at), columns[at].y(place)), columns.len(), place == 0);
    }
    html.raw("</svg>\n");
}

fn draw_row(
    html: &mut Html,
    told: &Told,
    row: &Row,
    at: impl Fn(usize) -> (f64, f64),
    axes: usize,
    best: bool,
) {
    html.raw("<g").attr("class", COLOURS[told.colour(&row.author) % COLOURS.len()]);
    html.raw("><path").attr("class", if best { "curve" } else { "thin" }).raw(" d=\"");
    for axis in 0..axes {
        let (x, y) = at(axis);
        html.raw(if axis == 0 { "M" } else { "L" }).text(one(x)).raw(" ").text(one(y));
    }
    html.raw("\"><title>").text(shorten(&super::said(row), 200)).raw("</title></path></g>");
}
