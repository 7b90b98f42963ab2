//! Looks at a page with a browser, where one is installed.

mod common;

use std::collections::HashSet;
use std::process::Command;

use capwright_caption_data::{ImageLimits, decode};

const BROWSER: &str = "chromium";
const WIDTH: u32 = 900;
const HEIGHT: u32 = 1600;

fn is_installed() -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(BROWSER).is_file()))
}

#[test]
fn a_browser_shows_the_page() {
    if !is_installed() {
        println!("skipped: there is no {BROWSER} on the PATH");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let report = common::report_on_scenes(&folder.path().join("scenes"), 20).unwrap();
    let (page, shot) = (folder.path().join("report.html"), folder.path().join("shot.png"));
    capwright_report::write(&report, &page).unwrap();
    let output = Command::new(BROWSER)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("--screenshot={}", shot.display()))
        .arg(format!("--window-size={WIDTH},{HEIGHT}"))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let bytes = std::fs::read(&shot).unwrap_or_else(|e| panic!("no screenshot ({e}): {said}"));
    let image = decode(&bytes, &ImageLimits::default()).unwrap();
    assert_eq!((image.width, image.height), (WIDTH, HEIGHT));
    let colours: HashSet<&[u8]> = image.pixels.chunks_exact(3).collect();
    assert!(colours.len() > 200, "only {} colours", colours.len());
    // The policy of the page forbids what it does not need; nothing of what it needs may be among that.
    assert!(!said.contains("Content Security Policy"), "{said}");
}
