//! Inception-v3 (Szegedy et al. 2016). Names and layout follow torchvision's `torchvision/models/inception.py`; batch norm adds
//! 1e-3. Convolutions and pools that halve the map are not padded. The classifier that only training uses is left out.

use crate::builder::{Builder, Built, ConvSpec, Made, Pad};
use crate::googlenet::{HALVES, basic};
use crate::{Backbone, Idea, SnippetKind, TORCHVISION, torch};
use capwright_blueprint::{NodeId, Op};

pub(crate) const ALL: &[Backbone] = &[Backbone {
    name: "inception_v3",
    normalisation: HALVES,
    default_size: 299,
    resize: 342,
    min_size: 75,
    parameters: 23_834_568,
    top1: 77.3,
    paper: "Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, arXiv 1512.00567",
    unused: &["AuxLogits."],
    weights: torch("inception_v3_google-0cc3c7bd.pth"),
    build: assemble,
    ..TORCHVISION
}];

pub(crate) const IDEAS: &[Idea] = &[Idea {
    title: "Inception-v3-style branches",
    kind: SnippetKind::Block,
    json: r#"{"op":"parallel","merge":"concat","branches":[[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"}],[{"op":"conv","out":48,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":64,"kernel":5,"stride":1,"act":"relu"}],[{"op":"conv","out":64,"kernel":1,"stride":1,"act":"relu"},{"op":"conv","out":96,"kernel":3,"stride":1,"act":"relu"}]]}"#,
    note: "Three receptive fields side by side.",
    on: (256, 35),
    part: None,
}];

fn assemble(size: usize) -> Built {
    let mut b = Builder::new(size, Pad::Half, 1000);
    let x = basic(&mut b, "Conv2d_1a_3x3", halving(32), 0)?;
    let x = basic(&mut b, "Conv2d_2a_3x3", ConvSpec::dense(32, 3, 1).padding(0), x)?;
    let x = basic(&mut b, "Conv2d_2b_3x3", ConvSpec::dense(64, 3, 1), x)?;
    let x = b.max_pool("maxpool1", 3, 2, x)?;
    let x = basic(&mut b, "Conv2d_3b_1x1", ConvSpec::dense(80, 1, 1), x)?;
    let x = basic(&mut b, "Conv2d_4a_3x3", ConvSpec::dense(192, 3, 1).padding(0), x)?;
    let x = b.max_pool("maxpool2", 3, 2, x)?;
    let x = Module(&mut b, "Mixed_5b").a(32, x)?;
    let x = Module(&mut b, "Mixed_5c").a(64, x)?;
    let s8 = Module(&mut b, "Mixed_5d").a(64, x)?;
    let mut x = Module(&mut b, "Mixed_6a").b(s8)?;
    for (name, narrow) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = Module(&mut b, name).c(narrow, x)?;
    }
    let s16 = x;
    let x = Module(&mut b, "Mixed_7a").d(s16)?;
    let x = Module(&mut b, "Mixed_7b").e(x)?;
    let s32 = Module(&mut b, "Mixed_7c").e(x)?;
    b.classifier("fc", s32)?;
    b.cut(s8, s16, s32)
}

/// A 3 × 3 convolution that halves the map.
fn halving(output: usize) -> ConvSpec {
    ConvSpec::dense(output, 3, 2).padding(0)
}

/// A module of that name, growing.
struct Module<'a>(&'a mut Builder, &'a str);

impl Module<'_> {
    /// Convolutions one after the other, by name.
    fn chain(&mut self, x: NodeId, layers: &[(&str, ConvSpec)]) -> Made {
        layers.iter().try_fold(x, |x, (leaf, spec)| {
            let name = format!("{}.{leaf}", self.1);
            basic(self.0, &name, *spec, x)
        })
    }

    /// The mean of the neighbourhood, then a 1 × 1 convolution.
    fn pooled(&mut self, output: usize, x: NodeId) -> Made {
        let pool = Op::AvgPool { kernel: 3, stride: 1, padding: 1 };
        let x = self.0.add(&format!("{}.pool", self.1), pool, &[x])?;
        self.chain(x, &[("branch_pool", ConvSpec::dense(output, 1, 1))])
    }

    /// The largest of the neighbourhood, half as many.
    fn halved(&mut self, x: NodeId) -> Made {
        let name = format!("{}.pool", self.1);
        self.0.max_pool(&name, 3, 2, x)
    }

    fn join(&mut self, name: &str, parts: &[NodeId]) -> Made {
        let name = format!("{}.{name}", self.1);
        self.0.add(&name, Op::Concat, parts)
    }

    fn a(mut self, pooled: usize, x: NodeId) -> Made {
        let conv = |output, kernel| ConvSpec::dense(output, kernel, 1);
        let one = self.chain(x, &[("branch1x1", conv(64, 1))])?;
        let five = self.chain(x, &[("branch5x5_1", conv(48, 1)), ("branch5x5_2", conv(64, 5))])?;
        let three = [
            ("branch3x3dbl_1", conv(64, 1)),
            ("branch3x3dbl_2", conv(96, 3)),
            ("branch3x3dbl_3", conv(96, 3)),
        ];
        let three = self.chain(x, &three)?;
        let pooled = self.pooled(pooled, x)?;
        self.join("concat", &[one, five, three, pooled])
    }

    fn b(mut self, x: NodeId) -> Made {
        let three = self.chain(x, &[("branch3x3", halving(384))])?;
        let double = [
            ("branch3x3dbl_1", ConvSpec::dense(64, 1, 1)),
            ("branch3x3dbl_2", ConvSpec::dense(96, 3, 1)),
            ("branch3x3dbl_3", halving(96)),
        ];
        let double = self.chain(x, &double)?;
        let pooled = self.halved(x)?;
        self.join("concat", &[three, double, pooled])
    }

    fn c(mut self, narrow: usize, x: NodeId) -> Made {
        let (across, down) = (|n| ConvSpec::line(n, 1, 7), |n| ConvSpec::line(n, 7, 1));
        let one = self.chain(x, &[("branch1x1", ConvSpec::dense(192, 1, 1))])?;
        let seven = [
            ("branch7x7_1", ConvSpec::dense(narrow, 1, 1)),
            ("branch7x7_2", across(narrow)),
            ("branch7x7_3", down(192)),
        ];
        let seven = self.chain(x, &seven)?;
        let double = [
            ("branch7x7dbl_1", ConvSpec::dense(narrow, 1, 1)),
            ("branch7x7dbl_2", down(narrow)),
            ("branch7x7dbl_3", across(narrow)),
            ("branch7x7dbl_4", down(narrow)),
            ("branch7x7dbl_5", across(192)),
        ];
        let double = self.chain(x, &double)?;
        let pooled = self.pooled(192, x)?;
        self.join("concat", &[one, seven, double, pooled])
    }

    fn d(mut self, x: NodeId) -> Made {
        let three =
            self.chain(x, &[("branch3x3_1", ConvSpec::dense(192, 1, 1)), ("branch3x3_2", halving(320))])?;
        let seven = [
            ("branch7x7x3_1", ConvSpec::dense(192, 1, 1)),
            ("branch7x7x3_2", ConvSpec::line(192, 1, 7)),
            ("branch7x7x3_3", ConvSpec::line(192, 7, 1)),
            ("branch7x7x3_4", halving(192)),
        ];
        let seven = self.chain(x, &seven)?;
        let pooled = self.halved(x)?;
        self.join("concat", &[three, seven, pooled])
    }

    fn e(mut self, x: NodeId) -> Made {
        let (across, down) = (ConvSpec::line(384, 1, 3), ConvSpec::line(384, 3, 1));
        let one = self.chain(x, &[("branch1x1", ConvSpec::dense(320, 1, 1))])?;
        let three = self.chain(x, &[("branch3x3_1", ConvSpec::dense(384, 1, 1))])?;
        let parts =
            [self.chain(three, &[("branch3x3_2a", across)])?, self.chain(three, &[("branch3x3_2b", down)])?];
        let three = self.join("branch3x3", &parts)?;
        let narrow = ("branch3x3dbl_1", ConvSpec::dense(448, 1, 1));
        let double = self.chain(x, &[narrow, ("branch3x3dbl_2", ConvSpec::dense(384, 3, 1))])?;
        let parts = [
            self.chain(double, &[("branch3x3dbl_3a", across)])?,
            self.chain(double, &[("branch3x3dbl_3b", down)])?,
        ];
        let double = self.join("branch3x3dbl", &parts)?;
        let pooled = self.pooled(192, x)?;
        self.join("concat", &[one, three, double, pooled])
    }
}
