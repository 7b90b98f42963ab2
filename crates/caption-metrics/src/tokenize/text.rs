//! Characters of a caption as the lexer sees them.

use std::sync::LazyLock;

/// What a character can be part of. The classes were found by asking the tokenizer about every 16-bit character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Vanishes, and parts words: control characters, emoji, characters younger than the tokenizer.
    Gone,
    /// Letters of any script.
    Letter,
    /// Decimal digits of any script.
    Digit,
    /// Accents and other signs that belong to a word but not to a number or a compound.
    Mark,
    /// A token of its own.
    Symbol,
    /// Space that parts words.
    Space,
}

/// Run lengths of the classes of U+0080..U+FFFF: a letter for the class, then the length in hexadecimal.
const RUNS: &str = include_str!("classes.txt");

static WIDE: LazyLock<Box<[Class]>> = LazyLock::new(|| {
    let mut table = Vec::with_capacity(0x1_0000);
    let mut length = 0;
    let mut class = Class::Gone;
    for byte in RUNS.bytes().filter(|b| !b.is_ascii_whitespace()) {
        if let Some(digit) = (byte as char).to_digit(16).filter(|_| !byte.is_ascii_uppercase()) {
            length = length * 16 + digit as usize;
            continue;
        }
        table.resize(table.len() + length, class);
        length = 0;
        class = match byte {
            b'L' => Class::Letter,
            b'D' => Class::Digit,
            b'M' => Class::Mark,
            b'S' => Class::Symbol,
            b'W' => Class::Space,
            _ => Class::Gone,
        };
    }
    table.resize(0x1_0000, class);
    table.into_boxed_slice()
});

pub(super) fn class(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Digit,
        ' ' | '\t' => Class::Space,
        '\0'..='\u{1f}' | '\u{7f}' => Class::Gone,
        _ if c.is_ascii() => Class::Symbol,
        SOFT_HYPHEN => Class::Mark,
        '\u{a0}' => Class::Space,
        _ => WIDE.get(c as usize).copied().unwrap_or(Class::Gone),
    }
}

/// Invisible inside words, where it is dropped; a hyphen when alone.
pub(super) const SOFT_HYPHEN: char = '\u{ad}';

/// What [`Text::at`] gives behind the last character: the end of the line.
pub(super) const END: char = '\n';

/// A caption with cheap access to the character at a byte offset.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) s: &'a str,
}

impl<'a> Text<'a> {
    /// The character at a byte offset, [`END`] behind the last one. A line feed inside the caption counts as a space.
    #[inline]
    pub(super) fn at(self, i: usize) -> char {
        match self.s.as_bytes().get(i) {
            None => END,
            Some(b'\n') => ' ',
            Some(&b) if b < 0x80 => b as char,
            _ => self.s.get(i..).and_then(|rest| rest.chars().next()).unwrap_or(END),
        }
    }

    /// The ASCII character at a byte offset, or 0 for anything else and for the end.
    #[inline]
    pub(super) fn byte(self, i: usize) -> u8 {
        match self.s.as_bytes().get(i) {
            Some(b'\n') => b' ',
            Some(&b) if b < 0x80 => b,
            _ => 0,
        }
    }

    /// Where the run of characters that `f` holds for ends.
    #[inline]
    pub(super) fn run(self, mut i: usize, f: impl Fn(char) -> bool) -> usize {
        loop {
            let c = self.at(i);
            if c == END || !f(c) {
                return i;
            }
            i += c.len_utf8();
        }
    }

    /// The same over ASCII only.
    #[inline]
    pub(super) fn bytes(self, mut i: usize, f: impl Fn(u8) -> bool) -> usize {
        while self.byte(i) != 0 && f(self.byte(i)) {
            i += 1;
        }
        i
    }

    /// The same, but no further than `most` bytes.
    #[inline]
    pub(super) fn bytes_within(self, i: usize, most: usize, f: impl Fn(u8) -> bool) -> usize {
        let mut end = i;
        while end < i + most && self.byte(end) != 0 && f(self.byte(end)) {
            end += 1;
        }
        end
    }

    /// Does this lower-case ASCII word stand at `i`, in any case?
    pub(super) fn has(self, i: usize, word: &str) -> bool {
        self.s
            .as_bytes()
            .get(i..i + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Behind an apostrophe of any of its forms at `i`: `'`, the typographic one, that of code page 1252 and `&apos;`.
    pub(super) fn apostrophe(self, i: usize) -> Option<usize> {
        match self.at(i) {
            '\'' => Some(i + 1),
            c @ ('\u{2019}' | '\u{92}') => Some(i + c.len_utf8()),
            '&' if self.has(i, "&apos;") => Some(i + 6),
            _ => None,
        }
    }
}

pub(super) fn is_letter_or_digit(c: char) -> bool {
    matches!(class(c), Class::Letter | Class::Digit)
}

/// Letter, digit or sign: what continues a word.
pub(super) fn is_word(c: char) -> bool {
    matches!(class(c), Class::Letter | Class::Digit | Class::Mark)
}

pub(super) fn is_digit(c: char) -> bool {
    class(c) == Class::Digit
}

pub(super) fn is_space(c: char) -> bool {
    class(c) == Class::Space
}

/// Ends a line in the tokenizer, so parts words here as well.
pub(super) fn is_line_break(c: char) -> bool {
    matches!(c, '\u{b}' | '\u{c}' | '\r' | '\u{2028}' | '\u{2029}')
}

/// Space or the end of a line, as context behind a word.
pub(super) fn is_blank(c: char) -> bool {
    is_space(c) || is_line_break(c) || c == '\u{85}'
}
