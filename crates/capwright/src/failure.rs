//! How a command ends when it does not succeed: a message, what to do, and an exit code.

use miette::{Diagnostic, Severity};
use std::path::Path;
use std::process::ExitCode;

/// Exit codes, as documented in the README.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Bad input.
    Input = 2,
    /// A contract is not met, or cannot be.
    Unmet = 3,
    /// The language model failed.
    Llm = 4,
    /// Stopped by the user.
    Interrupted = 130,
}

/// A failure that a person can cause or meet.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    message: String,
    help: Option<String>,
    code: Code,
}

impl Diagnostic for Failure {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }
}

impl Failure {
    /// Bad input.
    pub fn input(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), help: None, code: Code::Input }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &Path, error: impl std::fmt::Display) -> Self {
        Self::input(format!("{}: {error}", path.display()))
    }

    /// A contract is not met, or cannot be.
    pub fn unmet(message: impl std::fmt::Display) -> Self {
        Self { code: Code::Unmet, ..Self::input(message) }
    }

    /// The language model failed.
    pub fn llm(message: impl std::fmt::Display) -> Self {
        Self { code: Code::Llm, ..Self::input(message) }
    }

    /// Stopped by the user.
    pub fn interrupted(message: impl std::fmt::Display) -> Self {
        Self { code: Code::Interrupted, ..Self::input(message) }
    }

    /// Adds what to do about it.
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code as u8)
    }
}
