//! The ways to ask a server for an answer under a schema.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::strict::{strict, text_without_nulls};

/// How a server is asked to keep to the schema, from strict to not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// `response_format: json_schema`, strict, with the schema as it is.
    JsonSchema,
    /// Likewise, with the schema in the form that OpenAI's strict mode takes ([`strict`](crate::strict())), which refuses others; nulls
    /// are taken out of the answers.
    StrictSchema,
    /// The fields that servers had before they knew that one: llama.cpp's `json_schema`, vLLM's `structured_outputs` and
    /// `guided_json`, Ollama's `format`.
    ServersOwn,
    /// `response_format: json_object`; the schema stands in the prompt.
    JsonObject,
    /// No `response_format`; the schema stands in the prompt.
    Plain,
}

/// What is tried where nothing is known, or behind a way that is. Servers' own fields are left to a probe: who does not know them
/// ignores them in silence.
const IN_TURN: [AnswerFormat; 4] =
    [AnswerFormat::JsonSchema, AnswerFormat::StrictSchema, AnswerFormat::JsonObject, AnswerFormat::Plain];

impl AnswerFormat {
    /// The ways to try in turn: the known one and looser ones behind it, or all.
    pub(super) fn ways(known: Option<Self>) -> Vec<Self> {
        let behind = IN_TURN.into_iter().filter(|way| known.is_none_or(|known| *way > known));
        known.into_iter().chain(behind).collect()
    }

    /// Whether the schema is told in the prompt, and the model free to break it.
    pub(super) fn in_prompt(self) -> bool {
        matches!(self, Self::JsonObject | Self::Plain)
    }

    /// Puts the schema into the body of a request.
    pub(super) fn ask_for(self, schema: &Value, body: &mut Value) {
        let named = |schema: Value| {
            let answer = json!({ "name": "answer", "strict": true, "schema": schema });
            json!({ "type": "json_schema", "json_schema": answer })
        };
        match self {
            Self::JsonSchema => body["response_format"] = named(schema.clone()),
            Self::StrictSchema => body["response_format"] = named(strict(schema)),
            Self::ServersOwn => {
                for field in ["json_schema", "guided_json", "format"] {
                    body[field] = schema.clone();
                }
                body["structured_outputs"] = json!({ "json": schema });
            }
            Self::JsonObject => body["response_format"] = json!({ "type": "json_object" }),
            Self::Plain => {}
        }
    }

    /// An answer as the schema itself would have it.
    pub(super) fn restored(self, text: &str) -> String {
        if self == Self::StrictSchema { text_without_nulls(text) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::AnswerFormat::{JsonObject, JsonSchema, Plain, ServersOwn, StrictSchema};
    use super::*;

    #[test]
    fn behind_a_way_come_looser_ones_alone() {
        assert_eq!(AnswerFormat::ways(None), [JsonSchema, StrictSchema, JsonObject, Plain]);
        assert_eq!(AnswerFormat::ways(Some(JsonSchema)), [JsonSchema, StrictSchema, JsonObject, Plain]);
        assert_eq!(AnswerFormat::ways(Some(StrictSchema)), [StrictSchema, JsonObject, Plain]);
        assert_eq!(AnswerFormat::ways(Some(ServersOwn)), [ServersOwn, JsonObject, Plain]);
        assert_eq!(AnswerFormat::ways(Some(Plain)), [Plain]);
    }
}
