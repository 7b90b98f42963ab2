//! What the tests of the language share: the zoo, and one backbone more that lacks a cut.

use capwright_backbones::Library;
use capwright_blueprint::language::Cut;
use capwright_blueprint::{Graph, Target, Zoo};

/// Vocabulary and length of every test.
pub const TARGET: Target = Target { vocab: 2500, max_words: 20 };

/// The library, and `no_s8`: ResNet-18 that cannot be cut at stride 8. Every real backbone has every cut.
#[derive(Default)]
pub struct TestZoo(Library);

impl Zoo for TestZoo {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn usual(&self) -> Vec<String> {
        self.0.usual()
    }

    fn cuts(&self, name: &str) -> Option<Vec<Cut>> {
        if name == "no_s8" { Some(vec![Cut::S16, Cut::S32]) } else { self.0.cuts(name) }
    }

    fn features(&self, name: &str, cut: Cut, size: usize) -> Option<std::sync::Arc<Graph>> {
        self.0.features(if name == "no_s8" { "resnet18" } else { name }, cut, size)
    }
}
