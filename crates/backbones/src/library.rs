//! The zoo as the checker of blueprints sees it.

use crate::{USUAL, find, zoo};
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Graph, Zoo, side_by_side};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Name, cut, image size and how many finer cuts stand behind it.
type Wanted = (String, Cut, usize, usize);

/// All backbones, with the graphs that were asked for kept: a search asks for few of them thousands of times.
#[derive(Debug, Default)]
pub struct Library {
    built: Mutex<HashMap<Wanted, Option<Arc<Graph>>>>,
    cuts: Mutex<HashMap<String, Option<Vec<Cut>>>>,
}

impl Zoo for Library {
    fn names(&self) -> Vec<String> {
        zoo().iter().map(|backbone| backbone.name.to_string()).collect()
    }

    fn usual(&self) -> Vec<String> {
        USUAL.map(str::to_owned).to_vec()
    }

    fn cuts(&self, name: &str) -> Option<Vec<Cut>> {
        let build = || {
            let backbone = find(name)?;
            let built = backbone.graph(backbone.default_size).ok()?;
            Some(built.cuts.keys().copied().collect())
        };
        // Names that no backbone has are not kept: text of strangers must not fill the memory.
        find(name)?;
        let mut kept = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry(name.to_string()).or_insert_with(build).clone()
    }

    fn features(&self, name: &str, cut: Cut, size: usize) -> Option<Arc<Graph>> {
        let build = || {
            let built = find(name)?.graph(size).ok()?;
            Some(Arc::new(built.graph.cut(*built.cuts.get(&cut)?)))
        };
        let mut kept = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        kept.entry((name.to_string(), cut, size, 0)).or_insert_with(build).clone()
    }

    fn scales(&self, name: &str, cut: Cut, finer: &[Cut], size: usize) -> Option<Arc<Graph>> {
        let wanted = (name.to_string(), cut, size, finer.len());
        if let Some(known) = self.built.lock().unwrap_or_else(PoisonError::into_inner).get(&wanted) {
            return known.clone();
        }
        let graph = side_by_side(self, name, cut, finer, size).map(Arc::new);
        self.built.lock().unwrap_or_else(PoisonError::into_inner).insert(wanted, graph.clone());
        graph
    }
}
