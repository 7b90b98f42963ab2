//! What a language model is told. Text in, text out: no IO, no model. The templates lie under `prompts/`.

use crate::architect::{Brief, Draws};
use crate::delta::Delta;
use capwright_blueprint::language::Source;
use capwright_contract::Family;
use capwright_study::{Leaderboard, Trial, TrialStatus, describe};
use minijinja::{Environment, UndefinedBehavior};
use rand::seq::SliceRandom;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

/// A prompt in two parts; the first is the same for a whole study, so that a model can keep it read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The language and its rules.
    pub system: String,
    /// The task.
    pub user: String,
}

/// An idea that a prompt may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// As it is shown.
    pub text: String,
    /// The backbones that it comes from; a design that has one of them already is not shown it.
    pub of: Vec<String>,
}

impl Prompt {
    fn new(template: &str, input: impl Serialize) -> Self {
        let template = templates().get_template(template).expect("the template is built in");
        let user = template.render(input).expect("its input is typed").trim_end().to_owned();
        Self { system: LANGUAGE.trim_end().into(), user }
    }

    /// sha256 over both parts, in hex.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.system.as_bytes());
        hasher.update([0]);
        hasher.update(self.user.as_bytes());
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

const LANGUAGE: &str = include_str!("prompts/language.md");

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut all = Environment::new();
        all.set_undefined_behavior(UndefinedBehavior::Strict);
        all.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        all.set_trim_blocks(true);
        all.set_keep_trailing_newline(true);
        for (name, text) in [
            ("task", include_str!("prompts/task.jinja")),
            ("context", include_str!("prompts/context.jinja")),
            ("design", include_str!("prompts/design.jinja")),
            ("changes", include_str!("prompts/changes.jinja")),
            ("mending", include_str!("prompts/mending.jinja")),
        ] {
            all.add_template(name, text).expect("a template without errors");
        }
        all
    })
}

/// What is asked for and what it may cost.
#[derive(Serialize)]
struct Task<'a> {
    request: &'a str,
    budgets: String,
}

/// All that a model is told before it is asked.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(flatten)]
    task: Task<'a>,
    backbones: &'a [String],
    required: &'a [String],
    forbidden: &'a [String],
    ranges: Vec<String>,
    epochs: u32,
    ideas: Vec<&'a str>,
    best: Vec<Best>,
    failed: Vec<String>,
    tried: Vec<String>,
}

/// One of the best designs so far.
#[derive(Serialize)]
struct Best {
    bleu4: String,
    parameters: u64,
    json: String,
}

#[derive(Serialize)]
struct DesignInput<'a> {
    #[serde(flatten)]
    context: Context<'a>,
    /// A refused draft that no change mends, and what is wrong with it.
    draft: Option<String>,
    problems: &'a [String],
}

#[derive(Serialize)]
struct ChangesInput<'a> {
    #[serde(flatten)]
    context: Context<'a>,
    trial: u64,
    design: String,
    changes: Vec<&'a str>,
    most: usize,
}

#[derive(Serialize)]
struct MendingInput<'a> {
    #[serde(flatten)]
    task: Task<'a>,
    design: String,
    problems: &'a [String],
    changes: Vec<&'a str>,
}

/// How many of the best designs a prompt shows.
const BEST_SHOWN: usize = 3;

/// Designs that were tried, and that came to nothing, of which a prompt tells.
const TRIED_SHOWN: usize = 8;
const FAILED_SHOWN: usize = 3;

/// Characters of a refused draft that are shown, and of a reason.
const DRAFT_SHOWN: usize = 4_000;
const REASON_SHOWN: usize = 160;

/// Problems that are shown at most.
const PROBLEMS_SHOWN: usize = 12;

impl<'a> Task<'a> {
    fn new(brief: &Brief<'a>) -> Self {
        let bounds = brief.contract.budgets.bounds();
        let said: Vec<String> =
            bounds.map(|(clause, bound)| format!("{} {bound} {}", clause.side(), clause.noun())).collect();
        let budgets = if said.is_empty() { "none".into() } else { said.join("; ") };
        Self { request: &brief.contract.request, budgets }
    }
}

impl<'a> Context<'a> {
    /// `base` names the backbones of the design that is to be changed.
    fn new(brief: &Brief<'a>, snippets: &'a [Vec<Snippet>], base: &[&str]) -> Self {
        let (parts, blind) = (&brief.contract.components, brief.contract.search.blind);
        let range = |(field, range): (&String, &_)| format!("{field}: {range}");
        Self {
            task: Task::new(brief),
            backbones: parts.backbones.as_deref().unwrap_or_default(),
            required: &parts.required,
            forbidden: &parts.forbidden,
            ranges: brief.contract.ranges.iter().map(range).collect(),
            epochs: brief.contract.training.epochs,
            ideas: inspiration(brief, snippets, base),
            best: if blind { Vec::new() } else { best(brief) },
            failed: if blind { Vec::new() } else { failed(brief) },
            tried: if blind { Vec::new() } else { tried(brief) },
        }
    }
}

/// The best designs so far with their scores, as compact JSON: the best of all, then the best of other kinds of decoders.
fn best(brief: &Brief) -> Vec<Best> {
    let board = Leaderboard::for_choices(brief.study);
    let mut seen = Vec::new();
    let (mut first, mut more) = (Vec::new(), Vec::new());
    for (row, trial) in board.rows.iter().filter_map(|row| Some((row, brief.study.trials.get(&row.trial)?))) {
        let kind = Family::of(&trial.blueprint);
        let design = Best {
            bleu4: format!("{:.3}", row.bleu[3]),
            parameters: row.params_trainable,
            json: serde_json::to_string(&trial.blueprint).unwrap_or_default(),
        };
        if seen.contains(&kind) {
            more.push(design);
        } else {
            seen.push(kind);
            first.push(design);
        }
    }
    first.into_iter().chain(more).take(BEST_SHOWN).collect()
}

/// The latest designs that could not be trained, or said one thing of everything.
fn failed(brief: &Brief) -> Vec<String> {
    let failure = |trial: &Trial| {
        let reason: String = match &trial.status {
            TrialStatus::Failed(reason) => reason.chars().take(REASON_SHOWN).collect(),
            TrialStatus::Finished(result) if result.scores.collapsed => {
                "says one thing of every image".into()
            }
            _ => return None,
        };
        Some(format!("{}: {reason}", describe(&trial.blueprint)))
    };
    brief.study.trials.values().rev().filter_map(failure).take(FAILED_SHOWN).collect()
}

/// Designs that were tried, in a line each, so that they are not proposed again.
fn tried(brief: &Brief) -> Vec<String> {
    brief.study.trials.values().rev().take(TRIED_SHOWN).map(|t| describe(&t.blueprint)).collect()
}

/// `k` snippets drawn by the attempt's seed, spread over the kinds, in the order of a design; none that says what the base has already.
fn inspiration<'a>(brief: &Brief, snippets: &'a [Vec<Snippet>], base: &[&str]) -> Vec<&'a str> {
    let mut rng = brief.rng(Draws::Ideas);
    let k = brief.contract.search.snippets as usize;
    let new = |snippet: &Snippet| !snippet.of.iter().any(|name| base.contains(&name.as_str()));
    let mut kinds: Vec<Vec<usize>> =
        snippets.iter().map(|kind| (0..kind.len()).filter(|at| new(&kind[*at])).collect()).collect();
    kinds.iter_mut().for_each(|kind| kind.shuffle(&mut rng));
    let deepest = kinds.iter().map(Vec::len).max().unwrap_or(0);
    let places =
        (0..deepest).flat_map(|i| kinds.iter().enumerate().map(move |(kind, order)| (kind, order.get(i))));
    let mut chosen: Vec<(usize, usize)> =
        places.filter_map(|(kind, index)| index.map(|index| (kind, *index))).take(k).collect();
    chosen.sort_unstable();
    chosen.iter().map(|(kind, index)| snippets[*kind][*index].text.as_str()).collect()
}

/// The prompt for a whole design.
pub fn design(brief: &Brief, snippets: &[Vec<Snippet>]) -> Prompt {
    Prompt::new(
        "design",
        DesignInput { context: Context::new(brief, snippets, &[]), draft: None, problems: &[] },
    )
}

/// The prompt for a draft that no change mends.
pub fn again(brief: &Brief, snippets: &[Vec<Snippet>], draft: &str, problems: &[String]) -> Prompt {
    let draft = Some(draft.chars().take(DRAFT_SHOWN).collect());
    let problems = &problems[..problems.len().min(PROBLEMS_SHOWN)];
    Prompt::new("design", DesignInput { context: Context::new(brief, snippets, &[]), draft, problems })
}

/// The prompt for changes of a design that did well.
pub fn changes(brief: &Brief, snippets: &[Vec<Snippet>], trial: u64, delta: &Delta) -> Prompt {
    let source = brief.study.trials.get(&trial).map(|trial| &trial.blueprint.encoder.source);
    let input = ChangesInput {
        context: Context::new(brief, snippets, &source.map(Source::backbones).unwrap_or_default()),
        trial,
        design: delta.design(),
        changes: delta.labels().collect(),
        most: delta.most(),
    };
    Prompt::new("changes", input)
}

/// The prompt for the change that mends a refused draft.
pub fn mending(brief: &Brief, problems: &[String], delta: &Delta) -> Prompt {
    let problems = &problems[..problems.len().min(PROBLEMS_SHOWN)];
    let input = MendingInput {
        task: Task::new(brief),
        design: delta.design(),
        problems,
        changes: delta.labels().collect(),
    };
    Prompt::new("mending", input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_contract::Contract;
    use capwright_study::{Event, Opened, Study};
    use std::collections::BTreeMap;

    fn study(contract: &Contract) -> Study {
        let (contract, architect, versions) = (contract.clone(), "under test".into(), BTreeMap::new());
        let opened = Opened { contract, seed: 1, architect, versions };
        Study::fold([Event::StudyOpened(Box::new(opened))]).expect("a study")
    }

    #[test]
    fn a_prompt_has_a_line_for_each_thing_that_is_asked() {
        let text = "version = 1\nrequest = \"a {{ light }} captioner\"\n[components]\nbackbones = [\"mobilenet_v2\"]\n\
                    required = [\"attention\"]\n[ranges.hidden]\nmax = 256";
        let contract = Contract::from_toml(text).expect("a contract");
        let study = study(&contract);
        let brief = Brief { contract: &contract, study: &study, proposal: 1, attempt: 0, surrogate: None };
        let snippet = |text: &str, of: &str| Snippet { text: text.into(), of: vec![of.into()] };
        let snippets = [vec![snippet("{% include \"task\" %} <b>", "resnet18")]];
        let Prompt { system, user } = design(&brief, &snippets);
        assert!(system.starts_with("You design") && !system.ends_with('\n'));
        let lines: Vec<&str> = user.lines().collect();
        // What people and snippets say is never read as a template.
        let wanted = [
            "Request: a {{ light }} captioner",
            "Budgets: none.",
            "Backbones: mobilenet_v2.",
            "Every design must have: attention.",
            "hidden: at most 256.",
            "Training: at most 6 epochs.",
            "Building blocks for inspiration:",
            "- {% include \"task\" %} <b>",
            "Propose one new design that should score higher within the budgets.",
        ];
        assert_eq!(lines, wanted);
        // What the design to be changed has is no news.
        let two = [vec![snippet("its own", "vgg11"), snippet("another", "resnet18")]];
        let ideas = |base: &[&str]| inspiration(&brief, &two, base).len();
        assert_eq!((ideas(&[]), ideas(&["alexnet"]), ideas(&["vgg11"])), (2, 2, 1));
        let again = again(&brief, &[], "{}", &["nothing is there".to_owned()]).user;
        assert!(again.ends_with(
            "Your last design was refused:\n{}\nProblems:\n- nothing is there\nWrite the whole design again with these problems \
             mended."
        ));
    }
}
