//! Items that were left out, and whether there are too many of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::formats::entry::{Entry, shortened};
use crate::{DataError, Problem, Problems};

/// Share of bad items that a lenient reader puts up with unless told otherwise.
pub const DEFAULT_BAD_SHARE: f64 = 0.05;

/// Most problems that are noted: nobody mends a data set by a longer list, which might not fit in memory.
pub(crate) const MAX_NOTED: usize = 1_000_000;

/// One item that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The image, where it is known.
    pub file_name: Option<String>,
    /// Why; for a caption the image stays as long as it has others.
    pub problem: Problem,
}

impl Serialize for Quarantined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Quarantined", 3)?;
        fields.serialize_field("file_name", &self.file_name)?;
        fields.serialize_field("kind", self.problem.kind())?;
        fields.serialize_field("message", &self.problem.to_string())?;
        fields.end()
    }
}

/// What a lenient reader left out. Displays as counts by kind and the first [`Problems::SHOWN`] items.
#[derive(Debug, Clone, Default, PartialEq, Error, Serialize)]
pub struct Quarantine {
    /// The data set.
    pub path: PathBuf,
    /// Images and stray rows or captions that were looked at.
    pub total: usize,
    /// How many of them have a problem.
    pub bad: usize,
    /// All that is wrong with them.
    pub items: Vec<Quarantined>,
}

impl Quarantine {
    /// `bad / total`, 0 for an empty data set.
    pub fn share(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.bad as f64 / self.total as f64 }
    }

    /// How often each kind of problem occurs.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.items.iter().for_each(|item| *counts.entry(item.problem.kind()).or_default() += 1);
        counts
    }
}

impl fmt::Display for Quarantine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = 100.0 * self.share();
        write!(f, "{}: {} of {} items are bad ({percent:.1} %)", self.path.display(), self.bad, self.total)?;
        for (kind, count) in self.counts() {
            write!(f, "\n  {kind}: {count}")?;
        }
        for item in self.items.iter().take(Problems::SHOWN) {
            write!(f, "\n  - {}", item.problem)?;
        }
        match self.items.len().saturating_sub(Problems::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Collects problems while a data set is read.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    quarantine: Quarantine,
    fatal: Vec<Problem>,
    /// Where splits share an image: as bad as `fatal`, unless that is just what is asked about.
    overlap: Option<Vec<Problem>>,
}

impl Tally {
    pub fn new(path: &Path) -> Self {
        let quarantine = Quarantine { path: path.to_owned(), ..Quarantine::default() };
        Tally { quarantine, ..Tally::default() }
    }

    /// Goes on with what was left out already.
    pub fn resume(quarantine: Quarantine) -> Self {
        Tally { quarantine, ..Tally::default() }
    }

    /// Collects overlaps of splits apart, for [`take_overlap`](Self::take_overlap).
    pub fn with_overlap(path: &Path) -> Self {
        Tally { overlap: Some(Vec::new()), ..Tally::new(path) }
    }

    pub fn take_overlap(&mut self) -> Vec<Problem> {
        self.overlap.take().unwrap_or_default()
    }

    /// Counts an image and takes its faults; with too many of them, all are the error.
    pub fn entry(&mut self, entry: &mut Entry) -> Result<(), DataError> {
        self.quarantine.total += 1;
        self.quarantine.bad += usize::from(!entry.faults.is_empty());
        let name = shortened(&entry.file_name);
        for problem in entry.faults.drain(..) {
            self.quarantine.items.push(Quarantined { file_name: Some(name.to_owned()), problem });
        }
        if self.quarantine.items.len() > MAX_NOTED {
            return std::mem::take(self).verdict(None).map(drop);
        }
        Ok(())
    }

    /// Takes a problem of an image that is counted already.
    pub fn fault(&mut self, file_name: &str, problem: Problem) {
        self.quarantine.bad += 1;
        self.note(Quarantined { file_name: Some(file_name.to_owned()), problem });
    }

    /// Lists a problem that is counted already, unless there are too many.
    fn note(&mut self, item: Quarantined) {
        if self.quarantine.items.len() < MAX_NOTED {
            self.quarantine.items.push(item);
        }
    }

    /// Takes a problem that belongs to no image.
    pub fn push(&mut self, problem: Problem) {
        if problem.is_of_item() {
            self.quarantine.total += 1;
            self.quarantine.bad += 1;
            return self.note(Quarantined { file_name: None, problem });
        }
        let list = match (&problem, &mut self.overlap) {
            (Problem::Overlap { .. }, Some(overlap)) => overlap,
            _ => &mut self.fatal,
        };
        if list.len() < MAX_NOTED {
            list.push(problem);
        }
    }

    /// True when something is wrong that no quarantine cures.
    pub fn is_fatal(&self) -> bool {
        !self.fatal.is_empty()
    }

    /// Without `max_share` every problem is an error, all of them at once.
    pub fn verdict(self, max_share: Option<f64>) -> Result<Quarantine, DataError> {
        let Tally { quarantine, mut fatal, .. } = self;
        let dir = quarantine.path.clone();
        if max_share.is_none() && !quarantine.items.is_empty() {
            let items = quarantine.items.into_iter().map(|item| item.problem);
            return Err(Problems { dir, list: items.chain(fatal).collect() }.into());
        }
        if !fatal.is_empty() {
            fatal.dedup();
            return Err(Problems { dir, list: fatal }.into());
        }
        if quarantine.share() > max_share.unwrap_or(0.0) {
            return Err(DataError::TooManyBad(Box::new(quarantine)));
        }
        Ok(quarantine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Split;

    #[test]
    fn a_list_without_end_is_the_error() {
        let mut tally = Tally::new(Path::new("data"));
        let mut image = |number: usize| {
            let mut entry = Entry::new(number as u64, "a.jpg");
            entry.faults = vec![Problem::DuplicateImageId(1); 1000];
            tally.entry(&mut entry)
        };
        assert!((0..MAX_NOTED / 1000).all(|number| image(number).is_ok()));
        let DataError::Problems(problems) = image(MAX_NOTED).unwrap_err() else { panic!() };
        assert_eq!(problems.list.len(), MAX_NOTED + 1000);
        assert_eq!(problems.dir, Path::new("data"));
    }

    #[test]
    fn what_belongs_to_no_image_is_counted_and_listed_within_bounds() {
        let mut tally = Tally::with_overlap(Path::new("data"));
        let unknown = Problem::DuplicateAnnotationId(1);
        let overlap = || Problem::Overlap {
            first: Split::Train,
            first_file: String::new(),
            second: Split::Val,
            second_file: String::new(),
        };
        for _ in 0..MAX_NOTED + 5 {
            tally.push(unknown.clone());
            tally.push(Problem::NoSplits);
            tally.push(overlap());
        }
        assert_eq!((tally.quarantine.bad, tally.quarantine.total), (MAX_NOTED + 5, MAX_NOTED + 5));
        assert_eq!((tally.quarantine.items.len(), tally.fatal.len()), (MAX_NOTED, MAX_NOTED));
        assert_eq!(tally.take_overlap().len(), MAX_NOTED);
        // An image with a fault is one too many still.
        let mut entry = Entry::new(1, "a.jpg");
        entry.faults.push(unknown);
        assert!(tally.entry(&mut entry).is_err());
    }
}
