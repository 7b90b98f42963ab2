//! What no other trial is better than in everything.

use crate::rank::Told;
use crate::{Leaderboard, Row, Study};
use capwright_blueprint::Cost;
use capwright_contract::Merit;
use serde::Serialize;
use std::collections::BTreeSet;

/// What a design scores that has learned something.
const LEARNED: f64 = 0.001;

/// A ranked design that no other is better than in score and in cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrontRow {
    /// Number of the trial.
    pub trial: u64,
    /// The design in a few words.
    pub design: String,
    /// What it costs.
    pub cost: f64,
    /// What the trials of the study are selected by.
    pub score: f64,
    /// Epochs trained.
    pub epochs: u32,
    /// Learned values, frozen ones included.
    pub params_total: u64,
}

impl Study {
    /// What a good score may cost: the second objective of the contract, or parameters in total where it names no cost there.
    pub fn cost_merit(&self) -> Merit {
        let second = self.contract().objectives.get(1).map(|objective| objective.merit);
        second.filter(|merit| !merit.is_score()).unwrap_or(Merit::ParamsTotal)
    }

    /// A ranked trial by cost and score, as measured; its cost is infinite where that was not measured.
    pub fn point(&self, row: &Row, cost: Merit) -> (f64, f64) {
        (Told::Measured.value(cost, row, self), row.score(self.contract().score()))
    }

    /// The front of score and cost as measured, the cheapest first, without designs that have learned next to nothing.
    pub fn front(&self, board: &Leaderboard, cost: Merit) -> Vec<FrontRow> {
        let measured = board.rows.iter().map(|row| (row, self.point(row, cost)));
        let (rows, points): (Vec<&Row>, Vec<(f64, f64)>) =
            measured.filter(|(_, point)| point.0.is_finite() && point.1 >= LEARNED).unzip();
        let told = |at: usize| FrontRow {
            trial: rows[at].trial,
            design: rows[at].design.clone(),
            cost: points[at].0,
            score: points[at].1,
            epochs: rows[at].epochs,
            params_total: rows[at].params_total,
        };
        front(&points).into_iter().map(told).collect()
    }

    /// Ranked trials that no other is better than in both the first and the second objective of the contract; none where there is no second.
    pub fn on_front(&self, board: &Leaderboard) -> BTreeSet<u64> {
        let [first, second, ..] = &self.contract().objectives[..] else { return BTreeSet::new() };
        let value = |of: Merit, row: &Row| Told::Foreseen.value(of, row, self);
        let points: Vec<(f64, f64)> =
            board.rows.iter().map(|row| (value(second.merit, row), -value(first.merit, row))).collect();
        front(&points).into_iter().map(|at| board.rows[at].trial).collect()
    }

    /// What a design costs, where the contract's objectives are a score and then a cost.
    pub fn expense(&self, cost: &Cost) -> Option<f64> {
        let [first, second, ..] = &self.contract().objectives[..] else { return None };
        self.cost_in(second.merit, cost).filter(|_| self.cost_in(first.merit, cost).is_none())
    }

    /// Multiply-accumulates of the longest caption as the contract has it decoded.
    pub fn macs_caption(&self, cost: &Cost) -> u64 {
        let decoding = self.contract().decoding;
        let beam = if decoding.sample.is_some() { 1 } else { decoding.beam };
        cost.macs_caption(decoding.max_words, beam)
    }

    /// A merit that a design has before it is trained. What clocks and counters measure is told by the multiply-accumulates of a
    /// caption here: the same events give the same trials on any machine.
    pub(crate) fn cost_in(&self, merit: Merit, cost: &Cost) -> Option<f64> {
        let whole = match merit {
            Merit::Bleu4 | Merit::CiderD => return None,
            Merit::CaptionMs | Merit::CaptionJoules | Merit::TrainingSeconds => self.macs_caption(cost),
            Merit::ParamsTotal => cost.params_total,
            Merit::ParamsTrainable => cost.params_trainable,
            Merit::MacsImage => cost.macs_image,
            Merit::MacsToken => cost.macs_token,
            Merit::WeightBytes => cost.weight_bytes,
        };
        Some(whole as f64)
    }
}

/// All places in the order of fronts: those of the front of all, then those of the front of the others, and so on (Deb et al., "A Fast and
/// Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 2002), each [`spread`].
pub(crate) fn in_fronts(points: &[(f64, f64)]) -> Vec<usize> {
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut order = Vec::with_capacity(points.len());
    while !left.is_empty() {
        let of: Vec<(f64, f64)> = left.iter().map(|place| points[*place]).collect();
        let mut best: BTreeSet<usize> = front(&of).into_iter().map(|at| left[at]).collect();
        if best.is_empty() {
            // What is no number is better than nothing and worse than nothing.
            best.extend(&left);
        }
        left.retain(|place| !best.contains(place));
        order.extend(spread(best.into_iter().collect(), points));
    }
    order
}

/// Places of a front, the highest score first; then, one by one, that which adds most to the hypervolume of those before it: few of them
/// shall say much of the whole.
fn spread(mut left: Vec<usize>, points: &[(f64, f64)]) -> Vec<usize> {
    left.sort_by(|a, b| points[*b].1.total_cmp(&points[*a].1));
    let Some(most) = left.first().map(|first| points[*first].0) else { return left };
    let mut order = vec![left.remove(0)];
    while !left.is_empty() {
        let with = |place: usize| {
            let chosen: Vec<(f64, f64)> = order.iter().chain([&place]).map(|at| points[*at]).collect();
            hypervolume(&chosen, most)
        };
        // Of equal ones the first: that with the higher score.
        let next = (0..left.len()).rev().max_by(|a, b| with(left[*a]).total_cmp(&with(left[*b])));
        order.push(left.remove(next.expect("some are left")));
    }
    order
}

/// Places of the points `(cost, score)` that no other point dominates: none has at most that cost and at least that score with
/// one of the two better. By cost, low first; of equal points the first.
pub fn front(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| {
        let ((cost_a, score_a), (cost_b, score_b)) = (points[*a], points[*b]);
        cost_a.total_cmp(&cost_b).then(score_b.total_cmp(&score_a)).then(a.cmp(b))
    });
    let mut best = f64::NEG_INFINITY;
    order.retain(|place| {
        let better = points[*place].1 > best;
        best = best.max(points[*place].1);
        better
    });
    order
}

/// The area of costs and scores in which some point is at least as good: with costs up to `most`, and scores from 0 (Zitzler and
/// Thiele, "Multiobjective Evolutionary Algorithms: A Comparative Case Study and the Strength Pareto Approach", IEEE TEC 1999).
pub fn hypervolume(points: &[(f64, f64)], most: f64) -> f64 {
    let within: Vec<(f64, f64)> = points.iter().copied().filter(|(cost, _)| *cost <= most).collect();
    let mut volume = 0.0;
    let mut reached = 0.0;
    for place in front(&within) {
        let (cost, score) = within[place];
        volume += (most - cost) * (score - reached).max(0.0);
        reached = score.max(reached);
    }
    volume
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hypervolume_is_the_area_below_the_front() {
        let points = [(1.0, 0.2), (2.0, 0.5), (3.0, 0.4), (9.0, 0.9)];
        // Steps of 0.2 from 1 on and of 0.3 from 2 on; what costs more than 4 does not count.
        assert!((hypervolume(&points, 4.0) - (3.0 * 0.2 + 2.0 * 0.3)).abs() < 1e-12);
        assert!(hypervolume(&points, 10.0) > hypervolume(&points[..3], 10.0));
        assert!(hypervolume(&[], 1.0) == 0.0);
    }

    #[test]
    fn fronts_lie_behind_each_other() {
        let points = [(3.0, 0.3), (1.0, 0.1), (2.0, 0.05), (3.0, 0.2), (1.0, 0.1), (5.0, 0.4), (4.0, 0.3)];
        assert_eq!(in_fronts(&points), [5, 0, 1, 6, 4, 3, 2]);
        // The cheapest says more of the front than its neighbours of the best.
        let points = [(9.9, 0.39), (10.0, 0.4), (9.0, 0.38), (1.0, 0.3), (5.0, 0.32)];
        assert_eq!(in_fronts(&points), [1, 3, 4, 2, 0]);
        assert_eq!(in_fronts(&[(f64::NAN, f64::NAN), (1.0, 0.1)]).len(), 2);
    }

    #[test]
    fn only_what_is_better_in_something_stays() {
        let points = [(3.0, 0.3), (1.0, 0.1), (2.0, 0.05), (3.0, 0.2), (1.0, 0.1), (5.0, 0.4), (4.0, 0.3)];
        assert_eq!(front(&points), [1, 0, 5]);
        assert_eq!(front(&[]), [0usize; 0]);
        let dominated = |a: (f64, f64), b: (f64, f64)| b.0 <= a.0 && b.1 >= a.1 && b != a;
        for (place, point) in points.iter().enumerate() {
            let beaten = points.iter().any(|other| dominated(*point, *other));
            assert_eq!(front(&points).contains(&place), !beaten && place != 4, "{point:?}");
        }
    }
}
