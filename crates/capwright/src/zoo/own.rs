//! Backbones of one's own: a folder for each, with the entry, its weights and their digest, which join the zoo when the program begins.

use crate::failure::Failure;
use crate::say;
use capwright_backbones::{Backbone, Entry, Joining, MAX_ENTRY, join};
use capwright_files::{TEMPORARY, is_temporary, sha256_file};
use capwright_train::vision::{FrozenNet, Weights, can_be_kept};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

const ENTRY: &str = "backbone.json";
const WEIGHTS: &str = "weights.safetensors";
const SHA256: &str = "weights.sha256";

/// The folder of those that were added: `CAPWRIGHT_ZOO`, or `capwright/zoo` where the system keeps data of programs.
fn folder() -> Result<PathBuf, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("CAPWRIGHT_ZOO")
        .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("capwright/zoo")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/capwright/zoo")))
        .ok_or_else(|| {
            Failure::input("no folder for backbones of one's own").help("set CAPWRIGHT_ZOO to one")
        })
}

/// Lets all that were added join the zoo; what is broken is told and left out.
pub fn join_all() {
    let Ok(folder) = folder() else { return };
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| !is_temporary(&entry.file_name())).map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = whole.filter(|path| path.is_dir()).collect();
    paths.sort();
    let added = |path: PathBuf| match added(&path) {
        Ok(backbone) => Some(backbone),
        Err(failure) => {
            tell!("{} is left out of the zoo: {failure}", path.display());
            None
        }
    };
    let all = paths.into_iter().filter_map(added).collect();
    assert!(join(all), "backbones join before the zoo is asked for");
}

/// A backbone that was added to the zoo's folder.
fn added(path: &Path) -> Result<Backbone, Failure> {
    let entry = entry(&path.join(ENTRY))?;
    if path.file_name().is_none_or(|name| name != entry.name.as_str()) {
        return Err(Failure::input(format!("its folder is not called {}", entry.name)));
    }
    let sha256 = read(&path.join(SHA256), 64)?;
    joining(entry, &path.join(WEIGHTS), sha256)
}

fn joining(entry: Entry, weights: &Path, sha256: String) -> Result<Backbone, Failure> {
    let weights = std::path::absolute(weights).map_err(|error| Failure::file(weights, error))?;
    let weights = weights.to_str().ok_or_else(|| Failure::file(&weights, "the path is no UTF-8"))?.to_owned();
    Joining { entry, weights, sha256 }.backbone().map_err(Failure::input)
}

fn entry(path: &Path) -> Result<Entry, Failure> {
    let text = read(path, MAX_ENTRY)?;
    Entry::read(&text)
        .map_err(|error| Failure::file(path, error).help("docs/zoo.md has the form of an entry"))
}

/// A text of at most so many bytes.
fn read(path: &Path, most: usize) -> Result<String, Failure> {
    let fail = |error: std::io::Error| Failure::file(path, error);
    let mut text = String::new();
    File::open(path).map_err(fail)?.take(most as u64 + 1).read_to_string(&mut text).map_err(fail)?;
    if text.len() > most { Err(Failure::file(path, format!("more than {most} bytes"))) } else { Ok(text) }
}

/// `capwright zoo add`: checks everything, then copies it to where the program looks when it begins.
pub fn add(from: &Path) -> Result<(), Failure> {
    let zoo = folder()?;
    let (entry, weights) = (entry(&from.join(ENTRY))?, from.join(WEIGHTS));
    let to = zoo.join(&entry.name);
    if to.exists() {
        let help = format!("`capwright zoo remove {}` takes it away", entry.name);
        return Err(Failure::input(format!("the zoo has a {} already", entry.name)).help(help));
    }
    let sha256 = sha256_file(&weights).map_err(|error| Failure::file(&weights, error))?;
    let backbone = joining(entry, &weights, sha256.clone())?;
    try_out(&backbone, &Weights::of(&backbone, &weights, &sha256).map_err(Failure::input)?)?;
    keep(from, &to, &sha256).map_err(|error| Failure::file(&to, error))?;
    let millions = backbone.parameters as f64 / 1e6;
    say(format!("{} joined the zoo: {millions:.2} M parameters, sha256 {sha256}", backbone.name));
    Ok(())
}

/// Whether the weights are those of the graph, and every cut gives numbers that can be kept.
fn try_out(backbone: &Backbone, weights: &Weights) -> Result<(), Failure> {
    let built = backbone.graph(backbone.default_size).map_err(Failure::input)?;
    weights.matches(&built.graph).map_err(Failure::input)?;
    let ramp = |i: usize| (i % 509) as f32 / 254.0 - 1.0;
    let image: Vec<f32> = (0..built.graph.input_shape().len()).map(ramp).collect();
    for (cut, id) in &built.cuts {
        let net = FrozenNet::load(&built.graph.cut(*id), weights).map_err(Failure::input)?;
        let map = net.forward_image(&image);
        if map.iter().any(|x| !x.is_finite()) {
            return Err(Failure::input(format!(
                "{}: the map at {cut} holds what is no number",
                backbone.name
            )));
        }
        if !can_be_kept(&map) {
            let problem = "holds values above 65504, and features are kept in 16 bits";
            let help = "scale the weights of the last step before the cut, or leave the cut out";
            return Err(Failure::input(format!("{}: the map at {cut} {problem}", backbone.name)).help(help));
        }
    }
    Ok(())
}

/// Copies a folder to a new place, complete or not at all.
fn keep(from: &Path, to: &Path, sha256: &str) -> std::io::Result<()> {
    let zoo = capwright_files::folder_of(to);
    fs::create_dir_all(zoo)?;
    let part = zoo.join(format!("{TEMPORARY}{}", std::process::id()));
    // One of that name is of a process that was killed.
    let _ = fs::remove_dir_all(&part);
    fs::create_dir(&part)?;
    let copied = (|| {
        for name in [ENTRY, WEIGHTS] {
            fs::copy(from.join(name), part.join(name))?;
            File::open(part.join(name))?.sync_all()?;
        }
        capwright_files::write_atomic(&part.join(SHA256), sha256.as_bytes())?;
        fs::rename(&part, to)
    })();
    if copied.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    capwright_files::sync_folder(zoo);
    copied
}

/// `capwright zoo remove`.
pub fn remove(name: &str) -> Result<(), Failure> {
    let (zoo, none) = (folder()?, || Failure::input(format!("no backbone of your own is called \"{name}\"")));
    // The names of folders are those of entries: no path can be one.
    let own = fs::read_dir(&zoo).into_iter().flatten().flatten().find(|entry| entry.file_name() == name);
    let path = own.ok_or_else(none)?.path();
    let gone = zoo.join(format!("{TEMPORARY}{}", std::process::id()));
    let fail = |error| Failure::file(&path, error);
    let _ = fs::remove_dir_all(&gone);
    fs::rename(&path, &gone).map_err(fail)?;
    fs::remove_dir_all(&gone).map_err(fail)?;
    say(format!("{name} left the zoo"));
    Ok(())
}
