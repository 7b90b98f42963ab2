//! Reading what a server sent back. It may be anything.

use serde_json::Value;

use crate::thinking::{estimate_tokens, separate};
use crate::{Finish, LlmError};

/// Most characters of a foreign text in a message.
const SNIPPET: usize = 300;
/// What an error counts as whose status nobody tells.
const BAD_GATEWAY: u16 = 502;

/// The parts of a chat completion that are used here.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) usage: Usage,
    pub(super) finish: Finish,
}

/// Tokens of one exchange, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) prompt: usize,
    /// Thinking included.
    pub(super) completion: usize,
    pub(super) thinking: usize,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.completion += other.completion;
        self.thinking += other.thinking;
    }
}

/// The status of an error that is told with a success status, as gateways (OpenRouter) tell those of the servers behind them.
pub(super) fn reported(body: &[u8]) -> Option<u16> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let error = json.get("error").filter(|error| !error.is_null())?;
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    Some(code.filter(|code| (400..600).contains(code)).unwrap_or(BAD_GATEWAY))
}

/// Reads the body of an answer with a success status, to a prompt of about so many tokens.
pub(super) fn read(body: &[u8], key: Option<&str>, prompt_tokens: usize) -> Result<Answer, LlmError> {
    let bad = |why: String| LlmError::BadAnswer { why, snippet: snippet(body, key) };
    let json: Value = serde_json::from_slice(body).map_err(|e| bad(format!("it is no JSON ({e})")))?;
    let choice = json.pointer("/choices/0").ok_or_else(|| bad("it has no choices".into()))?;
    let message = choice.get("message").ok_or_else(|| bad("its choice has no message".into()))?;
    let ended = choice.get("finish_reason").and_then(Value::as_str);
    let text_at = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
    let refusal = text_at("refusal");
    if !refusal.is_empty() || ended == Some("content_filter") {
        let said = if refusal.is_empty() { "stopped by the server's content filter" } else { refusal };
        return Err(LlmError::Refused { snippet: snippet(said.as_bytes(), key) });
    }
    let content = match message.get("content") {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Null) | None => "",
        Some(_) => return Err(bad("its content is no text".into())),
    };
    let (text, inline) = separate(content);
    let apart = [text_at("reasoning_content"), text_at("reasoning")].into_iter().find(|t| !t.is_empty());
    let thinking = estimate_tokens(&inline) + estimate_tokens(apart.unwrap_or_default());
    let completion = estimate_tokens(&text) + thinking;
    Ok(Answer {
        text,
        usage: told(&json["usage"], Usage { prompt: prompt_tokens, completion, thinking }),
        finish: if ended == Some("length") { Finish::Length } else { Finish::Stop },
    })
}

/// What an answer that is of no use has cost, to a prompt of about so many tokens; nothing where it is no answer of a model.
pub(super) fn charged(body: &[u8], prompt: usize) -> Usage {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let answered = json.get("choices").is_some() || json.get("usage").is_some();
    if answered { told(&json["usage"], Usage { prompt, ..Usage::default() }) } else { Usage::default() }
}

/// What a server counted; what it does not tell, or tells as nothing, as it was estimated.
fn told(usage: &Value, estimated: Usage) -> Usage {
    // Larger numbers are no counts, and their sums would overflow.
    let small = |n: &u64| (1..=u64::from(u32::MAX)).contains(n);
    let count = |at: &Value| at.as_u64().filter(small).map(|n| n as usize);
    let prompt = count(&usage["prompt_tokens"]).unwrap_or(estimated.prompt);
    // Some servers (xAI's) count thinking in the total alone.
    let rest = count(&usage["total_tokens"]).and_then(|all| all.checked_sub(prompt));
    let thinking = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    Usage {
        prompt,
        completion: count(&usage["completion_tokens"]).max(rest).unwrap_or(estimated.completion),
        thinking: thinking.unwrap_or(estimated.thinking),
    }
}

/// What an answer with an error status says: its `error.message`, else its beginning.
pub(super) fn complaint(body: &[u8], key: Option<&str>) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error")?;
        error.get("message").unwrap_or(error).as_str()
    });
    match message {
        Some(message) => snippet(message.as_bytes(), key),
        None if body.is_empty() => "(nothing more)".into(),
        None => snippet(body, key),
    }
}

/// The beginning of a foreign text on one line, without the key should the server repeat it.
pub(super) fn snippet(body: &[u8], key: Option<&str>) -> String {
    let mut text = String::from_utf8_lossy(&body[..body.len().min(64 * 1024)]).into_owned();
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        text = text.replace(key, "***");
    }
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut short: String = line.chars().filter(|c| !c.is_control()).take(SNIPPET).collect();
    if line.chars().count() > SNIPPET {
        short.push('…');
    }
    short
}

/// Takes away a Markdown fence around the whole of a text, which plain chat models like to add.
pub(super) fn unfenced(text: &str) -> &str {
    let inner = text.strip_prefix("```").and_then(|rest| rest.trim_end().strip_suffix("```"));
    match inner.and_then(|inner| inner.split_once('\n')) {
        Some((language, body)) if !body.contains("```") && language.trim().len() <= 10 => body.trim(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(json: Value) -> Result<Answer, LlmError> {
        read(json.to_string().as_bytes(), None, 40)
    }

    #[test]
    fn reads_text_usage_and_reasoning() {
        let answer = read_json(json!({
            "choices": [{"message": {"content": "<think>four</think>{}"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5},
        }));
        let usage = Usage { prompt: 12, completion: 5, thinking: 1 };
        assert_eq!(answer.unwrap(), Answer { text: "{}".into(), usage, finish: Finish::Length });
    }

    #[test]
    fn tokens_that_a_server_does_not_tell_are_estimated() {
        let read = |usage: Value| {
            let message = json!({"content": "{\"width\":128}", "reasoning_content": "long long"});
            let usage = read_json(json!({"choices": [{"message": message}], "usage": usage})).unwrap().usage;
            (usage.prompt, usage.completion, usage.thinking)
        };
        let nothing = json!({"prompt_tokens": 0, "completion_tokens": 0});
        for unknown in [Value::Null, json!([1]), nothing, json!({"prompt_tokens": u64::MAX})] {
            // Four letters a token.
            assert_eq!(read(unknown), (40, 4 + 3, 3));
        }
        let reasoning = json!({"reasoning_tokens": 90});
        for completion in [100, 10] {
            let usage = json!({
                "prompt_tokens": 30,
                "completion_tokens": completion,
                "completion_tokens_details": reasoning,
                "total_tokens": 130,
            });
            assert_eq!(read(usage), (30, 100, 90));
        }
    }

    #[test]
    fn answers_of_a_wrong_shape_are_told_apart() {
        for (json, part) in [
            (json!({"choices": []}), "no choices"),
            (json!({"choices": [{}]}), "no message"),
            (json!({"choices": [{"message": {"content": [1]}}]}), "no text"),
            (json!("text"), "no choices"),
        ] {
            let error = read_json(json).unwrap_err();
            assert!(
                matches!(error, LlmError::BadAnswer { .. }) && error.to_string().contains(part),
                "{error}"
            );
        }
        let refused = read_json(json!({"choices": [{"message": {"refusal": "I cannot"}}]}));
        assert!(matches!(refused, Err(LlmError::Refused { snippet }) if snippet == "I cannot"));
    }

    #[test]
    fn errors_under_a_success_status_have_one_of_their_own() {
        for (error, status) in [
            (json!({"message": "no credit", "code": 402}), Some(402)),
            (json!({"message": "x"}), Some(502)),
            (json!("x"), Some(502)),
            (json!({"code": "insufficient_quota"}), Some(502)),
            (json!({"code": 200}), Some(502)),
            (json!({"code": 65_936}), Some(502)),
            (Value::Null, None),
        ] {
            let body = json!({"error": error, "choices": []}).to_string();
            assert_eq!(reported(body.as_bytes()), status, "{body}");
        }
        assert_eq!((reported(b"{}"), reported(b"[]"), reported(b"<html>")), (None, None, None));
    }

    #[test]
    fn snippets_are_short_and_never_hold_the_key() {
        let text = format!("bad key sk-secret\n{}", "x".repeat(1000));
        let short = snippet(text.as_bytes(), Some("sk-secret"));
        assert!(short.starts_with("bad key *** xxx") && short.chars().count() == SNIPPET + 1);
        assert_eq!(complaint(br#"{"error":{"message":"no such model"}}"#, None), "no such model");
        assert_eq!(complaint(b"<h1>502</h1>", None), "<h1>502</h1>");
    }

    #[test]
    fn only_a_fence_around_everything_is_removed() {
        assert_eq!(unfenced("```json\n{\"a\":1}\n```"), "{\"a\":1}");
        assert_eq!(unfenced("```\n{}\n```\n"), "{}");
        for text in ["{}", "see ```json\n{}\n```", "```a\n{}\n``` and ```b\n{}\n```"] {
            assert_eq!(unfenced(text), text);
        }
    }
}
