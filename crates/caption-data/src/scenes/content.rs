//! What a scene shows.

use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// Most groups of a scene, and most objects of a group, at any level.
pub(super) const MOST_GROUPS: usize = 4;
pub(super) const MOST_OBJECTS: usize = 6;

/// The outline of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each says what it is")]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Star,
    Diamond,
    Cross,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 6] =
        [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Star, Shape::Diamond, Shape::Cross];

    /// Singular and plural.
    pub const fn names(self) -> (&'static str, &'static str) {
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each says what it is")]
pub enum Colour {
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
    /// All colours.
    pub const ALL: [Colour; 8] = [
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
    pub const fn look(self) -> (&'static str, [u8; 3]) {
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

/// The size of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// A fifth of the picture's side across.
    Large,
    /// A tenth.
    Small,
    /// A twentieth; from level 4 on.
    Tiny,
}

/// The filling of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Texture {
    /// One colour.
    #[default]
    Plain,
    /// Stripes from left to right; from level 3 on.
    Striped,
    /// Light dots; from level 3 on.
    Dotted,
}

/// Equal objects that stand together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The outline of each.
    pub shape: Shape,
    /// The colour of each.
    pub colour: Colour,
    /// The size of each.
    pub size: Size,
    /// How many there are: 1 to 6.
    pub count: usize,
    /// The filling of each.
    #[serde(default)]
    pub texture: Texture,
}

/// How groups are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// From left to right; also a single group.
    Row,
    /// From top to bottom.
    Column,
}

/// The content of an image: what is told apart, not where each pixel lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// How the groups are arranged.
    pub layout: Layout,
    /// One to four, in the order of the layout; no two have both shape and colour in common.
    pub groups: Vec<Group>,
}

impl Scene {
    /// Whether its groups, and their objects, are as many as a drawn scene has: all are tried when captions are scored.
    pub(super) fn is_of_drawn_size(&self) -> bool {
        (1..=MOST_GROUPS).contains(&self.groups.len())
            && self.groups.iter().all(|group| (1..=MOST_OBJECTS).contains(&group.count))
    }

    /// Draws a scene of a level, 1 to 4.
    ///
    /// Of level 1: one group in a quarter of the cases, two in a half, three in a quarter, of up to four objects. From level 2
    /// on there are four groups in a fifth of the cases and up to six objects in a group, from level 3 on half of the groups
    /// are striped or dotted, and in level 4 a third are tiny.
    pub(super) fn random(level: u8, rng: &mut impl Rng) -> Scene {
        let number = match level {
            1 => [1, 2, 2, 3][rng.random_range(0..4usize)],
            _ => [1, 2, 2, 3, 4][rng.random_range(0..5usize)],
        };
        let layout = if number == 1 || rng.random_bool(0.5) { Layout::Row } else { Layout::Column };
        let most = match (level, number) {
            (1, 3) => 2,
            (1, _) => 4,
            (_, 1 | 2) => 6,
            _ => 3,
        };
        let mut groups: Vec<Group> = Vec::with_capacity(number);
        while groups.len() < number {
            let group = Group::random(level, most, rng);
            if groups.iter().all(|g| (g.shape, g.colour) != (group.shape, group.colour)) {
                groups.push(group);
            }
        }
        Scene { layout, groups }
    }
}

impl Group {
    fn random(level: u8, most: usize, rng: &mut impl Rng) -> Group {
        // One object is the most frequent number, as in photos.
        let count = if rng.random_bool(0.4) { 1 } else { rng.random_range(1..=most) };
        let mut group = Group {
            shape: *Shape::ALL.choose(rng).unwrap_or(&Shape::Circle),
            colour: *Colour::ALL.choose(rng).unwrap_or(&Colour::Red),
            size: if rng.random_bool(0.5) { Size::Large } else { Size::Small },
            count,
            texture: Texture::Plain,
        };
        // Drawn last, and not at all for lower levels: their scenes stay what they were.
        if level >= 3 && rng.random_bool(0.5) {
            group.texture = if rng.random_bool(0.5) { Texture::Striped } else { Texture::Dotted };
        }
        if level >= 4 && rng.random_bool(1.0 / 3.0) {
            // A texture would not show.
            (group.size, group.texture) = (Size::Tiny, Texture::Plain);
        }
        group
    }
}
