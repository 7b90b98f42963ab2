//! Reading what a server sent back. It may be anything.

use serde_json::Value;

use crate::thinking::{estimate_tokens, separate};
use crate::{Finish, LlmError};

/// Most characters of a foreign text in a message.
const SNIPPET: usize = 300;

/// The parts of a chat completion that are used here.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) prompt_tokens: usize,
    pub(super) completion_tokens: usize,
    pub(super) thinking_tokens: usize,
    pub(super) finish: Finish,
}

/// Reads the body of an answer with a success status.
pub(super) fn read(body: &[u8], key: Option<&str>) -> Result<Answer, LlmError> {
    let bad = |why: String| LlmError::BadAnswer { why, snippet: snippet(body, key) };
    let json: Value = serde_json::from_slice(body).map_err(|e| bad(format!("it is no JSON ({e})")))?;
    if json.get("error").is_some_and(|error| !error.is_null()) {
        return Err(bad("it reports an error with a success status".into()));
    }
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
    let count = |path: &str| json.pointer(path).and_then(Value::as_u64).map(|n| n as usize);
    let thinking_tokens = count("/usage/completion_tokens_details/reasoning_tokens")
        .unwrap_or_else(|| estimate_tokens(&inline) + estimate_tokens(apart.unwrap_or_default()));
    Ok(Answer {
        text,
        prompt_tokens: count("/usage/prompt_tokens").unwrap_or(0),
        completion_tokens: count("/usage/completion_tokens").unwrap_or(0),
        thinking_tokens,
        finish: if ended == Some("length") { Finish::Length } else { Finish::Stop },
    })
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
        read(json.to_string().as_bytes(), None)
    }

    #[test]
    fn reads_text_usage_and_reasoning() {
        let answer = read_json(json!({
            "choices": [{"message": {"content": "<think>four</think>{}"}, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 12, "completion_tokens": 5},
        }));
        let wanted = Answer {
            text: "{}".into(),
            prompt_tokens: 12,
            completion_tokens: 5,
            thinking_tokens: 1,
            finish: Finish::Length,
        };
        assert_eq!(answer.unwrap(), wanted);
        let told = read_json(json!({
            "choices": [{"message": {"content": "{}", "reasoning_content": "long long"}}],
            "usage": {"completion_tokens_details": {"reasoning_tokens": 77}},
        }));
        assert_eq!(told.unwrap().thinking_tokens, 77);
    }

    #[test]
    fn answers_of_a_wrong_shape_are_told_apart() {
        for (json, part) in [
            (json!({"error": {"message": "x"}}), "error"),
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
