//! How much of what captions say about scenes is true, and how much of what is true they say.

use std::collections::BTreeSet;

use super::content::{Group, Layout, Scene, Texture};
use super::facts::{Facts, Mention, Place, Relation, facts};

/// Mentions of a caption that are matched with groups; what a caption names beyond them is wrong.
const MOST_MENTIONS: usize = 8;

/// Claims of one kind, counted over captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aspect {
    /// Claims made.
    pub claimed: usize,
    /// Claims made that are true.
    pub correct: usize,
    /// What could be claimed.
    pub truths: usize,
    /// What could be claimed and was.
    pub found: usize,
}

impl Aspect {
    /// Share of the claims that are true; 1 without claims.
    pub fn precision(&self) -> f64 {
        share(self.correct, self.claimed)
    }

    /// Share of the truth that was claimed; 1 without any.
    pub fn recall(&self) -> f64 {
        share(self.found, self.truths)
    }

    /// Harmonic mean of precision and recall; 0 where both are.
    pub fn f1(&self) -> f64 {
        let (p, r) = (self.precision(), self.recall());
        if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 }
    }

    fn add(&mut self, claimed: bool, correct: bool, truth: bool) {
        self.claimed += usize::from(claimed);
        self.correct += usize::from(claimed && correct);
        self.truths += usize::from(truth);
        self.found += usize::from(claimed && correct && truth);
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// What captions got right, by kind of claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FactualScores {
    /// Captions scored.
    pub captions: usize,
    /// Captions without a wrong claim or an unread word that name every group with its shape, colour and count.
    pub exact: usize,
    /// Captions without a wrong claim or an unread word.
    pub faithful: usize,
    /// Words outside the grammar.
    pub unread: usize,
    /// Shapes of groups.
    pub objects: Aspect,
    /// Colours of groups.
    pub colours: Aspect,
    /// Numbers of objects in groups.
    pub counts: Aspect,
    /// Sizes of groups.
    pub sizes: Aspect,
    /// Stripes and dots of groups.
    pub textures: Aspect,
    /// Order of groups. The truth is the order of each pair; claims without an order (`next to`, `between`, `in a row`,
    /// `nothing else`) count in precision only.
    pub relations: Aspect,
    /// Places of groups. The truth is which group is at which end, and of three which is in the middle.
    pub places: Aspect,
}

impl FactualScores {
    /// The aspects with their names.
    pub fn aspects(&self) -> [(&'static str, Aspect); 7] {
        [
            ("objects", self.objects),
            ("colours", self.colours),
            ("counts", self.counts),
            ("sizes", self.sizes),
            ("textures", self.textures),
            ("relations", self.relations),
            ("places", self.places),
        ]
    }

    /// Wrong claims of all kinds.
    fn wrong(&self) -> usize {
        self.aspects().iter().map(|(_, a)| a.claimed - a.correct).sum()
    }
}

/// Scores captions, each with the scene that it is about.
///
/// A caption is [read back](facts); each group that it names is matched with at most one of the scene that has its shape or
/// its colour, so that most claims come true (what groups are before where they stand), and then every claim is compared. A claim about a group that matches none is
/// wrong.
pub fn factual_score<'a>(captions: impl IntoIterator<Item = (&'a str, &'a Scene)>) -> FactualScores {
    let mut scores = FactualScores::default();
    for (caption, scene) in captions {
        let facts = facts(caption);
        let before = (scores.wrong(), scores.unread);
        let matched = best_match(&facts, scene);
        add(&mut scores, &facts, scene, &matched);
        scores.captions += 1;
        scores.unread += facts.unread.len();
        let faithful = before == (scores.wrong(), scores.unread) && !facts.mentions.is_empty();
        scores.faithful += usize::from(faithful);
        let named =
            facts.mentions.iter().filter(|m| m.shape.is_some() && m.colour.is_some() && m.count.is_some());
        scores.exact += usize::from(faithful && named.count() == scene.groups.len());
    }
    scores
}

/// For each mention the group that it is about, chosen so that most claims are true.
fn best_match(facts: &Facts, scene: &Scene) -> Vec<Option<usize>> {
    // What is said of mentions that match nothing is never true: left out here, it is not counted again for every match.
    let number = facts.mentions.len().min(MOST_MENTIONS);
    let near = |relation: &&Relation| relation.last_mention().is_none_or(|last| last < number);
    let relations = facts.relations.iter().filter(near).copied().collect();
    let first = Facts { mentions: facts.mentions[..number].to_vec(), relations, unread: Vec::new() };
    let mut best = ((0, 0), vec![None; number]);
    extend(&first, scene, &mut vec![None; number], 0, &mut best);
    best.1.resize(facts.mentions.len(), None);
    best.1
}

fn extend(
    facts: &Facts,
    scene: &Scene,
    matched: &mut Vec<Option<usize>>,
    at: usize,
    best: &mut ((usize, usize), Vec<Option<usize>>),
) {
    if at == facts.mentions.len() {
        let mut scores = FactualScores::default();
        add(&mut scores, facts, scene, matched);
        let [what @ .., relations, places] = scores.aspects().map(|(_, a)| a.correct);
        // What a group is decides; where it stands only between groups that fit alike.
        let correct = (what.iter().sum::<usize>(), relations + places);
        if correct > best.0 {
            *best = (correct, matched.clone());
        }
        return;
    }
    for group in 0..scene.groups.len() {
        if !matched.contains(&Some(group)) && fits(&facts.mentions[at], &scene.groups[group]) {
            matched[at] = Some(group);
            extend(facts, scene, matched, at + 1, best);
        }
    }
    matched[at] = None;
    extend(facts, scene, matched, at + 1, best);
}

/// Whether a mention can be about a group: shape or colour agree, or it says neither.
fn fits(mention: &Mention, group: &Group) -> bool {
    let neither = mention.shape.is_none() && mention.colour.is_none();
    neither || mention.shape == Some(group.shape) || mention.colour == Some(group.colour)
}

/// Counts the claims of a caption whose mentions are matched with groups.
fn add(scores: &mut FactualScores, facts: &Facts, scene: &Scene, matched: &[Option<usize>]) {
    for (mention, group) in facts.mentions.iter().zip(matched) {
        let group = group.map(|g| (g, &scene.groups[g]));
        let is = |correct: &dyn Fn(usize, &Group) -> bool| group.is_some_and(|(at, g)| correct(at, g));
        let claims = [
            (&mut scores.objects, mention.shape.is_some(), is(&|_, g| mention.shape == Some(g.shape))),
            (&mut scores.colours, mention.colour.is_some(), is(&|_, g| mention.colour == Some(g.colour))),
            (&mut scores.counts, mention.count.is_some(), is(&|_, g| mention.count == Some(g.count))),
            (&mut scores.sizes, mention.size.is_some(), is(&|_, g| mention.size == Some(g.size))),
            (&mut scores.textures, mention.texture.is_some(), is(&|_, g| mention.texture == Some(g.texture))),
            (&mut scores.places, mention.place.is_some(), is(&|at, _| stands(scene, at, mention.place))),
        ];
        for (aspect, claimed, correct) in claims {
            aspect.add(claimed, correct, false);
            aspect.found += usize::from(claimed && correct);
        }
        // A lone group stands in the middle, but nobody is asked to say so.
        let lone = scene.groups.len() == 1;
        scores.places.found -=
            usize::from(lone && group.is_some_and(|(at, _)| stands(scene, at, mention.place)));
    }
    let number = scene.groups.len();
    for aspect in [&mut scores.objects, &mut scores.colours, &mut scores.counts, &mut scores.sizes] {
        aspect.truths += number;
    }
    scores.textures.truths += scene.groups.iter().filter(|g| g.texture != Texture::Plain).count();
    let last = number.saturating_sub(1);
    scores.places.truths += (0..number).filter(|at| last > 0 && (at % last == 0 || 2 * at == last)).count();
    relations(&mut scores.relations, facts, scene, matched);
}

/// Whether the group of this number stands at a place.
fn stands(scene: &Scene, at: usize, place: Option<Place>) -> bool {
    let (last, row) = (scene.groups.len().saturating_sub(1), scene.layout == Layout::Row);
    match place {
        Some(Place::Middle) => 2 * at == last,
        Some(Place::Left) => row && last > 0 && at == 0,
        Some(Place::Right) => row && last > 0 && at == last,
        Some(Place::Top) => !row && last > 0 && at == 0,
        Some(Place::Bottom) => !row && last > 0 && at == last,
        None => false,
    }
}

fn relations(aspect: &mut Aspect, facts: &Facts, scene: &Scene, matched: &[Option<usize>]) {
    let group = |mention: usize| matched.get(mention).copied().flatten();
    let number = scene.groups.len();
    let mut found = BTreeSet::new();
    for relation in &facts.relations {
        let correct = match *relation {
            Relation::Before(axis, a, b) => {
                let pair = group(a).zip(group(b)).filter(|(a, b)| a < b && axis == scene.layout);
                found.extend(pair);
                pair.is_some()
            }
            Relation::Beside(a, b) => {
                let pair = group(a).zip(group(b));
                scene.layout == Layout::Row && pair.is_some_and(|(a, b)| a.abs_diff(b) == 1)
            }
            Relation::Between(middle, a, b) => group(middle)
                .zip(group(a).zip(group(b)))
                .is_some_and(|(m, (a, b))| a.min(b) < m && m < a.max(b)),
            Relation::Arranged(layout) => layout == scene.layout && number > 1,
            Relation::Alone => number == 1,
        };
        aspect.add(true, correct, false);
    }
    aspect.truths += number * number.saturating_sub(1) / 2;
    aspect.found += found.len();
}
