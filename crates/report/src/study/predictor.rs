//! What was predicted of designs, and what they scored.

use super::plane::{Axis, Plane};
use super::{Told, three};
use crate::html::{Html, percent};

/// Writes how well the predictor did, if there was anything to learn from.
pub(super) fn predictor(html: &mut Html, told: &Told) {
    let Some(forecast) = told.study.forecast() else { return };
    html.raw("<section id=\"predictor\">\n<h2>The predictor</h2>\n");
    let points: Vec<_> = forecast
        .designs
        .iter()
        .map(|(trial, predicted, scored)| {
            let author = told.study.trials.get(trial).map_or("", |trial| trial.author.as_str());
            let said = format!("trial {trial} by {author}: {:.3} ± {:.3}", predicted.score, predicted.sd);
            ((predicted.score, *scored), told.colour(author), said)
        })
        .collect();
    let ends = || points.iter().flat_map(|((x, y), ..)| [*x, *y]);
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
    Plane {
        title: format!("{} predicted and reached", told.score.name()),
        x: Axis::over(ends(), "predicted", false, three),
        y: Axis::over(ends(), "reached", false, three),
        lines: vec![(vec![(low, low), (high, high)], None)],
        points,
    }
    .draw_in(
        html,
        format!(
            "{} designs, each predicted before it was trained and by what was known then: rank correlation {:.2}, mean error {:.3}, \
             {} within two standard deviations. Points on the line were predicted right.",
            forecast.designs.len(),
            forecast.rank_correlation,
            forecast.mean_error,
            percent(forecast.covered),
        ),
    );
    html.raw("</section>\n");
}
