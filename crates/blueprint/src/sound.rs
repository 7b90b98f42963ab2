//! Whether an op makes sense as a step of a backbone, before its shape is asked for, and what any step may take: graphs may come
//! from files.

use crate::op::{Conv, Op, Shape};

/// Channels, cells and extents, at most.
const MOST: usize = 1 << 16;

/// Sides and strides of kernels, at most: no image is larger.
pub const MAX_KERNEL: usize = 1 << 10;

/// Values of one map of one image, at most.
pub const MAX_MAP: usize = 1 << 26;

/// Values of one image that are alive at once while a graph runs, at most: [`crate::memory::peak_values`] counts them.
pub const MAX_ALIVE: u64 = 1 << 28;

/// Values that one step needs beside the maps of one image, at most: columns of a convolution, or scores of attention.
const MAX_WORK: usize = 1 << 30;

/// What is refused, as an error.
fn hold(holds: bool, problem: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.to_owned()) }
}

/// Numbers that must be there, and not absurd.
fn counts(all: &[usize]) -> Result<(), String> {
    hold(all.iter().all(|n| (1..=MOST).contains(n)), "counts must lie between 1 and 65536")
}

/// Numbers of kernels, which engines lay maps out by.
fn kernels(all: &[usize]) -> Result<(), String> {
    hold(all.iter().all(|n| (1..=MAX_KERNEL).contains(n)), "kernels and strides must lie between 1 and 1024")
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
                kernels(&[kernel, stride])?;
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

    /// Whether a step that reads a map of one shape first and makes one of another takes no more memory than a step may.
    ///
    /// # Errors
    /// Why not.
    pub fn affordable(&self, reads: Shape, makes: Shape) -> Result<(), String> {
        if !(1..=MAX_MAP).contains(&makes.len()) {
            return Err(format!("a map of {makes} is none, or too large"));
        }
        match self.work(reads, makes) {
            0..=MAX_WORK => Ok(()),
            work => Err(format!("needs {work} values beside its maps, and may have {MAX_WORK}")),
        }
    }

    /// Values that a step needs beside its maps.
    fn work(&self, reads: Shape, makes: Shape) -> usize {
        let cells = reads.h * reads.w;
        let scores = |heads: usize, seen: usize| heads.saturating_mul(cells).saturating_mul(seen);
        match *self {
            Op::Conv(conv) => conv.taps().saturating_mul(makes.h * makes.w),
            Op::Attend { heads } => scores(heads, cells),
            Op::WindowAttend { heads, window, .. } => scores(heads, window * window),
            _ => 0,
        }
    }
}

impl Conv {
    fn sound(&self) -> Result<(), String> {
        counts(&[self.input, self.output, self.groups])?;
        kernels(&[self.kernel, self.width, self.stride])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_and_strides_are_no_larger_than_images() {
        let map = [Shape::new(8, 64, 64)];
        let conv = Conv { groups: 8, ..Conv::same(8, 8, 1) };
        assert_eq!(Op::Conv(Conv { stride: MAX_KERNEL, ..conv }).sound(&map), Ok(()));
        let pool = |kernel, stride| Op::AvgPool { kernel, stride, padding: 0 };
        assert_eq!(pool(2, MAX_KERNEL).sound(&map), Ok(()));
        let large = MAX_KERNEL + 1;
        for op in [
            Op::Conv(Conv { stride: 1 << 16, ..conv }),
            Op::Conv(Conv { kernel: large, ..conv }),
            Op::Conv(Conv { width: large, ..conv }),
            pool(large, 1),
            pool(1, 0),
        ] {
            let told = op.sound(&map).unwrap_err();
            assert!(told.contains("kernels and strides"), "{op:?}: {told}");
        }
    }

    #[test]
    fn a_step_takes_so_much_memory_and_no_more() {
        let side = |side| Shape::new(3, side, side);
        let attend = |cells| Op::Attend { heads: 1 }.affordable(side(cells), Shape::new(1, cells, cells));
        assert_eq!(attend(181), Ok(()));
        assert!(attend(182).unwrap_err().contains("values beside its maps"));
        assert!(attend(1024).is_err());
        let windows = Op::WindowAttend { heads: 4, window: 256, shift: 0 };
        assert!(windows.affordable(side(1024), side(1024)).is_err());
        // The widest of the zoo, at the largest side.
        let conv = Op::Conv(Conv::same(64, 64, 3));
        let map = Shape::new(64, 1024, 1024);
        assert_eq!(conv.affordable(map, map), Ok(()));
        let more = Shape::new(65, 1024, 1024);
        assert!(Op::Concat.affordable(map, more).unwrap_err().contains("too large"));
        assert!(Op::Concat.affordable(map, Shape::new(0, 1, 1)).is_err());
    }
}
