//! Draws scenes and reports on two made-up models: `cargo run -p capwright-report --example scenes_report -- out.html`.

#[path = "../tests/common/mod.rs"]
mod common;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args_os().nth(1).ok_or("usage: scenes_report OUT.html")?;
    let folder = tempfile::tempdir()?;
    let report = common::report_on_scenes(&folder.path().join("scenes"), 200)?;
    capwright_report::write(&report, &out)?;
    println!("written to {}", out.display());
    Ok(())
}
