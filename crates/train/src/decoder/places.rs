//! Where a word stands, without learned values: sines and cosines, and angles of rotation.

/// Frequency of pair `i` of `width / 2` (Vaswani et al. 2017; Su et al. 2021).
fn frequency(i: usize, width: usize) -> f64 {
    10_000f64.powf(-2.0 * i as f64 / width as f64)
}

/// The vector of a place: sine and cosine in turn, from fast to slow.
pub(crate) fn sinusoid(place: usize, width: usize) -> Vec<f32> {
    let one = |i: usize| {
        let angle = place as f64 * frequency(i / 2, width);
        (if i.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    (0..width).map(one).collect()
}

/// The angles by which the pairs of a head of that width are turned at a place.
pub(crate) fn rotary_angles(place: usize, width: usize) -> impl Iterator<Item = f32> {
    (0..width / 2).map(move |i| (place as f64 * frequency(i, width)) as f32)
}

/// Turns each head of a query or key in place, forwards (1) or back (-1); value `i` of a head is paired with `i + width / 2`.
pub(crate) fn turn(x: &mut [f32], place: usize, heads: usize, direction: f32) {
    let width = x.len() / heads;
    for head in x.chunks_exact_mut(width) {
        let (a, b) = head.split_at_mut(width / 2);
        for ((a, b), angle) in a.iter_mut().zip(b).zip(rotary_angles(place, width)) {
            let (sin, cos) = (direction * angle).sin_cos();
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}
