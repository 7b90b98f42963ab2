//! Lower case with the final sigma where Java puts it.

/// Lower case. A capital sigma is final when its word has a cased letter before it and none behind it. Unlike in the
/// standard library, hyphens, dots and digits inside the word do not matter.
pub(super) fn lower(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        if c != 'Σ' {
            out.extend(c.to_lowercase());
            continue;
        }
        let before = text[..i].chars().rev().take_while(|&c| joins(c)).any(is_cased);
        let behind = text[i + c.len_utf8()..].chars().take_while(|&c| joins(c)).any(is_cased);
        out.push(if before && !behind { 'ς' } else { 'σ' });
    }
    out
}

fn is_cased(c: char) -> bool {
    c.is_lowercase() || c.is_uppercase() || matches!(c, 'ǅ' | 'ǈ' | 'ǋ' | 'ǲ')
}

/// Does the character continue a word?
fn joins(c: char) -> bool {
    let ideograph = matches!(c, '\u{3000}'..='\u{9fff}' | '\u{f900}'..='\u{faff}');
    !ideograph && !matches!(c, '@' | '!' | '/' | '?' | ':' | ';')
}
