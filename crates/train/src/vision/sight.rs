//! Multi-head attention of cells to each other (PyTorch's `MultiheadAttention`, and Swin's within windows), forward and backward.
//!
//! Queries, keys and values lie behind each other, `[3 c, n, cells]`, for as many images as there are; of one image that is a
//! feature map.

use crate::macs;
use crate::math::{View, add_row, product, softmax, softmax_back};
use capwright_blueprint::Shape;
use rayon::prelude::*;

/// Which cells attend to which.
pub(crate) struct Sight {
    heads: usize,
    /// Cells that see each other; each cell is in one set.
    sets: Vec<Vec<usize>>,
    /// The part of the map that a cell belongs to: those of other parts in its set are hidden, as windows that go round the edge
    /// must not join what is far apart.
    parts: Option<Vec<usize>>,
    /// Side of a window, where there is a learned bias for each distance.
    window: Option<usize>,
}

/// What hides a cell, as torchvision's `shifted_window_attention` has it.
const HIDDEN: f32 = -100.0;

impl Sight {
    /// All cells see all.
    pub(crate) fn whole(heads: usize, map: Shape) -> Self {
        Self { heads, sets: vec![(0..map.h * map.w).collect()], parts: None, window: None }
    }

    /// Cells see those of their window; windows are moved by `shift` cells up and left, where the map has more than one.
    pub(crate) fn windows(heads: usize, map: Shape, window: usize, shift: usize) -> Self {
        let (down, right) = (if map.h > window { shift } else { 0 }, if map.w > window { shift } else { 0 });
        let cell = |y: usize, x: usize| (y + down) % map.h * map.w + (x + right) % map.w;
        let set = |at: usize| {
            let (top, left) = (at / (map.w / window) * window, at % (map.w / window) * window);
            (0..window * window).map(|i| cell(top + i / window, left + i % window)).collect()
        };
        let sets = (0..(map.h / window) * (map.w / window)).map(set).collect();
        // Along an edge: what lies before the last window, in it, and what came round from the other end.
        let part = |at: usize, n: usize, shift: usize| {
            let moved = (at + n - shift) % n;
            if shift == 0 || moved < n - window { 0 } else { 1 + usize::from(moved >= n - shift) }
        };
        let parts = (down + right > 0).then(|| {
            let one = |i: usize| 3 * part(i / map.w, map.h, down) + part(i % map.w, map.w, right);
            (0..map.h * map.w).map(one).collect()
        });
        Self { heads, sets, parts, window: Some(window) }
    }

    /// Cells of a set.
    fn size(&self) -> usize {
        self.sets[0].len()
    }

    /// How many matrices of scores there are.
    fn count(&self, images: usize) -> usize {
        images * self.sets.len() * self.heads
    }

    /// Image, set and head of a matrix of scores.
    fn place(&self, at: usize) -> (usize, &[usize], usize) {
        let (set, head) = (at / self.heads, at % self.heads);
        (set / self.sets.len(), &self.sets[set % self.sets.len()], head)
    }

    /// Row of the table of biases for each pair of cells of a window: query by query.
    fn distances(window: usize) -> impl Iterator<Item = usize> {
        let cells = window * window;
        (0..cells * cells).map(move |pair| {
            let (query, key) = (pair / cells, pair % cells);
            let apart = |a: usize, b: usize| a + window - 1 - b;
            apart(query / window, key / window) * (2 * window - 1) + apart(query % window, key % window)
        })
    }

    /// Adds biases to the scores of a set, and hides what must not be seen.
    fn adjust(&self, scores: &mut [f32], set: &[usize], head: usize, table: &[f32]) {
        if let Some(window) = self.window {
            let rows = Self::distances(window);
            scores.iter_mut().zip(rows).for_each(|(score, row)| *score += table[row * self.heads + head]);
        }
        if let Some(parts) = &self.parts {
            for (row, query) in scores.chunks_exact_mut(set.len()).zip(set) {
                let hidden = |key: &usize| parts[*key] != parts[*query];
                row.iter_mut()
                    .zip(set)
                    .for_each(|(score, key)| *score += if hidden(key) { HIDDEN } else { 0.0 });
            }
        }
    }

    /// What cells attended to, `[c, n, cells]`, and the probabilities, one matrix a set and head.
    ///
    /// `all` is `[3 c, n, cells]`; `table` are the biases of windows, empty where all see all.
    pub(crate) fn forward(&self, all: &[f32], images: usize, table: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (size, lines) = (self.size(), Lines::of(self, all.len(), images));
        let scale = 1.0 / (lines.width as f32).sqrt();
        let one = |at: usize| {
            let (_, set, head) = self.place(at);
            let [q, k, v] = lines.parts(all, self.place(at));
            let mut weights = product(View::new(&q, size).t(), View::new(&k, size));
            weights.iter_mut().for_each(|x| *x *= scale);
            self.adjust(&mut weights, set, head, table);
            weights.chunks_exact_mut(size).for_each(softmax);
            // `[width, size]`: values by the weights of each query.
            let attended = product(View::new(&v, size), View::new(&weights, size).t());
            (weights, attended)
        };
        macs::add(2 * size * all.len() / 3);
        let found: Vec<_> =
            (0..self.count(images)).into_par_iter().map(|at| macs::uncounted(|| one(at))).collect();
        let mut attended = vec![0.0; all.len() / 3];
        let mut weights = Vec::with_capacity(found.len() * size * size);
        for (at, (own, rows)) in found.into_iter().enumerate() {
            weights.extend(own);
            let (image, set, head) = self.place(at);
            lines.put(&mut attended, (0, head), image, set, &rows);
        }
        (attended, weights)
    }

    /// Gradients of `all` and of the table of biases, from those of what was attended to and the probabilities.
    pub(crate) fn backward(
        &self,
        all: &[f32],
        images: usize,
        weights: &[f32],
        d: &[f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let (size, lines) = (self.size(), Lines::of(self, all.len(), images));
        let scale = 1.0 / (lines.width as f32).sqrt();
        let one = |at: usize| {
            let (image, set, head) = self.place(at);
            let [q, k, v] = lines.parts(all, (image, set, head));
            let d = lines.take(d, (0, head), image, set);
            let weights = &weights[at * size * size..][..size * size];
            let d_v = product(View::new(&d, size), View::new(weights, size));
            let mut d_scores = product(View::new(&d, size).t(), View::new(&v, size));
            for (d, weights) in d_scores.chunks_exact_mut(size).zip(weights.chunks_exact(size)) {
                softmax_back(d, weights);
            }
            let of_bias = if self.window.is_some() { d_scores.clone() } else { Vec::new() };
            d_scores.iter_mut().for_each(|d| *d *= scale);
            let d_q = product(View::new(&k, size), View::new(&d_scores, size).t());
            let d_k = product(View::new(&q, size), View::new(&d_scores, size));
            ([d_q, d_k, d_v], of_bias)
        };
        let found: Vec<_> = (0..self.count(images)).into_par_iter().map(one).collect();
        let mut d_all = vec![0.0; all.len()];
        let mut of_pairs = vec![vec![0.0; size * size]; if self.window.is_some() { self.heads } else { 0 }];
        for (at, (parts, of_bias)) in found.iter().enumerate() {
            let (image, set, head) = self.place(at);
            for (part, rows) in parts.iter().enumerate() {
                lines.put(&mut d_all, (part, head), image, set, rows);
            }
            of_pairs.get_mut(head).into_iter().for_each(|sums| add_row(sums, of_bias));
        }
        (d_all, self.gathered(&of_pairs))
    }

    /// Gradients of pairs, head by head, as those of the table.
    fn gathered(&self, of_pairs: &[Vec<f32>]) -> Vec<f32> {
        let Some(window) = self.window else { return Vec::new() };
        let mut table = vec![0.0; (2 * window - 1) * (2 * window - 1) * self.heads];
        for (head, sums) in of_pairs.iter().enumerate() {
            let pairs = Self::distances(window).zip(sums);
            pairs.for_each(|(row, d)| table[row * self.heads + head] += d);
        }
        table
    }
}

/// How the rows of a head lie.
struct Lines {
    /// Channels of all heads together, and of one.
    channels: usize,
    width: usize,
    cells: usize,
    images: usize,
}

impl Lines {
    /// Of so many queries, keys and values together.
    fn of(sight: &Sight, values: usize, images: usize) -> Self {
        let cells = sight.sets.len() * sight.size();
        let channels = values / 3 / images / cells;
        Self { channels, width: channels / sight.heads, cells, images }
    }

    /// Where the rows begin that a head has in one image: of part 0 (queries, or what was attended to), 1 (keys) or 2 (values).
    fn rows(&self, (part, head): (usize, usize), image: usize) -> impl Iterator<Item = usize> {
        let first = part * self.channels + head * self.width;
        let (images, cells) = (self.images, self.cells);
        (first..first + self.width).map(move |row| (row * images + image) * cells)
    }

    /// Queries, keys and values of a head in a set of an image.
    fn parts(&self, all: &[f32], (image, set, head): (usize, &[usize], usize)) -> [Vec<f32>; 3] {
        [0, 1, 2].map(|part| self.take(all, (part, head), image, set))
    }

    /// `[width, cells of the set]`.
    fn take(&self, x: &[f32], rows: (usize, usize), image: usize, set: &[usize]) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.width * set.len());
        self.rows(rows, image).for_each(|at| out.extend(set.iter().map(|cell| x[at + cell])));
        out
    }

    fn put(&self, to: &mut [f32], rows: (usize, usize), image: usize, set: &[usize], values: &[f32]) {
        for (at, row) in self.rows(rows, image).zip(values.chunks_exact(set.len())) {
            set.iter().zip(row).for_each(|(cell, x)| to[at + cell] = *x);
        }
    }
}
