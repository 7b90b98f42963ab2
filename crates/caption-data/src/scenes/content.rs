//! What a scene shows.

use rand::Rng;
use rand::seq::IndexedRandom;

/// The outline of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Diamond,
    Cross,
}

impl Shape {
    const ALL: [Shape; 6] =
        [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Star, Shape::Diamond, Shape::Cross];

    /// Singular and plural.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Shape::Circle => ("circle", "circles"),
            Shape::Square => ("square", "squares"),
            Shape::Triangle => ("triangle", "triangles"),
            Shape::Star => ("star", "stars"),
            Shape::Diamond => ("diamond", "diamonds"),
            Shape::Cross => ("cross", "crosses"),
        }
    }
}

/// The colour of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    Pink,
    Brown,
}

impl Colour {
    const ALL: [Colour; 8] = [
        Colour::Red,
        Colour::Orange,
        Colour::Yellow,
        Colour::Green,
        Colour::Blue,
        Colour::Purple,
        Colour::Pink,
        Colour::Brown,
    ];

    /// Its name and its middle red, green and blue.
    pub(super) fn look(self) -> (&'static str, [u8; 3]) {
        match self {
            Colour::Red => ("red", [214, 32, 36]),
            Colour::Orange => ("orange", [250, 140, 20]),
            Colour::Yellow => ("yellow", [238, 208, 24]),
            Colour::Green => ("green", [36, 152, 60]),
            Colour::Blue => ("blue", [36, 84, 212]),
            Colour::Purple => ("purple", [122, 40, 160]),
            Colour::Pink => ("pink", [244, 122, 178]),
            Colour::Brown => ("brown", [122, 76, 40]),
        }
    }
}

/// Equal objects that stand together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub shape: Shape,
    pub colour: Colour,
    pub large: bool,
    /// 1..=4, 1..=2 where three groups share the picture.
    pub count: usize,
}

/// How groups are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// From left to right; also a single group.
    Row,
    /// From top to bottom.
    Column,
}

/// The content of an image: what is told apart, not where each pixel lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scene {
    pub layout: Layout,
    /// One to three, in the order of the layout; no two have both shape and colour in common.
    pub groups: Vec<Group>,
}

impl Scene {
    /// Draws a scene: one group in a quarter of the cases, two in a half, three in a quarter.
    pub(super) fn random(rng: &mut impl Rng) -> Scene {
        let number = [1, 2, 2, 3][rng.random_range(0..4usize)];
        let layout = if number == 1 || rng.random_bool(0.5) { Layout::Row } else { Layout::Column };
        let mut groups: Vec<Group> = Vec::with_capacity(number);
        while groups.len() < number {
            let group = Group::random(rng, if number == 3 { 2 } else { 4 });
            if groups.iter().all(|g| (g.shape, g.colour) != (group.shape, group.colour)) {
                groups.push(group);
            }
        }
        Scene { layout, groups }
    }
}

impl Group {
    fn random(rng: &mut impl Rng, most: usize) -> Group {
        // One object is the most frequent number, as in photos.
        let count = if rng.random_bool(0.4) { 1 } else { rng.random_range(1..=most) };
        Group {
            shape: *Shape::ALL.choose(rng).unwrap_or(&Shape::Circle),
            colour: *Colour::ALL.choose(rng).unwrap_or(&Colour::Red),
            large: rng.random_bool(0.5),
            count,
        }
    }
}
