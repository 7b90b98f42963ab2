//! Which fields of a request a server takes, learned from what it refuses.

use serde_json::{Value, json};

use super::answer::Answer;
use crate::{Finish, Request};

/// Fields that say how words are drawn. A model that takes none draws them in its own way.
const SAMPLING: [&str; 3] = ["temperature", "top_p", "seed"];
/// Above that some servers (Mistral's) refuse a temperature; others do so above 2.
const HOTTEST: f32 = 1.5;
/// Tokens for thoughts beside those of the answer, as they turn out to be needed.
const ROOM: [usize; 3] = [0, 4096, 16_384];

/// How one server's model is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Whether the limit is called `max_completion_tokens`, as OpenAI's reasoning models want it.
    completion: bool,
    /// Of [`SAMPLING`], those that it does not take: reasoning models no temperature, Mistral's servers no `seed`.
    refused: Vec<&'static str>,
    /// Place in [`ROOM`].
    room: usize,
}

impl Dialect {
    /// Puts the limit and the way of sampling into the body of a request.
    pub(super) fn fill(&self, request: &Request, body: &mut Value) {
        let limit = if self.completion { "max_completion_tokens" } else { "max_tokens" };
        body[limit] = json!(request.max_tokens + ROOM[self.room]);
        // A seed that a server cannot hold would be refused, and from then on none be sent: half of its bits, folded onto the other half.
        let seed = (request.seed ^ (request.seed >> 32)) & i32::MAX as u64;
        let values = [json!(request.temperature.min(HOTTEST)), json!(request.top_p), json!(seed)];
        for (field, value) in SAMPLING.into_iter().zip(values) {
            if !self.refused.contains(&field) {
                body[field] = value;
            }
        }
    }

    /// Changes what a complaint names; false where that is nothing, or was changed before.
    pub(super) fn learn(&mut self, complaint: &str) -> bool {
        let before = self.clone();
        let words = complaint.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named = |field| words.clone().any(|word| word == field);
        self.completion |= named("max_completion_tokens");
        let fresh = SAMPLING.into_iter().filter(|field| named(field) && !before.refused.contains(field));
        self.refused.extend(fresh);
        *self != before
    }

    /// Makes room for thoughts where an answer was cut off that had some, or nothing else; false where there is as much as can be.
    pub(super) fn make_room(&mut self, answer: &Answer) -> bool {
        let thought = answer.text.is_empty() || answer.usage.thinking > 0;
        let more = answer.finish == Finish::Length && thought && self.room + 1 < ROOM.len();
        self.room += usize::from(more);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Usage;
    use super::*;

    fn filled(dialect: &Dialect) -> Value {
        let mut body = json!({});
        dialect.fill(&Request { max_tokens: 100, temperature: 0.5, ..Request::new("", "") }, &mut body);
        body
    }

    #[test]
    fn complaints_change_what_they_name_once() {
        let mut dialect = Dialect::default();
        assert_eq!(
            filled(&dialect),
            json!({"max_tokens": 100, "temperature": 0.5, "top_p": 0.95f32, "seed": 0})
        );
        for other in ["no such model", "max_tokens is too large", "temperatures, seeded", ""] {
            assert!(!dialect.learn(other), "{other}");
        }
        assert!(
            dialect
                .learn("'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
        );
        assert!(dialect.learn("Unsupported value: 'temperature' does not support 0.5 with this model."));
        assert!(dialect.learn(r#"{"detail":[{"type":"extra_forbidden","loc":["body","seed"]}]}"#));
        assert!(!dialect.learn("max_completion_tokens, temperature, seed"));
        assert_eq!(filled(&dialect), json!({"max_completion_tokens": 100, "top_p": 0.95f32}));
    }

    #[test]
    fn seeds_and_temperatures_are_within_what_servers_take() {
        let sent = |seed, temperature| {
            let mut body = json!({});
            Dialect::default().fill(&Request { seed, temperature, ..Request::new("", "") }, &mut body);
            (body["seed"].as_u64(), body["temperature"].as_f64())
        };
        let most = i32::MAX as u64;
        for seed in [7, 1 << 40, u64::MAX - 7, u64::MAX << 32, i64::MAX as u64] {
            assert!(sent(seed, 0.5).0.is_some_and(|seed| seed <= most), "{seed}");
        }
        assert_eq!(sent(7, 0.5), (Some(7), Some(0.5)));
        assert_ne!(sent(7, 0.5).0, sent(7 | 1 << 40, 0.5).0);
        assert_eq!(sent(7, 2.34).1, Some(1.5));
    }

    #[test]
    fn thoughts_that_leave_no_room_get_some_until_there_is_no_more() {
        let answer = |text: &str, thinking, finish| Answer {
            text: text.into(),
            usage: Usage { thinking, ..Usage::default() },
            finish,
        };
        let mut dialect = Dialect::default();
        for enough in
            [answer("{}", 9, Finish::Stop), answer("", 9, Finish::Stop), answer("{", 0, Finish::Length)]
        {
            assert!(!dialect.make_room(&enough), "{enough:?}");
        }
        assert!(dialect.make_room(&answer("{", 9, Finish::Length)));
        assert_eq!(filled(&dialect)["max_tokens"], 4196);
        assert!(dialect.make_room(&answer("", 0, Finish::Length)));
        assert_eq!(filled(&dialect)["max_tokens"], 16_484);
        assert!(!dialect.make_room(&answer("", 0, Finish::Length)));
    }
}
