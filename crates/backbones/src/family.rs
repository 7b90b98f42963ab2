//! The families of the zoo.

use crate::own::joined;
use crate::{
    Backbone, Idea, alexnet, convnext, densenet, efficientnet, efficientnet_lite, googlenet, inception,
    lcnet, mnasnet, mobilenet_v2, mobilenet_v3, regnet, resnet, shufflenet, squeezenet, swin, vgg, vit,
};
use std::sync::LazyLock;

/// Networks that share their blocks.
pub(crate) struct Family {
    pub backbones: &'static [Backbone],
    /// What is characteristic of it, for designs.
    pub ideas: &'static [Idea],
}

macro_rules! families {
    ($($module:ident),+ $(,)?) => {
        &[$(Family { backbones: $module::ALL, ideas: $module::IDEAS }),+]
    };
}

pub(crate) const FAMILIES: &[Family] = families![
    efficientnet_lite,
    mobilenet_v2,
    mobilenet_v3,
    shufflenet,
    mnasnet,
    lcnet,
    squeezenet,
    efficientnet,
    regnet,
    resnet,
    densenet,
    convnext,
    vit,
    swin,
    inception,
    googlenet,
    vgg,
    alexnet,
];

/// All backbones, family by family, and then those that joined.
pub fn zoo() -> &'static [Backbone] {
    static ZOO: LazyLock<Vec<Backbone>> = LazyLock::new(|| {
        FAMILIES.iter().flat_map(|family| family.backbones).chain(joined()).copied().collect()
    });
    &ZOO
}

/// The backbone of that name.
pub fn find(name: &str) -> Option<&'static Backbone> {
    zoo().iter().find(|backbone| backbone.name == name)
}
