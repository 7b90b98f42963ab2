//! Plots as inline SVG. Colours come from the style sheet, so that they follow light and dark.

use std::fmt::Display;

use capwright_caption_metrics::Interval;

use crate::html::{Html, shorten, shorten_inside};

/// Width of every plot in its own units, which are about pixels.
pub(crate) const WIDTH: f64 = 320.0;
/// Colours in the style sheet, `c0` to `c7`, one for each model.
pub(crate) const COLOURS: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

/// Shares of captions in bins.
pub(crate) struct Histogram<'a> {
    /// Read out instead of the plot.
    pub title: String,
    /// What the axis counts.
    pub axis: &'static str,
    /// Share of each bin, 0..=1.
    pub bars: &'a [f64],
    /// Shares drawn as a line over the bars, such as those of the references.
    pub line: Option<&'a [f64]>,
    /// Highest share of all plots that are compared.
    pub top: f64,
    /// Places on the axis, in bins from its left end, and their labels.
    pub ticks: &'a [(f64, String)],
    /// Place of the model, for its colour.
    pub place: usize,
}

/// Draws a histogram.
pub(crate) fn histogram(html: &mut Html, plot: &Histogram) {
    const LEFT: f64 = 42.0;
    const BASE: f64 = 118.0;
    const HEIGHT: f64 = 108.0;
    let step = (WIDTH - LEFT - 6.0) / plot.bars.len().max(1) as f64;
    // Half of it is a whole number of per cent.
    let top = if plot.top > 0.0 { (plot.top * 50.0).ceil() / 50.0 } else { 1.0 };
    let y = |share: f64| BASE - HEIGHT * share / top;
    open(html, 152.0, &plot.title);
    for part in [0.0, 0.5, 1.0] {
        let at = y(part * top);
        line(html, "grid", (LEFT, at), (WIDTH - 6.0, at));
        label(html, "end", (LEFT - 4.0, at + 3.5), format!("{:.0} %", 100.0 * part * top));
    }
    for (bin, share) in plot.bars.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        html.raw("<rect").attr("class", COLOURS[plot.place % COLOURS.len()]);
        html.attr("x", one(LEFT + bin as f64 * step + 0.5)).attr("y", one(y(*share)));
        html.attr("width", one((step - 1.0).max(0.5))).attr("height", one(BASE - y(*share))).raw("/>");
    }
    if let Some(shares) = plot.line {
        html.raw("<path class=\"outline\" d=\"M").text(one(LEFT)).raw(" ").text(one(BASE));
        for (bin, share) in shares.iter().enumerate() {
            html.raw("V").text(one(y(*share))).raw("H").text(one(LEFT + (bin + 1) as f64 * step));
        }
        html.raw("V").text(one(BASE)).raw("\"/>");
    }
    for (bin, text) in plot.ticks {
        label(html, "middle", (LEFT + bin * step, BASE + 13.0), text);
    }
    label(html, "middle", (LEFT + (WIDTH - LEFT - 6.0) / 2.0, BASE + 29.0), plot.axis);
    html.raw("</svg>\n");
}

/// One model's value with its interval.
pub(crate) struct Whisker<'a> {
    pub name: &'a str,
    pub value: f64,
    pub interval: Option<Interval>,
    pub place: usize,
}

/// Draws values with their intervals below each other, on an axis that begins where the lowest does.
pub(crate) fn whiskers(html: &mut Html, title: String, rows: &[Whisker]) {
    const LEFT: f64 = 104.0;
    const ROW: f64 = 20.0;
    if rows.is_empty() {
        return;
    }
    let ends = |row: &Whisker| row.interval.map_or((row.value, row.value), |i| (i.low, i.high));
    let low = rows.iter().map(|r| ends(r).0.min(r.value)).fold(f64::INFINITY, f64::min);
    let high = rows.iter().map(|r| ends(r).1.max(r.value)).fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let x = |value: f64| LEFT + 10.0 + (WIDTH - LEFT - 30.0) * (value - low) / span;
    let base = ROW * rows.len() as f64 + 6.0;
    open(html, base + 18.0, &title);
    for value in if high > low { vec![low, high] } else { vec![low] } {
        line(html, "grid", (x(value), 2.0), (x(value), base));
        label(html, "middle", (x(value), base + 13.0), format!("{value:.3}"));
    }
    for (at, row) in rows.iter().enumerate() {
        let y = ROW * (at as f64 + 0.5) + 2.0;
        label(html, "end", (LEFT - 2.0, y + 3.5), shorten_inside(row.name, 15));
        html.raw("<g").attr("class", COLOURS[row.place % COLOURS.len()]).raw(">");
        if let Some(Interval { low, high }) = row.interval {
            line(html, "whisker", (x(low), y), (x(high), y));
            line(html, "whisker", (x(low), y - 4.0), (x(low), y + 4.0));
            line(html, "whisker", (x(high), y - 4.0), (x(high), y + 4.0));
        }
        html.raw("<circle").attr("cx", one(x(row.value))).attr("cy", one(y)).raw(" r=\"4\"/></g>");
    }
    html.raw("</svg>\n");
}

pub(crate) fn open(html: &mut Html, height: f64, title: &str) {
    html.raw("<svg role=\"img\" viewBox=\"0 0 320 ")
        .text(one(height))
        .raw("\"")
        .attr("aria-label", shorten(title, 200))
        .raw(">");
}

pub(crate) fn line(html: &mut Html, class: &'static str, from: (f64, f64), to: (f64, f64)) {
    html.raw("<line").attr("class", class).attr("x1", one(from.0)).attr("y1", one(from.1));
    html.attr("x2", one(to.0)).attr("y2", one(to.1)).raw("/>");
}

pub(crate) fn label(html: &mut Html, anchor: &'static str, at: (f64, f64), text: impl Display) {
    html.raw("<text").attr("text-anchor", anchor).attr("x", one(at.0)).attr("y", one(at.1)).raw(">");
    html.text(text).raw("</text>");
}

/// Draws a line through points.
pub(crate) fn path(html: &mut Html, class: &'static str, points: impl Iterator<Item = (f64, f64)>) {
    html.raw("<path").attr("class", class).raw(" d=\"");
    for (at, (x, y)) in points.enumerate() {
        html.raw(if at == 0 { "M" } else { "L" }).text(one(x)).raw(" ").text(one(y));
    }
    html.raw("\"");
}

/// A coordinate with one decimal.
pub(crate) fn one(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plots_of_nothing_have_no_broken_numbers() {
        let mut html = Html::default();
        let none = Whisker { name: "<b>", value: 0.0, interval: None, place: 9 };
        whiskers(&mut html, "t".into(), &[none]);
        whiskers(&mut html, "t".into(), &[]);
        let plot = Histogram {
            title: "\"".into(),
            axis: "words",
            bars: &[],
            line: Some(&[]),
            top: 0.0,
            ticks: &[],
            place: 0,
        };
        histogram(&mut html, &plot);
        let svg = html.finish();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("&lt;b&gt;"), "{svg}");
    }
}
