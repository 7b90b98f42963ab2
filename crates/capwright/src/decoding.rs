//! From the options of the command line to a decoding, with all that is wrong at once.

use crate::cli::DecodingArgs;
use crate::failure::Failure;
use capwright_contract::{Decoding, Diverse, LengthPenalty, Sampling};

/// Nats that a word said by another group costs.
const DIVERSITY: f64 = 0.5;

/// Captions of one photo, at most.
const MOST: usize = 1000;

/// The decoding of a model with what is asked for: `n` captions of at most `most_words` words (pieces, for a model of pieces).
pub fn decoding(
    of_model: Decoding,
    most_words: usize,
    args: &DecodingArgs,
    n: usize,
) -> Result<Decoding, Failure> {
    let mut faults = conflicts(args, of_model.diverse.is_some());
    let mut asked = of_model;
    asked.beam = args.beam.unwrap_or(asked.beam);
    asked.max_words = args.max_words.unwrap_or(asked.max_words);
    asked.min_words = args.min_words.unwrap_or(asked.min_words);
    asked.no_repeat_ngram = args.no_repeat_ngram.or(asked.no_repeat_ngram);
    if let Some(text) = &args.length_penalty {
        match length_penalty(text) {
            Some(penalty) => asked.length_penalty = penalty,
            None => faults.push(format!("--length-penalty {text:?}: write mean, gnmt, gnmt:ALPHA or none")),
        }
    }
    let own = of_model.diverse;
    asked.diverse = args.diverse_groups.or(own.map(|own| own.groups)).map(|groups| Diverse {
        groups,
        strength: args.diversity.or(own.map(|own| own.strength)).unwrap_or(DIVERSITY),
    });
    if args.sample {
        let Sampling { temperature, seed, .. } = Sampling::default();
        asked.sample = Some(Sampling {
            temperature: args.temperature.unwrap_or(temperature),
            top_k: args.top_k,
            top_p: args.top_p,
            seed: args.seed.unwrap_or(seed),
        });
        asked.diverse = asked.diverse.filter(|_| args.diverse_groups.is_some());
    }
    let said = asked.faults().into_iter().filter(|(field, _)| *field != "diverse");
    faults.extend(said.map(|(field, reason)| format!("{} {reason}", option(field))));
    if asked.max_words > most_words {
        faults.push(format!("--max-words must not exceed {most_words}, the longest caption of the model"));
    }
    if !(1..=MOST).contains(&n) {
        faults.push(format!("--n must lie between 1 and {MOST}"));
    } else if asked.sample.is_none() && n > asked.beam {
        faults.push(format!(
            "--n {n} is more than the beam of {} finds; add --beam {n} or --sample",
            asked.beam
        ));
    }
    if faults.is_empty() { Ok(asked) } else { Err(Failure::input(faults.join("\n"))) }
}

/// Options that need others, or do not go with them; `grouped` says that the model's own beam has groups.
fn conflicts(args: &DecodingArgs, grouped: bool) -> Vec<String> {
    let drawn = [
        ("--top-p", args.top_p.is_some()),
        ("--top-k", args.top_k.is_some()),
        ("--temperature", args.temperature.is_some()),
        ("--seed", args.seed.is_some()),
    ];
    let searched = [
        ("--beam", args.beam.is_some()),
        ("--diverse-groups", args.diverse_groups.is_some()),
        ("--diversity", args.diversity.is_some()),
    ];
    let mut faults = Vec::new();
    for (name, _) in drawn.iter().filter(|(_, given)| *given && !args.sample) {
        faults.push(format!("{name} needs --sample"));
    }
    for (name, _) in searched.iter().filter(|(_, given)| *given && args.sample) {
        faults.push(format!("{name} does not go with --sample, which uses no beam"));
    }
    if args.diversity.is_some() && args.diverse_groups.is_none() && !grouped && !args.sample {
        faults.push("--diversity needs --diverse-groups".to_owned());
    }
    faults
}

fn length_penalty(text: &str) -> Option<LengthPenalty> {
    match text.split_once(':') {
        None if text == "mean" => Some(LengthPenalty::Mean),
        None if text == "none" => Some(LengthPenalty::None),
        None if text == "gnmt" => Some(LengthPenalty::Gnmt(0.6)),
        Some(("gnmt", alpha)) => alpha.parse().ok().map(LengthPenalty::Gnmt),
        _ => None,
    }
}

/// The option that sets a field of [`Decoding`].
fn option(field: &str) -> String {
    match field {
        "diverse.strength" => "--diversity".to_owned(),
        "diverse.groups" => "--diverse-groups".to_owned(),
        _ => format!("--{}", field.trim_start_matches("sample.").replace('_', "-")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(args: &DecodingArgs, n: usize) -> String {
        decoding(Decoding::default(), 20, args, n).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn nothing_asked_is_what_the_model_has() {
        let of_model = Decoding { min_words: 4, ..Decoding::of(2, 9) };
        assert_eq!(decoding(of_model, 9, &DecodingArgs::default(), 2).unwrap(), of_model);
    }

    #[test]
    fn options_become_a_decoding() {
        let args = DecodingArgs {
            beam: Some(6),
            length_penalty: Some("gnmt:0.7".into()),
            no_repeat_ngram: Some(3),
            diverse_groups: Some(2),
            ..DecodingArgs::default()
        };
        let found = decoding(Decoding::default(), 20, &args, 6).unwrap();
        assert_eq!(found.length_penalty, LengthPenalty::Gnmt(0.7));
        assert_eq!(found.diverse, Some(Diverse { groups: 2, strength: DIVERSITY }));
        let drawn = DecodingArgs { sample: true, top_p: Some(0.9), seed: Some(4), ..DecodingArgs::default() };
        let sample = decoding(found, 20, &drawn, 50).unwrap().sample.unwrap();
        assert_eq!(sample, Sampling { temperature: 1.0, top_k: None, top_p: Some(0.9), seed: 4 });
    }

    #[test]
    fn groups_of_the_model_keep_what_is_not_asked_for() {
        let own = Decoding { diverse: Some(Diverse { groups: 3, strength: 0.2 }), ..Decoding::of(6, 20) };
        let with = |diverse_groups, diversity| {
            let args = DecodingArgs { diverse_groups, diversity, ..DecodingArgs::default() };
            decoding(own, 20, &args, 1).unwrap().diverse.map(|d| (d.groups, d.strength))
        };
        assert_eq!(with(None, None), Some((3, 0.2)));
        assert_eq!(with(Some(2), None), Some((2, 0.2)));
        assert_eq!(with(None, Some(0.7)), Some((3, 0.7)));
        let alone = DecodingArgs { diversity: Some(0.7), ..DecodingArgs::default() };
        assert_eq!(faults(&alone, 1), "--diversity needs --diverse-groups");
        let drawn = DecodingArgs { sample: true, ..DecodingArgs::default() };
        assert_eq!(decoding(own, 20, &drawn, 1).unwrap().diverse, None);
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let args = DecodingArgs {
            beam: Some(4),
            max_words: Some(90),
            min_words: Some(0),
            length_penalty: Some("log".into()),
            no_repeat_ngram: Some(0),
            diverse_groups: Some(3),
            top_p: Some(0.5),
            ..DecodingArgs::default()
        };
        let said = faults(&args, 5);
        for word in [
            "max-words",
            "min-words",
            "length-penalty",
            "no-repeat",
            "diverse-groups",
            "needs --sample",
            "--n 5",
        ] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(said.lines().count(), 7, "{said}");
        let mixed = DecodingArgs {
            sample: true,
            diverse_groups: Some(3),
            beam: Some(3),
            diversity: Some(0.1),
            temperature: Some(0.0),
            top_p: Some(0.0),
            ..DecodingArgs::default()
        };
        let said = faults(&mixed, 0);
        assert_eq!(said.lines().count(), 6, "{said}");
        assert!(said.contains("--temperature must lie") && said.contains("--beam does not go"), "{said}");
    }
}
