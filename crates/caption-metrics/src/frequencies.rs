//! In how many images each n-gram of the references occurs.
//!
//! CIDEr weighs an n-gram by its inverse document frequency, where a document is the set of all references of one
//! image. n-grams are kept as a tree: a bigram is a child of its first word, a trigram of its first bigram. One
//! integer key (parent, word) then serves every length, and a walk along a caption stops at the first unknown n-gram,
//! because no longer one from there can be known.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::error::{MetricError, check_references};

/// Longest n-gram that is counted.
pub(crate) const MAX_N: usize = 4;
/// The parent of single words.
const ROOT: u32 = u32::MAX;

/// For each n-gram (n = 1..=4) of a set of references: the number of images that have it in any reference.
///
/// Build it once, from the references of the training images for reinforcement or from the evaluated ones for the
/// published measure (pycocoevalcap's only mode), and hand it to [`Cider`](crate::Cider). It can be stored with
/// serde; what is read back is checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct DocumentFrequencies {
    images: u32,
    index: FxHashMap<u64, u32>,
    /// By n-gram.
    counts: Vec<u32>,
}

impl DocumentFrequencies {
    /// Counts over the references of a corpus, one list of captions for each image, words as numbers.
    ///
    /// # Errors
    /// [`MetricError`] when there are no images or one has no reference.
    pub fn new<S, R>(refs: &[R]) -> Result<Self, MetricError>
    where
        S: AsRef<[u32]>,
        R: AsRef<[S]>,
    {
        Ok(Self::with_grams(refs)?.0)
    }

    /// As [`DocumentFrequencies::new`], with the n-grams of each image in the order of
    /// [`DocumentFrequencies::insert_all`].
    pub(crate) fn with_grams<S, R>(refs: &[R]) -> Result<(Self, Vec<Vec<u32>>), MetricError>
    where
        S: AsRef<[u32]>,
        R: AsRef<[S]>,
    {
        check_references(refs)?;
        let mut grams = Vec::with_capacity(refs.len());
        let mut new = Self { images: refs.len() as u32, index: FxHashMap::default(), counts: Vec::new() };
        // The last image that each n-gram was seen in, so that an image counts once.
        let mut seen_in: Vec<u32> = Vec::new();
        for (image, references) in (0u32..).zip(refs) {
            let mut of_image = Vec::new();
            for reference in references.as_ref() {
                new.insert_all(reference.as_ref(), |counts, gram| {
                    of_image.push(gram);
                    seen_in.resize(seen_in.len().max(counts.len()), ROOT);
                    if seen_in[gram as usize] != image {
                        seen_in[gram as usize] = image;
                        counts[gram as usize] += 1;
                    }
                });
            }
            grams.push(of_image);
        }
        Ok((new, grams))
    }

    /// Number of images that were counted.
    pub fn images(&self) -> usize {
        self.images as usize
    }

    /// Number of different n-grams that were counted.
    pub fn n_grams(&self) -> usize {
        self.counts.iter().filter(|c| **c > 0).count()
    }

    /// Number of images that have this n-gram in a reference; 0 for one that was never seen or is longer than four
    /// words.
    pub fn of(&self, n_gram: &[u32]) -> usize {
        let mut gram = ROOT;
        for word in n_gram {
            match self.index.get(&key(gram, *word)) {
                Some(child) => gram = *child,
                None => return 0,
            }
        }
        self.counts.get(gram as usize).map_or(0, |c| *c as usize)
    }

    /// ln(images / frequency) by n-gram; one that was never seen counts as seen once.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let images = self.unseen();
        // Most n-grams are rare, so the logarithms of small counts are looked up.
        let logs: Vec<f64> = (0..1024).map(|c| f64::from(c.max(1)).ln()).collect();
        let log = |c: u32| logs.get(c as usize).copied().unwrap_or_else(|| f64::from(c).ln());
        self.counts.iter().map(|c| images - log(*c)).collect()
    }

    /// The weight of an n-gram that no reference has: ln(images).
    pub(crate) fn unseen(&self) -> f64 {
        f64::from(self.images).ln()
    }

    /// Calls `each(n - 1, n-gram)` for every known n-gram of the caption, and `unknown(n-gram)` for the others.
    pub(crate) fn walk<'a>(
        &self,
        words: &'a [u32],
        mut each: impl FnMut(usize, u32),
        mut unknown: impl FnMut(&'a [u32]),
    ) {
        // Length by length: lookups that do not wait for each other overlap, and they are most of the time.
        let mut open: Vec<(usize, u32)> = (0..words.len()).map(|start| (start, ROOT)).collect();
        for n in 0..MAX_N {
            open.retain_mut(|(start, parent)| {
                let Some(word) = words.get(*start + n) else { return false };
                let Some(gram) = self.index.get(&key(*parent, *word)) else {
                    let end = words.len().min(*start + MAX_N);
                    (*start + n..end).for_each(|last| unknown(&words[*start..=last]));
                    return false;
                };
                each(n, *gram);
                *parent = *gram;
                true
            });
        }
    }

    /// Makes every n-gram of the caption known, with frequency 0 where it is new, and calls `each(counts, n-gram)`:
    /// for each start in turn the n-grams that begin there, shortest first.
    pub(crate) fn insert_all(&mut self, words: &[u32], mut each: impl FnMut(&mut [u32], u32)) {
        for start in 0..words.len() {
            let mut parent = ROOT;
            for word in words[start..].iter().take(MAX_N) {
                let next = self.counts.len() as u32;
                let gram = *self.index.entry(key(parent, *word)).or_insert(next);
                if gram == next {
                    self.counts.push(0);
                }
                each(&mut self.counts, gram);
                parent = gram;
            }
        }
    }
}

fn key(parent: u32, word: u32) -> u64 {
    u64::from(parent) << 32 | u64::from(word)
}

/// As stored: entry `i` is the n-gram of entry `parents[i]` followed by `words[i]`; a single word has parent
/// `u32::MAX`.
#[derive(Serialize, Deserialize)]
struct Stored {
    images: u32,
    parents: Vec<u32>,
    words: Vec<u32>,
    counts: Vec<u32>,
}

impl From<DocumentFrequencies> for Stored {
    fn from(frequencies: DocumentFrequencies) -> Self {
        let DocumentFrequencies { images, index, counts } = frequencies;
        let (mut parents, mut words) = (vec![0; counts.len()], vec![0; counts.len()]);
        for (key, gram) in index {
            parents[gram as usize] = (key >> 32) as u32;
            words[gram as usize] = key as u32;
        }
        Stored { images, parents, words, counts }
    }
}

impl TryFrom<Stored> for DocumentFrequencies {
    type Error = MetricError;

    fn try_from(stored: Stored) -> Result<Self, MetricError> {
        let Stored { images, parents, words, counts } = stored;
        let damaged = |entry, problem| Err(MetricError::DamagedFrequencies { entry, problem });
        if parents.len() != counts.len() || words.len() != counts.len() {
            return damaged(parents.len().min(words.len()).min(counts.len()), "the lists differ in length");
        }
        let mut depths: Vec<u8> = Vec::with_capacity(counts.len());
        let mut index = FxHashMap::default();
        for (entry, (parent, word)) in parents.into_iter().zip(words).enumerate() {
            let depth = match depths.get(parent as usize) {
                Some(depth) => depth + 1,
                None if parent == ROOT => 1,
                None => return damaged(entry, "its beginning is not an earlier entry"),
            };
            if usize::from(depth) > MAX_N {
                return damaged(entry, "it has more than four words");
            }
            if counts[entry] > images {
                return damaged(entry, "it is in more images than there are");
            }
            if index.insert(key(parent, word), entry as u32).is_some() {
                return damaged(entry, "it is there twice");
            }
            depths.push(depth);
        }
        Ok(Self { images, index, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> DocumentFrequencies {
        let refs = vec![vec![vec![1, 2, 1, 2], vec![1, 2, 3]], vec![vec![2, 3]], vec![vec![]]];
        DocumentFrequencies::new(&refs).unwrap()
    }

    #[test]
    fn an_image_counts_once() {
        let frequencies = sample();
        assert_eq!(frequencies.images(), 3);
        let of = |gram: &[u32]| frequencies.of(gram);
        assert_eq!([of(&[1]), of(&[2]), of(&[1, 2]), of(&[2, 3]), of(&[1, 2, 1, 2])], [1, 2, 1, 2, 1]);
        assert_eq!([of(&[9]), of(&[3, 2]), of(&[]), of(&[1, 2, 1, 2, 1])], [0; 4]);
        // 1 2 3, 12 21 23, 121 212 123, 1212
        assert_eq!(frequencies.n_grams(), 10);
    }

    #[test]
    fn can_be_stored() {
        let text = serde_json::to_string(&sample()).unwrap();
        let again: DocumentFrequencies = serde_json::from_str(&text).unwrap();
        assert_eq!((again.images(), again.of(&[2, 3]), again.n_grams()), (3, 2, 10));
        let problem = |json: &str| serde_json::from_str::<DocumentFrequencies>(json).unwrap_err().to_string();
        let mut text = r#"{"images":1,"parents":[4294967295,0],"words":[1,1],"counts":[1,2]}"#.to_owned();
        assert!(problem(&text).contains("entry 1: it is in more images than there are"));
        text = text.replace("[1,2]", "[1]");
        assert!(problem(&text).contains("differ in length"));
        assert!(
            problem(r#"{"images":1,"parents":[0],"words":[1],"counts":[1]}"#)
                .contains("not an earlier entry")
        );
        let twice = r#"{"images":1,"parents":[4294967295,4294967295],"words":[1,1],"counts":[1,1]}"#;
        assert!(problem(twice).contains("there twice"));
        let long = r#"{"images":1,"parents":[4294967295,0,1,2,3],"words":[1,1,1,1,1],"counts":[1,1,1,1,1]}"#;
        assert!(problem(long).contains("entry 4: it has more than four words"));
    }
}
