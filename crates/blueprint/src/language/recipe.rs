//! The recipe's part of the language: how a design is trained.

use crate::language::is_default;
use crate::menu::menu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

menu! {
    /// Peak learning rate; above [`LearningRate::ADAPTIVE_MOST`] for SGD only.
    LearningRate: f64 = [0.0001, 0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.03, 0.1]
}
menu! {
    /// Weight decay: decoupled for AdamW and Lion, an L2 term of the gradient for Adam and SGD.
    WeightDecay: f64 = [0.0, 0.0001, 0.001, 0.01, 0.05]
}
menu! {
    /// Label smoothing.
    LabelSmoothing: f64 = [0.0, 0.05, 0.1, 0.2]
}
menu! {
    /// Global norm to which gradients are clipped.
    ClipNorm: f64 = [0.5, 1.0, 3.0, 5.0]
}
menu! {
    /// Images in a batch; each brings all its reference captions.
    BatchImages: u32 = [8, 16, 24, 32, 48, 64]
}
menu! {
    /// Batches whose gradients make one step together.
    Accumulate: u32 = [1, 2, 4, 8], else 1
}
menu! {
    /// Steps of the linear warm-up, in percent of all steps.
    WarmUp: u8 = [0, 1, 3, 5, 10], else 3
}
menu! {
    /// Decay of the moving average of the weights; 0: none.
    EmaDecay: f64 = [0.0, 0.99, 0.995, 0.999], else 0.0
}
menu! {
    /// Input words that become UNKNOWN, in percent.
    WordDropout: u8 = [0, 10, 20, 30], else 0
}
menu! {
    /// Input words that are the model's own at the end of training, in percent.
    ScheduledSampling: u8 = [0, 5, 10, 25, 50], else 0
}
menu! {
    /// Factor on the learning rate of the trained encoder.
    EncoderRate: f64 = [0.1, 0.3, 1.0], else 1.0
}
menu! {
    /// Epochs at the start in which the trained encoder stays as it is.
    FrozenEpochs: u32 = [0, 1, 2, 3, 5], else 0
}

impl LearningRate {
    /// The largest rate of an optimiser whose steps do not shrink with the gradient (AdamW, Adam, Lion).
    pub const ADAPTIVE_MOST: f64 = 0.003;
}

/// Learning rate over time, after a linear warm-up over the first [`WarmUp`] percent of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Schedule {
    /// Stays at its peak.
    Constant,
    /// Half a cosine down to 2 % of the peak.
    Cosine,
    /// A straight line down to 2 % of the peak.
    Linear,
}

/// How gradients become steps. Formulas: `capwright_train::optim`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    #[default]
    Adamw,
    /// Adam with weight decay as an L2 term (Kingma and Ba 2015).
    Adam,
    /// Gradient descent with momentum 0.9 and weight decay as an L2 term (Sutskever et al. 2013, without Nesterov).
    Sgd,
    /// Signs of a momentum, with decoupled weight decay (Chen et al. 2023).
    Lion,
}

/// How training images are varied. Pixels are drawn anew in each epoch. Of images of a frozen backbone a few variants are
/// computed once: the image, its mirror image, and for `flip_crop` two parts, one of them mirrored; each epoch shows one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Augment {
    /// Not at all.
    #[default]
    None,
    /// Half of them mirrored left to right, but none whose references name a side ("left", "right").
    Flip,
    /// Mirrored likewise, and a random part resized to the whole (Szegedy et al. 2015).
    FlipCrop,
}

impl Augment {
    /// Variants of a training image whose features are kept, the image itself among them.
    pub fn variants(self) -> usize {
        match self {
            Self::None => 1,
            Self::Flip => 2,
            Self::FlipCrop => 4,
        }
    }
}

/// How a design is trained, with teacher forcing over all references. The number of epochs is the contract's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Peak learning rate.
    pub lr: LearningRate,
    /// Learning rate over time.
    pub schedule: Schedule,
    /// Weight decay.
    pub weight_decay: WeightDecay,
    /// Label smoothing.
    pub label_smoothing: LabelSmoothing,
    /// Gradient clipping.
    pub clip: ClipNorm,
    /// Images in a batch.
    pub batch: BatchImages,
    /// How many batches make one step, by the mean of their gradients over all words, so that a step can have more images than
    /// memory has room for; 1 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub accumulate: Accumulate,
    /// How gradients become steps; AdamW where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub optimizer: OptimizerKind,
    /// Warm-up in percent of all steps; 3 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warmup_pct: WarmUp,
    /// Decay of the moving average of the weights, which then is what is validated and saved; none where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ema: EmaDecay,
    /// Input words of teacher forcing that become UNKNOWN, in percent (Bowman et al. 2016); 0 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub word_dropout_pct: WordDropout,
    /// Input words that are the model's own at the end of training, in percent; their share rises from 0 in a line
    /// (Bengio et al. 2015; in two passes as Mihaylova and Martins 2019). 0 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scheduled_sampling_pct: ScheduledSampling,
    /// How training images are varied; not at all where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub augment: Augment,
    /// Factor on the learning rate of the trained encoder; 1 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoder_lr: EncoderRate,
    /// Epochs at the start in which the trained encoder stays as it is; 0 where left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub freeze_encoder: FrozenEpochs,
}
