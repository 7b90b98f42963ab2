//! References of a batch as the decoders read them: longest first, without padding.

use capwright_caption_data::Vocabulary;

/// A reference caption in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index of its image in the batch.
    pub image: usize,
    /// Words without BEGIN and END.
    pub words: Vec<u32>,
}

/// All references of a batch of images, sorted by length, longest first.
///
/// So the rows that are still alive at step `t` are the first [`CaptionBatch::active`]`(t)`, and no time is spent
/// on padding. Row `r` takes `words.len() + 1` steps: it reads BEGIN and the words, and is to say the words and END.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionBatch {
    /// Images in the batch.
    pub images: usize,
    /// The references.
    pub rows: Vec<Row>,
    /// What each row reads in place of its words; empty where it reads them.
    read: Vec<Vec<u32>>,
}

impl CaptionBatch {
    /// A batch from the encoded references of each image, in the order of the memory.
    pub fn new(references: &[Vec<Vec<u32>>]) -> Self {
        let all = references.iter().enumerate();
        let mut rows: Vec<Row> = all
            .flat_map(|(image, refs)| refs.iter().map(move |words| Row { image, words: words.clone() }))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.words.len()));
        Self { images: references.len(), rows, read: Vec::new() }
    }

    /// The same references with other words to read, one list a row, of its length; what is to be said stays.
    ///
    /// # Panics
    /// Where numbers or lengths differ: a bug of the caller.
    pub fn reading(&self, read: Vec<Vec<u32>>) -> Self {
        let lengths = self.rows.iter().map(|row| row.words.len());
        assert!(lengths.eq(read.iter().map(Vec::len)), "one word read for each word");
        Self { read, ..self.clone() }
    }

    /// Steps of the longest reference.
    pub fn steps(&self) -> usize {
        self.rows.first().map_or(0, |row| row.words.len() + 1)
    }

    /// Rows that take step `t`.
    pub fn active(&self, t: usize) -> usize {
        self.rows.partition_point(|row| row.words.len() >= t)
    }

    /// Words to be said in all, ENDs included.
    pub fn words(&self) -> usize {
        self.rows.iter().map(|row| row.words.len() + 1).sum()
    }

    /// What row `row` reads at step `t`.
    pub fn input(&self, row: usize, t: usize) -> u32 {
        let words = self.read.get(row).unwrap_or(&self.rows[row].words);
        if t == 0 { Vocabulary::BOS } else { words[t - 1] }
    }

    /// What row `row` is to say at step `t`.
    pub fn target(&self, row: usize, t: usize) -> u32 {
        self.rows[row].words.get(t).copied().unwrap_or(Vocabulary::EOS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_longest_first() {
        let batch = CaptionBatch::new(&[vec![vec![5], vec![6, 7, 8]], vec![vec![9, 4]]]);
        assert_eq!(
            batch.rows.iter().map(|r| (r.image, r.words.len())).collect::<Vec<_>>(),
            [(0, 3), (1, 2), (0, 1)]
        );
        assert_eq!((batch.steps(), batch.words()), (4, 9));
        assert_eq!((0..5).map(|t| batch.active(t)).collect::<Vec<_>>(), [3, 3, 2, 1, 0]);
        assert_eq!((batch.input(1, 0), batch.input(1, 2)), (1, 4));
        assert_eq!((batch.target(1, 1), batch.target(1, 2)), (4, 2));
        let other = batch.reading(vec![vec![6, 3, 8], vec![3, 4], vec![5]]);
        assert_eq!((other.input(1, 0), other.input(1, 1), other.input(1, 2)), (1, 3, 4));
        assert_eq!((other.target(1, 0), other.target(1, 1)), (9, 4));
    }
}
