//! Clauses about licences: of weights by the zoo, of data by what its files of captions say.

use capwright_backbones::find;
use capwright_blueprint::Checked;
use capwright_caption_data::Format;
use capwright_contract::{Clause, Contract, Row, Verdict};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a file of captions, at most: as many as a data set may have.
const MAX_BYTES: u64 = 1 << 30;

/// What a file of captions in COCO's format says of licences.
#[derive(Deserialize)]
struct Captions {
    #[serde(default)]
    licenses: Option<Vec<Licence>>,
}

#[derive(Deserialize)]
struct Licence {
    #[serde(default)]
    name: Option<String>,
}

fn row(clause: Clause, allowed: &[String], found: &[String], how: String) -> Row {
    let verdict = match found.iter().all(|licence| allowed.contains(licence)) {
        _ if found.is_empty() => Verdict::NotMeasured,
        true => Verdict::Met,
        false => Verdict::Unmet,
    };
    Row { clause, bound: allowed.join(", "), value: found.join(", "), interval: None, verdict, how }
}

/// The clause about the weights, if the contract has one.
pub fn of_weights(contract: &Contract, checked: &Checked) -> Option<Row> {
    let allowed = &contract.licences.weights;
    if allowed.is_empty() {
        return None;
    }
    let names = checked.design().backbones();
    if names.is_empty() {
        let how = "the design uses no pretrained weights".to_owned();
        return Some(Row { verdict: Verdict::Met, ..row(Clause::WeightLicences, allowed, &[], how) });
    }
    let found: Vec<String> = names.into_iter().filter_map(find).map(|b| b.licence.to_owned()).collect();
    Some(row(Clause::WeightLicences, allowed, &found, "the zoo's entry of the backbone".to_owned()))
}

/// The clause about the data, if the contract has one: of all licences that those files name.
pub fn of_data(contract: &Contract, files: &[PathBuf]) -> Option<Row> {
    let allowed = &contract.licences.data;
    if allowed.is_empty() {
        return None;
    }
    let (found, how) = match all_in(files) {
        Ok(found) => {
            let names: Vec<String> = files.iter().map(|file| short(file)).collect();
            (found, format!("\"licenses\" of {}", names.join(", ")))
        }
        Err(why) => (Vec::new(), why),
    };
    Some(row(Clause::DataLicences, allowed, &found, how))
}

/// The files of captions that may name licences: those of COCO's format that a data set is read from. `named` is what a person
/// named, the folder or one file.
pub fn files(format: Format, dir: &Path, named: &Path) -> Vec<PathBuf> {
    match format {
        Format::Folder | Format::Coco if named.is_file() => vec![named.to_owned()],
        Format::Folder => vec![dir.join("captions.json")],
        Format::Coco => {
            let folders = [dir.to_owned(), dir.join("annotations"), dir.join("data")];
            let entries =
                folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
            let is_ours = |path: &PathBuf| {
                let name = short(path);
                name.starts_with("captions_") && name.ends_with(".json") && path.is_file()
            };
            let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_ours).collect();
            found.sort();
            found
        }
        _ => Vec::new(),
    }
}

fn short(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Every licence that the files name, once, or why nothing can be said: one file without licences leaves its images without.
fn all_in(files: &[PathBuf]) -> Result<Vec<String>, String> {
    if files.is_empty() {
        return Err("only files of captions in COCO's format say licences, under \"licenses\"".to_owned());
    }
    let mut found: Vec<String> = Vec::new();
    for file in files {
        let names = in_file(file).map_err(|error| format!("{}: {error}", short(file)))?;
        if names.is_empty() {
            return Err(format!("{} names no licence under \"licenses\"", short(file)));
        }
        for name in names {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    Ok(found)
}

fn in_file(path: &Path) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("more than {MAX_BYTES} bytes"));
    }
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let captions: Captions = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    Ok(captions.licenses.into_iter().flatten().filter_map(|licence| licence.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        let text = "version = 1\n[licences]\ndata = [\"MIT\", \"CC0-1.0\"]";
        Contract::from_toml(text).expect("a contract")
    }

    #[test]
    fn licences_are_those_of_every_file_of_captions() {
        let home = tempfile::tempdir().expect("a folder");
        let (dir, inner) = (home.path(), home.path().join("annotations"));
        std::fs::create_dir(&inner).expect("a folder");
        let write = |name: &str, licences: &str| {
            let text = format!("\u{feff}{{\"images\": [], \"annotations\": []{licences}}}");
            std::fs::write(inner.join(name), text).expect("written");
        };
        let judged = |named: &Path| {
            let row = of_data(&contract(), &files(Format::Coco, dir, named)).expect("a row");
            (row.verdict, row.value, row.how)
        };
        write(
            "captions_train2017.json",
            ", \"licenses\": [{\"id\": 1, \"name\": \"MIT\"}, {\"id\": 2, \"name\": \"CC0-1.0\"}]",
        );
        write("captions_val2017.json", ", \"licenses\": [{\"id\": 1, \"name\": \"MIT\"}]");
        write("instances_val2017.json", "");
        let both = "\"licenses\" of captions_train2017.json, captions_val2017.json";
        assert_eq!(judged(dir), (Verdict::Met, "MIT, CC0-1.0".to_owned(), both.to_owned()));
        write("captions_val2017.json", ", \"licenses\": [{\"id\": 3, \"name\": \"CC-BY-4.0\"}]");
        assert_eq!(judged(dir).0, Verdict::Unmet);
        let one = inner.join("captions_train2017.json");
        assert_eq!(judged(&one).0, Verdict::Met, "the other file is not read");
        for (licences, why) in [("", "names no licence"), (", \"licenses\": 3", "captions_val2017.json: ")] {
            write("captions_val2017.json", licences);
            let (verdict, value, how) = judged(dir);
            assert_eq!((verdict, value.as_str()), (Verdict::NotMeasured, ""));
            assert!(how.contains(why), "{how}");
        }
    }

    #[test]
    fn other_formats_say_no_licences() {
        assert_eq!(files(Format::Jsonl, Path::new("."), Path::new(".")), Vec::<PathBuf>::new());
        let row = of_data(&contract(), &[]).expect("a row");
        assert_eq!(row.verdict, Verdict::NotMeasured);
        assert!(row.how.contains("COCO"), "{}", row.how);
        assert!(of_data(&Contract::default(), &[]).is_none());
    }
}
