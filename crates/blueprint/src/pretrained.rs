//! The pretrained part of an encoder: a backbone of the zoo up to one cut or several, frozen or trained, alone or beside
//! another.

use crate::check::Zoo;
use crate::design::{Frozen, TUNED};
use crate::diagnostic::{Code, Diagnostic};
use crate::fix;
use crate::graph::{Graph, NodeId, Op};
use crate::language::{Beside, Cut, Cuts, Tune};
use std::sync::Arc;

/// Cuts from fine to coarse.
const ALL: [Cut; 3] = [Cut::S8, Cut::S16, Cut::S32];

const AT: &str = "/encoder/source";

/// A source that was found to fit.
pub(crate) struct Pretrained {
    pub(crate) frozen: Vec<Frozen>,
    pub(crate) tuned: Option<String>,
    /// What the trunk starts with: the input alone, or the trained part of the backbone.
    pub(crate) start: Graph,
}

/// A pretrained source as it is written.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    pub(crate) backbone: &'a str,
    pub(crate) cut: Cut,
    pub(crate) cuts: Cuts,
    pub(crate) tune: Tune,
    pub(crate) beside: Option<&'a Beside>,
}

/// Lowers a pretrained source for images of `size` pixels.
pub(crate) fn pretrained(
    source: Written<'_>,
    size: usize,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Pretrained> {
    let known = diagnostics.len();
    let first = features(&source, size, zoo, diagnostics);
    let second = source.beside.and_then(|beside| pooled(&source, beside, size, zoo, diagnostics));
    if source.beside.is_some() && source.tune != Tune::Frozen {
        let message = "a backbone that is trained has none beside it";
        let hint = "leave tune out, or leave beside out";
        diagnostics.push(Diagnostic::new(Code::Tune, format!("{AT}/tune"), message, hint));
    }
    let first = first?;
    if diagnostics.len() > known {
        return None;
    }
    let trained = |graph: &Graph| {
        let graph = graph.renamed(TUNED);
        if source.tune.follows_batches() { graph } else { graph.with_fixed_norms() }
    };
    match source.tune {
        Tune::Frozen => {
            let mut frozen: Vec<Frozen> = std::iter::once(first).chain(second).collect();
            // Two parts that are cut alike may be written in either order, and are one network, on the smaller of their grids.
            if alike(&source) {
                frozen.sort_by(|a, b| a.name.cmp(&b.name));
                let side = frozen.iter().map(|part| part.graph.output_shape().h).min()?;
                for part in &mut frozen {
                    part.graph = pooled_to(&part.graph, side)?;
                }
            }
            let mut map = frozen[0].graph.output_shape();
            map.c = frozen.iter().map(|part| part.graph.output_shape().c).sum();
            Some(Pretrained { frozen, tuned: None, start: Graph::new(map) })
        }
        Tune::All | Tune::AllWithStatistics => {
            let start = trained(&first.graph);
            Some(Pretrained { frozen: Vec::new(), tuned: Some(first.name), start })
        }
        Tune::LastStage | Tune::LastStageWithStatistics => {
            let (frozen, tail) = last_stage(&source, &first, size, zoo, diagnostics)?;
            Some(Pretrained { tuned: Some(frozen.name.clone()), frozen: vec![frozen], start: trained(&tail) })
        }
    }
}

/// The backbone up to `cut`, with `cuts - 1` finer cuts pooled to its grid behind it.
fn features(
    source: &Written<'_>,
    size: usize,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Frozen> {
    let (name, cut, count) = (source.backbone, source.cut, source.cuts.0 as usize);
    let known = cuts(name, cut, AT, zoo, diagnostics)?;
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
        too_small(name, size, diagnostics);
    }
    Some(Frozen { name: name.to_owned(), cut, cuts: count, graph: graph? })
}

/// Where a backbone can be cut, when `cut` is among them.
fn cuts(
    name: &str,
    cut: Cut,
    at: &str,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Cut>> {
    let Some(known) = zoo.cuts(name) else {
        diagnostics.push(fix::unknown_backbone(&format!("{at}/backbone"), name, zoo));
        return None;
    };
    if !known.contains(&cut) {
        let message = format!("{name} cannot be cut there");
        let hint = format!("choose one of: {known:?}").to_lowercase();
        diagnostics.push(Diagnostic::new(Code::NoSuchCut, format!("{at}/cut"), message, hint));
        return None;
    }
    Some(known)
}

fn too_small(name: &str, size: usize, diagnostics: &mut Vec<Diagnostic>) {
    let message = format!("{name} cannot read images of {size} pixels");
    let hint = "choose a larger input";
    diagnostics.push(Diagnostic::new(Code::MapTooSmall, "/encoder/input", message, hint));
}

/// The second backbone, pooled to the grid that the first has at its cut; of two that are cut alike to the smaller one.
fn pooled(
    source: &Written<'_>,
    beside: &Beside,
    size: usize,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Frozen> {
    let at = format!("{AT}/beside");
    let known = cuts(&beside.backbone, beside.cut, &at, zoo, diagnostics);
    let mut refuse = |field: &str, message: String, hint: &str| {
        diagnostics.push(Diagnostic::new(Code::Beside, format!("{at}/{field}"), message, hint));
    };
    if beside.backbone == source.backbone {
        let message = format!("{} beside itself", source.backbone);
        refuse("backbone", message, "choose another backbone; for several cuts of one use cuts");
        return None;
    }
    if beside.cut > source.cut {
        let message = "the second backbone is cut later than the first".to_owned();
        refuse("cut", message, "choose the cut of the first or an earlier one");
        return None;
    }
    known?;
    let Some(graph) = zoo.features(&beside.backbone, beside.cut, size) else {
        too_small(&beside.backbone, size, diagnostics);
        return None;
    };
    let side = zoo.features(source.backbone, source.cut, size)?.output_shape().h;
    let side = if alike(source) { side.min(graph.output_shape().h) } else { side };
    let graph = pooled_to(&graph, side)?;
    Some(Frozen { name: beside.backbone.clone(), cut: beside.cut, cuts: 1, graph })
}

/// Whether two backbones are cut alike.
fn alike(source: &Written<'_>) -> bool {
    source.cuts.0 == 1 && source.beside.is_some_and(|beside| beside.cut == source.cut)
}

/// The graph with its output on a grid of that side.
fn pooled_to(graph: &Arc<Graph>, side: usize) -> Option<Arc<Graph>> {
    if graph.output_shape().h == side {
        return Some(graph.clone());
    }
    let mut all = Graph::clone(graph);
    all.add("beside", Op::AdaptiveAvgPool { side }, &[graph.output()]).ok()?;
    Some(Arc::new(all))
}

/// The backbone in two: frozen up to the next finer cut, and what is trained.
fn last_stage(
    source: &Written<'_>,
    whole: &Frozen,
    size: usize,
    zoo: &dyn Zoo,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(Frozen, Graph)> {
    let known = zoo.cuts(source.backbone)?;
    let finer = ALL.into_iter().rfind(|c| *c < source.cut && known.contains(c));
    let split = finer.and_then(|cut| {
        let frozen = zoo.features(source.backbone, cut, size)?;
        let tail = whole.graph.behind(&end(&frozen)?)?;
        Some((cut, frozen, tail))
    });
    let Some((cut, graph, tail)) = split else {
        let (message, hint) = match finer {
            None => ("no cut lies before that one", "use a later cut, or tune all"),
            Some(_) => {
                ("cuts reaches back behind the last stage", "use fewer cuts, or tune all, or leave tune out")
            }
        };
        diagnostics.push(Diagnostic::new(Code::Tune, format!("{AT}/tune"), message, hint));
        return None;
    };
    Some((Frozen { name: source.backbone.to_owned(), cut, cuts: 1, graph }, tail))
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
