//! What is in a data set: counts, lengths, sizes, duplicates.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::dataset::{Fingerprint, Gathered, LoadOptions, gather};
use crate::formats::{self, Format};
use crate::quarantine::Tally;
use crate::similar::{Look, groups};
use crate::vocabulary::words_of;
use crate::{DataError, ImageError, ImageLimits, ImageRecord, Problem, Quarantine, Split, decode};

/// Smallest, middle and largest of some numbers; zeros when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: u32,
    /// The middle one; the upper of two.
    pub median: u32,
    /// The largest.
    pub max: u32,
}

impl Spread {
    fn of(mut values: Vec<u32>) -> Spread {
        values.sort_unstable();
        match values.as_slice() {
            [] => Spread::default(),
            all => Spread { min: all[0], median: all[all.len() / 2], max: all[all.len() - 1] },
        }
    }
}

/// What captions are like, over all images.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Captions {
    /// How many there are.
    pub count: usize,
    /// Captions of an image.
    pub per_image: Spread,
    /// Words of a caption, those that a [`Vocabulary`](crate::Vocabulary) counts.
    pub words: Spread,
    /// Captions by their number of words.
    pub length_histogram: BTreeMap<u32, usize>,
    /// Distinct words.
    pub vocabulary: usize,
    /// Distinct words that occur at least five times, the usual bound of vocabularies.
    pub vocabulary_min5: usize,
}

/// What images are like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImageKinds {
    /// Width in pixels.
    pub width: Spread,
    /// Height in pixels.
    pub height: Spread,
    /// Images by file format: `jpeg`, `png`, `webp` or `gif`.
    pub formats: BTreeMap<&'static str, usize>,
    /// Bytes of all files.
    pub bytes: u64,
}

/// What [`inspect`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The data set.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Usable images.
    pub images: usize,
    /// Images of train, val and test.
    pub splits: BTreeMap<Split, usize>,
    /// Images in no split.
    pub unsplit: usize,
    /// Captions.
    pub captions: Captions,
    /// Images.
    pub image_kinds: ImageKinds,
    /// Images whose content an earlier one has.
    pub duplicates: usize,
    /// Images that look like an earlier one, those of the same content included.
    pub near_duplicates: usize,
    /// Images, by name or content, that two splits share: messages. A search refuses such a data set.
    pub overlap: Vec<String>,
    /// Groups of near duplicates that lie in more than one split; file names, at most [`Inspection::SHOWN`] groups.
    pub near_overlap: Vec<Vec<String>>,
    /// What cannot be used.
    pub quarantine: Quarantine,
    /// [`Dataset::fingerprint`](crate::Dataset::fingerprint) of the usable images.
    pub fingerprint: String,
}

impl Inspection {
    /// How many groups of [`near_overlap`](Self::near_overlap) are listed.
    pub const SHOWN: usize = 20;
}

/// What is kept of an image's bytes.
struct Probe {
    width: u32,
    height: u32,
    bytes: usize,
    format: &'static str,
    look: Look,
}

impl Probe {
    fn of(bytes: &[u8]) -> Result<Probe, ImageError> {
        let pixels = decode(bytes, &ImageLimits::default())?;
        let look = Look::of(&pixels).ok_or_else(|| ImageError::Damaged("it cannot be compared".into()))?;
        let format = match bytes {
            [0x89, b'P', ..] => "png",
            [b'G', b'I', b'F', ..] => "gif",
            [b'R', b'I', b'F', b'F', ..] => "webp",
            _ => "jpeg",
        };
        Ok(Probe { width: pixels.width, height: pixels.height, bytes: bytes.len(), format, look })
    }
}

/// Reads a whole data set, of any format, and decodes every image; bad items are listed, however many there are.
///
/// # Errors
/// As [`Dataset::load_with`](crate::Dataset::load_with), for what concerns the data set as a whole: a file of captions that cannot
/// be read.
pub fn inspect(path: impl AsRef<Path>, format: Option<Format>) -> Result<Inspection, DataError> {
    let path = path.as_ref();
    let located = formats::locate(path, format)?;
    let max_bad_share = Some(1.0);
    let options =
        LoadOptions { format, max_bad_share, decode: true, need_splits: false, ..LoadOptions::default() };
    let tally = Tally::with_overlap(path);
    let Gathered { images, splits, overlap, quarantine } =
        gather(tally, &located, &options, |entry, seen| {
            let bad = |e: ImageError| Problem::BadImage {
                file_name: entry.file_name.clone(),
                reason: e.to_string(),
            };
            Probe::of(&seen.bytes).map_err(bad)
        })?;
    let (records, probes): (Vec<ImageRecord>, Vec<Probe>) = images.into_iter().unzip();
    let mut split_of: Vec<Option<Split>> = vec![None; records.len()];
    let mut fingerprint = Fingerprint::default();
    for split in Split::ALL {
        for &at in &splits[split as usize] {
            split_of[at] = Some(split);
            fingerprint.add(&records[at].sha256, split, &records[at].captions);
        }
    }
    let distinct: HashSet<[u8; 32]> = records.iter().map(|r| r.sha256).collect();
    let image_kinds = image_kinds(&probes);
    let looks: Vec<Look> = probes.into_iter().map(|probe| probe.look).collect();
    let groups = groups(&looks);
    Ok(Inspection {
        path: path.to_owned(),
        format: located.format,
        images: records.len(),
        splits: Split::ALL.into_iter().map(|s| (s, splits[s as usize].len())).collect(),
        unsplit: split_of.iter().filter(|s| s.is_none()).count(),
        captions: captions(&records),
        image_kinds,
        duplicates: records.len() - distinct.len(),
        near_duplicates: groups.iter().enumerate().filter(|(at, group)| at != *group).count(),
        overlap: overlap.iter().map(Problem::to_string).collect(),
        near_overlap: near_overlap(&records, &groups, &split_of),
        quarantine,
        fingerprint: fingerprint.finish(),
    })
}

fn image_kinds(probes: &[Probe]) -> ImageKinds {
    let mut formats = BTreeMap::new();
    probes.iter().for_each(|probe| *formats.entry(probe.format).or_default() += 1);
    ImageKinds {
        width: Spread::of(probes.iter().map(|p| p.width).collect()),
        height: Spread::of(probes.iter().map(|p| p.height).collect()),
        formats,
        bytes: probes.iter().map(|p| p.bytes as u64).sum(),
    }
}

fn captions(records: &[ImageRecord]) -> Captions {
    let mut words: HashMap<String, usize> = HashMap::new();
    let mut lengths = Vec::new();
    for caption in records.iter().flat_map(|r| &r.captions) {
        let said = words_of(caption);
        lengths.push(said.len() as u32);
        said.into_iter().for_each(|word| *words.entry(word).or_default() += 1);
    }
    let mut length_histogram = BTreeMap::new();
    lengths.iter().for_each(|&length| *length_histogram.entry(length).or_default() += 1);
    Captions {
        count: lengths.len(),
        per_image: Spread::of(records.iter().map(|r| r.captions.len() as u32).collect()),
        words: Spread::of(lengths),
        length_histogram,
        vocabulary: words.len(),
        vocabulary_min5: words.values().filter(|&&count| count >= 5).count(),
    }
}

fn near_overlap(records: &[ImageRecord], groups: &[usize], splits: &[Option<Split>]) -> Vec<Vec<String>> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    groups.iter().enumerate().for_each(|(at, &group)| members.entry(group).or_default().push(at));
    let apart =
        |members: &&Vec<usize>| members.iter().filter_map(|&at| splits[at]).collect::<HashSet<_>>().len() > 1;
    let names = |members: &Vec<usize>| members.iter().map(|&at| records[at].file_name.clone()).collect();
    members.values().filter(apart).map(names).take(Inspection::SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vocabulary;

    #[test]
    fn words_are_those_of_the_vocabulary() {
        let texts = ["一只狗在跑", "一只猫。", "a dog"].map(str::to_owned);
        let (file_name, path) = ("a.jpg".to_owned(), PathBuf::new());
        let record = ImageRecord { id: 1, file_name, path, captions: texts.to_vec(), sha256: [0; 32] };
        let found = captions(&[record]);
        assert_eq!(found.words, Spread { min: 2, median: 3, max: 5 });
        assert_eq!(found.vocabulary, Vocabulary::build(&texts, 1).len() - 4);
    }
}
