//! Words cut into pieces by byte pair encoding, learned from counts of words (Sennrich et al. 2016, arXiv 1508.07909).
//!
//! A word is first its characters; then the pairs of neighbours that were joined in learning are joined again, in the order
//! in which they were learned. A piece that does not end its word is written with `>` at its end, so that a piece that is a
//! whole word looks like the word; words that would be confused with that are not cut ([`is_markup`]).
//!
//! The crate `tokenizers` (0.23) is not used: where ends of words are marked, its trainer numbers characters in the order of a
//! hash map that each process seeds anew, and equally frequent pairs are joined by number. Five runs over the same 600
//! sentences, on one thread, gave five vocabularies. It would also bring some 40 crates and a C library.

use std::collections::{BTreeMap, HashMap, HashSet};

/// Ends a piece that its word goes on after.
const GOES_ON: char = '>';
/// Pairs seen less often are not joined.
const FEWEST: u64 = 2;

type Pair = (u32, u32);

/// What was joined, first to last; ids of the two pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Merges {
    list: Vec<Pair>,
    /// Rank of a pair, and the id of what it becomes.
    ranks: HashMap<Pair, (usize, u32)>,
}

impl Merges {
    /// Merges of a vocabulary file.
    ///
    /// # Errors
    /// Says which merge names a piece that there is not, or makes one.
    pub(super) fn new(list: Vec<Pair>, words: &[String], ids: &HashMap<String, u32>) -> Result<Self, String> {
        let mut ranks = HashMap::with_capacity(list.len());
        for (rank, &(a, b)) in list.iter().enumerate() {
            let parts = words.get(a as usize).zip(words.get(b as usize));
            let made = parts.and_then(|(a, b)| ids.get(&join(a, b)?));
            let Some(&made) = made else {
                return Err(format!("merge {rank} ({a}, {b}) does not make a piece of the vocabulary"));
            };
            if ranks.insert((a, b), (rank, made)).is_some() {
                return Err(format!("merge {rank} ({a}, {b}) comes twice"));
            }
        }
        Ok(Merges { list, ranks })
    }

    pub(super) fn list(&self) -> &[Pair] {
        &self.list
    }

    /// Drops the merges of pieces from this id on.
    pub(super) fn keep_below(&mut self, ids: u32) {
        let gone = |pair: &Pair| self.ranks.get(pair).is_none_or(|(_, made)| *made >= ids);
        let list: Vec<Pair> = self.list.iter().copied().filter(|p| !gone(p) && p.0.max(p.1) < ids).collect();
        let made = |pair: &Pair| self.ranks.get(pair).map_or(0, |(_, made)| *made);
        self.ranks = list.iter().enumerate().map(|(rank, pair)| (*pair, (rank, made(pair)))).collect();
        self.list = list;
    }

    /// Ids of the pieces of a word; characters that were never seen are `unknown`.
    pub(super) fn cut(&self, word: &str, ids: &HashMap<String, u32>, unknown: u32) -> Vec<u32> {
        let mut pieces: Vec<u32> =
            characters(word).iter().map(|c| ids.get(c).copied().unwrap_or(unknown)).collect();
        loop {
            let pairs = pieces.windows(2).enumerate();
            let ranked =
                pairs.filter_map(|(at, p)| self.ranks.get(&(p[0], p[1])).map(|&(rank, id)| (rank, at, id)));
            let Some((_, at, id)) = ranked.min() else { return pieces };
            pieces.splice(at..at + 2, [id]);
        }
    }
}

/// Whether a word is markup such as `<b>`, which cannot be cut: its `>` would be taken for the mark, or a piece of it for a
/// special token. A lone `<` or `>` is a word like any other.
pub(super) fn is_markup(word: &str) -> bool {
    word.len() > 1 && word.contains(['<', GOES_ON])
}

/// A word as its characters, each but the last marked.
fn characters(word: &str) -> Vec<String> {
    let mut characters: Vec<String> = word.chars().map(|c| format!("{c}{GOES_ON}")).collect();
    if let Some(last) = characters.last_mut() {
        last.pop();
    }
    characters
}

/// The piece that two make, `None` where the first ends its word.
fn join(first: &str, second: &str) -> Option<String> {
    first.strip_suffix(GOES_ON).map(|first| format!("{first}{second}"))
}

/// Words from pieces; a word that is cut off counts as ended.
pub(super) fn glue<'a>(pieces: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words = Vec::new();
    let mut begun = String::new();
    for piece in pieces {
        match piece.strip_suffix(GOES_ON) {
            Some(part) if !part.is_empty() => begun.push_str(part),
            _ => {
                begun.push_str(piece);
                words.push(std::mem::take(&mut begun));
            }
        }
    }
    words.extend(Some(begun).filter(|word| !word.is_empty()));
    words
}

/// Learns pieces until there are `size` of them, `words` (the special ones) included, or no pair is frequent.
///
/// The characters come first, the most frequent before others; those beyond `size` are left out.
pub(super) fn learn(
    counts: &BTreeMap<String, u64>,
    mut words: Vec<String>,
    size: usize,
) -> (Vec<String>, Vec<Pair>) {
    let mut single: HashMap<String, u64> = HashMap::new();
    for (word, count) in counts {
        characters(word).into_iter().for_each(|c| *single.entry(c).or_default() += count);
    }
    let mut single: Vec<(String, u64)> = single.into_iter().collect();
    single.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    single.truncate(size.saturating_sub(words.len()));
    words.extend(single.into_iter().map(|(c, _)| c));
    let mut ids: HashMap<String, u32> = words.iter().cloned().zip(0..).collect();
    let mut table = Table::new(counts, &ids);
    let mut merges = Vec::new();
    while words.len() < size {
        let Some(pair) = table.most_frequent(&words) else { break };
        let Some(made) = join(&words[pair.0 as usize], &words[pair.1 as usize]) else { break };
        let next = words.len() as u32;
        let id = *ids.entry(made.clone()).or_insert(next);
        if id == next {
            words.push(made);
        }
        merges.push(pair);
        table.merge(pair, id);
    }
    (words, merges)
}

/// Words as they are cut so far, and how often each pair of neighbours comes.
struct Table {
    cut: Vec<(Vec<u32>, u64)>,
    pairs: HashMap<Pair, u64>,
    /// Words in which a pair came at some time.
    places: HashMap<Pair, HashSet<usize>>,
}

impl Table {
    /// Words with a character that has no id are left out.
    fn new(counts: &BTreeMap<String, u64>, ids: &HashMap<String, u32>) -> Self {
        let known =
            |word: &String| characters(word).iter().map(|c| ids.get(c).copied()).collect::<Option<Vec<_>>>();
        let cut: Vec<_> = counts.iter().filter_map(|(word, count)| Some((known(word)?, *count))).collect();
        let mut table = Table { cut, pairs: HashMap::new(), places: HashMap::new() };
        (0..table.cut.len()).for_each(|word| table.count(word, true));
        table
    }

    /// Adds or takes away the pairs of a word.
    fn count(&mut self, word: usize, add: bool) {
        let (pieces, times) = &self.cut[word];
        for pair in pieces.windows(2).map(|p| (p[0], p[1])) {
            let count = self.pairs.entry(pair).or_default();
            *count = if add { *count + times } else { *count - times };
            if add {
                self.places.entry(pair).or_default().insert(word);
            }
        }
    }

    /// Of equally frequent pairs the first by alphabet.
    fn most_frequent(&self, words: &[String]) -> Option<Pair> {
        let text = |pair: &Pair| (&words[pair.0 as usize], &words[pair.1 as usize]);
        let frequent = self.pairs.iter().filter(|(_, count)| **count >= FEWEST);
        frequent.max_by(|a, b| a.1.cmp(b.1).then_with(|| text(b.0).cmp(&text(a.0)))).map(|(pair, _)| *pair)
    }

    fn merge(&mut self, pair: Pair, id: u32) {
        for word in self.places.remove(&pair).unwrap_or_default() {
            self.count(word, false);
            let pieces = &mut self.cut[word].0;
            let mut at = 0;
            while at + 1 < pieces.len() {
                if (pieces[at], pieces[at + 1]) == pair {
                    pieces.splice(at..at + 2, [id]);
                }
                at += 1;
            }
            self.count(word, true);
        }
        self.pairs.remove(&pair);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::is_markup;
    use crate::Vocabulary;
    use crate::vocabulary::words_of;

    /// The example of the paper: low 5, lower 2, newest 6, widest 3.
    fn lowest() -> Vocabulary {
        let captions = ["low ".repeat(5), "lower ".repeat(2), "newest ".repeat(6), "widest ".repeat(3)];
        Vocabulary::build_pieces(captions, 40)
    }

    #[test]
    fn pieces_are_learned_as_in_the_paper() {
        let vocabulary = lowest();
        let learned: Vec<&str> = vocabulary.words().iter().map(String::as_str).collect();
        // "es" and "est" come nine times, "lo" and then "low" before "ne" and its kind.
        let order = ["est", "lo>", "low", "newest", "widest"].map(|p| learned.iter().position(|w| *w == p));
        assert!(order.iter().all(Option::is_some) && order[0] < order[3], "{learned:?}");
        assert_eq!(vocabulary.encode("newest low", 9).len(), 2);
        // A word that was never seen, of pieces that were.
        let ids = vocabulary.encode("lowest", 9);
        assert!(ids.len() > 1 && !ids.contains(&Vocabulary::UNK), "{ids:?}");
        assert_eq!(vocabulary.decode(&ids), "lowest");
        assert_eq!(vocabulary.decode(&ids[..1]), vocabulary.word(ids[0]).unwrap().trim_end_matches('>'));
        assert_eq!(vocabulary.encode("z", 9), [Vocabulary::UNK]);
    }

    #[test]
    fn pieces_are_stored_and_shortened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vocabulary.json");
        lowest().save(&path).unwrap();
        assert_eq!(Vocabulary::load(&path).unwrap(), lowest());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(r#"{"version":2,"words":["<pad>""#), "{text}");
        let short = lowest().at_most(lowest().len() - 3);
        assert_eq!(short.decode(&short.encode("newest lower", 99)), "newest lower");
        for (broken, expected) in [
            (text.replacen("[[", "[[1,2],[", 1), "merge 0 (1, 2)"),
            (text.replacen(r#""version":2,"#, "", 1), "come together"),
            (text.replacen(r#""version":2"#, r#""version":3"#, 1), "version 3"),
        ] {
            std::fs::write(&path, broken).unwrap();
            let message = Vocabulary::load(&path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn markup_is_unknown_and_joins_no_words() {
        let captions = ["a <person> and <b>a dog</b> 3 > 2"; 3];
        let vocabulary = Vocabulary::build_pieces(captions, 60);
        let ids = vocabulary.encode(captions[0], 99);
        assert_eq!(ids.iter().filter(|&&id| id == Vocabulary::UNK).count(), 3);
        assert_eq!(vocabulary.decode(&ids), "a and a dog 3 > 2");
        // Attributes part a tag, and what is left may begin like a special token.
        let learned = Vocabulary::build_pieces(["<eos.a x>"; 9], 60);
        assert_eq!(learned.encode("<eos.a x>", 99), [Vocabulary::UNK; 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn pieces_keep_every_word_but_markup(
            words in prop::collection::vec(
                "[a-f]{1,7}|n't|'s|[0-9]{1,3}|t-shirt|[狗猫海]{1,3}|<b>|<unk>|>>",
                0..20,
            ),
            size in 40usize..90,
        ) {
            let caption = words.join(" ");
            let vocabulary = Vocabulary::build_pieces([&caption], size);
            prop_assert!(vocabulary.len() <= size);
            let ids = vocabulary.encode(&caption, usize::MAX);
            let (markup, kept): (Vec<_>, Vec<_>) =
                words_of(&caption).into_iter().partition(|word| is_markup(word));
            prop_assert_eq!(ids.iter().filter(|&&id| id == Vocabulary::UNK).count(), markup.len());
            prop_assert_eq!(words_of(&vocabulary.decode(&ids)), kept);
        }
    }
}
