//! Downloads over HTTPS.

use std::io::Read;

use crate::cache::Timeouts;

/// A body to read, and its length where the server told it.
pub(crate) struct Body {
    pub(crate) reader: Box<dyn Read>,
    pub(crate) total: Option<u64>,
}

/// Opens `url`. The body is subject to the total timeout while it is read.
pub(crate) fn open(url: &str, timeouts: &Timeouts) -> Result<Body, String> {
    let to_this_machine = is_this_machine(url);
    if !url.starts_with("https://") && !to_this_machine {
        return Err("only https:// is accepted (http:// only to this machine)".into());
    }
    let mut config = ureq::Agent::config_builder()
        .timeout_connect(Some(timeouts.connect))
        .timeout_recv_response(Some(timeouts.answer))
        .timeout_per_read(Some(timeouts.answer))
        .timeout_global(Some(timeouts.total))
        // A redirect of a download from https to plain http is refused as well.
        .https_only(!to_this_machine)
        .user_agent(concat!("capwright/", env!("CARGO_PKG_VERSION")));
    if to_this_machine {
        config = config.proxy(None);
    }
    let answer = config.build().new_agent().get(url).call().map_err(|e| match e {
        ureq::Error::StatusCode(status) => format!("the server answered HTTP {status}"),
        other => other.to_string(),
    })?;
    let body = answer.into_body();
    let total = body.content_length();
    Ok(Body { reader: Box::new(body.into_reader()), total })
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
            let refusal = open(url, &Timeouts::default()).err().unwrap();
            assert!(refusal.contains("https"), "{refusal}");
        }
    }
}
