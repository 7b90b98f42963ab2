//! Addresses, names with `@` and `#`, file names, tags and entities.

use super::lexer::{Found, Kind, Memory};
use super::text::{Class, END, Text, class, is_blank, is_word};
use super::words::accented_entity;

/// What may stand behind the dot of a file name.
const EXTENSIONS: &[&str] = &[
    "bat", "bmp", "c", "cgi", "class", "cpp", "dll", "doc", "docx", "exe", "gif", "gz", "h", "htm", "html",
    "jar", "java", "jpeg", "jpg", "mov", "mp3", "pdf", "php", "pl", "png", "ppt", "ps", "py", "sql", "tar",
    "txt", "wav", "x", "xml", "zip",
];

pub(super) fn offer(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    match text.byte(i) {
        b'@' => mention(text, i, found),
        b'#' => hashtag(text, i, found),
        b'<' => {
            if let Some(end) = tag(text, i) {
                found.offer(end, Kind::Verbatim);
            }
        }
        b'&' => entity(text, i, found),
        _ => {}
    }
    url(text, i, found);
    domain(text, i, memory, found);
    file(text, i, memory, found);
}

/// Ends an address.
fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\u{c}' | '"' | '<' | '>' | '|' | '(' | ')' | END)
}

/// `@name`.
fn mention(text: Text, i: usize, found: &mut Found) {
    if text.byte(i + 1).is_ascii_alphabetic() || text.byte(i + 1) == b'_' {
        found.offer(text.bytes(i + 1, |b| b.is_ascii_alphanumeric() || b == b'_'), Kind::Verbatim);
    }
}

/// `#word`, without digits.
fn hashtag(text: Text, i: usize, found: &mut Found) {
    let mut end = i + 1;
    loop {
        end = text.run(end, |c| matches!(class(c), Class::Letter | Class::Mark));
        match accented_entity(text, end) {
            Some(next) => end = next,
            None => break,
        }
    }
    if end > i + 1 {
        found.offer(end, Kind::Verbatim);
    }
}

/// The end of an address from `i` on: at least two UTF-16 units, of which the last is no punctuation.
fn address(text: Text, i: usize, f: impl Fn(char) -> bool) -> Option<usize> {
    let end = text.run(i, |c| !blank(c) && f(c));
    let end = i + text.s[i..end].trim_end_matches(['.', '!', '?', ',', '-', '{', '}']).len();
    let mut units = text.s[i..end].chars().map(char::len_utf16);
    (units.next()? + units.next().unwrap_or(0) >= 2).then_some(end)
}

/// `http://example.com/x`.
fn url(text: Text, i: usize, found: &mut Found) {
    for scheme in ["http://", "https://"] {
        if text.has(i, scheme)
            && let Some(end) = address(text, i + scheme.len(), |c| !matches!(c, '{' | '}'))
        {
            found.offer(end, Kind::Verbatim);
        }
    }
}

/// `example.com/x` and `www.ex-ample.de/x`: an address without a scheme.
fn domain(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    if i >= memory.no_domain_before {
        let top = |i| {
            let known = ["com", "net", "org", "edu"].into_iter().any(|t| text.has(i, t));
            known.then_some(i + 3)
        };
        let host = |c: char| {
            !c.is_ascii()
                || c.is_ascii_lowercase()
                || c.is_ascii_control()
                || matches!(c, '#' | '%' | '&' | '*' | '+' | '~')
        };
        if let Err(end) = domain_of(text, i, found, host, top) {
            memory.no_domain_before = end;
        }
    }
    if text.has(i, "www.") && i >= memory.no_www_before {
        let top = |i| {
            let end = text.bytes_within(i, 4, |b| b.is_ascii_alphabetic());
            (end >= i + 2).then_some(end)
        };
        let host = |c: char| !matches!(c, '!' | '?' | ',' | '{' | '}');
        if let Err(end) = domain_of(text, i + 4, found, host, top) {
            memory.no_www_before = end;
        }
    }
}

/// Parts of `host` characters with a dot behind each, then a top-level domain, then perhaps a path. The error is how
/// far was looked in vain.
fn domain_of(
    text: Text,
    i: usize,
    found: &mut Found,
    host: impl Fn(char) -> bool,
    top: impl Fn(usize) -> Option<usize>,
) -> Result<(), usize> {
    let mut at = i;
    let mut any = false;
    loop {
        let end = text.run(at, |c| c != '.' && !blank(c) && host(c));
        if end == at || text.byte(end) != b'.' {
            return if any { Ok(()) } else { Err(end) };
        }
        at = end + 1;
        if let Some(end) = top(at) {
            any = true;
            found.offer(end, Kind::Verbatim);
            if text.byte(end) == b'/'
                && let Some(end) = address(text, end + 1, |_| true)
            {
                found.offer(end, Kind::Verbatim);
            }
        }
    }
}

/// `1.txt`: a name of letters, digits and dots with a known extension.
fn file(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    if i < memory.no_file_before {
        return;
    }
    let mut end = text.run(i, is_word);
    let mut any = false;
    while end > i && text.byte(end) == b'.' {
        let start = end + 1;
        end = text.run(start, is_word);
        let behind = text.at(end);
        let ends = matches!(behind, '.' | ',' | '!' | '?' | END) || is_blank(behind);
        if ends && EXTENSIONS.iter().any(|e| e.len() == end - start && text.has(start, e)) {
            found.offer_seen(end, end + behind.len_utf8(), Kind::Verbatim);
            any = true;
        }
        if end == start {
            break;
        }
    }
    if !any {
        memory.no_file_before = end;
    }
}

/// `name@example.com`. The name may hold nearly anything, the domain has parts between single dots.
pub(super) fn email(text: Text, i: usize, memory: &mut Memory, found: &mut Found) {
    let start = match text.byte(i) {
        b'<' => i + 1,
        b'&' if text.has(i, "&lt;") => i + 4,
        _ => i,
    };
    if i < memory.no_email_before || !text.byte(start).is_ascii_alphanumeric() {
        return;
    }
    let mut at = start + 1;
    let mut end = None;
    // Behind an `@`; inside a domain; behind the dot of a domain.
    let (mut fresh, mut inside, mut dot) = (false, false, false);
    loop {
        let c = text.at(at);
        if blank(c) || matches!(c, '{' | '}' | '\u{a0}') {
            break;
        }
        at += c.len_utf8();
        if c == '.' {
            (fresh, inside, dot) = (false, false, inside);
        } else {
            (fresh, inside, dot) = (c == '@', fresh || inside || dot, false);
            if inside {
                end = Some(at);
            }
        }
    }
    match end {
        Some(end) => found.offer(if text.byte(end) == b'>' { end + 1 } else { end }, Kind::Verbatim),
        None => memory.no_email_before = at,
    }
}

/// Longer tags are taken apart, so that unclosed ones cost little.
const LONGEST_TAG: usize = 1024;

/// `<br/>`, `</b>`, `<a href="x">`, `<!-- x -->`.
pub(super) fn tag(text: Text, i: usize) -> Option<usize> {
    let end = match text.byte(i + 1) {
        b'!' | b'?' => declaration(text, i + 2),
        b'/' => tag_name(text, i + 2).map(|end| tag_space(text, end)),
        _ => opening_tag(text, i + 1),
    };
    end.filter(|&end| text.byte(end) == b'>').map(|end| end + 1)
}

/// Behind `!` or `?`: anything, when a letter or hyphen comes first.
fn declaration(text: Text, i: usize) -> Option<usize> {
    let starts = text.byte(i).is_ascii_alphabetic() || text.byte(i) == b'-';
    starts.then(|| within(text, i + 1, '>'))
}

/// A name, attributes with or without quoted values, a slash.
fn opening_tag(text: Text, i: usize) -> Option<usize> {
    let mut end = tag_name(text, i)?;
    while end < i + LONGEST_TAG {
        let next = tag_space(text, end);
        match text.byte(next) {
            b'/' => return Some(next + 1),
            b'>' => return Some(next),
            _ if next == end => return None,
            _ => {}
        }
        end = tag_name(text, next)?;
        let equals = tag_space(text, end);
        if text.byte(equals) == b'=' {
            let quote = tag_space(text, equals + 1);
            let mark = text.byte(quote);
            if !matches!(mark, b'"' | b'\'') {
                return None;
            }
            end = within(text, quote + 1, mark as char) + 1;
        }
    }
    None
}

/// The place of `mark`, or where the search was given up.
fn within(text: Text, i: usize, mark: char) -> usize {
    let mut at = i;
    while at < i + LONGEST_TAG && text.at(at) != END && text.at(at) != mark {
        at += text.at(at).len_utf8();
    }
    at
}

fn tag_name(text: Text, i: usize) -> Option<usize> {
    let starts = text.byte(i).is_ascii_alphabetic();
    starts.then(|| text.bytes(i, |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'_' | b'-')))
}

fn tag_space(text: Text, i: usize) -> usize {
    text.bytes(i, |b| b == b' ')
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
        // In other cases these two are no marks of quotation.
        let kind = match name {
            "&apos;" | "&quot;" if !text.s[i..].starts_with(name) => Kind::Plain,
            _ => kind,
        };
        if text.has(i, name) {
            found.offer(i + name.len(), kind);
        }
    }
    for name in ["&cdq;", "&ht;", "&lr;", "&odq;", "&qc;", "&ql;", "&qr;", "&tl;", "&ur;"] {
        if text.has(i, name) {
            found.offer(i + name.len(), Kind::Verbatim);
        }
    }
    if text.byte(i + 1) == b'#' {
        let end = text.bytes(i + 2, |b| b.is_ascii_digit());
        if end > i + 2 && text.byte(end) == b';' {
            found.offer(end + 1, Kind::Verbatim);
        }
    }
}
