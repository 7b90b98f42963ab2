//! What a language model is told. Text in, text out: no IO, no model.

use crate::architect::Brief;
use capwright_study::{Leaderboard, describe};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A prompt in two parts; the first is the same for a whole study, so that a model can keep it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The language and its rules.
    pub system: String,
    /// The task.
    pub user: String,
}

impl Prompt {
    /// sha256 over both parts, in hex.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.system.as_bytes());
        hasher.update([0]);
        hasher.update(self.user.as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

const LANGUAGE: &str = "\
You design image captioning networks. Answer with one compact JSON object and nothing else.
encoder: image size, source (a pretrained backbone and its cut, or a scratch stack), up to 4 extra blocks.
bridge: a linear layer from feature channels to tokens of width dim; may add positions, scales, or gather into queries.
decoder: recurrent (lstm or gru; attention additive, dot, multi_head or adaptive looks at all cells, none at their mean),
top_down (two lstms with attention), convolution or transformer (memory grid looks at all cells, global at their mean).
recipe: how it is trained.
Rules:
- transformer heads must divide its dim; adaptive attention is for lstm.
- bridge positions, scales and queries are for decoders that look at all cells.
- cuts takes the next finer cuts too: cut s32 has up to 3, s16 up to 2, s8 one.
- a backbone is frozen unless tune says last_stage or all (slow); beside puts another frozen one next to a frozen one.
- parallel branches merged by add end in one shape; by concat in one height and width.
- each stride 2, pool and stage halves the map; do not shrink it below 1 cell; a grid has at most 784 tokens.
- wider layers and more words cost parameters; stay inside the budgets.
- recipe fields that may be left out: optimizer (adamw), accumulate (batches of a step), warmup_pct (3), ema of the weights,
  word_dropout_pct, scheduled_sampling_pct, encoder_lr and freeze_encoder (for what is trained of the encoder), augment.
- lr above 0.003 is for sgd only.
Advice:
- cut s32 carries the most meaning and is the cheapest to train on; it needs no extra blocks.
- attention additive or dot over the cells beats their mean.
- few epochs want a large learning rate: lr 0.001 or 0.0005, schedule cosine; lion wants a third of it, sgd ten times.
- label_smoothing 0.1, weight_decay 0.01, clip 5.0, batch 16 or 24, dropout_pct 20 to 40.";

/// How many of the best designs a prompt shows.
const BEST_SHOWN: usize = 3;

fn budgets(brief: &Brief) -> String {
    let bounds = brief.contract.budgets.bounds();
    let said: Vec<String> =
        bounds.map(|(clause, bound)| format!("{} {bound} {}", clause.side(), clause.noun())).collect();
    if said.is_empty() { "none".into() } else { said.join("; ") }
}

/// The best designs so far with their scores, as compact JSON, best first.
fn best(brief: &Brief) -> String {
    let board = Leaderboard::of(brief.study);
    let rows = board.rows.iter().take(BEST_SHOWN).filter_map(|row| {
        let trial = brief.study.trials.get(&row.trial)?;
        let json = serde_json::to_string(&trial.blueprint).ok()?;
        Some(format!("BLEU-4 {:.3}, {} parameters trained: {json}\n", row.bleu[3], row.params_trainable))
    });
    rows.collect()
}

/// Designs that were tried, in a line each, so that they are not proposed again.
fn tried(brief: &Brief) -> String {
    let lines: Vec<String> = brief.study.trials.values().map(|t| describe(&t.blueprint)).collect();
    lines.iter().rev().take(8).cloned().collect::<Vec<_>>().join("; ")
}

/// `k` snippets drawn by the attempt's seed, spread over the kinds, in the order of a design.
fn inspiration(brief: &Brief, snippets: &[Vec<String>]) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(brief.seed());
    let k = brief.contract.search.snippets as usize;
    let mut kinds: Vec<Vec<usize>> = snippets.iter().map(|kind| (0..kind.len()).collect()).collect();
    kinds.iter_mut().for_each(|kind| kind.shuffle(&mut rng));
    let deepest = kinds.iter().map(Vec::len).max().unwrap_or(0);
    let places =
        (0..deepest).flat_map(|i| kinds.iter().enumerate().map(move |(kind, order)| (kind, order.get(i))));
    let mut chosen: Vec<(usize, usize)> =
        places.filter_map(|(kind, index)| index.map(|index| (kind, *index))).take(k).collect();
    chosen.sort_unstable();
    chosen.iter().map(|(kind, index)| format!("- {}\n", snippets[*kind][*index])).collect()
}

/// The prompt for a first draft.
pub fn design_prompt(brief: &Brief, snippets: &[Vec<String>]) -> Prompt {
    let parts = &brief.contract.components;
    let mut user = format!("Request: {}\nBudgets: {}.\n", brief.contract.request, budgets(brief));
    if let Some(names) = parts.backbones.as_ref().filter(|names| !names.is_empty()) {
        user += &format!("Backbones: {}.\n", names.join(", "));
    }
    for (words, list) in
        [("Every design must have", &parts.required), ("No design may have", &parts.forbidden)]
    {
        if !list.is_empty() {
            user += &format!("{words}: {}.\n", list.join(", "));
        }
    }
    for (field, range) in &brief.contract.ranges {
        user += &format!("{field}: {range}.\n");
    }
    user += &format!("Training: at most {} epochs.\n", brief.contract.training.epochs);
    let ideas = inspiration(brief, snippets);
    if !ideas.is_empty() {
        user += &format!("Building blocks for inspiration:\n{ideas}");
    }
    let best = best(brief);
    if !best.is_empty() {
        user += &format!("Best designs so far:\n{best}");
    }
    let tried = tried(brief);
    if !tried.is_empty() {
        user += &format!("Tried already: {tried}.\n");
    }
    user += "Propose one new design that should score higher within the budgets.";
    Prompt { system: LANGUAGE.into(), user }
}

/// The prompt for a repair: the design prompt, the draft and what is wrong with it.
pub fn repair_prompt(brief: &Brief, snippets: &[Vec<String>], draft: &str, problems: &[String]) -> Prompt {
    let prompt = design_prompt(brief, snippets);
    let draft: String = draft.chars().take(4_000).collect();
    let listed: String = problems.iter().take(12).map(|p| format!("- {p}\n")).collect();
    let user = format!(
        "{}\nYour last design was refused:\n{draft}\nProblems:\n{listed}Write the whole design again with these \
         problems mended.",
        prompt.user
    );
    Prompt { user, ..prompt }
}
