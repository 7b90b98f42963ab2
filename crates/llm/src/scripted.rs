//! A model that repeats texts given beforehand.

use std::collections::VecDeque;

use crate::{Completion, Finish, LlmError, Request, TextModel};

/// Answers with prepared texts in their order; for tests and replays.
#[derive(Debug, Clone)]
pub struct Scripted {
    name: String,
    texts: VecDeque<String>,
    /// Every request it was asked, in order.
    pub asked: Vec<Request>,
}

impl Scripted {
    /// A model called `name` that will say these texts.
    pub fn new(name: impl Into<String>, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), texts: texts.into_iter().map(Into::into).collect(), asked: Vec::new() }
    }
}

impl TextModel for Scripted {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// The next text. Its tokens are counted as words; it takes no time.
    fn generate(&mut self, request: &Request) -> Result<Completion, LlmError> {
        request.check()?;
        self.asked.push(request.clone());
        let text = self.texts.pop_front().ok_or_else(|| LlmError::BadAnswer {
            why: "the script has no more texts".into(),
            snippet: String::new(),
        })?;
        let words = |text: &str| text.split_whitespace().count();
        Ok(Completion {
            prompt_tokens: words(&request.system) + words(&request.user),
            completion_tokens: words(&text),
            thinking_tokens: 0,
            seconds: 0.0,
            finish: Finish::Stop,
            text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_its_texts_in_order_and_then_fails() {
        let mut model = Scripted::new("script", ["first one", "second"]);
        let request = Request::new("be brief", "say something");
        assert_eq!(model.generate(&request).unwrap().text, "first one");
        assert_eq!(model.generate(&request).unwrap().completion_tokens, 1);
        assert!(matches!(model.generate(&request), Err(LlmError::BadAnswer { .. })));
        assert_eq!(model.asked.len(), 3);
    }

    #[test]
    fn impossible_requests_are_refused_before_any_work() {
        let mut model = Scripted::new("script", ["text"]);
        let good = Request::new("", "x");
        for bad in [
            Request { max_tokens: 0, ..good.clone() },
            Request { temperature: f32::NAN, ..good.clone() },
            Request { top_p: 0.0, ..good.clone() },
            Request { deadline: std::time::Duration::ZERO, ..good.clone() },
        ] {
            assert!(matches!(model.generate(&bad), Err(LlmError::BadRequest { .. })), "{bad:?}");
        }
        assert_eq!(model.generate(&good).unwrap().text, "text");
    }
}
