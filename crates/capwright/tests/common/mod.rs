//! Runs the program in a folder of its own.

use assert_cmd::Command;
use std::path::Path;
use std::time::Duration;

/// What it says on standard output and on standard error; nothing is fetched, and nothing outside of `home` is used.
pub fn run(home: &Path, args: &[&str], code: i32) -> (String, String) {
    let mut command = Command::cargo_bin("capwright").expect("the program is built with its tests");
    command.env("CAPWRIGHT_CACHE", home.join("cache")).env("CAPWRIGHT_ZOO", home.join("zoo"));
    command.env("CAPWRIGHT_OFFLINE", "1").env("NO_COLOR", "1");
    let output =
        command.current_dir(home).timeout(Duration::from_secs(300)).args(args).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
    (said, errors)
}
