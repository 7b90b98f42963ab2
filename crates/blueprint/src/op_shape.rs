//! Shapes of what ops give.

use crate::op::{Op, Shape};

/// Shapes of the gates that a map can be multiplied with.
fn gates(s: Shape) -> [Shape; 5] {
    [s, Shape::new(s.c, 1, 1), Shape::new(1, s.h, s.w), Shape::new(s.c, s.h, 1), Shape::new(s.c, 1, s.w)]
}

/// Output size of a window of side `kernel` over `n` cells with `pad` cells added in all.
fn window(n: usize, pad: usize, kernel: usize, stride: usize) -> Option<usize> {
    (stride > 0 && n + pad >= kernel).then(|| (n + pad - kernel) / stride + 1)
}

impl Op {
    /// Output shape, or why these inputs do not fit.
    pub fn shape(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let first = || inputs.first().copied().ok_or_else(|| "no input".to_string());
        let fits = |h: Option<usize>, w: Option<usize>, c: usize, kernel: usize, s: Shape| match (h, w) {
            (Some(h), Some(w)) if h > 0 && w > 0 => Ok(Shape::new(c, h, w)),
            _ => Err(format!("a window of {kernel} does not fit a map of {s}")),
        };
        match *self {
            Op::Input(shape) => Ok(shape),
            Op::Conv(conv) => {
                let s = first()?;
                if s.c != conv.input {
                    return Err(format!("expects {} channels and gets {}", conv.input, s.c));
                }
                let p = conv.padding;
                let (high, wide) = conv.extent();
                let h = window(s.h, p.top + p.bottom, high, conv.stride);
                let w = window(s.w, p.left + p.right, wide, conv.stride);
                fits(h, w, conv.output, high.max(wide), s)
            }
            Op::BatchNorm { channels, .. }
            | Op::LayerNorm { channels, .. }
            | Op::GroupNorm { channels, .. }
            | Op::LayerScale { channels } => match first()? {
                s if s.c == channels => Ok(s),
                s => Err(format!("expects {channels} channels and gets {}", s.c)),
            },
            Op::MixCells { cells, h, w } => match first()? {
                s if s.h * s.w == cells => Ok(Shape::new(s.c, h, w)),
                s => Err(format!("expects {cells} cells and gets a map of {s}")),
            },
            Op::ChannelConv { .. } => match first()? {
                s if (s.h, s.w) == (1, 1) => Ok(s),
                s => Err(format!("expects a vector and gets a map of {s}")),
            },
            Op::AxisMeans => first().map(|s| Shape::new(s.c, s.h + s.w, 1)),
            Op::Attend { .. } | Op::WindowAttend { .. } => self.attended(first()?),
            Op::ClassToken { channels } => match first()? {
                s if s.c == channels => Ok(Shape::new(s.c, 1, 1 + s.h * s.w)),
                s => Err(format!("expects {channels} channels and gets {}", s.c)),
            },
            Op::Positions { channels, cells } => match first()? {
                s if (s.c, s.h * s.w) == (channels, cells) => Ok(s),
                s => Err(format!("expects {channels} channels in {cells} cells and gets a map of {s}")),
            },
            Op::Cells { from, h, w } => match first()? {
                s if from + h * w <= s.h * s.w => Ok(Shape::new(s.c, h, w)),
                s => Err(format!("a map of {s} has no {h} × {w} cells from cell {from} on")),
            },
            Op::Slice { from, channels } => match first()? {
                s if from + channels <= s.c => Ok(Shape::new(channels, s.h, s.w)),
                s => Err(format!("a map of {s} has no {channels} channels from channel {from} on")),
            },
            Op::Shuffle { groups } => match first()? {
                s if s.c.is_multiple_of(groups) => Ok(s),
                s => Err(format!("{groups} groups do not divide {} channels", s.c)),
            },
            Op::Quarters => match first()? {
                s if s.h.is_multiple_of(2) && s.w.is_multiple_of(2) => {
                    Ok(Shape::new(4 * s.c, s.h / 2, s.w / 2))
                }
                s => Err(format!("a map of {s} is not made of squares of 2 × 2 cells")),
            },
            Op::Flatten => first().map(|s| Shape::new(s.len(), 1, 1)),
            Op::AdaptiveAvgPool { side } => match first()? {
                s if side > 0 => Ok(Shape::new(s.c, side, side)),
                s => Err(format!("a map of {s} cannot be pooled to nothing")),
            },
            Op::Act(_) => first(),
            Op::MaxPool { kernel, stride, padding, ceil } => {
                let s = first()?;
                // A window must begin before the padding behind the map.
                let more = |n: usize, out: usize| usize::from(out * stride < n + padding);
                let out = |n: usize| {
                    let out = window(n, 2 * padding, kernel, stride)?;
                    let left = ceil && (out - 1) * stride + kernel < n + 2 * padding;
                    Some(out + if left { more(n, out) } else { 0 })
                };
                fits(out(s.h), out(s.w), s.c, kernel, s)
            }
            Op::AvgPool { kernel, stride, padding } => {
                let s = first()?;
                let out = |n: usize| window(n, 2 * padding, kernel, stride);
                fits(out(s.h), out(s.w), s.c, kernel, s)
            }
            Op::Stack => {
                let s = first()?;
                match inputs.iter().find(|o| **o != Shape::new(s.c, 1, 1)) {
                    Some(other) => Err(format!("cannot stack {s} and {other}")),
                    None => Ok(Shape::new(s.c, 1, inputs.len())),
                }
            }
            Op::GlobalAvgPool | Op::GlobalMaxPool | Op::SumCells => first().map(|s| Shape::new(s.c, 1, 1)),
            Op::ChannelMean | Op::ChannelMax => first().map(|s| Shape::new(1, s.h, s.w)),
            Op::Linear { input, output, .. } => match first()? {
                s if s.c == input => Ok(Shape::new(output, s.h, s.w)),
                s => Err(format!("expects {input} channels and gets {}", s.c)),
            },
            Op::Add => match inputs {
                [a, b] if a == b => Ok(*a),
                [a, b] => Err(format!("cannot add {a} and {b}")),
                _ => Err("needs two inputs".into()),
            },
            Op::Mul => match inputs {
                [a, b] if gates(*a).contains(b) => Ok(*a),
                [a, b] => Err(format!("cannot gate {a} with {b}")),
                _ => Err("needs two inputs".into()),
            },
            Op::Concat => {
                let s = first()?;
                if let Some(other) = inputs.iter().find(|o| (o.h, o.w) != (s.h, s.w)) {
                    return Err(format!("cannot concatenate {s} and {other}"));
                }
                Ok(Shape::new(inputs.iter().map(|i| i.c).sum(), s.h, s.w))
            }
        }
    }

    /// Shape of what cells attended to.
    fn attended(&self, s: Shape) -> Result<Shape, String> {
        if !s.c.is_multiple_of(3) {
            return Err(format!("expects queries, keys and values and gets {} channels", s.c));
        }
        match *self {
            Op::WindowAttend { window, .. } if !s.h.is_multiple_of(window) || !s.w.is_multiple_of(window) => {
                Err(format!("windows of {window} × {window} cells do not fit a map of {s}"))
            }
            _ => Ok(Shape::new(s.c / 3, s.h, s.w)),
        }
    }
}
