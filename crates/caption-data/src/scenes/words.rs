//! Sentences about scenes. Every sentence is true of its scene; sentences differ in words and in what they mention.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::content::{Group, Layout, Scene, Size, Texture};

/// Fewest words of a sentence.
const SHORTEST: usize = 5;

/// Most words of a sentence of a level: beyond the first there are more groups and more to say of each.
pub(super) fn longest(level: u8) -> usize {
    if level == 1 { 16 } else { 28 }
}

/// `count` different sentences of 5 to `longest` words.
pub(super) fn sentences(scene: &Scene, count: usize, longest: usize, rng: &mut impl Rng) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::with_capacity(count);
    while sentences.len() < count {
        let sentence = sentence(scene, rng);
        if (SHORTEST..=longest).contains(&sentence.split(' ').count()) && !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

fn sentence(scene: &Scene, rng: &mut impl Rng) -> String {
    match scene.groups.as_slice() {
        [only] => about_one(scene, only, rng),
        [first, second] => about_two(scene, [first, second], rng),
        [first, second, third] => about_three(scene, [first, second, third], rng),
        groups => about_four(scene, groups, rng),
    }
}

fn pick<'a>(rng: &mut impl Rng, choices: &[&'a str]) -> &'a str {
    choices.choose(rng).copied().unwrap_or_default()
}

fn about_one(scene: &Scene, group: &Group, rng: &mut impl Rng) -> String {
    let it = phrase(group, scene, rng);
    let is = be(group);
    let picture = pick(rng, &["picture", "image", "drawing"]);
    let light = pick(rng, &["light", "pale"]);
    match rng.random_range(0..7) {
        0 => format!("there {is} {it} in the {picture}"),
        1 => format!("the {picture} shows {it}"),
        2 => format!("{it} on a {light} background"),
        3 => format!("{it} and nothing else"),
        4 => format!("{it} {is} drawn on a {light} background"),
        5 => format!("{} {picture} of {it}", article(picture)),
        _ => format!("we can see {it} here"),
    }
}

fn about_two(scene: &Scene, [first, second]: [&Group; 2], rng: &mut impl Rng) -> String {
    let (a, b) = (phrase(first, scene, rng), phrase(second, scene, rng));
    let picture = pick(rng, &["picture", "image", "drawing"]);
    let row = scene.layout == Layout::Row;
    let (before, after): (&[&str], &[&str]) = if row {
        (
            &["to the left of", "on the left of", "left of"],
            &["to the right of", "on the right of", "right of"],
        )
    } else {
        (&["above", "over"], &["below", "under", "beneath"])
    };
    let (before, after) = (pick(rng, before), pick(rng, after));
    let (start, end) = if row { ("on the left", "on the right") } else { ("at the top", "at the bottom") };
    match rng.random_range(0..9) {
        0 => format!("{a} {before} {b}"),
        1 => format!("{b} {after} {a}"),
        2 => format!("{a} {} {before} {b}", be(first)),
        3 => format!("{b} {} {after} {a}", be(second)),
        4 => format!("{a} {start} and {b} {end}"),
        5 if row => format!("{a} and {b} side by side"),
        5 => format!("there {} {a} with {b} {} {}", be(first), pick(rng, &["below", "under"]), them(first)),
        6 if row => format!("{a} next to {b}"),
        6 => format!("there {} {b} with {a} above {}", be(second), them(second)),
        7 => format!("the {picture} shows {a} and {b}"),
        _ => format!("there {} {a} {start} of the {picture}", be(first)),
    }
}

fn about_three(scene: &Scene, groups: [&Group; 3], rng: &mut impl Rng) -> String {
    let [a, b, c] = groups.map(|g| phrase(g, scene, rng));
    let picture = pick(rng, &["picture", "image", "drawing"]);
    let row = scene.layout == Layout::Row;
    let (start, end) = if row { ("on the left", "on the right") } else { ("at the top", "at the bottom") };
    let line = if row { "row" } else { "column" };
    match rng.random_range(0..8) {
        0 => format!("{b} between {a} and {c}"),
        1 => format!("{a} , {b} and {c} in a {line}"),
        2 if row => format!("from left to right {a} , {b} and {c}"),
        2 => format!("from top to bottom {a} , {b} and {c}"),
        3 => format!("{b} in the middle of the {picture} with {a} {start}"),
        4 => format!("{b} in the middle with {c} {end}"),
        5 => format!("{a} {start} and {c} {end}"),
        6 => format!("the {picture} shows {a} , {b} and {c}"),
        _ => format!("{b} {} in the middle of the {picture}", be(groups[1])),
    }
}

fn about_four(scene: &Scene, groups: &[Group], rng: &mut impl Rng) -> String {
    let all: Vec<String> = groups.iter().map(|g| phrase(g, scene, rng)).collect();
    let [a, b, c, d] = all.as_slice() else { return String::new() };
    let picture = pick(rng, &["picture", "image", "drawing"]);
    let row = scene.layout == Layout::Row;
    let (start, end) = if row { ("on the left", "on the right") } else { ("at the top", "at the bottom") };
    let line = if row { "row" } else { "column" };
    let before = if row { "left of" } else { "above" };
    match rng.random_range(0..7) {
        0 if row => format!("from left to right {a} , {b} , {c} and {d}"),
        0 => format!("from top to bottom {a} , {b} , {c} and {d}"),
        1 => format!("{a} , {b} , {c} and {d} in a {line}"),
        2 => format!("the {picture} shows {a} , {b} , {c} and {d}"),
        3 => format!("{a} {start} and {d} {end}"),
        4 => format!("{b} {before} {c}"),
        5 => format!("{c} between {a} and {d}"),
        _ => format!("{a} {before} {d}"),
    }
}

fn be(group: &Group) -> &'static str {
    if group.count == 1 { "is" } else { "are" }
}

fn them(group: &Group) -> &'static str {
    if group.count == 1 { "it" } else { "them" }
}

/// Names a group: `two large red stars`. Size, and what tells nothing apart, may be left out.
fn phrase(group: &Group, scene: &Scene, rng: &mut impl Rng) -> String {
    let others = || scene.groups.iter().filter(|g| *g != group);
    // Without its colour "a star" must not mean another group; without its shape neither must "a red shape".
    let shape_tells = others().all(|g| g.shape != group.shape);
    let colour_tells = others().all(|g| g.colour != group.colour);
    let one = group.count == 1;
    let size = match (rng.random_bool(0.45), group.size) {
        (false, _) => None,
        (true, Size::Large) => Some(pick(rng, &["large", "large", "big"])),
        (true, Size::Small) => Some(pick(rng, &["small", "small", "little"])),
        (true, Size::Tiny) => Some("tiny"),
    };
    let (colour, shape) = (group.colour.look().0, group.shape.names());
    let noun = |(single, plural): (&'static str, &'static str)| if one { single } else { plural };
    let (colour, noun) = match rng.random_range(0..12) {
        0 if shape_tells => (None, noun(shape)),
        1 if colour_tells => (Some(colour), noun(("shape", "shapes"))),
        _ => (Some(colour), noun(shape)),
    };
    // A plain filling is not mentioned, and nothing is drawn for it: sentences of level 1 stay what they were.
    let texture = match group.texture {
        Texture::Plain => None,
        _ if rng.random_bool(0.4) => None,
        Texture::Striped => Some("striped"),
        Texture::Dotted => Some("dotted"),
    };
    let rest: Vec<&str> = size.into_iter().chain(texture).chain(colour).chain([noun]).collect();
    format!("{} {}", number(group.count, rest[0], rng), rest.join(" "))
}

fn article(next: &str) -> &'static str {
    if next.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn number(count: usize, next: &str, rng: &mut impl Rng) -> &'static str {
    match count {
        1 if rng.random_bool(0.12) => "one",
        1 => article(next),
        2 => pick(rng, &["two", "two", "two", "a pair of"]),
        3 => "three",
        4 => "four",
        5 => "five",
        _ => "six",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::content::{Colour, Shape};
    use super::*;

    #[test]
    fn five_different_sentences_from_a_small_vocabulary() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut words = HashSet::new();
        for _ in 0..3000 {
            let scene = Scene::random(1, &mut rng);
            let sentences = sentences(&scene, 5, longest(1), &mut rng);
            assert_eq!(sentences.iter().collect::<HashSet<_>>().len(), 5);
            for sentence in sentences {
                let list = capwright_caption_metrics::tokenize(&sentence);
                assert!((5..=16).contains(&list.len()), "{sentence}");
                let vowel = |word: &String| word.starts_with(['a', 'e', 'i', 'o', 'u']);
                assert!(list.windows(2).all(|w| w[0] != "a" || !vowel(&w[1])), "{sentence}");
                words.extend(list);
            }
        }
        assert!((60..=100).contains(&words.len()), "{} words: {words:?}", words.len());
    }

    #[test]
    fn sides_are_told_rightly() {
        let group = |colour| Group {
            shape: Shape::Circle,
            colour,
            size: Size::Large,
            count: 1,
            texture: Texture::Plain,
        };
        let scene = Scene { layout: Layout::Row, groups: vec![group(Colour::Red), group(Colour::Blue)] };
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut told = 0;
        for _ in 0..500 {
            let sentence = sentence(&scene, &mut rng);
            let (red, blue) = (sentence.find("red"), sentence.find("blue"));
            assert!(!sentence.contains("above") && !sentence.contains("top"), "{sentence}");
            if let (Some(red), Some(blue)) = (red, blue) {
                let red_first = red < blue;
                if sentence.contains("left of") {
                    assert!(red_first, "{sentence}");
                    told += 1;
                } else if sentence.contains("right of") {
                    assert!(!red_first, "{sentence}");
                    told += 1;
                }
            }
        }
        assert!(told > 50);
    }

    #[test]
    fn colours_stay_when_shapes_are_equal() {
        let group = |colour| Group {
            shape: Shape::Star,
            colour,
            size: Size::Small,
            count: 2,
            texture: Texture::Plain,
        };
        let scene = Scene { layout: Layout::Column, groups: vec![group(Colour::Pink), group(Colour::Brown)] };
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for _ in 0..300 {
            assert!(phrase(&scene.groups[0], &scene, &mut rng).contains("pink"));
        }
    }
}
