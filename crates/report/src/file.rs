//! A page as a file that appears complete or not at all.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Report, ReportError, render};

/// Renders the report and writes it to `path`. A file that is there is replaced; whoever reads it meanwhile sees the old
/// page or the new one.
///
/// # Errors
/// As [`render`], and [`ReportError::Write`] when the disk refuses or the folder does not exist.
pub fn write(report: &Report, path: impl AsRef<Path>) -> Result<(), ReportError> {
    let path = path.as_ref();
    let page = render(report)?;
    replace(path, page.as_bytes()).map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    allow_reading(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    // Makes the new name durable where the system can; elsewhere folders cannot be opened.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Temporary files are private to their owner; a report is not.
#[cfg(unix)]
fn allow_reading(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn allow_reading(_: &File) -> std::io::Result<()> {
    Ok(())
}
