//! What a number of a request is about, by a language model. It chooses a clause from a menu and writes no number: the
//! number, its scale and its unit are read from the request itself.

use capwright_contract::Clause;
use capwright_llm::{LlmError, Request, TextModel};
use serde_json::{Value, json};
use std::time::Duration;

const TASK: &str = "\
A person describes an image captioning model. One phrase of the description holds a number.
Say which clause of the contract the number is about. Answer with JSON and nothing else.";

/// The word for "about nothing that a contract bounds".
const NONE: &str = "none";

/// Clauses with a number of their own.
fn menu() -> impl Iterator<Item = Clause> {
    let numeric = |clause: &Clause| clause.unit() != capwright_contract::Unit::Names;
    Clause::ALL.iter().copied().filter(numeric)
}

/// The schema of the answer.
fn schema() -> Value {
    let names: Vec<&str> = menu().map(Clause::as_str).chain([NONE]).collect();
    json!({
        "type": "object",
        "properties": { "clause": { "enum": names } },
        "required": ["clause"],
        "additionalProperties": false,
    })
}

/// Asks a model which clause a phrase of a request is about; `None` where it says that none is.
///
/// # Errors
/// As [`TextModel::generate`].
pub fn clause_of(model: &mut dyn TextModel, request: &str, phrase: &str) -> Result<Option<Clause>, LlmError> {
    let clauses: String = menu().map(|c| format!("{c}: {}\n", c.noun())).collect();
    let user = format!("Clauses:\n{clauses}\nDescription: {request:?}\nPhrase: {phrase:?}");
    let answer = model.generate(&Request {
        schema: Some(schema()),
        max_tokens: 40,
        temperature: 0.0,
        deadline: Duration::from_secs(60),
        ..Request::new(TASK, user)
    })?;
    let said: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    Ok(menu().find(|clause| said["clause"] == clause.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capwright_contract::parse_request_with;
    use capwright_llm::Scripted;

    fn read(answer: &str, request: &str) -> capwright_contract::Understood {
        let mut model = Scripted::new("scripted", [answer]);
        let mut ask = |phrase: &str| clause_of(&mut model, request, phrase).ok().flatten();
        parse_request_with(request, &mut ask)
    }

    #[test]
    fn a_model_may_say_what_a_number_is_about_and_not_what_it_is() {
        let request = "answers in under 80 ms nineteen times out of twenty";
        let read = read(r#"{"clause":"limits.latency_p95_ms"}"#, request);
        assert_eq!(read.contract.limits.latency_p95_ms, Some(80.0));
        assert_eq!(read.contract.limits.latency_p50_ms, None);
        assert!(read.ambiguous[0].meaning.contains("language model"), "{read:?}");
    }

    #[test]
    fn an_answer_that_does_not_fit_the_unit_is_not_used() {
        for answer in [r#"{"clause":"budgets.weight_bytes"}"#, r#"{"clause":"none"}"#, "80000", ""] {
            let read = read(answer, "answers in under 80 ms");
            assert_eq!(read.contract.limits.latency_p50_ms, Some(80.0), "{answer}");
            assert_eq!(read.contract.budgets.weight_bytes, None, "{answer}");
        }
    }
}
