//! From a JSON schema to a matcher that says which tokens may come next.

use llguidance::api::TopLevelGrammar;
use llguidance::earley::SlicedBiasComputer;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::{InferenceCapabilities, TokEnv};

use crate::LlmError;

/// Compiles schemas for one vocabulary, and keeps the last one.
pub(crate) struct Grammars {
    factory: ParserFactory,
    last: Option<(Value, Matcher)>,
}

impl Grammars {
    pub(crate) fn new(env: &TokEnv) -> Result<Self, String> {
        let abilities = InferenceCapabilities { ff_tokens: true, ..Default::default() };
        let mut factory = ParserFactory::new(env, abilities, &SlicedBiasComputer::json_slices())
            .map_err(|e| format!("no grammar engine for its tokens: {e}"))?;
        factory.quiet();
        Ok(Self { factory, last: None })
    }

    /// A matcher at the beginning of a text that follows the schema, as JSON without any white space.
    ///
    /// # Errors
    /// [`LlmError::BadSchema`] when the schema uses what the grammar engine does not know.
    pub(crate) fn matcher(&mut self, schema: &Value) -> Result<Matcher, LlmError> {
        if let Some((known, matcher)) = &self.last
            && known == schema
        {
            return Ok(matcher.deep_clone());
        }
        let bad = |why: String| LlmError::BadSchema { why };
        let mut compact = schema.clone();
        let fields = compact.as_object_mut().ok_or_else(|| bad("it is no JSON object".into()))?;
        let style = json!({ "whitespace_flexible": false, "item_separator": ",", "key_separator": ":" });
        fields.insert("x-guidance".into(), style);
        let parser = self.factory.create_parser(TopLevelGrammar::from_json_schema(compact));
        let matcher = Matcher::new(parser);
        if let Some(why) = matcher.get_error() {
            return Err(bad(why));
        }
        self.last = Some((schema.clone(), matcher.deep_clone()));
        Ok(matcher)
    }
}
