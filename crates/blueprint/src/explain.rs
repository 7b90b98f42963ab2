//! The table of rules: one entry each, with its stable code, why it exists, and an example that breaks and keeps it.
//!
//! A new rule is one new entry here, one place that reports it, and one file under `crates/backbones/tests/diagnostics/`.

use serde::Serialize;

/// What there is to know about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Stable code: `CW0101`.
    pub code: &'static str,
    /// The rule in a few words.
    pub title: &'static str,
    /// Why the rule exists.
    pub why: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The place of the examples in a design, as a JSON pointer.
    pub at: &'static str,
    /// An excerpt that breaks the rule.
    pub wrong: &'static str,
    /// The same place done right.
    pub right: &'static str,
    /// Whether `check --fix` can mend it, in cases where there is one obvious mending.
    pub fixable: bool,
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $title:literal, fixable: $fixable:literal,
        why: $why:literal, remedy: $remedy:literal, at: $at:literal, wrong: $wrong:expr, right: $right:expr;)+) => {
        /// Stable code of a rule. `CW00xx`: the text is no blueprint; `CW01xx`: the design does not fit together.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $title] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
        }

        /// What there is to know about a rule.
        pub fn explain(code: Code) -> &'static Explanation {
            match code {
                $(Code::$variant => &Explanation {
                    code: $code, title: $title, why: $why, remedy: $remedy, at: $at, wrong: $wrong, right: $right,
                    fixable: $fixable,
                },)+
            }
        }
    };
}

codes! {
    NotJson = "CW0001", "The text is neither JSON nor TOML", fixable: false,
        why: "A proposal is data. Prose around it, comments, trailing commas or a missing brace leave open what was meant.",
        remedy: "Write one JSON object and nothing else. People may write TOML, in a file that ends in .toml.",
        at: "/bridge", wrong: r#"{"dim": 128, "dropout_pct": 10,}"#, right: r#"{"dim": 128, "dropout_pct": 10}"#;
    WrongType = "CW0002", "A value has the wrong type", fixable: true,
        why: "Every value has one type, so that nothing is converted silently.",
        remedy: "Write what the message asks for. Numbers stand without quotes, and counts without a fraction.",
        at: "/bridge/dim", wrong: r#""256""#, right: "256";
    MissingField = "CW0003", "A field is missing", fixable: false,
        why: "A choice that is left out would be made by somebody else.",
        remedy: "Add the field; the hint lists what it may be.",
        at: "/bridge", wrong: r#"{"dim": 128}"#, right: r#"{"dim": 128, "dropout_pct": 10}"#;
    UnknownField = "CW0004", "The language has no such field", fixable: true,
        why: "A field that is ignored looks as if it had an effect.",
        remedy: "Remove the field, or write its name as the language has it.",
        at: "/bridge", wrong: r#"{"dim": 128, "dropout_pct": 10, "bias": true}"#,
        right: r#"{"dim": 128, "dropout_pct": 10}"#;
    NotOnMenu = "CW0005", "A value is not on its menu", fixable: true,
        why: "Menus keep every design in a range that trains, and the grammar of language models small.",
        remedy: "Choose from the menu; the hint lists it.",
        at: "/bridge/dim", wrong: "200", right: "192";
    ListLength = "CW0006", "A list is too short or too long", fixable: false,
        why: "Lists are bounded so that designs stay small, and some need an entry to mean anything.",
        remedy: "Remove or add entries; the hint states the bounds.",
        at: "/encoder/blocks", wrong: r#"[{"op": "residual", "body": []}]"#,
        right: r#"[{"op": "residual", "body": [{"op": "se", "reduction": 8}]}]"#;
    TooLarge = "CW0007", "The text is too large", fixable: false,
        why: "No design needs 64 KiB; a bound on the text bounds the work that untrusted text can cause.",
        remedy: "Write one compact design.",
        at: "", wrong: "a text of more than 65,536 bytes", right: "one compact design";
    DuplicateKey = "CW0008", "A field is written twice", fixable: false,
        why: "Readers disagree on which of the two counts.",
        remedy: "Remove one of them.",
        at: "/bridge", wrong: r#"{"dim": 128, "dropout_pct": 10, "dim": 256}"#,
        right: r#"{"dim": 256, "dropout_pct": 10}"#;
    TooDeep = "CW0009", "The text is nested too deeply", fixable: false,
        why: "No design needs 32 levels; a bound on depth bounds the work that untrusted text can cause.",
        remedy: "Write lists and objects where the language has them, and no deeper.",
        at: "/encoder/blocks", wrong: "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        right: "[]";
    UnknownBackbone = "CW0101", "The zoo has no such backbone", fixable: true,
        why: "Only backbones whose weights are known by their hash are used.",
        remedy: "Choose a backbone of `capwright zoo list`.",
        at: "/encoder/source", wrong: r#"{"kind": "pretrained", "backbone": "res-net18", "cut": "s32"}"#,
        right: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s32"}"#;
    NoSuchCut = "CW0102", "The backbone cannot be cut there", fixable: false,
        why: "A cut is a node of the backbone's graph with that stride; not every backbone has one at every stride.",
        remedy: "Choose one of the cuts in the hint.",
        at: "/encoder/source", wrong: r#"{"kind": "pretrained", "backbone": "no_s8", "cut": "s8"}"#,
        right: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s8"}"#;
    MapTooSmall = "CW0103", "The image is too small for what follows", fixable: false,
        why: "A window that is larger than its map has nothing to read.",
        remedy: "Use a larger image, an earlier cut, or fewer blocks that shrink the map.",
        at: "/encoder", wrong: r#"{"input": 32, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s32"},
 "blocks": [{"op": "pool", "kind": "max"}]}"#,
        right: r#"{"input": 64, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s32"},
 "blocks": [{"op": "pool", "kind": "max"}]}"#;
    ResidualShape = "CW0104", "A residual body and its shortcut differ in shape", fixable: false,
        why: "A pool rounds an odd side down and a strided shortcut rounds it up: the two cannot be added.",
        remedy: "Shrink with a stride of 2 in place of the pool.",
        at: "/encoder", wrong: r#"{"input": 96, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s32"},
 "blocks": [{"op": "residual", "body": [{"op": "pool", "kind": "max"}]}]}"#,
        right: r#"{"input": 96, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s32"},
 "blocks": [{"op": "residual", "body": [{"op": "depthwise", "kernel": 3, "stride": 2, "act": "relu"}]}]}"#;
    AddShapes = "CW0105", "Branches that are added differ in shape", fixable: false,
        why: "A sum is taken value by value, so that all branches must have the same channels, height and width.",
        remedy: "Give all branches the same channels and stride, or merge by concat.",
        at: "/encoder/blocks", wrong: r#"[{"op": "parallel", "merge": "add", "branches": [[{"op": "se", "reduction": 8}],
  [{"op": "conv", "out": 64, "kernel": 1, "stride": 1, "act": "relu"}]]}]"#,
        right: r#"[{"op": "parallel", "merge": "add", "branches": [[{"op": "se", "reduction": 8}],
  [{"op": "depthwise", "kernel": 3, "stride": 1, "act": "relu"}]]}]"#;
    ConcatShapes = "CW0106", "Branches that are concatenated differ in height or width", fixable: false,
        why: "Concatenation stacks channels cell by cell, so that all branches must have the same cells.",
        remedy: "Give all branches the same stride.",
        at: "/encoder/blocks", wrong: r#"[{"op": "parallel", "merge": "concat", "branches": [[{"op": "se", "reduction": 8}],
  [{"op": "depthwise", "kernel": 3, "stride": 2, "act": "relu"}]]}]"#,
        right: r#"[{"op": "parallel", "merge": "concat", "branches": [[{"op": "se", "reduction": 8}],
  [{"op": "depthwise", "kernel": 3, "stride": 1, "act": "relu"}]]}]"#;
    Heads = "CW0107", "Heads do not divide the width", fixable: true,
        why: "Each attention head reads an equal share of the width.",
        remedy: "Choose a number of heads that divides the width.",
        at: "/decoder/heads", wrong: "6", right: "8";
    TooManyTokens = "CW0108", "The grid has too many tokens", fixable: false,
        why: "Each word attends to every token, so that a fine grid costs more than it tells; the limit is 28 × 28.",
        remedy: "Use a later cut, a smaller image, or pool.",
        at: "/encoder", wrong: r#"{"input": 224, "source": {"kind": "scratch", "stem": 8,
 "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": []}"#,
        right: r#"{"input": 96, "source": {"kind": "scratch", "stem": 8,
 "stages": [{"kind": "conv", "out": 16, "repeat": 1}]}, "blocks": []}"#;
    MapTooLarge = "CW0109", "A map has more values than any design may have", fixable: false,
        why: "A map of one image is kept for the backward pass, times the batch; the limit is 224 × 224 × 256 values.",
        remedy: "Use fewer channels, a larger stride or a smaller image.",
        at: "/encoder", wrong: r#"{"input": 224, "source": {"kind": "scratch", "stem": 512, "stages": [
  {"kind": "inverted_residual", "out": 8, "repeat": 1}, {"kind": "conv", "out": 8, "repeat": 1}]}, "blocks": []}"#,
        right: r#"{"input": 224, "source": {"kind": "scratch", "stem": 16, "stages": [
  {"kind": "inverted_residual", "out": 8, "repeat": 1}, {"kind": "conv", "out": 8, "repeat": 1}]}, "blocks": []}"#;
    Groups = "CW0110", "Groups do not divide the channels", fixable: false,
        why: "Each group of a convolution reads and writes an equal share of the channels.",
        remedy: "Choose groups that divide both the channels that come in and those that go out.",
        at: "/encoder/blocks",
        wrong: r#"[{"op": "conv", "out": 24, "kernel": 3, "stride": 1, "groups": 16, "act": "relu"}]"#,
        right: r#"[{"op": "conv", "out": 64, "kernel": 3, "stride": 1, "groups": 16, "act": "relu"}]"#;
    TiedWidth = "CW0111", "Tied embeddings have another width than what the vocabulary layer reads", fixable: false,
        why: "One matrix serves as embedding and vocabulary layer, so a word is as wide as the state (and the context).",
        remedy: "Make embed equal to hidden, plus the bridge's dim with attention, or leave embeddings separate.",
        at: "/decoder",
        wrong: r#"{"family": "recurrent", "cell": "gru", "embed": 128, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "none", "dropout_pct": 10, "embeddings": "tied"}"#,
        right: r#"{"family": "recurrent", "cell": "gru", "embed": 256, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "none", "dropout_pct": 10, "embeddings": "tied"}"#;
    LearningRate = "CW0113", "The learning rate is too large for the optimizer", fixable: true,
        why: "Steps of AdamW, Adam and Lion are as large as the learning rate however small the gradient is.",
        remedy: "Use a learning rate of 0.003 or less, or the optimizer sgd.",
        at: "/recipe", wrong: r#"{"lr": 0.03, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 1.0,
 "batch": 16}"#,
        right: r#"{"lr": 0.03, "schedule": "cosine", "weight_decay": 0.0001, "label_smoothing": 0.1, "clip": 1.0,
 "batch": 16, "optimizer": "sgd"}"#;
    SingleToken = "CW0114", "The bridge sets out many tokens and the decoder reads one", fixable: true,
        why: "Places, scales and queries tell tokens apart. A memory that is one mean token has nothing to tell apart, so \
            they would cost weights and change nothing.",
        remedy: "Leave the field out, or let the decoder read the grid: attention, or memory \"grid\".",
        at: "", wrong: r#"{"encoder": {"input": 96, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s16"}, "blocks": []},
 "bridge": {"dim": 128, "dropout_pct": 10, "positions": "learned"},
 "decoder": {"family": "recurrent", "cell": "gru", "embed": 128, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "none", "dropout_pct": 10},
 "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 1.0, "batch": 16}}"#,
        right: r#"{"encoder": {"input": 96, "source": {"kind": "pretrained", "backbone": "resnet18", "cut": "s16"}, "blocks": []},
 "bridge": {"dim": 128, "dropout_pct": 10, "positions": "learned"},
 "decoder": {"family": "recurrent", "cell": "gru", "embed": 128, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "dot", "dropout_pct": 10},
 "recipe": {"lr": 0.001, "schedule": "cosine", "weight_decay": 0.01, "label_smoothing": 0.1, "clip": 1.0, "batch": 16}}"#;
    Sentinel = "CW0115", "Adaptive attention needs an LSTM", fixable: false,
        why: "Its sentinel is a gated view of the LSTM's cell; a GRU keeps no cell beside its state.",
        remedy: "Use cell lstm, or another attention.",
        at: "/decoder",
        wrong: r#"{"family": "recurrent", "cell": "gru", "embed": 128, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "adaptive", "dropout_pct": 10}"#,
        right: r#"{"family": "recurrent", "cell": "lstm", "embed": 128, "hidden": 256, "layers": 1,
 "image": "every_step", "attention": "adaptive", "dropout_pct": 10}"#;
    Beside = "CW0116", "The second backbone does not go with the first", fixable: false,
        why: "Two backbones see differently and share one grid, the first's at its cut: a coarser map has no cells for it, \
            and a backbone beside itself tells nothing new.",
        remedy: "Choose another backbone, and its cut no later than the first's.",
        at: "/encoder/source",
        wrong: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s16",
 "beside": {"backbone": "mobilenet_v2", "cut": "s32"}}"#,
        right: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s32",
 "beside": {"backbone": "mobilenet_v2", "cut": "s32"}}"#;
    Tune = "CW0117", "That part of the backbone cannot be trained", fixable: false,
        why: "The last stage is what lies between a cut and the next finer one and reads nothing from before; what is \
            trained from the pixels has no frozen features beside it.",
        remedy: "Tune all, or choose a later cut, fewer cuts, or one backbone.",
        at: "/encoder/source",
        wrong: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s8", "tune": "last_stage"}"#,
        right: r#"{"kind": "pretrained", "backbone": "resnet18", "cut": "s16", "tune": "last_stage"}"#;
}
