//! `splits.json`: reading, making and writing the splits of a data set.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::formats::read_json;
use crate::image_file::load;
use crate::quarantine::Tally;
use crate::similar::{Look, groups};
use crate::{DataError, Dataset, ImageRecord, Problem, Split, staging};

/// The file of splits in the folder of a data set.
const FILE: &str = "splits.json";

/// File names of the images of each split, as in `splits.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Splits {
    /// Images to learn from.
    pub train: Vec<String>,
    /// Images to choose by.
    pub val: Vec<String>,
    /// Images for the final report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
}

impl Splits {
    /// The file names of a split.
    pub fn names(&self, split: Split) -> &[String] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// True when no split has an image.
    pub fn is_empty(&self) -> bool {
        Split::ALL.iter().all(|&split| self.names(split).is_empty())
    }

    /// Writes `splits.json` into the folder of a data set, complete or not at all; an earlier one is replaced.
    ///
    /// # Errors
    /// [`DataError::Write`] when the disk refuses.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<(), DataError> {
        let path = dir.as_ref().join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|e| DataError::json(&path, &e))?;
        staging::replace(&path, format!("{text}\n").as_bytes())
    }

    /// Reads `splits.json` of a folder; none is no error.
    pub(crate) fn read(dir: &Path) -> Result<Option<Splits>, DataError> {
        if Splits::are_in(dir) { read_json(&dir.join(FILE)).map(Some) } else { Ok(None) }
    }

    /// Whether a folder has `splits.json`, readable or not.
    pub(crate) fn are_in(dir: &Path) -> bool {
        dir.join(FILE).symlink_metadata().is_ok()
    }

    /// The split of each name; names that come twice are problems.
    pub(crate) fn by_name(&self, tally: &mut Tally) -> HashMap<&str, Split> {
        let mut by_name = HashMap::new();
        let names = |split: Split| self.names(split).iter().map(move |name| (split, name));
        for (split, name) in Split::ALL.into_iter().flat_map(names) {
            match by_name.insert(name.as_str(), split) {
                None => {}
                Some(first) if first == split => {
                    tally.push(Problem::TwiceInSplit { split, file_name: name.clone() });
                }
                Some(first) => {
                    let (first_file, second_file) = (name.clone(), name.clone());
                    tally.push(Problem::Overlap { first, first_file, second: split, second_file });
                }
            }
        }
        by_name
    }

    pub(crate) fn push(&mut self, split: Split, name: String) {
        match split {
            Split::Train => self.train.push(name),
            Split::Val => self.val.push(name),
            Split::Test => self.test.push(name),
        }
    }
}

/// Problems of the names of `splits.json` that no image has.
pub(crate) fn unknown_names(left: HashMap<&str, Split>) -> Vec<Problem> {
    let mut left: Vec<(Split, &str)> = left.into_iter().map(|(name, split)| (split, name)).collect();
    left.sort_unstable();
    let unknown = |(split, name): (Split, &str)| {
        let (file, file_name) = (FILE.to_owned(), name.to_owned());
        Problem::UnknownInSplit { file, split, file_name }
    };
    left.into_iter().map(unknown).collect()
}

/// Shares of the images that go to each split; they need not sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratios {
    /// Share to learn from, above 0.
    pub train: f64,
    /// Share to choose by, above 0.
    pub val: f64,
    /// Share for the final report; with 0 there is no test split.
    pub test: f64,
}

impl Default for Ratios {
    /// 80 % train, 10 % val, 10 % test.
    fn default() -> Self {
        Ratios { train: 0.8, val: 0.1, test: 0.1 }
    }
}

impl Ratios {
    fn check(&self) -> Result<(), DataError> {
        let all = [self.train, self.val, self.test];
        let valid = all.iter().all(|r| r.is_finite() && *r >= 0.0) && self.train > 0.0 && self.val > 0.0;
        let message = "shares are numbers from 0 on, those of train and val above 0";
        if valid { Ok(()) } else { Err(DataError::Splits(message.into())) }
    }

    /// How many of `total` images go to val and test, at least one where the share is not 0.
    fn counts(&self, total: usize) -> [usize; 2] {
        let sum = self.train + self.val + self.test;
        [self.val, self.test].map(|share| {
            let count = (total as f64 * share / sum).round() as usize;
            if share > 0.0 { count.max(1) } else { 0 }
        })
    }
}

/// Splits all images of a data set, whatever splits it has, by a hash of their content and `seed`.
///
/// File names and their order play no part. Near duplicates (difference hashes at most 4 bits of 64 apart, and small versions at most 3
/// levels of 256) stay together in one split, and so do chains of them. The counts follow the ratios to within the largest such group.
///
/// # Errors
/// [`DataError::Splits`] for bad ratios or too few distinct images; [`DataError::Image`] and [`DataError::Read`] for an image that
/// cannot be decoded.
pub fn make_splits(dataset: &Dataset, ratios: Ratios, seed: u64) -> Result<Splits, DataError> {
    ratios.check()?;
    let images = dataset.images();
    let looks: Vec<Look> = images.par_iter().map(look).collect::<Result<_, _>>()?;
    let groups = keyed_groups(images, &groups(&looks), seed);
    let [mut val, mut test] = ratios.counts(images.len());
    let mut place_of = vec![Split::Train; images.len()];
    for (_, members) in groups {
        let split = match () {
            () if members.len() <= val => Split::Val,
            () if members.len() <= test => Split::Test,
            () => continue,
        };
        *(if split == Split::Val { &mut val } else { &mut test }) -= members.len();
        members.iter().for_each(|&at| place_of[at] = split);
    }
    let mut splits = Splits::default();
    for (image, split) in images.iter().zip(place_of) {
        splits.push(split, image.file_name.clone());
    }
    let empty = |split: Split| splits.names(split).is_empty() && (split != Split::Test || ratios.test > 0.0);
    match Split::ALL.into_iter().find(|&split| empty(split)) {
        Some(split) => Err(DataError::Splits(format!(
            "{} images, near duplicates counted as one group, are too few: no group is left for {split}",
            images.len()
        ))),
        None => Ok(splits),
    }
}

fn look(image: &ImageRecord) -> Result<Look, DataError> {
    let damaged = || crate::ImageError::Damaged("it cannot be compared".into());
    let bad = || DataError::Image { path: image.path.clone(), source: damaged() };
    Look::of(&load(&image.path)?).ok_or_else(bad)
}

/// Groups in an order that follows from their content and the seed.
fn keyed_groups(images: &[ImageRecord], groups: &[usize], seed: u64) -> Vec<([u8; 32], Vec<usize>)> {
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    groups.iter().enumerate().for_each(|(at, &group)| members.entry(group).or_default().push(at));
    let key = |members: &[usize]| {
        let first = members.iter().map(|&at| images[at].sha256).min().unwrap_or_default();
        Sha256::new().chain_update(seed.to_le_bytes()).chain_update(first).finalize().into()
    };
    let mut keyed: Vec<([u8; 32], Vec<usize>)> = members.into_values().map(|m| (key(&m), m)).collect();
    keyed.sort();
    keyed
}
