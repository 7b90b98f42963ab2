//! Captions of a batch as the decoders read them: references or samples, longest first, without padding.

use capwright_caption_data::Vocabulary;

/// A reference caption in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index of its image in the batch.
    pub image: usize,
    /// Words without BEGIN and END.
    pub words: Vec<u32>,
}

/// What is to be said at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The word.
    pub word: u32,
    /// The advantage by which its log-probability counts; none in teacher forcing.
    pub advantage: Option<f32>,
    /// Whether it is the first of its caption, which cannot be END in a sample.
    pub first: bool,
}

/// All references of a batch of images, sorted by length, longest first.
///
/// So the rows that are still alive at step `t` are the first [`CaptionBatch::active`]`(t)`, and no time is spent
/// on padding. Row `r` takes `words.len() + 1` steps: it reads BEGIN and the words, and is to say the words and END.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptionBatch {
    /// Images in the batch.
    pub images: usize,
    /// The references.
    pub rows: Vec<Row>,
    /// What each row reads in place of its words; empty where it reads them.
    read: Vec<Vec<u32>>,
    /// Advantages of the rows, those of their words and that of their END; empty in teacher forcing.
    advantages: Vec<(f32, f32)>,
}

impl CaptionBatch {
    /// A batch from the encoded references of each image, in the order of the memory.
    pub fn new(references: &[Vec<Vec<u32>>]) -> Self {
        let all = references.iter().enumerate();
        let mut rows: Vec<Row> = all
            .flat_map(|(image, refs)| refs.iter().map(move |words| Row { image, words: words.clone() }))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.words.len()));
        Self { images: references.len(), rows, read: Vec::new(), advantages: Vec::new() }
    }

    /// A batch of sampled captions of each image with their advantages. A caption of `max_words` words was broken off:
    /// nobody chose its END, which therefore has no advantage.
    pub fn sampled(samples: &[Vec<(Vec<u32>, f32)>], max_words: usize) -> Self {
        let all = samples.iter().enumerate();
        let mut rows: Vec<(Row, f32)> = all
            .flat_map(|(image, own)| {
                own.iter().map(move |(words, a)| (Row { image, words: words.clone() }, *a))
            })
            .collect();
        rows.sort_by_key(|(row, _)| std::cmp::Reverse(row.words.len()));
        let of_end = |(row, a): &(Row, f32)| (*a, if row.words.len() < max_words { *a } else { 0.0 });
        let advantages = rows.iter().map(of_end).collect();
        let rows = rows.into_iter().map(|(row, _)| row).collect();
        Self { images: samples.len(), rows, read: Vec::new(), advantages }
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
    pub fn target(&self, row: usize, t: usize) -> Target {
        let word = self.rows[row].words.get(t).copied();
        let of_row = self.advantages.get(row);
        let advantage = of_row.map(|(words, end)| if word.is_some() { *words } else { *end });
        Target { word: word.unwrap_or(Vocabulary::EOS), advantage, first: t == 0 }
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
        let said = |batch: &CaptionBatch, t| batch.target(1, t).word;
        assert_eq!((said(&batch, 1), said(&batch, 2)), (4, 2));
        assert!(
            batch.target(0, 0).first && !batch.target(0, 1).first && batch.target(0, 1).advantage.is_none()
        );
        let other = batch.reading(vec![vec![6, 3, 8], vec![3, 4], vec![5]]);
        assert_eq!((other.input(1, 0), other.input(1, 1), other.input(1, 2)), (1, 3, 4));
        assert_eq!((said(&other, 0), said(&other, 1)), (9, 4));
    }

    #[test]
    fn samples_bring_advantages_and_a_caption_that_was_broken_off_none_for_its_end() {
        let batch = CaptionBatch::sampled(&[vec![(vec![5], 0.5)], vec![(vec![6, 7], -1.0)]], 2);
        let advantage = |row, t| batch.target(row, t).advantage;
        assert_eq!((batch.rows[0].image, batch.rows[1].image), (1, 0));
        assert_eq!([advantage(0, 0), advantage(0, 1), advantage(0, 2)], [Some(-1.0), Some(-1.0), Some(0.0)]);
        assert_eq!([advantage(1, 0), advantage(1, 1)], [Some(0.5), Some(0.5)]);
        assert_eq!(batch.target(0, 2).word, Vocabulary::EOS);
    }
}
