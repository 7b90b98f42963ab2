//! Whether an op makes sense as a step of a backbone, before its shape is asked for: graphs may come from files.

use crate::op::{Conv, Op, Shape};

/// Channels, cells and extents, at most.
const MOST: usize = 1 << 16;

/// What is refused, as an error.
fn hold(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

/// Numbers that must be there, and not absurd.
fn counts(all: &[usize]) -> Result<(), String> {
    hold(all.iter().all(|n| (1..=MOST).contains(n)), "counts must lie between 1 and 65536")
}

impl Op {
    /// Whether an op that reads maps of these shapes can be a step of a backbone, as far as [`Op::shape`] does not tell.
    ///
    /// # Errors
    /// Why not.
    pub fn sound(&self, inputs: &[Shape]) -> Result<(), String> {
        match self {
            Op::Add | Op::Mul => hold(inputs.len() == 2, "reads two maps")?,
            Op::Concat | Op::Stack => hold(inputs.len() >= 2, "reads two maps or more")?,
            _ => hold(inputs.len() == 1, "reads one map")?,
        }
        let (first, last) = (inputs[0], inputs[inputs.len() - 1]);
        match *self {
            Op::Input(_) => Err("the image is no step".into()),
            Op::Conv(conv) => conv.sound(),
            Op::BatchNorm { channels, eps_micro, .. } | Op::LayerNorm { channels, eps_micro } => {
                counts(&[channels, eps_micro as usize])
            }
            // Blocks of designs have them, which are trained.
            Op::GroupNorm { .. } | Op::MixCells { .. } | Op::ChannelConv { .. } | Op::AxisMeans => {
                Err("no backbone has it".into())
            }
            Op::WindowAttend { heads, window, shift } => {
                counts(&[heads, window])?;
                hold(
                    window <= 256 && shift < window,
                    "windows of at most 256 cells, moved by less than one",
                )?;
                hold((first.c / 3).is_multiple_of(heads), "heads must divide the width of the values")
            }
            Op::Attend { heads } => {
                counts(&[heads])?;
                hold((first.c / 3).is_multiple_of(heads), "heads must divide the width of the values")
            }
            Op::Mul => {
                hold(last == first || (last.h, last.w) == (1, 1), "a gate has the map's shape or is a vector")
            }
            Op::LayerScale { channels: n } | Op::ClassToken { channels: n } => counts(&[n]),
            Op::Positions { channels: a, cells: b } | Op::Linear { input: a, output: b, .. } => {
                counts(&[a, b])
            }
            Op::Cells { from, h, w } => counts(&[from.saturating_add(1), h, w]),
            Op::Slice { from, channels } => counts(&[from.saturating_add(1), channels]),
            Op::Shuffle { groups } => counts(&[groups]),
            Op::AdaptiveAvgPool { side } => counts(&[side, side.saturating_mul(side)]),
            Op::MaxPool { kernel, stride, padding, .. } | Op::AvgPool { kernel, stride, padding } => {
                counts(&[kernel, stride])?;
                hold(padding <= kernel / 2, "padding must be at most half of the window")
            }
            Op::Quarters
            | Op::Flatten
            | Op::Act(_)
            | Op::GlobalAvgPool
            | Op::GlobalMaxPool
            | Op::ChannelMean
            | Op::ChannelMax
            | Op::Stack
            | Op::SumCells
            | Op::Add
            | Op::Concat => Ok(()),
        }
    }
}

impl Conv {
    fn sound(&self) -> Result<(), String> {
        counts(&[self.input, self.output, self.kernel, self.width, self.stride, self.groups])?;
        hold(self.dilation == 1, "no backbone has a dilation")?;
        let divides = self.input.is_multiple_of(self.groups) && self.output.is_multiple_of(self.groups);
        hold(divides, "groups must divide the channels that come in and go out")?;
        let (high, wide) = self.extent();
        let p = self.padding;
        hold(
            p.top.max(p.bottom) < high && p.left.max(p.right) < wide,
            "padding must be less than the kernel's extent",
        )
    }
}
