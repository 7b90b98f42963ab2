//! Which language model: as the arguments name it, and as a ledger does.

use crate::cli::LlmArgs;
use crate::failure::Failure;
use crate::{ideas, setup};
use capwright_contract::Contract;
use capwright_llm::{Embedded, LlmError, OpenAi, Options, TextModel, Timeouts, default_model};
use capwright_search::{Judge, LlmArchitect, LlmOptions, Space};
use capwright_study::Study;
use std::path::Path;
use std::time::Duration;

/// The language model as architect.
pub fn language_model(
    contract: &Contract,
    args: &LlmArgs,
    space: Space,
    judge: Judge,
) -> Result<LlmArchitect, Failure> {
    let model = text_model(args)?;
    let options = LlmOptions { deadline: Duration::from_secs(args.timeout), ..LlmOptions::default() };
    Ok(LlmArchitect::new(model, space, judge, ideas::inspiration(contract), options))
}

/// The language model that the arguments name; the small default one without a name.
pub fn text_model(args: &LlmArgs) -> Result<Box<dyn TextModel>, Failure> {
    Ok(match (&args.url, &args.gguf) {
        (Some(url), _) => {
            let mut server = server(url, args)?;
            let bound = server.probe(Duration::from_secs(args.timeout)).map_err(bad)?;
            tell!("language model: {}, answers {bound}", server.name());
            Box::new(server)
        }
        (None, Some(path)) => Box::new(Embedded::load(path, &Options::default()).map_err(bad)?),
        (None, None) => {
            tell!("language model: {} (small; see the README for better ones)", default_model().file_name);
            let path = crate::zoo::cache()?.get(&default_model()).map_err(Failure::llm)?;
            Box::new(Embedded::load(&path, &Options::default()).map_err(bad)?)
        }
    })
}

fn bad(error: LlmError) -> Failure {
    match error {
        LlmError::BadModel { .. } | LlmError::BadEndpoint { .. } => Failure::input(error),
        _ => Failure::llm(error),
    }
}

/// A server that nothing is asked of yet.
fn server(url: &str, args: &LlmArgs) -> Result<OpenAi, Failure> {
    let key = std::env::var("CAPWRIGHT_LLM_KEY").ok();
    OpenAi::connect(url, &args.model, key, Timeouts::default()).map_err(bad)
}

/// What the names of embedded models begin with; the stem of their file follows.
const EMBEDDED: &str = "embedded:";

/// The name of the arguments' language model in a ledger; nothing is loaded or asked for it.
pub fn model_name(args: &LlmArgs) -> Result<String, Failure> {
    let embedded = |file: &Path| format!("{EMBEDDED}{}", file.file_stem().unwrap_or_default().display());
    match (&args.url, &args.gguf) {
        (Some(url), _) => Ok(server(url, args)?.name()),
        (None, Some(path)) => Ok(embedded(path)),
        (None, None) => Ok(embedded(Path::new(&default_model().file_name))),
    }
}

/// Refuses to go on with another language model than a study began with, or with a server whose price its contract lacks.
pub fn as_it_began(study: &Study, args: &LlmArgs) -> Result<(), Failure> {
    let Some(begun) = setup::model_of(study) else { return Ok(()) };
    let now = model_name(args)?;
    if now != begun {
        let message = format!("the study began with the language model {begun}, and would go on with {now}");
        return Err(Failure::input(message).help(options_of(begun)));
    }
    if setup::is_unpriced(study.contract(), args) {
        return Err(Failure::input("the study's contract bounds money and does not say what tokens cost")
            .help("begin a study with search and --llm-price USD (a million tokens)"));
    }
    Ok(())
}

/// Which options name a ledger's language model.
fn options_of(name: &str) -> String {
    let default = default_model().file_name;
    match (name.strip_prefix(EMBEDDED), name.rsplit_once(" at ")) {
        (Some(stem), _) if Path::new(&default).file_stem().is_some_and(|own| own == stem) => {
            "leave --llm-gguf and --llm-url out: it is the default model".to_owned()
        }
        (Some(stem), _) => format!("add --llm-gguf FILE, with the path of {stem}.gguf"),
        (None, Some((model, host))) => {
            format!("add --llm-url URL, with the address of the server at {host}, and --llm-model {model}")
        }
        (None, None) => "name it with --llm-gguf, or with --llm-url and --llm-model".to_owned(),
    }
}
