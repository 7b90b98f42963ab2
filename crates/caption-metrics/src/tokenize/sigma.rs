//! Lower case with the final sigma where Java puts it.

use super::text::{is_digit, is_word};

/// Lower case. A capital sigma is final when its word has a cased letter before it and none behind it. Unlike in the
/// standard library, hyphens, dots and digits inside the word do not matter.
pub(super) fn lower(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    for word in chars.chunk_by(|&a, &b| joins(a, b)) {
        let first = word.iter().position(|&c| is_cased(c)).unwrap_or(word.len());
        let last = word.iter().rposition(|&c| is_cased(c)).unwrap_or(0);
        for (i, &c) in word.iter().enumerate() {
            match c {
                'Σ' if first < i && last == i => out.push('ς'),
                'Σ' => out.push('σ'),
                _ => out.extend(c.to_lowercase()),
            }
        }
    }
    out
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

/// Do two neighbours stand in one word?
fn joins(a: char, b: char) -> bool {
    let inside = |c| {
        let ideograph = matches!(c, '\u{3000}'..='\u{9fff}' | '\u{f900}'..='\u{faff}');
        !ideograph && is_word(c)
    };
    let link = |c| matches!(c, '-' | '_' | '.' | '\'' | '\u{2010}' | '\u{2011}' | '\u{2019}');
    let letter = |c| inside(c) && !is_digit(c);
    inside(a) && inside(b) || letter(a) && link(b) || link(a) && letter(b)
}
