//! Tokens: from text to numbers and back, and the byte trie that grammars are checked against.
//!
//! All of it is built from the GGUF file's own lists. Byte-pair vocabularies (`tokenizer.ggml.model = gpt2`)
//! with a known way of splitting text are supported, and the pieces of SentencePiece (`llama`): a wrong guess there gives wrong
//! numbers, silently.

use std::collections::HashMap;
use std::sync::Arc;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};
use toktrie::{TokEnv, TokRxInfo, TokTrie, TokenId, TokenizerEnv};

use super::gguf::{Fault, Gguf, Value};
use super::pieces;

const MAX_TOKENS: usize = 1 << 20;
const MAX_TOKEN_BYTES: usize = 512;
/// The trie has a node for each byte at most, and one more; it counts them in 22 bits and panics beyond.
const MAX_ALL_BYTES: usize = (1 << 22) - 2;
/// Bytes of all tokens as the file writes them: GPT-2's alphabet takes two for some bytes.
const MAX_WRITTEN: usize = 2 * MAX_ALL_BYTES;

/// How Llama 3 cuts text before merging (from its published tokenizer).
const LLAMA3_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// How Qwen 2 and 3 do: digits stand alone.
const QWEN2_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of tokens that end an answer, whatever the metadata says.
const STOPS: [&str; 6] =
    ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|eom_id|>", "<end_of_turn>"];

/// The numbers that GGUF gives token types.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
pub(super) const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;
pub(super) const BYTE: i64 = 6;

/// The tokens of one model.
pub(crate) struct Vocabulary {
    env: Arc<Env>,
    control: HashMap<String, TokenId>,
    stops: Vec<TokenId>,
}

impl Vocabulary {
    /// Reads the lists of a GGUF file.
    pub(crate) fn read(gguf: &Gguf) -> Result<Self, Fault> {
        let model = gguf.text("tokenizer.ggml.model")?;
        let of_pieces = model == "llama";
        if !of_pieces && model != "gpt2" {
            return Err(format!(
                "its tokenizer is of kind `{model}`, and only `gpt2` (byte pairs) and `llama` (SentencePiece) are supported"
            ));
        }
        let tokens = gguf.texts("tokenizer.ggml.tokens")?;
        if tokens.is_empty() || tokens.len() > MAX_TOKENS {
            return Err(format!("it has {} tokens", tokens.len()));
        }
        if let Some(long) = tokens.iter().find(|token| token.len() > MAX_TOKEN_BYTES) {
            return Err(format!("it has a token of {} bytes", long.len()));
        }
        // Before a tokenizer is made of them, which takes many times as much.
        let written: usize = tokens.iter().map(String::len).sum();
        if written > MAX_WRITTEN {
            return Err(format!("its tokens have {written} bytes in all; the limit is {MAX_WRITTEN}"));
        }
        let types = match gguf.value("tokenizer.ggml.token_type") {
            Some(Value::Ints(types)) if types.len() == tokens.len() => types,
            _ => return Err("its token types do not match its tokens".into()),
        };
        let control: HashMap<_, _> = (0u32..)
            .zip(tokens.iter().zip(types))
            .filter(|(_, (_, kind))| **kind == CONTROL)
            .map(|(id, (token, _))| (token.clone(), id))
            .collect();
        let stops = stops(gguf, &control, tokens.len())?;
        let tokenizer =
            if of_pieces { pieces::tokenizer(gguf, tokens, types)? } else { tokenizer(gguf, tokens, types)? };
        let trie = trie(tokens, types, &stops, of_pieces)?;
        Ok(Self { env: Arc::new(Env { tokenizer, trie }), control, stops })
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.env.trie.vocab_size()
    }

    /// What the grammar engine needs to know.
    pub(crate) fn env(&self) -> TokEnv {
        self.env.clone()
    }

    /// Plain text as tokens. Names of control tokens in it are spelled out, never taken for the real ones.
    pub(crate) fn encode(&self, text: &str) -> Vec<TokenId> {
        self.env.encode(text)
    }

    /// The text of tokens, without control tokens.
    pub(crate) fn decode(&self, tokens: &[TokenId]) -> String {
        String::from_utf8_lossy(&self.env.trie.decode_ext(tokens, false)).into_owned()
    }

    /// The control token of this name.
    pub(crate) fn control(&self, name: &str) -> Option<TokenId> {
        self.control.get(name).copied()
    }

    /// Whether this token ends an answer.
    pub(crate) fn is_stop(&self, token: TokenId) -> bool {
        self.stops.contains(&token)
    }
}

struct Env {
    tokenizer: Tokenizer,
    trie: TokTrie,
}

impl Env {
    fn encode(&self, text: &str) -> Vec<TokenId> {
        match self.tokenizer.encode_fast(text, false) {
            Ok(encoding) => encoding.get_ids().to_vec(),
            // The splitting rules are fixed and cannot fail on valid text; longest match is still correct text.
            Err(_) => self.trie.greedy_tokenize(text.as_bytes()),
        }
    }
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<TokenId> {
        self.trie.tokenize_with_greedy_fallback(bytes, |text| self.encode(text))
    }
}

fn stops(gguf: &Gguf, control: &HashMap<String, TokenId>, n: usize) -> Result<Vec<TokenId>, Fault> {
    let mut stops = vec![gguf.count("tokenizer.ggml.eos_token_id", 0..=n - 1)? as TokenId];
    if gguf.value("tokenizer.ggml.eot_token_id").is_some() {
        stops.push(gguf.count("tokenizer.ggml.eot_token_id", 0..=n - 1)? as TokenId);
    }
    stops.extend(STOPS.iter().filter_map(|name| control.get(*name)));
    let mut seen = Vec::new();
    stops.retain(|id| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    Ok(stops)
}

fn tokenizer(gguf: &Gguf, tokens: &[String], types: &[i64]) -> Result<Tokenizer, Fault> {
    let told = |e: tokenizers::Error| e.to_string();
    let pre = gguf.text("tokenizer.ggml.pre")?;
    let (steps, ignore_merges): (Vec<PreTokenizerWrapper>, bool) = match pre {
        "smollm" => (vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()], false),
        "gpt-2" => (vec![ByteLevel::new(false, true, true).into()], false),
        "llama-bpe" | "llama-v3" | "llama3" | "qwen2" => {
            let qwen = pre == "qwen2";
            let pattern = SplitPattern::Regex(if qwen { QWEN2_SPLIT } else { LLAMA3_SPLIT }.into());
            let words = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(told)?;
            (vec![words.into(), ByteLevel::new(false, true, false).into()], !qwen)
        }
        _ => return Err(format!("its way of splitting text, `{pre}`, is not supported")),
    };
    let vocab: Vocab = tokens.iter().cloned().zip(0u32..).collect();
    let merges = gguf.texts("tokenizer.ggml.merges")?.iter().map(|merge| {
        let (left, right) = merge.split_once(' ').ok_or_else(|| format!("its merge `{merge}` is damaged"))?;
        Ok::<_, Fault>((left.to_owned(), right.to_owned()))
    });
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges.collect::<Result<Vec<_>, _>>()?)
        .ignore_merges(ignore_merges)
        .build()
        .map_err(|e| format!("its merges are damaged: {e}"))?;
    let mut tokenizer = Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(steps)));
    if pre == "qwen2" {
        tokenizer.with_normalizer(Some(NFC)).map_err(told)?;
    }
    let whole = tokens.iter().zip(types).filter(|(_, kind)| **kind == USER_DEFINED);
    tokenizer
        .add_tokens(whole.map(|(token, _)| AddedToken::from(token.clone(), false).normalized(false)))
        .map_err(|e| e.to_string())?;
    Ok(tokenizer)
}

fn trie(tokens: &[String], types: &[i64], stops: &[TokenId], of_pieces: bool) -> Result<TokTrie, Fault> {
    let bytes_of = byte_alphabet();
    let words: Vec<Vec<u8>> = tokens
        .iter()
        .zip(types)
        .map(|(token, kind)| match *kind {
            UNUSED => Vec::new(),
            UNKNOWN if of_pieces => [&[TokTrie::SPECIAL_TOKEN_MARKER], token.as_bytes()].concat(),
            CONTROL => [&[TokTrie::SPECIAL_TOKEN_MARKER], token.as_bytes()].concat(),
            kind if of_pieces => pieces::bytes(token, kind),
            USER_DEFINED => token.clone().into_bytes(),
            _ => token
                .chars()
                .map(|c| bytes_of.get(&c).copied())
                .collect::<Option<_>>()
                .unwrap_or_else(|| token.clone().into_bytes()),
        })
        .collect();
    let bytes: usize = words.iter().map(Vec::len).sum();
    if bytes > MAX_ALL_BYTES {
        return Err(format!("its tokens have {bytes} bytes in all; the limit is {MAX_ALL_BYTES}"));
    }
    Ok(TokTrie::from(&TokRxInfo::new(words.len() as u32, stops[0]), &words).with_eos_tokens(stops))
}

/// The characters by which byte-pair vocabularies write bytes (GPT-2's `bytes_to_unicode`): printable ones
/// stand for themselves, the others are moved up from code point 256 on.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut moved = 256u32;
    (0..=255u8)
        .map(|byte| {
            let printable = matches!(byte, 33..=126 | 161..=172 | 174..=255);
            let code = if printable {
                u32::from(byte)
            } else {
                moved += 1;
                moved - 1
            };
            (char::from_u32(code).unwrap_or_default(), byte)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_alphabet_is_that_of_gpt2() {
        let alphabet = byte_alphabet();
        assert_eq!(alphabet.len(), 256);
        // Well known: a space is written as G with a dot, a line feed as C with a dot.
        assert_eq!((alphabet[&'Ġ'], alphabet[&'Ċ'], alphabet[&'a']), (b' ', b'\n', b'a'));
    }

    #[test]
    fn more_bytes_than_the_trie_can_count_are_refused() {
        // Each within the limits of tokens, with hardly a beginning in common.
        let tokens: Vec<String> = (0..9_000).map(|i| format!("{i:04}").repeat(MAX_TOKEN_BYTES / 4)).collect();
        let types = vec![1; tokens.len()];
        let fault = trie(&tokens, &types, &[0], false).err();
        assert!(fault.is_some_and(|fault| fault.contains("4608000 bytes in all")));
        let fewer = MAX_ALL_BYTES / MAX_TOKEN_BYTES;
        assert!(trie(&tokens[..fewer], &types[..fewer], &[0], false).is_ok());
    }
}
