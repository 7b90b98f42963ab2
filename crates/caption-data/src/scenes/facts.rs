//! Reading back what a sentence about a scene says.
//!
//! The sentences of [`make_scenes`](super::make_scenes) come from a small grammar, so that what a model says in their words
//! can be read without guessing. Commas and the case of letters are of no account. Words outside the grammar are listed, and
//! what they say is not known.

use super::content::{Colour, Layout, Shape, Size, Texture};

/// What a sentence says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The groups of objects that it names, in its order.
    pub mentions: Vec<Mention>,
    /// What it says about their arrangement; numbers are places in `mentions`.
    pub relations: Vec<Relation>,
    /// Words that are not in the grammar.
    pub unread: Vec<String>,
}

/// A group of objects as a sentence names it: `two small red stars`. What it leaves out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "as in `Group`")]
pub struct Mention {
    pub shape: Option<Shape>,
    pub colour: Option<Colour>,
    pub size: Option<Size>,
    pub texture: Option<Texture>,
    pub count: Option<usize>,
    /// Where in the picture it stands.
    pub place: Option<Place>,
}

/// A place in the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says what it is")]
pub enum Place {
    Left,
    Right,
    Top,
    Bottom,
    Middle,
}

impl Place {
    /// What its axis is, for the ends.
    pub(super) fn axis(self) -> Option<Layout> {
        match self {
            Place::Left | Place::Right => Some(Layout::Row),
            Place::Top | Place::Bottom => Some(Layout::Column),
            Place::Middle => None,
        }
    }

    fn rank(self) -> usize {
        match self {
            Place::Left | Place::Top => 0,
            Place::Middle => 1,
            Place::Right | Place::Bottom => 2,
        }
    }
}

/// What a sentence says about arrangement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The first stands left of (in a row) or above (in a column) the second.
    Before(Layout, usize, usize),
    /// Two stand side by side, in whichever order.
    Beside(usize, usize),
    /// The first stands between the other two.
    Between(usize, usize, usize),
    /// Everything stands in a row or a column.
    Arranged(Layout),
    /// There is nothing but the one group named.
    Alone,
}

impl Relation {
    /// The last of the mentions that it is about.
    pub(super) fn last_mention(&self) -> Option<usize> {
        match *self {
            Relation::Before(_, a, b) | Relation::Beside(a, b) => Some(a.max(b)),
            Relation::Between(middle, a, b) => Some(middle.max(a).max(b)),
            Relation::Arranged(_) | Relation::Alone => None,
        }
    }
}

/// A piece of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// The mention of this number.
    Mention(usize),
    Sign(Sign),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Before(Layout),
    After(Layout),
    At(Place),
    Between,
    NextTo,
    SideBySide,
    Arranged(Layout),
    Listed(Layout),
    Alone,
    /// `it` or `them`.
    Pronoun,
    /// Words that say nothing.
    Filler,
}

/// Phrases and what they mean; of two that begin alike the longer stands first.
const SIGNS: &[(&[&str], Sign)] = &[
    (&["from", "left", "to", "right"], Sign::Listed(Layout::Row)),
    (&["from", "top", "to", "bottom"], Sign::Listed(Layout::Column)),
    (&["to", "the", "left", "of"], Sign::Before(Layout::Row)),
    (&["on", "the", "left", "of"], Sign::Before(Layout::Row)),
    (&["left", "of"], Sign::Before(Layout::Row)),
    (&["to", "the", "right", "of"], Sign::After(Layout::Row)),
    (&["on", "the", "right", "of"], Sign::After(Layout::Row)),
    (&["right", "of"], Sign::After(Layout::Row)),
    (&["above"], Sign::Before(Layout::Column)),
    (&["over"], Sign::Before(Layout::Column)),
    (&["below"], Sign::After(Layout::Column)),
    (&["under"], Sign::After(Layout::Column)),
    (&["beneath"], Sign::After(Layout::Column)),
    (&["on", "the", "left"], Sign::At(Place::Left)),
    (&["on", "the", "right"], Sign::At(Place::Right)),
    (&["at", "the", "top"], Sign::At(Place::Top)),
    (&["at", "the", "bottom"], Sign::At(Place::Bottom)),
    (&["in", "the", "middle"], Sign::At(Place::Middle)),
    (&["between"], Sign::Between),
    (&["next", "to"], Sign::NextTo),
    (&["side", "by", "side"], Sign::SideBySide),
    (&["in", "a", "row"], Sign::Arranged(Layout::Row)),
    (&["in", "a", "column"], Sign::Arranged(Layout::Column)),
    (&["and", "nothing", "else"], Sign::Alone),
    (&["it"], Sign::Pronoun),
    (&["them"], Sign::Pronoun),
];

/// Words that say nothing about the scene.
const FILLER: [&str; 23] = [
    "there",
    "is",
    "are",
    "in",
    "the",
    "picture",
    "image",
    "drawing",
    "shows",
    "on",
    "a",
    "an",
    "light",
    "pale",
    "background",
    "drawn",
    "of",
    "we",
    "can",
    "see",
    "here",
    "and",
    "with",
];

/// Reads a sentence. Anything can be read; what is not understood is in [`Facts::unread`].
pub fn facts(sentence: &str) -> Facts {
    let lower = sentence.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | '.'))
        .filter(|w| !w.is_empty())
        .collect();
    let mut facts = Facts::default();
    let mut pieces = Vec::new();
    let mut rest = without_frames(&words);
    while let Some(first) = rest.first().copied() {
        let used = if let Some((mention, used)) = mention(&rest) {
            pieces.push(Piece::Mention(facts.mentions.len()));
            facts.mentions.push(mention);
            used
        } else if let Some((phrase, sign)) = SIGNS.iter().find(|(phrase, _)| rest.starts_with(phrase)) {
            pieces.push(Piece::Sign(*sign));
            phrase.len()
        } else {
            if FILLER.contains(&first) {
                pieces.push(Piece::Sign(Sign::Filler));
            } else {
                facts.unread.push(first.to_owned());
            }
            1
        };
        rest.drain(..used);
    }
    relate(&pieces, &mut facts);
    order_places(&mut facts);
    facts
}

/// Drops `of the picture` after a place, so that `on the left of` always leads to another group.
fn without_frames<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        match words[at..] {
            ["of", "the", "picture" | "image" | "drawing", ..] => at += 3,
            _ => {
                kept.push(words[at]);
                at += 1;
            }
        }
    }
    kept
}

/// A group named at the start of the words, and how many words that takes.
fn mention(words: &[&str]) -> Option<(Mention, usize)> {
    let (count, mut at) = match *words {
        ["a", "pair", "of", ..] => (Some(2), 3),
        ["a" | "an" | "one", ..] => (Some(1), 1),
        ["two", ..] => (Some(2), 1),
        ["three", ..] => (Some(3), 1),
        ["four", ..] => (Some(4), 1),
        ["five", ..] => (Some(5), 1),
        ["six", ..] => (Some(6), 1),
        _ => (None, 0),
    };
    let mut mention = Mention { count, ..Mention::default() };
    while let Some(word) = words.get(at) {
        at += 1;
        let shape = Shape::ALL.into_iter().find(|s| s.names().0 == *word || s.names().1 == *word);
        if shape.is_some() || matches!(*word, "shape" | "shapes") {
            mention.shape = shape;
            return Some((mention, at));
        }
        match *word {
            "large" | "big" => mention.size = Some(Size::Large),
            "small" | "little" => mention.size = Some(Size::Small),
            "tiny" => mention.size = Some(Size::Tiny),
            "striped" => mention.texture = Some(Texture::Striped),
            "dotted" => mention.texture = Some(Texture::Dotted),
            word => mention.colour = Some(Colour::ALL.into_iter().find(|c| c.look().0 == word)?),
        }
    }
    None
}

/// Turns signs between mentions into relations and places.
fn relate(pieces: &[Piece], facts: &mut Facts) {
    let after = |at: usize| pieces[at + 1..].iter().find(|piece| **piece != Piece::Sign(Sign::Filler));
    let mut last = None;
    for (at, piece) in pieces.iter().enumerate() {
        let sign = match *piece {
            Piece::Mention(number) => {
                last = Some(number);
                continue;
            }
            Piece::Sign(sign) => sign,
        };
        let next = match after(at) {
            Some(Piece::Mention(number)) => Some(*number),
            // `it` is what was named before the last: "a star with a circle below it".
            Some(Piece::Sign(Sign::Pronoun)) => last.and_then(|last| last.checked_sub(1)),
            _ => None,
        };
        let relation = match (sign, last, next) {
            (Sign::Before(axis), Some(a), Some(b)) => Relation::Before(axis, a, b),
            (Sign::After(axis), Some(a), Some(b)) => Relation::Before(axis, b, a),
            (Sign::NextTo, Some(a), Some(b)) => Relation::Beside(a, b),
            (Sign::SideBySide, Some(b @ 1..), _) => Relation::Beside(b - 1, b),
            (Sign::Between, Some(a), Some(b)) if b + 1 < facts.mentions.len() => {
                Relation::Between(a, b, b + 1)
            }
            (Sign::Arranged(layout), ..) => Relation::Arranged(layout),
            (Sign::Alone, ..) => Relation::Alone,
            (Sign::Listed(axis), _, Some(first)) => {
                let named = facts.mentions.len();
                let pairs = (first..named).flat_map(|a| (a + 1..named).map(move |b| (a, b)));
                facts.relations.extend(pairs.map(|(a, b)| Relation::Before(axis, a, b)));
                continue;
            }
            (Sign::At(place), Some(a), _) => {
                facts.mentions[a].place = Some(place);
                continue;
            }
            _ => continue,
        };
        facts.relations.push(relation);
    }
}

/// Adds the order that places imply: what is on the left stands left of what is on the right.
fn order_places(facts: &mut Facts) {
    let placed: Vec<(usize, Place)> =
        facts.mentions.iter().enumerate().filter_map(|(at, m)| Some((at, m.place?))).collect();
    for (at, &(a, first)) in placed.iter().enumerate() {
        for &(b, second) in &placed[at + 1..] {
            let axes = (first.axis(), second.axis());
            let Some(axis) = axes.0.or(axes.1) else { continue };
            if axes.0.is_some_and(|a| a != axis) || axes.1.is_some_and(|b| b != axis) {
                continue;
            }
            match first.rank().cmp(&second.rank()) {
                std::cmp::Ordering::Less => facts.relations.push(Relation::Before(axis, a, b)),
                std::cmp::Ordering::Greater => facts.relations.push(Relation::Before(axis, b, a)),
                std::cmp::Ordering::Equal => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(shape: Shape, colour: Colour, count: usize) -> Mention {
        Mention { shape: Some(shape), colour: Some(colour), count: Some(count), ..Mention::default() }
    }

    #[test]
    fn sentences_are_read_as_people_read_them() {
        let star = named(Shape::Star, Colour::Red, 2);
        let circle = named(Shape::Circle, Colour::Blue, 1);
        let row = |a, b| Relation::Before(Layout::Row, a, b);
        let column = |a, b| Relation::Before(Layout::Column, a, b);
        for (sentence, relations) in [
            ("two red stars to the left of a blue circle", vec![row(0, 1)]),
            ("Two red stars are right of a blue circle.", vec![row(1, 0)]),
            ("there are two red stars with a blue circle below them", vec![column(0, 1)]),
            ("there are two red stars with a blue circle above them", vec![column(1, 0)]),
            ("a pair of red stars and one blue circle side by side", vec![Relation::Beside(0, 1)]),
            ("two red stars next to a blue circle", vec![Relation::Beside(0, 1)]),
            ("the image shows two red stars and a blue circle", vec![]),
            ("from top to bottom two red stars and a blue circle", vec![column(0, 1)]),
            ("two red stars , a blue circle in a row", vec![Relation::Arranged(Layout::Row)]),
        ] {
            let read = facts(sentence);
            assert_eq!(read.mentions, [star.clone(), circle.clone()], "{sentence}");
            assert_eq!((read.relations, read.unread), (relations, vec![]), "{sentence}");
        }
    }

    #[test]
    fn places_imply_an_order() {
        let read = facts("a red star in the middle of the picture with a blue circle at the top");
        assert_eq!(read.mentions[0].place, Some(Place::Middle));
        assert_eq!(read.relations, [Relation::Before(Layout::Column, 1, 0)]);
        let read = facts("a red star on the left of the drawing");
        assert_eq!((read.mentions[0].place, read.relations), (Some(Place::Left), vec![]));
    }

    #[test]
    fn between_takes_three_and_adjectives_may_come_in_any_order() {
        let read = facts("a star between a red tiny striped cross and three big shapes");
        assert_eq!(read.relations, [Relation::Between(0, 1, 2)]);
        let cross = &read.mentions[1];
        assert_eq!((cross.size, cross.texture), (Some(Size::Tiny), Some(Texture::Striped)));
        assert_eq!((read.mentions[2].shape, read.mentions[2].count), (None, Some(3)));
    }

    #[test]
    fn what_is_not_in_the_grammar_is_listed() {
        let read = facts("a dog and a red star on the beach between");
        assert_eq!(read.unread, ["dog", "beach"]);
        assert_eq!(read.mentions.len(), 1);
        assert_eq!(facts(""), Facts::default());
        assert_eq!(facts("a red").mentions.len(), 0);
    }
}
