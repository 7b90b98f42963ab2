//! `capwright check` and `capwright explain`: what is wrong with a design, and why that is a rule.

use crate::cli::{CheckArgs, ExplainArgs};
use crate::device;
use crate::failure::Failure;
use crate::{say, say_json};
use capwright_backbones::Library;
use capwright_blueprint::latency::latency;
use capwright_blueprint::memory::memory_use;
use capwright_blueprint::{
    Blueprint, Checked, Code, Diagnostic, Format, MAX_TEXT, Target, explain as explanation, line_and_column,
    mend, parse_as,
};
use capwright_files::{folder_of, keep, temporary_in};
use capwright_study::describe;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// `capwright check`.
pub fn check(args: &CheckArgs) -> Result<(), Failure> {
    let (mut text, format) = text_of(&args.file)?;
    let target = Target { vocab: args.vocab, max_words: args.max_words };
    let zoo = Library::default();
    let mut fixes = Vec::new();
    if args.fix {
        let mended = mend(&text, format, &zoo, target);
        if mended.text != text {
            replace(&args.file, &mended.text).map_err(|error| Failure::file(&args.file, error))?;
        }
        mended.fixes.iter().for_each(|fix| tell!("fixed: {fix}"));
        (text, fixes) = (mended.text, mended.fixes);
    }
    match parse_as(&text, format, &zoo, target) {
        Ok(checked) => report(&checked, args, &json!(fixes)),
        Err(diagnostics) => Err(refuse(&diagnostics, &text, args, &json!(fixes))?),
    }
}

/// What a design's file holds, and in which form.
fn text_of(path: &Path) -> Result<(String, Format), Failure> {
    // One byte more than a blueprint may have is enough to refuse it.
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| Failure::file(path, error))?;
    file.take(MAX_TEXT as u64 + 1).read_to_string(&mut text).map_err(|error| Failure::file(path, error))?;
    let toml = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    Ok((text, if toml { Format::Toml } else { Format::Json }))
}

/// The designs of some files; all that is wrong with any of them is printed.
pub fn read_all(paths: &[PathBuf], target: Target) -> Result<Vec<Blueprint>, Failure> {
    let (mut designs, mut faults, mut refused) = (Vec::new(), Vec::new(), None);
    for path in paths {
        let (text, format) = match text_of(path) {
            Ok(read) => read,
            Err(failure) => {
                faults.push(failure.to_string());
                continue;
            }
        };
        match parse_as(&text, format, &Library::default(), target) {
            Ok(checked) => designs.push(checked.blueprint().clone()),
            Err(diagnostics) => {
                let name = path.display().to_string();
                diagnostics.iter().for_each(|d| tell!("{}", shown(d, &text, &name)));
                faults.push(format!("{name}: {}", problems(diagnostics.len())));
                refused.get_or_insert(name);
            }
        }
    }
    if faults.is_empty() {
        return Ok(designs);
    }
    let failure = Failure::input(faults.join("\n"));
    Err(match refused {
        Some(name) => failure.help(format!("capwright check {name} tells more")),
        None => failure,
    })
}

fn problems(count: usize) -> String {
    format!("{count} {}", if count == 1 { "problem" } else { "problems" })
}

/// Writes beside the file and renames, so that no reader ever sees half a design.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    let mut file = temporary_in(folder_of(&path))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    keep(file, &path)
}

/// Prints every problem; the failure that ends the program counts them.
fn refuse(
    diagnostics: &[Diagnostic],
    text: &str,
    args: &CheckArgs,
    fixes: &Value,
) -> Result<Failure, Failure> {
    let path = args.file.display();
    if args.json {
        let mut rows = Vec::new();
        for diagnostic in diagnostics {
            let mut row = serde_json::to_value(diagnostic).map_err(Failure::input)?;
            if let Some(span) = &diagnostic.span {
                let (line, column) = line_and_column(text, span.start);
                (row["line"], row["column"]) = (json!(line), json!(column));
            }
            rows.push(row);
        }
        say_json(&json!({ "ok": false, "diagnostics": rows, "fixed": fixes }))?;
    } else {
        diagnostics.iter().for_each(|d| tell!("{}", shown(d, text, &path.to_string())));
    }
    let fixable = diagnostics.iter().filter(|d| d.fix.is_some()).count();
    let help = match fixable {
        0 => format!("capwright explain {} says why", diagnostics.first().map_or("", |d| d.code.as_str())),
        _ => format!("--fix mends {fixable} of them"),
    };
    Ok(Failure::input(format!("{path}: {}", problems(diagnostics.len()))).help(help))
}

/// Characters of a line that are shown around a problem: designs of language models are one long line.
const WINDOW: usize = 90;

/// `file:line:column: code: message`, the line with carets, and the hint.
fn shown(diagnostic: &Diagnostic, text: &str, path: &str) -> String {
    let Diagnostic { code, message, hint, pointer, .. } = diagnostic;
    let Some(span) = &diagnostic.span else {
        return format!("{path}: {code}: {message}\n  help: {hint}\n");
    };
    let (line, column) = line_and_column(text, span.start);
    let source: Vec<char> = text.lines().nth(line - 1).unwrap_or_default().chars().collect();
    let from = if source.len() <= WINDOW { 0 } else { (column - 1).saturating_sub(WINDOW / 3) };
    let part: String =
        source.iter().skip(from).take(WINDOW).map(|c| if c.is_control() { ' ' } else { *c }).collect();
    let before = if from > 0 { "…" } else { "" };
    let room = (from + WINDOW).min(source.len()).saturating_sub(column - 1);
    let wide = text.get(span.clone()).map_or(1, |s| s.lines().next().unwrap_or("").chars().count());
    let carets = "^".repeat(wide.clamp(1, room.max(1)));
    let gap = " ".repeat(column - 1 - from + before.chars().count());
    let at = if pointer.is_empty() { "/" } else { pointer };
    format!(
        "{path}:{line}:{column}: {code} at {at}: {message}\n  | {before}{part}\n  | {gap}{carets}\n  help: {hint}\n"
    )
}

/// Hypotheses and words (where the design allows them) of the caption whose time and memory are estimated.
const CAPTION: (usize, usize) = (3, 12);

fn report(checked: &Checked, args: &CheckArgs, fixes: &Value) -> Result<(), Failure> {
    let (cost, (beam, words)) = (checked.cost(), CAPTION);
    let words = words.min(args.max_words);
    let batch = checked.blueprint().recipe.batch.0 as usize;
    let memory = memory_use(checked.design(), beam, batch);
    let profile = device::cached();
    let time = profile.as_ref().map(|profile| latency(checked.design(), profile, words, beam));
    if args.json {
        let mut row = json!({ "ok": true, "hash": checked.hash(), "cost": cost, "memory": memory });
        if let (Some(profile), Some(time)) = (&profile, time) {
            row["latency"] = json!({
                "encoder_ms": time.encoder_ms, "per_word_ms": time.per_word_ms, "total_ms": time.total_ms,
                "words": words, "beam": beam, "machine": profile.machine, "threads": profile.threads,
            });
        }
        if fixes.as_array().is_some_and(|fixes| !fixes.is_empty()) {
            row["fixed"] = fixes.clone();
        }
        return say_json(&row);
    }
    say(describe(checked.blueprint()));
    say(format!("hash                        {}", checked.hash()));
    say(format!("parameters in all           {}", cost.params_total));
    say(format!("trainable parameters        {}", cost.params_trainable));
    say(format!("multiply-accumulates/image  {}", cost.macs_image));
    say(format!("  of them in trained parts  {}", cost.macs_trained));
    say(format!("multiply-accumulates/word   {}", cost.macs_token));
    say(format!("weight bytes (32 bit)       {}", memory.weights.f32));
    say(format!("weight bytes (16 bit)       {}", memory.weights.f16));
    say(format!("weight bytes (8 bit)        {}", memory.weights.i8));
    say(format!("activation bytes, a caption {}", memory.inference_peak));
    say(format!("bytes of a training step    {} ({batch} images)", memory.training_peak));
    if let (Some(profile), Some(time)) = (profile, time) {
        let (machine, threads) = (&profile.machine, profile.threads);
        say(format!("estimated ms, a caption     {:.1} ({words} words, beam {beam})", time.total_ms));
        say(format!("estimated ms, encoder       {:.1}", time.encoder_ms));
        say(format!("estimated ms, a word        {:.2} ({machine}, threads: {threads})", time.per_word_ms));
    }
    Ok(())
}

/// `capwright explain`.
pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let Some(word) = &args.code else {
        let all: Vec<_> = Code::ALL.iter().map(|code| explanation(*code)).collect();
        if args.json {
            return say_json(&all);
        }
        all.iter().for_each(|e| say(format!("{}  {}", e.code, e.title)));
        return Ok(());
    };
    let Some(code) = Code::find(word) else {
        let upper = word.to_uppercase();
        let same = |code: &&Code| {
            let beside = code.as_str().chars().zip(upper.chars());
            beside.filter(|(a, b)| a != b).count() + code.as_str().len().abs_diff(word.chars().count()) <= 1
        };
        let near: Vec<&str> = Code::ALL.iter().filter(same).map(|code| code.as_str()).collect();
        let help = match near.len() {
            0 => "`capwright explain` lists all codes".to_string(),
            _ => format!("near it: {}", near.join(", ")),
        };
        return Err(Failure::input(format!("there is no code \"{word}\"")).help(help));
    };
    let e = explanation(code);
    if args.json {
        return say_json(e);
    }
    let fix = if e.fixable { "`check --fix` mends it where there is one obvious mending.\n\n" } else { "" };
    let at = if e.at.is_empty() { "" } else { " at " };
    say(format!(
        "{}: {}\n\n{}\n{}\n\n{fix}Wrong{at}{}:\n{}\n\nRight:\n{}",
        e.code, e.title, e.why, e.remedy, e.at, e.wrong, e.right
    ));
    Ok(())
}
