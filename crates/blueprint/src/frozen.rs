//! The frozen part of an encoder: a backbone of the zoo up to one cut, or several cuts side by side.

use crate::check::Zoo;
use crate::design::Frozen;
use crate::diagnostic::{Code, Diagnostic};
use crate::fix;
use crate::graph::{Graph, NodeId, Op};
use crate::language::Cut;

/// Cuts from fine to coarse.
const ALL: [Cut; 3] = [Cut::S8, Cut::S16, Cut::S32];

const AT: &str = "/encoder/source";

/// The backbone up to `cut`, with `count - 1` finer cuts pooled to its grid behind it.
pub(crate) fn pretrained(
    name: &str,
    (cut, count): (Cut, usize),
    size: usize,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Frozen> {
    let Some(known) = zoo.cuts(name) else {
        diagnostics.push(fix::unknown_backbone(&format!("{AT}/backbone"), name, &zoo.names()));
        return None;
    };
    if !known.contains(&cut) {
        let message = format!("{name} cannot be cut there");
        let hint = format!("choose one of: {known:?}").to_lowercase();
        diagnostics.push(Diagnostic::new(Code::NoSuchCut, format!("{AT}/cut"), message, hint));
        return None;
    }
    let finer: Vec<Cut> = ALL.into_iter().filter(|c| *c < cut && known.contains(c)).collect();
    if finer.len() + 1 < count {
        let message = format!("{name} has {} cuts up to there", finer.len() + 1);
        let hint = match finer.len() {
            0 => "leave cuts out, or choose a later cut".to_string(),
            more => format!("use cuts {} or fewer, or a later cut", more + 1),
        };
        diagnostics.push(Diagnostic::new(Code::NoSuchCut, format!("{AT}/cuts"), message, hint));
        return None;
    }
    let finer = &finer[finer.len() + 1 - count..];
    let graph = match finer {
        [] => zoo.features(name, cut, size),
        finer => zoo.scales(name, cut, finer, size),
    };
    if graph.is_none() {
        let message = format!("{name} cannot read images of {size} pixels");
        let hint = "choose a larger input";
        diagnostics.push(Diagnostic::new(Code::MapTooSmall, "/encoder/input", message, hint));
    }
    Some(Frozen { name: name.to_owned(), cut, cuts: count, graph: graph? })
}

/// The graph up to `cut` with `finer` cuts behind it, finest last.
pub fn side_by_side<Z: Zoo + ?Sized>(
    zoo: &Z,
    name: &str,
    cut: Cut,
    finer: &[Cut],
    size: usize,
) -> Option<Graph> {
    let ends: Option<Vec<String>> =
        finer.iter().rev().map(|finer| end(&*zoo.features(name, *finer, size)?)).collect();
    joined(&*zoo.features(name, cut, size)?, &ends?)
}

/// The name of a graph's last node.
fn end(graph: &Graph) -> Option<String> {
    Some(graph.nodes().get(graph.output())?.name.clone())
}

/// The output of a graph with the values of earlier nodes pooled to its grid, over channels: coarse first.
fn joined(graph: &Graph, earlier: &[String]) -> Option<Graph> {
    let mut all = graph.clone();
    let (last, side) = (graph.output(), graph.output_shape().h);
    let mut parts: Vec<NodeId> = vec![last];
    for name in earlier {
        let node = graph.nodes().iter().position(|node| node.name == *name)?;
        let pool = Op::AdaptiveAvgPool { side };
        parts.push(all.add(format!("scales.{name}"), pool, &[node]).ok()?);
    }
    all.add("scales", Op::Concat, &parts).ok()?;
    Some(all)
}
