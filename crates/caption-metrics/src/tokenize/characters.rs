//! Words of scripts that are written without spaces.

use std::borrow::Cow;

/// Whether a character is a word of its own: Han characters and Japanese kana.
pub fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3134f}')
}

/// The text with spaces around Han characters and kana, each of which counts as a word; other text is left as it is.
///
/// Punctuation of these scripts becomes a space, and letters and digits of full width become the usual ones. Splitting
/// Chinese into characters needs no dictionary and has no unknown words to speak of.
pub fn segment(text: &str) -> Cow<'_, str> {
    let touched = |c: char| stands_alone(c) || is_mark(c) || narrow(c) != c;
    if !text.contains(touched) {
        return Cow::Borrowed(text);
    }
    let mut spaced = String::with_capacity(text.len() * 2);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let narrowed = narrow(c);
        if stands_alone(c) {
            spaced.extend([' ', c, ' ']);
        } else if is_mark(c) {
            spaced.push(' ');
        } else if narrowed == c || narrowed.is_ascii_alphanumeric() {
            spaced.push(narrowed);
        } else {
            // A sign belongs to a number only inside it: a time or a decimal, not what follows a comma.
            let digit = |c: char| narrow(c).is_ascii_digit();
            let inside = spaced.ends_with(digit) && rest.peek().copied().is_some_and(digit);
            if inside { spaced.push(narrowed) } else { spaced.extend([' ', narrowed, ' ']) }
        }
    }
    Cow::Owned(spaced)
}

/// Punctuation of East Asian scripts that has no usual counterpart.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{3020}' | '\u{30fb}' | '\u{ff5f}'..='\u{ff65}')
}

/// The usual form of a character of full width.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn han_characters_are_words_and_their_punctuation_is_none() {
        let words = |text: &str| segment(text).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words("一只狗，在跑。"), ["一", "只", "狗", ",", "在", "跑"]);
        assert_eq!(words("穿Ｔ恤的２人"), ["穿", "T", "恤", "的", "2", "人"]);
        assert_eq!(words("「海」、山"), ["海", "山"]);
        assert_eq!(
            words("人，1.5米；７：３０，（左）"),
            ["人", ",", "1.5", "米", ";", "7:30", ",", "(", "左", ")"]
        );
        assert!(matches!(segment("a dog's ball, 3 cats"), Cow::Borrowed(_)));
    }
}
