//! A page as a file that appears complete or not at all.

use std::path::Path;

use capwright_files::write_atomic;

use crate::{Report, ReportError, render};

/// Renders the report and writes it to `path`. A file that is there is replaced; whoever reads it meanwhile sees the old
/// page or the new one.
///
/// # Errors
/// As [`render`], and [`ReportError::Write`] when the disk refuses or the folder does not exist.
pub fn write(report: &Report, path: impl AsRef<Path>) -> Result<(), ReportError> {
    let path = path.as_ref();
    let page = render(report)?;
    write_atomic(path, page.as_bytes()).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}
