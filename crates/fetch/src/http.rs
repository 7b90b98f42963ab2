//! Downloads over HTTPS.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::Timeouts;

/// Environment variable that names a file of trusted certificates, as OpenSSL has it: for networks that have their own.
const ROOTS: &str = "SSL_CERT_FILE";

/// Bytes of such a file, at most.
const MOST_ROOTS: u64 = 16 << 20;

/// A body to read.
pub(crate) struct Body {
    pub(crate) reader: Box<dyn Read>,
    /// Bytes of the whole file, where the server told them.
    pub(crate) total: Option<u64>,
    /// The place in the file at which the body starts.
    pub(crate) start: u64,
}

/// Why there is no body.
pub(crate) struct Refusal {
    /// In one line.
    pub(crate) why: String,
    /// Whether the same question may be answered later.
    pub(crate) passing: bool,
    /// Whether the server has no bytes from the asked place on.
    pub(crate) out_of_range: bool,
}

impl Refusal {
    fn new(why: impl Into<String>, passing: bool) -> Self {
        Self { why: why.into(), passing, out_of_range: false }
    }
}

/// Opens `url` at the byte `from`. A server that does not know ranges starts at 0, which the body tells.
///
/// The body is subject to the total timeout while it is read.
pub(crate) fn open(url: &str, from: u64, timeouts: &Timeouts) -> Result<Body, Refusal> {
    let to_this_machine = is_this_machine(url);
    if !url.starts_with("https://") && !to_this_machine {
        return Err(Refusal::new("only https:// is accepted (http:// only to this machine)", false));
    }
    let mut config = ureq::Agent::config_builder()
        .timeout_connect(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.answer))
        .timeout_per_read(Some(timeouts.answer))
        .timeout_global(Some(timeouts.total).filter(|total| *total != Duration::MAX))
        // Places and lengths are those of the file only where nothing is compressed on the way.
        .accept_encoding("identity")
        // A redirect of a download from https to plain http is refused as well.
        .https_only(!to_this_machine)
        .user_agent(concat!("capwright/", env!("CARGO_PKG_VERSION")));
    if to_this_machine {
        config = config.proxy(None);
    } else if let Some(path) = std::env::var_os(ROOTS) {
        config = config.tls_config(TlsConfig::builder().root_certs(roots(Path::new(&path))?).build());
    }
    let mut request = config.build().new_agent().get(url);
    if from > 0 {
        request = request.header("Range", format!("bytes={from}-"));
    }
    let answer = request.call().map_err(refusal)?;
    let (start, whole) = if answer.status() == 206 {
        let range = answer.headers().get("Content-Range").and_then(|value| value.to_str().ok());
        let range = range.and_then(content_range).filter(|(start, _)| *start == from);
        range.ok_or_else(|| Refusal::new("the server sent another part than the one asked for", true))?
    } else {
        (0, None)
    };
    let body = answer.into_body();
    let total = whole.or_else(|| body.content_length().map(|length| start + length));
    Ok(Body { reader: Box::new(body.into_reader()), total, start })
}

/// The certificates of a PEM file, in place of the built-in ones.
fn roots(path: &Path) -> Result<RootCerts, Refusal> {
    let wrong = |why: String| Refusal::new(format!("{ROOTS}, {}: {why}", path.display()), false);
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > MOST_ROOTS {
        return Err(wrong(format!("{size} bytes are no list of certificates")));
    }
    let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let all: Vec<_> = parse_pem(&text).filter_map(certificate).collect();
    if all.is_empty() {
        return Err(wrong("it holds no certificate".to_owned()));
    }
    Ok(RootCerts::from(all))
}

fn refusal(error: ureq::Error) -> Refusal {
    use ureq::Error::{BadUri, HostNotFound, RedirectFailed, RequireHttpsOnly, StatusCode, TooManyRedirects};
    match error {
        StatusCode(status) => Refusal {
            why: format!("the server answered HTTP {status}"),
            passing: matches!(status, 408 | 425 | 429 | 500..),
            out_of_range: status == 416,
        },
        // An unknown host stays unknown more often than not, but networks come back as well.
        lasting @ (BadUri(_) | RedirectFailed | RequireHttpsOnly(_) | TooManyRedirects) => {
            Refusal::new(lasting.to_string(), false)
        }
        HostNotFound => Refusal::new("the host is not found", true),
        other => Refusal::new(other.to_string(), true),
    }
}

/// First place and length of the whole in `bytes 5-9/10`; the length may be unknown (`*`).
fn content_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = value.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse::<u64>().ok()?);
    let total = if total.trim() == "*" { None } else { Some(total.trim().parse().ok()?) };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

fn is_this_machine(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        assert!(is_this_machine("http://127.0.0.1:80/x"));
        assert!(is_this_machine("http://localhost/x"));
        for url in ["http://example.com/", "http://127.0.0.1@example.com/", "http://localhost.example.com"] {
            assert!(!is_this_machine(url), "{url}");
            let refusal = open(url, 0, &Timeouts::default()).err().unwrap();
            assert!(refusal.why.contains("https") && !refusal.passing, "{}", refusal.why);
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 0-0/*"), Some((0, None)));
        for bad in ["bytes 5-9", "bytes */10", "bytes 9-5/10", "bytes 5-10/10", "5-9/10", "bytes a-b/c", ""] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
