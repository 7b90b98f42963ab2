//! The stages of a backbone as a drawing: boxes as high as the map is wide, and as wide as their share of the work.

use capwright_backbones::BackboneGraph;
use capwright_blueprint::language::Cut;
use std::fmt::Write;

/// Nodes that follow each other on maps of one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Side of the maps in cells.
    pub side: usize,
    /// Channels of the last map.
    pub channels: usize,
    /// Multiply-accumulates for one image.
    pub macs: u64,
    /// The cut at its end, if there is one.
    pub cut: Option<Cut>,
}

/// The stages up to the classifier: a new one begins where the largest map so far gets smaller for good, or behind a cut.
pub fn stages(built: &BackboneGraph) -> Vec<Stage> {
    let nodes = built.graph.nodes();
    let last = built.cuts.values().copied().max().unwrap_or_default();
    let cut_at = |id: usize| built.cuts.iter().find(|(_, at)| **at == id).map(|(cut, _)| *cut);
    let mut all: Vec<Stage> = Vec::new();
    let mut closed = true;
    for (id, node) in nodes.iter().enumerate().skip(1).take(last) {
        let side = node.shape.h;
        // Gates work on single cells beside the map; they belong to its stage.
        let single = (node.shape.h, node.shape.w) == (1, 1);
        let beside = single && all.last().is_some_and(|stage| side < stage.side);
        if closed || all.last().is_none_or(|stage| side != stage.side && !beside) {
            all.push(Stage { side, channels: node.shape.c, macs: 0, cut: None });
        }
        let stage = all.last_mut().expect("a stage was begun");
        stage.macs += node.op.macs(node.shape);
        if !beside {
            stage.channels = node.shape.c;
        }
        stage.cut = cut_at(id);
        closed = stage.cut.is_some();
    }
    all
}

/// Width and height of the drawing, and of the part where the boxes stand.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 300.0;
const BASE: f64 = 230.0;
const ROOM: f64 = 840.0;
/// Least width of a box, so that its text can be read.
const LEAST: f64 = 64.0;

/// The drawing as SVG, which stands alone.
pub fn svg(title: &str, size: usize, stages: &[Stage]) -> String {
    let total: u64 = stages.iter().map(|stage| stage.macs).sum::<u64>().max(1);
    let share = |stage: &Stage| stage.macs as f64 / total as f64;
    let spare = (ROOM - (LEAST + 6.0) * stages.len() as f64).max(0.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>{title}</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"24\" font-size=\"15\">{title}, {size} × {size} pixels</text>\n"
    );
    let mut left = 20.0;
    for stage in stages {
        let (wide, high) =
            (LEAST + spare * share(stage), 24.0 + 130.0 * stage.side as f64 / size as f64 * 2.0);
        let (middle, top) = (left + wide / 2.0, BASE - high.min(180.0));
        let colour = if stage.cut.is_some() { "#2a78b8" } else { "#9cc3e0" };
        let mut line = |dy: f64, text: String| {
            let _ = writeln!(
                out,
                "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                BASE + dy
            );
        };
        line(16.0, format!("{0} × {0}", stage.side));
        line(30.0, format!("{} ch", stage.channels));
        line(44.0, format!("{:.0} % work", 100.0 * share(stage)));
        line(58.0, stage.cut.map_or_else(String::new, |cut| format!("cut {cut}")));
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" rx=\"3\" fill=\"{colour}\"/>",
            BASE - top
        );
        left += wide + 6.0;
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_backbones::{find, zoo};

    #[test]
    fn stages_hold_all_work_up_to_the_last_cut() {
        for backbone in zoo() {
            let built = backbone.graph(backbone.default_size).unwrap();
            let stages = stages(&built);
            let last = built.cuts.values().copied().max().unwrap();
            let part: Vec<_> = built.graph.nodes().iter().take(last + 1).collect();
            let macs: u64 = part.iter().map(|node| node.op.macs(node.shape)).sum();
            assert_eq!(stages.iter().map(|stage| stage.macs).sum::<u64>(), macs, "{}", backbone.name);
            assert_eq!(stages.iter().filter(|stage| stage.cut.is_some()).count(), built.cuts.len());
            assert!(stages.len() < 13, "{} has {} stages", backbone.name, stages.len());
        }
    }

    #[test]
    fn a_drawing_says_what_each_stage_is() {
        let built = find("resnet18").unwrap().graph(224).unwrap();
        let drawing = svg("resnet18", 224, &stages(&built));
        for part in ["112 × 112", "28 × 28", "256 ch", "cut s32", "</svg>"] {
            assert!(drawing.contains(part), "{part} is not in {drawing}");
        }
    }
}
