//! Finding out how a server binds its model to a schema.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::Usage;
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

impl Bound {
    /// What is left of it where the server is asked in another way, because it refused this one.
    pub(super) fn fallen_to(self, format: AnswerFormat) -> Self {
        Self { format, enforced: self.enforced && !format.in_prompt() }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match (self.format, self.enforced) {
            (AnswerFormat::JsonSchema, true) => "bound by json_schema",
            (AnswerFormat::StrictSchema, true) => "bound by json_schema in its strict form",
            (AnswerFormat::ServersOwn, true) => "bound by the server's own field for a schema",
            (AnswerFormat::JsonObject, _) => "JSON, with the schema in the prompt",
            _ => "free, with the schema in the prompt",
        })
    }
}

impl OpenAi {
    /// Asks the server to follow a schema that its model would not follow by itself, in one way after the other; from then on it
    /// is asked in the strictest way that did bind it. Four short requests at most where no field is refused, each within `deadline`.
    ///
    /// # Errors
    /// [`LlmError`] of a server that cannot be reached, or refuses for another reason than the way it is asked.
    pub fn probe(&mut self, deadline: Duration) -> Result<Bound, LlmError> {
        let bound = self.tried(deadline)?;
        (self.format, self.probed) = (Some(bound.format), Some(bound));
        Ok(bound)
    }

    fn tried(&mut self, deadline: Duration) -> Result<Bound, LlmError> {
        let word = json!({ "type": "string", "enum": [WORD] });
        // `again` may be left out, as much may in designs: without such a field, strict servers take what they refuse later.
        let request = Request {
            schema: Some(json!({
                "type": "object",
                "properties": { "word": word, "again": word },
                "required": ["word"],
                "additionalProperties": false,
            })),
            temperature: 0.0,
            deadline,
            ..Request::new("", "Name a fruit.")
        };
        let (mut free, mut dialect) = (AnswerFormat::Plain, self.dialect.clone());
        for format in [
            AnswerFormat::JsonSchema,
            AnswerFormat::StrictSchema,
            AnswerFormat::ServersOwn,
            AnswerFormat::JsonObject,
        ] {
            // A prompt that tells the schema would be followed for other reasons.
            let told = match format {
                AnswerFormat::JsonObject => Some(json!({})),
                _ => request.schema.clone(),
            };
            let request = Request { schema: told, ..request.clone() };
            let until = request.until(Instant::now());
            let answer = match self.ask_in(&mut dialect, format, &request, until, &mut Usage::default()) {
                Ok(answer) => answer,
                Err(LlmError::Http { status: 400 | 422, .. } | LlmError::BadAnswer { .. }) => continue,
                Err(LlmError::Timeout { at, .. }) => return Err(LlmError::Timeout { after: deadline, at }),
                Err(error) => return Err(error),
            };
            self.dialect = dialect.clone();
            let said: Option<Value> = serde_json::from_str(&format.restored(answer.text.trim())).ok();
            if format == AnswerFormat::JsonObject {
                free = if said.is_some_and(|said| said.is_object()) { format } else { AnswerFormat::Plain };
            } else if said.is_some_and(|said| follows(&said)) {
                return Ok(Bound { format, enforced: true });
            }
        }
        Ok(Bound { format: free, enforced: false })
    }
}

/// Whether an answer keeps to the schema of a probe.
fn follows(said: &Value) -> bool {
    *said == json!({ "word": WORD }) || *said == json!({ "word": WORD, "again": WORD })
}
