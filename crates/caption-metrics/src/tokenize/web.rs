//! Addresses, names with `@` and `#`, file names, tags and entities.

use super::lexer::{Found, Kind, Memory};
use super::text::{Class, END, Text, class};

/// What may stand behind the dot of a file name.
const EXTENSIONS: &[&str] = &["bat", "bmp", "html", "jpg"];

pub(super) fn offer(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    match text.byte(i) {
        b'@' => mention(text, i, found),
        b'#' => hashtag(text, i, found),
        b'<' => tag(text, i, memory, found),
        b'&' => entity(text, i, found),
        _ => {}
    }
    url(text, i, found);
    domain(text, i, found);
    file(text, i, found);
    email(text, i, memory, found);
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{b}' | '\u{c}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | END)
}

/// `@name`.
fn mention(text: Text, i: usize, found: &mut Found) {
    if text.byte(i + 1).is_ascii_alphabetic() || text.byte(i + 1) == b'_' {
        found.offer(text.bytes(i + 1, |b| b.is_ascii_alphanumeric() || b == b'_'), Kind::Plain);
    }
}

/// `#word`, letters only.
fn hashtag(text: Text, i: usize, found: &mut Found) {
    let end = text.run(i + 1, |c| matches!(class(c), Class::Letter | Class::Mark));
    if end > i + 1 {
        found.offer(end, Kind::Plain);
    }
}

fn url_end(text: Text, i: usize) -> usize {
    let end = text.run(i, |c| !blank(c) && !matches!(c, '"' | '<' | '>' | '|' | '(' | ')' | '{' | '}'));
    let trailing = |c: char| matches!(c, '.' | '!' | '?' | ',');
    text.s[i..end].trim_end_matches(trailing).len() + i
}

fn url(text: Text, i: usize, found: &mut Found) {
    if text.has(i, "http://") || text.has(i, "https://") {
        let start = i + if text.has(i, "https") { 8 } else { 7 };
        let end = url_end(text, start);
        if end > start + 1 {
            found.offer(end, Kind::Plain);
        }
    }
}

fn domain(_text: Text, _i: usize, _found: &mut Found) {}

fn file(text: Text, i: usize, found: &mut Found) {
    let end = text.bytes(i, |b| b.is_ascii_alphanumeric());
    if end > i && text.byte(end) == b'.' {
        for extension in EXTENSIONS {
            if text.has(end + 1, extension) && !text.byte(end + 1 + extension.len()).is_ascii_alphanumeric() {
                found.offer(end + 1 + extension.len(), Kind::Plain);
            }
        }
    }
}

fn email(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    if i < memory.no_email_before {
        return;
    }
    let local = |c: char| c.is_ascii() && !blank(c) && !matches!(c, '"' | '<' | '>' | '|' | '(' | ')' | '{' | '}' | '@');
    let end = text.run(i, local);
    if text.at(end) != '@' || end == i {
        memory.no_email_before = end;
        return;
    }
    let behind = text.run(end + 1, |c| !blank(c) && !matches!(c, '"' | '<' | '>' | '|' | '(' | ')' | '{' | '}' | '@'));
    if behind > end + 1 {
        found.offer(behind, Kind::Plain);
    }
}

/// `<br/>`, `</b>`, `<a href="x">`, `<!-- -->`.
fn tag(text: Text, i: usize, _memory: &mut Memory, found: &mut Found) {
    let name = |i: usize| {
        text.byte(i)
            .is_ascii_alphabetic()
            .then(|| text.bytes(i, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'_' | b'-')))
    };
    let space = |i| text.run(i, |c| matches!(c, ' ' | '\u{a0}'));
    match text.byte(i + 1) {
        b'!' | b'?' if text.byte(i + 2).is_ascii_alphabetic() || text.byte(i + 2) == b'-' => {
            let end = text.run(i + 2, |c| c != '>');
            if text.byte(end) == b'>' {
                found.offer(end + 1, Kind::Plain);
            }
            return;
        }
        b'/' => {
            if let Some(end) = name(i + 2).map(space)
                && text.byte(end) == b'>'
            {
                found.offer(end + 1, Kind::Plain);
            }
            return;
        }
        _ => {}
    }
    let Some(mut end) = name(i + 1) else { return };
    loop {
        let next = space(end);
        let close = if text.byte(next) == b'/' { next + 1 } else { next };
        if text.byte(close) == b'>' {
            found.offer(close + 1, Kind::Plain);
            return;
        }
        if next == end {
            return;
        }
        let Some(attribute) = name(next) else { return };
        end = attribute;
        let equals = space(end);
        if text.byte(equals) == b'=' {
            let quote = space(equals + 1);
            let mark = text.byte(quote);
            if !matches!(mark, b'"' | b'\'') {
                return;
            }
            end = text.run(quote + 1, |c| c != mark as char);
            if text.at(end) == END {
                return;
            }
            end += 1;
        }
    }
}

/// Entities of SGML: a few have a meaning, numbered ones stay.
fn entity(text: Text, i: usize, found: &mut Found) {
    let known: [(&str, Kind); 9] = [
        ("&amp;", Kind::Spelled("&")),
        ("&lt;", Kind::Spelled("<")),
        ("&gt;", Kind::Spelled(">")),
        ("&nbsp;", Kind::Punctuation),
        ("&apos;", Kind::Punctuation),
        ("&quot;", Kind::Punctuation),
        ("&mdash;", Kind::Punctuation),
        ("&ndash;", Kind::Punctuation),
        ("&md;", Kind::Punctuation),
    ];
    for (name, kind) in known {
        if text.has(i, name) {
            found.offer(i + name.len(), kind);
        }
    }
    for name in ["&cdq;", "&ht;", "&lr;", "&odq;", "&qc;", "&ql;", "&qr;", "&tl;", "&ur;"] {
        if text.has(i, name) {
            found.offer(i + name.len(), Kind::Plain);
        }
    }
    if text.byte(i + 1) == b'#' {
        let end = text.bytes(i + 2, |b| b.is_ascii_digit());
        if end > i + 2 && text.byte(end) == b';' {
            found.offer(end + 1, Kind::Plain);
        }
    }
}
