//! SentencePiece vocabularies (`tokenizer.ggml.model = llama`, as Gemma has them): pieces with scores, spaces written as `▁`, bytes of
//! their own for what no piece spells.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::{AddedToken, Tokenizer};

use super::gguf::{Fault, Gguf, Value};
use super::vocabulary::{BYTE, USER_DEFINED};

/// How a space is written.
const SPACE: &str = "\u{2581}";

/// Pairs of pieces that are kept at most, of which each costs some hundred bytes: Gemma has some 600,000, and a file may be made to have
/// thousands for each piece.
const MOST_MERGES: usize = 1 << 22;

/// The tokenizer of pieces of these texts and types.
pub(super) fn tokenizer(gguf: &Gguf, tokens: &[String], types: &[i64]) -> Result<Tokenizer, Fault> {
    if !matches!(gguf.value("tokenizer.ggml.add_space_prefix"), Some(Value::Bool(false))) {
        return Err("its texts begin with a space of their own, which is not supported".into());
    }
    let scores = match gguf.value("tokenizer.ggml.scores") {
        Some(Value::Floats(scores)) if scores.len() == tokens.len() => scores,
        _ => return Err("its scores do not match its tokens".into()),
    };
    let vocab: Vocab = tokens.iter().cloned().zip(0u32..).collect();
    let merges = merges(tokens, scores, MOST_MERGES)?;
    let bpe = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .byte_fallback(true)
        .build()
        .map_err(|e| format!("its pieces are damaged: {e}"))?;
    let mut tokenizer = Tokenizer::new(bpe);
    let spaces = Replace::new(" ", SPACE).map_err(|e| e.to_string())?;
    tokenizer.with_normalizer(Some(spaces)).map_err(|e| e.to_string())?;
    let whole = tokens.iter().zip(types).filter(|(_, kind)| **kind == USER_DEFINED);
    tokenizer
        .add_tokens(whole.map(|(token, _)| AddedToken::from(token.clone(), false).normalized(true)))
        .map_err(|e| e.to_string())?;
    Ok(tokenizer)
}

/// Pairs of pieces that make a piece, best first: what SentencePiece joins by score is byte-pair merging in this order.
fn merges(tokens: &[String], scores: &[f32], most: usize) -> Result<Vec<(String, String)>, Fault> {
    let place: HashMap<&str, usize> = tokens.iter().map(String::as_str).zip(0..).collect();
    let mut found: Vec<(usize, usize, usize)> = Vec::new();
    for (whole, token) in tokens.iter().enumerate() {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(left), Some(right)) = (place.get(left), place.get(right)) {
                if found.len() == most {
                    return Err(format!("more than {most} pairs of its pieces make another: it is damaged"));
                }
                found.push((whole, *left, *right));
            }
        }
    }
    found.sort_by(|a, b| scores[b.0].total_cmp(&scores[a.0]).then_with(|| a.cmp(b)));
    Ok(found.into_iter().map(|(_, left, right)| (tokens[left].clone(), tokens[right].clone())).collect())
}

/// The bytes of a piece of that type.
pub(super) fn bytes(token: &str, kind: i64) -> Vec<u8> {
    let byte = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    match byte.filter(|_| kind == BYTE).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
        Some(byte) => vec![byte],
        None => token.replace(SPACE, " ").into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_best_first_and_too_many_are_refused() {
        let tokens = ["a", "aa", "aaa"].map(String::from);
        let pairs = |most| merges(&tokens, &[0.0, 1.0, 2.0], most);
        let wanted = [("a", "aa"), ("aa", "a"), ("a", "a")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(pairs(3).expect("as many as there may be"), wanted);
        assert!(pairs(2).is_err_and(|fault| fault.contains("more than 2 pairs")));
    }
}
