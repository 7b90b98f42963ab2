//! Which words captions are compared by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{segment, stands_alone, tokenize, tokens};

/// What makes words of captions. Figures are comparable only between captions that went through the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// [`tokenize`](tokenize()), the words of the COCO evaluation: right for scripts with spaces.
    #[default]
    Ptb,
    /// Each Han character and each kana is a word ([`segment`](segment())); Latin words and numbers between them stay whole, as
    /// [`Ptb`](Self::Ptb) has them.
    ///
    /// Chinese has no spaces, so the PTB tokenizer takes a run of Chinese for one word and nearly nothing ever matches.
    /// Evaluations in Chinese differ in how they part it. By character, as SacreBLEU's `zh` does for translations (Post 2018,
    /// arXiv 1804.08771), needs no dictionary and is the same everywhere. The official evaluation of AI Challenger (AIC-ICC) parts
    /// captions into words with jieba, and the published code of COCO-CN runs the PTB tokenizer, so over words that were parted
    /// before: for figures to set beside theirs, part both sides in that way first and score with [`Ptb`](Self::Ptb).
    Characters,
}

impl Tokenizer {
    /// All of them.
    pub const ALL: [Tokenizer; 2] = [Tokenizer::Ptb, Tokenizer::Characters];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Tokenizer::Ptb => "ptb",
            Tokenizer::Characters => "characters",
        }
    }

    /// The words of a caption.
    pub fn words(self, caption: &str) -> Vec<String> {
        match self {
            Tokenizer::Ptb => tokenize(caption),
            Tokenizer::Characters => tokenize(&segment(caption)),
        }
    }

    /// [`words`](Self::words), but a token with spaces inside stays whole.
    pub(crate) fn tokens(self, caption: &str) -> Vec<String> {
        match self {
            Tokenizer::Ptb => tokens(caption),
            Tokenizer::Characters => tokens(&segment(caption)),
        }
    }

    /// The one that fits the script of references: [`Characters`](Self::Characters) where more than half of the captions have
    /// five Han characters or kana in a row, which no words with spaces between them have.
    pub fn fitting<S: AsRef<str>>(captions: impl IntoIterator<Item = S>) -> Self {
        let unspaced =
            |caption: &str| caption.split(|c| !stands_alone(c)).any(|run| run.chars().count() >= 5);
        let (mut all, mut without) = (0usize, 0usize);
        for caption in captions {
            all += 1;
            without += usize::from(unspaced(caption.as_ref()));
        }
        if 2 * without > all { Tokenizer::Characters } else { Tokenizer::Ptb }
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tokenizer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || format!("unknown tokenizer {name:?}: use ptb or characters");
        Tokenizer::ALL.into_iter().find(|tokenizer| tokenizer.name() == name).ok_or_else(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScoreOptions, Scores, score, score_captions};

    fn corpus() -> (Vec<&'static str>, Vec<Vec<&'static str>>) {
        let said = vec!["一只狗在草地上奔跑。", "两个孩子踢足球", "一个穿T恤的人"];
        let refs = vec![
            vec!["一只黑狗在草地上跑。", "草地上有一只狗在奔跑"],
            vec!["两个孩子在踢足球", "三个人在玩"],
            vec!["一个穿T恤的男人拿着3个苹果"],
        ];
        (said, refs)
    }

    fn scored(tokenizer: Tokenizer) -> Scores {
        let (said, refs) = corpus();
        let options = ScoreOptions { tokenizer, resamples: 50, ..ScoreOptions::default() };
        score_captions(&said, &refs, &options).unwrap()
    }

    #[test]
    fn han_is_parted_and_latin_and_numbers_stay_whole() {
        let words = |text: &str| Tokenizer::Characters.words(text).join(" ");
        assert_eq!(words("两只狗，在Central Park里跑！"), "两 只 狗 在 central park 里 跑");
        assert_eq!(words("穿T恤的12个人，1.5米"), "穿 t 恤 的 12 个 人 1.5 米");
        assert_eq!(words("A dog's ball."), tokenize("A dog's ball.").join(" "));
        assert_eq!(Tokenizer::Ptb.words("一只狗在跑"), ["一只狗在跑"]);
    }

    #[test]
    fn corpus_figures_and_images_go_by_characters() {
        let scores = scored(Tokenizer::Characters);
        let (said, refs) = corpus();
        let spaced = |text: &&str| {
            let kept = text.chars().filter(|c| *c != '。');
            kept.flat_map(|c| [c.to_lowercase().to_string()]).collect::<Vec<_>>()
        };
        let said: Vec<_> = said.iter().map(spaced).collect();
        let refs: Vec<Vec<_>> = refs.iter().map(|r| r.iter().map(spaced).collect()).collect();
        let options = ScoreOptions { resamples: 50, ..ScoreOptions::default() };
        let by_hand = score(&said, &refs, &options).unwrap();
        assert_eq!(scores, by_hand);
        // 9 characters, 8 of them in the nearer reference and the ninth in the other; 7 of 7; 7 of 7.
        assert_eq!(scores.images[0].bleu.matches[0], 9);
        assert_eq!(scores.images[1].bleu.guesses[0], 7);
        let whole = scored(Tokenizer::Ptb);
        assert!(whole.corpus.bleu4 < 1e-3 && whole.images[1].rouge_l == 0.0);
        assert!(scores.corpus.bleu4 > 0.3, "{}", scores.corpus.bleu4);
    }

    #[test]
    fn the_fitting_one_follows_the_script() {
        let (_, refs) = corpus();
        assert_eq!(Tokenizer::fitting(refs.iter().flatten()), Tokenizer::Characters);
        assert_eq!(Tokenizer::fitting(["a dog runs", "two cats", "一只狗在草地上奔跑"]), Tokenizer::Ptb);
        assert_eq!(Tokenizer::fitting(["一 只 狗 在 奔跑", "两个 孩子 踢 足球"]), Tokenizer::Ptb);
        assert_eq!(Tokenizer::fitting(Vec::<String>::new()), Tokenizer::Ptb);
    }

    #[test]
    fn names_are_read_and_others_refused() {
        for tokenizer in Tokenizer::ALL {
            assert_eq!(tokenizer.to_string().parse(), Ok(tokenizer));
        }
        let refusal = "jieba".parse::<Tokenizer>().unwrap_err();
        assert!(refusal.contains("jieba") && refusal.contains("characters"), "{refusal}");
    }
}
