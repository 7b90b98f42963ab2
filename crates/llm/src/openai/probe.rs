//! Finding out how a server binds its model to a schema.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{AnswerFormat, OpenAi};
use crate::{LlmError, Request};

/// A word that no model says unless it must.
const WORD: &str = "zq7-lantern";

/// How a server keeps to a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// How it is to be asked.
    pub format: AnswerFormat,
    /// Whether the model then cannot but follow the schema.
    pub enforced: bool,
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.format, self.enforced) {
            (AnswerFormat::JsonSchema, true) => "bound by json_schema",
            (AnswerFormat::ServersOwn, true) => "bound by the server's own field for a schema",
            (AnswerFormat::JsonObject, _) => "JSON, with the schema in the prompt",
            _ => "free, with the schema in the prompt",
        })
    }
}

impl OpenAi {
    /// Asks the server to follow a schema that its model would not follow by itself, in one way after the other; from then on it
    /// is asked in the strictest way that did bind it. Up to three short requests, each within `deadline`.
    ///
    /// # Errors
    /// [`LlmError`] of a server that cannot be reached, or refuses for another reason than the way it is asked.
    pub fn probe(&mut self, deadline: Duration) -> Result<Bound, LlmError> {
        let bound = self.tried(deadline)?;
        (self.format, self.probed) = (Some(bound.format), Some(bound));
        Ok(bound)
    }

    fn tried(&self, deadline: Duration) -> Result<Bound, LlmError> {
        let request = Request {
            schema: Some(json!({
                "type": "object",
                "properties": { "word": { "type": "string", "enum": [WORD] } },
                "required": ["word"],
                "additionalProperties": false,
            })),
            temperature: 0.0,
            deadline,
            ..Request::new("", "Name a fruit.")
        };
        let mut free = AnswerFormat::Plain;
        for format in [AnswerFormat::JsonSchema, AnswerFormat::ServersOwn, AnswerFormat::JsonObject] {
            // A prompt that tells the schema would be followed for other reasons.
            let told = match format {
                AnswerFormat::JsonObject => Some(json!({})),
                _ => request.schema.clone(),
            };
            let body = self.body(&Request { schema: told, ..request.clone() }, format);
            let answer = match self.ask_patiently(&body, Instant::now() + deadline) {
                Ok(answer) => answer,
                Err(LlmError::Http { status: 400 | 422, .. } | LlmError::BadAnswer { .. }) => continue,
                Err(LlmError::Timeout { at, .. }) => return Err(LlmError::Timeout { after: deadline, at }),
                Err(error) => return Err(error),
            };
            let said: Option<Value> = serde_json::from_str(answer.text.trim()).ok();
            if format == AnswerFormat::JsonObject {
                free = if said.is_some_and(|said| said.is_object()) { format } else { AnswerFormat::Plain };
            } else if said.is_some_and(|said| said == json!({ "word": WORD })) {
                return Ok(Bound { format, enforced: true });
            }
        }
        Ok(Bound { format: free, enforced: false })
    }
}
