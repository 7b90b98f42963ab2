//! One suite for every way to the language model: the small default model in this process, and the same file behind llama.cpp's
//! OpenAI-compatible server, which the test starts from the `xllamacpp` wheel. Each is skipped, and says so, where the model is
//! not in the cache, or no Python (`CAPWRIGHT_PYTHON`, else `python3`) has the wheel.

mod common;

use capwright_fetch::Cache;
use capwright_llm::{AnswerFormat, Embedded, OpenAi, Options, Request, TextModel, Timeouts, default_model};
use capwright_search::{LlmArchitect, LlmOptions, Space};
use capwright_study::Verdict;
use common::{CONTRACTS, judge, opened, proposed, under};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Designs proposed under each contract.
const EACH: u64 = 1;

fn model_file() -> Option<PathBuf> {
    let found = Cache::open_default().ok()?.cached(&default_model());
    if found.is_none() {
        println!("skipped: the default model is not in the cache");
    }
    found
}

fn options() -> LlmOptions {
    // Builds without optimisation are slow.
    LlmOptions { deadline: Duration::from_secs(900), ..LlmOptions::default() }
}

/// Under every contract: all texts read as blueprints, designs (all but one at least) are admitted after at most two repairs, and
/// none twice.
fn suite(mut model: impl FnMut() -> Box<dyn TextModel>) {
    let (mut texts, mut admitted, mut hashes) = (0, 0, BTreeSet::new());
    for text in CONTRACTS {
        let contract = under(text);
        let (space, judge) = (Space::new(&contract), judge(&contract));
        let mut study = opened(&contract);
        let mut architect = LlmArchitect::new(model(), space, judge.clone(), Vec::new(), options());
        for _ in 0..EACH {
            for (draft, verdict) in proposed(&mut study, &mut architect) {
                assert!(!matches!(verdict, Verdict::Unreadable { .. }), "{}", draft.text);
                assert!(draft.prompt_tokens > 100 && draft.completion_tokens > 0, "{draft:?}");
                texts += 1;
                println!(
                    "{} {:?} in {:.1} s",
                    draft.text,
                    capwright_search::problems(&verdict),
                    draft.seconds
                );
                if let Verdict::Admitted { hash, .. } = verdict {
                    admitted += 1;
                    hashes.insert(hash);
                }
            }
        }
    }
    println!("{texts} texts, {admitted} designs admitted, {} of them distinct", hashes.len());
    // Another processor rounds otherwise, and then other texts are drawn: one of them may need a third repair.
    assert!(admitted + 1 >= EACH * CONTRACTS.len() as u64, "{admitted}");
    assert_eq!(hashes.len() as u64, admitted);
}

/// Limits and deadlines are kept; with `exact`, the same request has the same text, and a shorter limit its beginning. (A server
/// that has part of a prompt in its cache may round otherwise.)
fn keeps_its_word(model: &mut dyn TextModel, exact: bool) {
    let plain = Request {
        max_tokens: 24,
        temperature: 0.0,
        deadline: Duration::from_secs(600),
        ..Request::new("You are brief.", "Name three animals.")
    };
    let first = model.generate(&plain).expect("an answer");
    assert!(!first.text.trim().is_empty() && first.completion_tokens <= 24, "{first:?}");
    let again = model.generate(&plain).expect("an answer");
    let short = model.generate(&Request { max_tokens: 4, ..plain.clone() }).expect("an answer");
    assert!(short.completion_tokens <= 4, "{short:?}");
    if exact {
        assert_eq!(again.text, first.text);
        assert!(first.text.starts_with(short.text.trim_end()), "{} {}", short.text, first.text);
    }
    let hasty = Request { max_tokens: 800, deadline: Duration::from_millis(30), ..plain };
    assert!(model.generate(&hasty).is_err());
}

#[test]
fn the_embedded_model() {
    let Some(path) = model_file() else { return };
    let load = || Embedded::load(&path, &Options::default()).expect("the default model loads");
    keeps_its_word(&mut load(), true);
    suite(|| Box::new(load()));
}

/// llama.cpp's server over a model, as long as this lives.
struct Server {
    child: Child,
    url: String,
}

const SERVE: &str = "
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.port, params.warmup = sys.argv[1], 4096, 1, 0, False
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
";

impl Server {
    fn start(model: &Path) -> Option<Self> {
        let python = std::env::var("CAPWRIGHT_PYTHON").unwrap_or_else(|_| "python3".into());
        let has_wheel = Command::new(&python).args(["-c", "import xllamacpp"]).stderr(Stdio::null()).status();
        if !has_wheel.is_ok_and(|status| status.success()) {
            println!(
                "skipped: {python} has no xllamacpp (pip install xllamacpp, and name that Python in CAPWRIGHT_PYTHON)"
            );
            return None;
        }
        let mut child = Command::new(&python)
            .args(["-c", SERVE])
            .arg(model)
            // The server ends with this pipe.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Python starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let lines = out.lines().map_while(Result::ok);
        let address = lines.into_iter().find(|line| line.starts_with("http://"));
        let url = format!("{}/v1", address.expect("the server says where it listens"));
        Some(Self { child, url })
    }

    fn client(&self) -> OpenAi {
        OpenAi::connect(&self.url, "default", None, Timeouts::default()).expect("a URL")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_same_model_behind_a_server() {
    let Some(server) = model_file().and_then(|path| Server::start(&path)) else { return };
    let mut client = server.client();
    let bound = client.probe(Duration::from_secs(600)).expect("an answer");
    assert!(bound.enforced && bound.format == AnswerFormat::JsonSchema, "{bound:?}");
    let constrained = Request {
        schema: Some(
            serde_json::json!({ "type": "object", "required": ["animal"], "additionalProperties": false,
            "properties": { "animal": { "enum": ["cat", "dog"] } } }),
        ),
        max_tokens: 40,
        deadline: Duration::from_secs(600),
        ..Request::new("", "Name an animal.")
    };
    let answer = client.generate(&constrained).expect("an answer").text;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{answer}: {e}"));
    assert!(answer["animal"] == "cat" || answer["animal"] == "dog", "{answer}");
    assert_eq!(client.answer_format(), Some(AnswerFormat::JsonSchema), "the server constrains its model");
    keeps_its_word(&mut client, false);
    suite(|| Box::new(server.client()));
}
