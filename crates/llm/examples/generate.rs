//! Writes answers to one prompt under one schema, and says what they cost.
//!
//! `cargo run --release -p capwright-llm --example generate -- MODEL.gguf SCHEMA.json PROMPT.txt [COUNT]`
//! Texts go to stdout, one a line; costs to stderr. Give `-` as the schema for free text.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use capwright_llm::{Embedded, Options, Request, TextModel};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, schema, prompt, rest @ ..] = args.as_slice() else {
        return Err("give MODEL.gguf SCHEMA.json PROMPT.txt [COUNT]".into());
    };
    let count = rest.first().map_or(Ok(1), |n| n.parse())?;
    let threads = std::env::var("THREADS").map_or(Ok(0), |n| n.parse())?;
    let start = Instant::now();
    let mut model = Embedded::load(Path::new(model), &Options { threads, ..Options::default() })?;
    eprintln!("loaded {} in {:.2} s", model.name(), start.elapsed().as_secs_f64());
    let schema = match schema.as_str() {
        "-" => None,
        path => Some(serde_json::from_str(&std::fs::read_to_string(path)?)?),
    };
    let user = std::fs::read_to_string(prompt)?;
    for seed in 0..count {
        let request = Request { schema: schema.clone(), seed, ..Request::new("", user.clone()) };
        let done = model.generate(&request)?;
        println!("{}", done.text);
        eprintln!(
            "seed {seed}: {} prompt + {} written tokens in {:.2} s, {:?}",
            done.prompt_tokens, done.completion_tokens, done.seconds, done.finish
        );
    }
    Ok(())
}
