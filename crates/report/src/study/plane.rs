//! Points and lines over two axes.

use crate::html::Html;
use crate::plot::{COLOURS, WIDTH, label, line, one, open, path};

const LEFT: f64 = 48.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 8.0;
const BASE: f64 = 168.0;

/// What lies lower counts as this on a logarithmic axis.
const LEAST: f64 = 1e-9;

/// An axis from the lowest to the highest value.
pub(crate) struct Axis {
    label: &'static str,
    low: f64,
    high: f64,
    log: bool,
    write: fn(f64) -> String,
}

impl Axis {
    /// An axis that all values are on; `log` for values above 0 that span magnitudes.
    pub fn over(
        values: impl Iterator<Item = f64> + Clone,
        label: &'static str,
        log: bool,
        write: fn(f64) -> String,
    ) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let (low, high) = if log { (low.max(LEAST), high.max(LEAST)) } else { (low, high) };
        Self { label, low, high, log, write }
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.log { value.max(LEAST).ln() } else { value }
    }

    /// Where a value lies, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        let (low, high) = (self.scaled(self.low), self.scaled(self.high));
        if high > low { (self.scaled(value) - low) / (high - low) } else { 0.5 }
    }

    /// The value at that share, as it is written.
    pub fn said(&self, share: f64) -> String {
        (self.write)(self.value(share))
    }

    /// What the axis counts.
    pub fn label(&self) -> &'static str {
        self.label
    }

    fn value(&self, share: f64) -> f64 {
        let (low, high) = (self.scaled(self.low), self.scaled(self.high));
        let at = low + share * (high - low);
        if self.log { at.exp() } else { at }
    }
}

/// Values on both axes.
pub(crate) type Point = (f64, f64);

/// A plot of points and lines; `place` gives the colour, none the ink of text.
pub(crate) struct Plane {
    /// Read out instead of the plot.
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    /// Where, in which colour, and what is said of it.
    pub points: Vec<(Point, usize, String)>,
    pub lines: Vec<(Vec<Point>, Option<usize>)>,
}

impl Plane {
    /// Draws it.
    pub fn draw(&self, html: &mut Html) {
        open(html, 212.0, &self.title);
        let x = |value: f64| LEFT + (RIGHT - LEFT) * self.x.share(value);
        let y = |value: f64| BASE - (BASE - TOP) * self.y.share(value);
        for share in [0.0, 0.5, 1.0] {
            let (across, up) = (LEFT + (RIGHT - LEFT) * share, BASE - (BASE - TOP) * share);
            line(html, "grid", (LEFT, up), (RIGHT, up));
            label(html, "end", (LEFT - 5.0, up + 3.5), self.y.said(share));
            let anchor = ["start", "middle", "end"][(2.0 * share) as usize];
            label(html, anchor, (across, BASE + 15.0), self.x.said(share));
        }
        label(html, "middle", ((LEFT + RIGHT) / 2.0, BASE + 33.0), self.x.label);
        label(html, "start", (LEFT + 3.0, TOP + 9.0), self.y.label);
        for (points, place) in &self.lines {
            html.raw("<g").attr("class", place.map_or("", |place| COLOURS[place % COLOURS.len()]));
            html.raw(">");
            let class = if place.is_some() { "curve" } else { "outline" };
            path(html, class, points.iter().map(|point| (x(point.0), y(point.1))));
            html.raw("/></g>");
        }
        for (point, place, said) in &self.points {
            html.raw("<circle").attr("class", COLOURS[place % COLOURS.len()]);
            html.attr("cx", one(x(point.0))).attr("cy", one(y(point.1))).raw(" r=\"3.5\"><title>");
            html.text(crate::html::shorten(said, 200)).raw("</title></circle>");
        }
        html.raw("</svg>\n");
    }
}
