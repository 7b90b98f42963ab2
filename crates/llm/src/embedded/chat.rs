//! Chat templates: how a system and a user message become one sequence of tokens.

use toktrie::TokenId;

use super::gguf::Fault;
use super::vocabulary::Vocabulary;

/// The families that chat models of the known architectures use, told apart by their control tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Template {
    /// `<|im_start|>role\n…<|im_end|>\n`; a model that would think first is shown that it has.
    ChatMl { thought: bool },
    /// `<start_of_turn>role\n…<end_of_turn>\n`, without a system message: what it would say begins the user's.
    Gemma,
    /// `<|start_header_id|>role<|end_header_id|>\n\n…<|eot_id|>`
    Llama3,
}

impl Template {
    /// Finds the template whose control tokens the vocabulary has. `may_think`: the model thinks before it answers unless told not to
    /// (Qwen 3), which the grammar of an answer leaves no room for.
    pub(crate) fn detect(vocabulary: &Vocabulary, may_think: bool) -> Result<Self, Fault> {
        let has = |names: &[&str]| names.iter().all(|name| vocabulary.control(name).is_some());
        if has(&["<|im_start|>", "<|im_end|>"]) {
            Ok(Self::ChatMl { thought: may_think })
        } else if has(&["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]) {
            Ok(Self::Llama3)
        } else if has(&["<bos>", "<start_of_turn>", "<end_of_turn>"]) {
            Ok(Self::Gemma)
        } else {
            let kinds = "it has the control tokens of neither ChatML, Llama 3 nor Gemma";
            Err(format!("it is no chat model of a known kind ({kinds})"))
        }
    }

    /// The tokens up to where the model's answer begins. An empty system message is left out.
    pub(crate) fn prompt(self, vocabulary: &Vocabulary, system: &str, user: &str) -> Vec<TokenId> {
        let mut out = Prompt { vocabulary, tokens: Vec::new() };
        let turns = [("system", system), ("user", user)];
        let turns = turns.into_iter().filter(|(role, text)| *role == "user" || !text.is_empty());
        match self {
            Self::ChatMl { thought } => {
                for (role, text) in turns {
                    out.control("<|im_start|>").text(&format!("{role}\n{text}"));
                    out.control("<|im_end|>").text("\n");
                }
                out.control("<|im_start|>").text("assistant\n");
                if thought {
                    out.text("<think>\n\n</think>\n\n");
                }
            }
            Self::Gemma => {
                let both = format!("{system}\n\n{user}");
                let said = if system.is_empty() { user } else { &both };
                out.control("<bos>").control("<start_of_turn>").text(&format!("user\n{}", said.trim()));
                out.control("<end_of_turn>").text("\n").control("<start_of_turn>").text("model\n");
            }
            Self::Llama3 => {
                out.control("<|begin_of_text|>");
                for (role, text) in turns {
                    out.control("<|start_header_id|>").text(role).control("<|end_header_id|>");
                    out.text(&format!("\n\n{}", text.trim())).control("<|eot_id|>");
                }
                out.control("<|start_header_id|>")
                    .text("assistant")
                    .control("<|end_header_id|>")
                    .text("\n\n");
            }
        }
        out.tokens
    }
}

struct Prompt<'a> {
    vocabulary: &'a Vocabulary,
    tokens: Vec<TokenId>,
}

impl Prompt<'_> {
    fn control(&mut self, name: &str) -> &mut Self {
        self.tokens.extend(self.vocabulary.control(name));
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.tokens.extend(self.vocabulary.encode(text));
        self
    }
}
