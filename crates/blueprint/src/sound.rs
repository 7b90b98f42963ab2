//! Whether the numbers of an op make sense by themselves, before shapes are asked for: graphs may come from files.

use crate::op::{Conv, Op};

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
    /// Whether an op that reads so many maps can be computed wherever its shapes fit.
    ///
    /// # Errors
    /// Why not.
    pub fn sound(&self, inputs: usize) -> Result<(), String> {
        match self {
            Op::Add | Op::Mul => hold(inputs == 2, "reads two maps")?,
            Op::Concat | Op::Stack => hold(inputs >= 2, "reads two maps or more")?,
            _ => hold(inputs == 1, "reads one map")?,
        }
        match *self {
            Op::Input(_) => Err("the image is no step".into()),
            Op::Conv(conv) => conv.sound(),
            Op::BatchNorm { channels, eps_micro, .. } | Op::LayerNorm { channels, eps_micro } => {
                counts(&[channels, eps_micro as usize])
            }
            Op::GroupNorm { channels, groups, eps_micro } => {
                counts(&[channels, groups, eps_micro as usize])?;
                hold(channels.is_multiple_of(groups), "groups must divide the channels")
            }
            Op::WindowAttend { heads, window, shift } => {
                counts(&[heads, window])?;
                hold(window <= 256 && shift < window, "windows of at most 256 cells, moved by less than one")
            }
            Op::Attend { heads: n } | Op::LayerScale { channels: n } | Op::ClassToken { channels: n } => {
                counts(&[n])
            }
            Op::Positions { channels: a, cells: b } | Op::Linear { input: a, output: b, .. } => {
                counts(&[a, b])
            }
            Op::MixCells { cells, h, w } => counts(&[cells, h, w, h.saturating_mul(w)]),
            Op::ChannelConv { kernel } => {
                counts(&[kernel])?;
                hold(kernel % 2 == 1, "an odd number of taps")
            }
            Op::Cells { from, h, w } => counts(&[from.saturating_add(1), h, w]),
            Op::Slice { from, channels } => counts(&[from.saturating_add(1), channels]),
            Op::Shuffle { groups } => counts(&[groups]),
            Op::AdaptiveAvgPool { side } => counts(&[side, side.saturating_mul(side)]),
            Op::MaxPool { kernel, stride, padding, .. } | Op::AvgPool { kernel, stride, padding } => {
                counts(&[kernel, stride])?;
                hold(padding <= kernel / 2, "padding must be at most half of the window")
            }
            Op::AxisMeans
            | Op::Quarters
            | Op::Flatten
            | Op::Act(_)
            | Op::GlobalAvgPool
            | Op::GlobalMaxPool
            | Op::ChannelMean
            | Op::ChannelMax
            | Op::Stack
            | Op::SumCells
            | Op::Add
            | Op::Mul
            | Op::Concat => Ok(()),
        }
    }
}

impl Conv {
    fn sound(&self) -> Result<(), String> {
        counts(&[self.input, self.output, self.kernel, self.width, self.stride, self.dilation, self.groups])?;
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
