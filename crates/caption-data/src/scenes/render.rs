//! Draws scenes.

use rand::Rng;

use super::content::{Group, Layout, Scene, Shape, Size, Texture};

/// Each pixel is the mean of this many points in each direction.
const SUBSAMPLES: u32 = 4;

/// An object in the unit square, y downwards.
struct Object {
    shape: Shape,
    colour: [f32; 3],
    texture: Texture,
    x: f32,
    y: f32,
    radius: f32,
}

/// A grey stroke on the ground that no sentence mentions, in the unit square.
struct Stroke {
    from: (f32, f32),
    along: (f32, f32),
    grey: f32,
}

/// Rows of RGB bytes of a square picture with `size` pixels a side; with `strokes` on its ground, behind all objects.
pub(super) fn render(scene: &Scene, size: u32, strokes: usize, rng: &mut impl Rng) -> Vec<u8> {
    let objects = place(scene, rng);
    let top = light(rng);
    let bottom: [f32; 3] = std::array::from_fn(|c| (top[c] + rng.random_range(-14.0..14.0)).min(255.0));
    let strokes: Vec<Stroke> = (0..strokes).map(|_| stroke(rng)).collect();
    let mut pixels = Vec::with_capacity(size as usize * size as usize * 3);
    for py in 0..size {
        for px in 0..size {
            let down = py as f32 / size as f32;
            let mut colour: [f32; 3] = std::array::from_fn(|c| top[c] + (bottom[c] - top[c]) * down);
            for stroke in &strokes {
                let part = stroked(stroke, px, py, size);
                colour.iter_mut().for_each(|value| *value += (stroke.grey - *value) * part);
            }
            for object in &objects {
                let part = coverage(object, px, py, size);
                for (value, ink) in colour.iter_mut().zip(ink(object, px, py, size)) {
                    *value += (ink - *value) * part;
                }
            }
            pixels.extend(colour.map(|v| v.round().clamp(0.0, 255.0) as u8));
        }
    }
    pixels
}

fn stroke(rng: &mut impl Rng) -> Stroke {
    let mut two = |range: std::ops::Range<f32>| (rng.random_range(range.clone()), rng.random_range(range));
    let (from, along) = (two(0.0..1.0), two(-0.12..0.12));
    Stroke { from, along, grey: rng.random_range(140.0..205.0) }
}

/// Share of a pixel that a stroke covers: 1 on its line, 0 from one and a half pixels on.
fn stroked(stroke: &Stroke, px: u32, py: u32, size: u32) -> f32 {
    let unit = 1.0 / size as f32;
    let (x, y) = ((px as f32 + 0.5) * unit - stroke.from.0, (py as f32 + 0.5) * unit - stroke.from.1);
    let (dx, dy) = stroke.along;
    let at = ((x * dx + y * dy) / (dx * dx + dy * dy).max(1e-6)).clamp(0.0, 1.0);
    let (x, y) = (x - at * dx, y - at * dy);
    (1.5 - (x * x + y * y).sqrt() / unit).clamp(0.0, 1.0)
}

/// The colour of an object at a pixel: its own, or a paler one where its texture has a stripe or a dot.
fn ink(object: &Object, px: u32, py: u32, size: u32) -> [f32; 3] {
    let within = |p: u32, middle: f32| ((p as f32 + 0.5) / size as f32 - middle) / object.radius;
    let (x, y) = (within(px, object.x), within(py, object.y));
    let bright = match object.texture {
        Texture::Plain => return object.colour,
        // Three of the object's height; the first and last parts keep its own colour.
        Texture::Striped => (y * 3.5).rem_euclid(2.0) >= 1.0,
        Texture::Dotted => {
            let from_dot = |v: f32| (v * 2.2).rem_euclid(1.0) - 0.5;
            from_dot(x) * from_dot(x) + from_dot(y) * from_dot(y) < 0.09
        }
    };
    // Not white, so that the outline stays visible on the light ground.
    object.colour.map(|v| if bright { v + 0.6 * (250.0 - v) } else { v })
}

/// A light ground, nearly grey.
fn light(rng: &mut impl Rng) -> [f32; 3] {
    let base: f32 = rng.random_range(222.0..246.0);
    std::array::from_fn(|_| base + rng.random_range(-8.0..8.0))
}

/// Gives each group its strip of the picture, and each object a place of its own in it.
fn place(scene: &Scene, rng: &mut impl Rng) -> Vec<Object> {
    let strips = scene.groups.len();
    let mut objects = Vec::new();
    for (strip, group) in scene.groups.iter().enumerate() {
        let ink = group.colour.look().1.map(|v| f32::from(v) + rng.random_range(-10.0..10.0));
        let radius = match group.size {
            Size::Large => 0.1,
            Size::Small => 0.05,
            Size::Tiny => 0.025,
        } * rng.random_range(0.95..1.05);
        for (along, across) in slots(group, strips) {
            // Slots leave room for the largest radius and this much shift, so objects never touch.
            let along = (strip as f32 + along) / strips as f32 + rng.random_range(-0.012..0.012);
            let across = across + rng.random_range(-0.03..0.03);
            let (x, y) = match scene.layout {
                Layout::Row => (along, across),
                Layout::Column => (across, along),
            };
            objects.push(Object { shape: group.shape, colour: ink, texture: group.texture, x, y, radius });
        }
    }
    objects
}

/// Places within a strip: the first number along the arrangement (0..1 of the strip), the second across it.
fn slots(group: &Group, strips: usize) -> Vec<(f32, f32)> {
    if strips == 1 {
        return match group.count {
            1 => vec![(0.5, 0.5)],
            2 => vec![(0.3, 0.5), (0.7, 0.5)],
            3 => vec![(0.3, 0.65), (0.7, 0.65), (0.5, 0.28)],
            5 | 6 => grid(group.count, [0.2, 0.5, 0.8], [0.3, 0.7]),
            _ => vec![(0.3, 0.3), (0.7, 0.3), (0.3, 0.7), (0.7, 0.7)],
        };
    }
    match group.count {
        1 => vec![(0.5, 0.5)],
        2 => vec![(0.5, 0.3), (0.5, 0.7)],
        3 => vec![(0.5, 0.2), (0.5, 0.5), (0.5, 0.8)],
        5 | 6 => grid(group.count, [0.26, 0.74], [0.2, 0.5, 0.8]),
        _ => vec![(0.26, 0.3), (0.74, 0.3), (0.26, 0.7), (0.74, 0.7)],
    }
}

/// The first `count` places of a grid, row by row.
fn grid<const A: usize, const B: usize>(count: usize, along: [f32; A], across: [f32; B]) -> Vec<(f32, f32)> {
    across.into_iter().flat_map(|b| along.map(|a| (a, b))).take(count).collect()
}

/// Share of a pixel that an object covers, 0..=1.
fn coverage(object: &Object, px: u32, py: u32, size: u32) -> f32 {
    let unit = 1.0 / size as f32;
    let (left, top) = (px as f32 * unit - object.x, py as f32 * unit - object.y);
    let reach = object.radius + unit;
    if left.abs() > reach || top.abs() > reach {
        return 0.0;
    }
    let mut inside = 0;
    for sub in 0..SUBSAMPLES * SUBSAMPLES {
        let offset = |n: u32| (n as f32 + 0.5) / SUBSAMPLES as f32 * unit;
        let x = (left + offset(sub % SUBSAMPLES)) / object.radius;
        let y = (top + offset(sub / SUBSAMPLES)) / object.radius;
        inside += u32::from(contains(object.shape, x, y));
    }
    inside as f32 / (SUBSAMPLES * SUBSAMPLES) as f32
}

/// Whether a point lies in a shape that fills -1..=1 in both directions, y downwards.
fn contains(shape: Shape, x: f32, y: f32) -> bool {
    let (ax, ay) = (x.abs(), y.abs());
    match shape {
        Shape::Circle => x * x + y * y <= 1.0,
        Shape::Square => ax <= 0.88 && ay <= 0.88,
        Shape::Triangle => (-0.95..=0.8).contains(&y) && ax <= (y + 0.95) / 1.75,
        Shape::Star => in_star(x, y),
        Shape::Diamond => ax / 0.7 + ay <= 1.0,
        Shape::Cross => (ax <= 0.32 && ay <= 0.95) || (ay <= 0.32 && ax <= 0.95),
    }
}

/// A five-pointed star: in at least four of the five half planes of a pentagram.
fn in_star(x: f32, y: f32) -> bool {
    // Normals of the five lines, and their distance from the centre for points at distance 1: cos 72 degrees.
    // Written out, because sine and cosine differ between platforms in the last digit.
    const NORMALS: [(f32, f32); 5] = [
        (0.0, -1.0),
        (0.951_056_5, -0.309_017),
        (0.587_785_25, 0.809_017),
        (-0.587_785_25, 0.809_017),
        (-0.951_056_5, -0.309_017),
    ];
    NORMALS.iter().filter(|(nx, ny)| nx * x + ny * y <= 0.309_017).count() >= 4
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn objects_stay_inside_and_apart() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for step in 0..8000u32 {
            let scene = Scene::random(1 + (step % 4) as u8, &mut rng);
            let objects = place(&scene, &mut rng);
            assert_eq!(objects.len(), scene.groups.iter().map(|g| g.count).sum::<usize>());
            for (at, a) in objects.iter().enumerate() {
                let inside = |v: f32| v - a.radius >= 0.0 && v + a.radius <= 1.0;
                assert!(inside(a.x) && inside(a.y), "{scene:?}");
                for b in &objects[..at] {
                    let apart = (a.x - b.x).abs().max((a.y - b.y).abs());
                    assert!(apart > a.radius + b.radius, "{scene:?}: {apart}");
                }
            }
        }
    }

    #[test]
    fn a_star_has_five_points_and_a_body() {
        let corner = |deg: f32| (deg.to_radians().sin() * 0.97, -deg.to_radians().cos() * 0.97);
        for step in 0..5 {
            let (x, y) = corner(72.0 * step as f32);
            assert!(in_star(x, y), "point {step}");
            let (x, y) = corner(36.0 + 72.0 * step as f32);
            assert!(!in_star(x, y), "gap {step}");
        }
        assert!(in_star(0.0, 0.0));
    }
}
