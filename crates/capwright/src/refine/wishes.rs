//! What a request wants in comparison with a model: "smaller", "faster", "same quality".

use capwright_contract::{Contract, Merit, Objective, Score};
use capwright_pipeline::ModelCard;

/// What a wish to be less leaves of a cost.
const LESS: f64 = 0.75;

/// What counts as the same quality, as a share of the model's score.
const SAME: f64 = 0.02;

/// What a request says in comparison with the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    smaller: bool,
    faster: bool,
    as_good: bool,
}

/// Words for a wish, in English and Chinese.
const SMALLER: &[&str] = &["smaller", "lighter", "更小", "更轻"];
const FASTER: &[&str] = &["faster", "quicker", "更快"];
const AS_GOOD: &[&str] =
    &["same quality", "equal quality", "just as good", "as good", "质量不变", "同样质量"];

/// Words that deny what follows them in the same breath, as do those that end in "n't".
const NOT: &[&str] = &["not", "no", "without", "never", "neither", "nor", "cannot", "instead"];

/// After one of these a denial asks for more: "not only smaller".
const ONLY: &[&str] = &["only", "just", "merely"];

/// Likewise in Chinese, where they stand directly before it.
const NOT_IN_CHINESE: &[&str] = &[
    "不",
    "别",
    "无需",
    "无须",
    "没有",
    "不要",
    "不用",
    "不必",
    "不需",
    "不需要",
    "不求",
    "不要求",
    "不一定",
];

/// How many words a denial reaches over: "does not have to be smaller".
const REACH: usize = 4;

/// Where a denial ends: "not smaller but faster".
const JOINS: &[&str] = &["and", "but", "yet"];
const ENDS: &[char] =
    &[',', '.', ';', ':', '!', '?', '(', ')', '\n', '，', '。', '；', '：', '、', '！', '？'];

/// What may be smaller or faster without a model that is: "smaller images", "lighter backbones".
const PARTS: &[&str] = &[
    "image",
    "images",
    "input",
    "inputs",
    "photo",
    "photos",
    "picture",
    "pictures",
    "beam",
    "beams",
    "batch",
    "batches",
    "vocabulary",
    "vocabularies",
    "vocab",
    "backbone",
    "backbones",
    "encoder",
    "encoders",
    "decoder",
    "decoders",
    "training",
    "search",
];
const PARTS_IN_CHINESE: &[&str] = &[
    "图像", "图片", "图", "照片", "输入", "批", "束", "集束", "词表", "词汇", "骨干", "主干", "编码", "解码",
    "训练", "搜索",
];

/// What makes a model of an image: "a smaller image captioner".
const CAPTIONS: &[&str] = &["caption", "描述", "字幕", "标题", "说明"];

impl Wishes {
    /// The wishes of a request, and what else it says.
    pub fn read(request: &str) -> (Self, String) {
        let mut rest = request.to_lowercase();
        let mut said = |words: &[&str]| {
            let before = rest.len();
            words.iter().for_each(|word| rest = without(&rest, word));
            rest.len() < before
        };
        let wishes = Self { smaller: said(SMALLER), faster: said(FASTER), as_good: said(AS_GOOD) };
        let rest = rest.trim_matches(|c: char| c.is_whitespace() || ",.;，。；、".contains(c)).to_owned();
        (wishes, rest)
    }

    /// What they mean for a contract.
    pub fn meanings(self, contract: &Contract) -> Vec<String> {
        let (budgets, most) = (&contract.budgets, |bound: Option<u64>| bound.unwrap_or(u64::MAX));
        let smaller = || format!("smaller: at most {} parameters in total", most(budgets.params_total));
        let (image, word) = (most(budgets.macs_image), most(budgets.macs_token));
        let faster = || format!("faster: at most {image} multiply-accumulates an image and {word} a word");
        let score = contract.score().name();
        let as_good = || format!("as good: a {score} that is lower by at most {} %", SAME * 100.0);
        let all = [self.smaller.then(smaller), self.faster.then(faster), self.as_good.then(as_good)];
        all.into_iter().flatten().collect()
    }

    /// The contract with these wishes about a model of that card.
    pub fn tell(self, contract: &mut Contract, card: &ModelCard) {
        let less = |bound: &mut Option<u64>, cost: u64| {
            let wished = (cost as f64 * LESS) as u64;
            *bound = Some(bound.map_or(wished, |bound| bound.min(wished)).max(1));
        };
        if self.smaller {
            less(&mut contract.budgets.params_total, card.cost.params_total);
        }
        if self.faster {
            less(&mut contract.budgets.macs_image, card.cost.macs_image);
            less(&mut contract.budgets.macs_token, card.cost.macs_token);
        }
        if self.as_good {
            let score = contract.score();
            let merit = match score {
                Score::Bleu4 => Merit::Bleu4,
                Score::CiderD => Merit::CiderD,
            };
            let cost = if self.faster { Merit::MacsToken } else { Merit::ParamsTotal };
            contract.objectives = vec![
                Objective { merit, within: SAME * card.validation.of(score) },
                Objective { merit: cost, within: 0.0 },
            ];
        }
    }
}

/// A text without a wish, wherever it is one; the rest is for those who read requests.
fn without(text: &str, wish: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(wish) {
        let (before, after) = (&text[..text.len() - rest.len() + at], &rest[at + wish.len()..]);
        let other = !is_word(before, wish, after)
            || is_denied(before)
            || is_limit(after)
            || is_of_a_part(after)
            || (wish.ends_with("as good") && is_most(after));
        left.push_str(&rest[..if other { at + wish.len() } else { at }]);
        rest = after;
    }
    left + rest
}

/// Whether it stands for itself: in "was good" nothing is "as good".
fn is_word(before: &str, wish: &str, after: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric();
    !wish.is_ascii() || !(before.ends_with(inner) || after.starts_with(inner))
}

/// Whether it is denied: "but not smaller", "without being smaller", "不要更小".
fn is_denied(before: &str) -> bool {
    let breath = before.rsplit(ENDS).next().unwrap_or_default().trim_end();
    if NOT_IN_CHINESE.iter().any(|word| breath.ends_with(*word)) {
        return true;
    }
    let mut near = breath.split_whitespace().rev().take_while(|word| !JOINS.contains(word)).take(REACH);
    let mut after = "";
    near.any(|word| {
        let denies = NOT.contains(&word) || word.ends_with("n't") || word.ends_with("n’t");
        let denied = denies && !ONLY.contains(&after);
        after = word;
        denied
    })
}

/// Whether it bounds something: "smaller than 2 M parameters".
fn is_limit(after: &str) -> bool {
    after.trim_start().strip_prefix("than").is_some_and(|bound| {
        bound.split_whitespace().take(3).any(|word| word.contains(|c: char| c.is_ascii_digit()))
    })
}

/// Whether it is said of something else than the model: "smaller images", "更小的词表".
fn is_of_a_part(after: &str) -> bool {
    let after = after.trim_start();
    let mut words = after.split(|c: char| !c.is_alphanumeric());
    let (word, next) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let chinese = after.strip_prefix('的').unwrap_or(after);
    let behind = match PARTS.contains(&word) {
        true => Some(next),
        false => PARTS_IN_CHINESE.iter().find_map(|part| chinese.strip_prefix(*part)),
    };
    behind.is_some_and(|behind| !CAPTIONS.iter().any(|model| behind.starts_with(*model)))
}

/// Whether the most is asked for, and nothing is given up: "as good as possible".
fn is_most(after: &str) -> bool {
    let breath = after.split(ENDS).next().unwrap_or_default();
    let words: Vec<&str> = breath.split_whitespace().take_while(|word| !JOINS.contains(word)).collect();
    words.windows(2).any(|pair| pair == ["as", "possible"])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Wishes = Wishes { smaller: false, faster: false, as_good: false };
    const SMALL: Wishes = Wishes { smaller: true, ..NONE };
    const FAST: Wishes = Wishes { faster: true, ..NONE };
    const GOOD: Wishes = Wishes { as_good: true, ..NONE };

    #[test]
    fn wishes_are_read_and_the_rest_is_a_request() {
        let read = |text| Wishes::read(text);
        let all = Wishes { smaller: true, faster: true, as_good: true };
        assert_eq!(read("Smaller, faster, same quality"), (all, String::new()));
        let (wishes, rest) = read("smaller, under 2 M parameters");
        assert_eq!(wishes, SMALL);
        assert_eq!(rest, "under 2 m parameters");
        assert_eq!(read("a GRU").0, Wishes::default());
        let limits = "smaller than 2 m parameters, faster than about 20 ms";
        assert_eq!(read(limits), (Wishes::default(), limits.to_owned()));
        assert_eq!(read("smaller than this one").0, SMALL);
        assert_eq!(read("更小，质量不变").0, Wishes { faster: false, ..all });
        assert_eq!(read("质量不变更快").0, Wishes { smaller: false, ..all });
        assert_eq!(read("just as good, smaller"), (Wishes { faster: false, ..all }, String::new()));
    }

    #[test]
    fn what_is_denied_is_no_wish() {
        for (request, wishes) in [
            ("faster, but not smaller", FAST),
            ("faster without being smaller", FAST),
            ("not smaller but faster", FAST),
            ("it does not have to be smaller", NONE),
            ("it doesn't need to get smaller, faster please", FAST),
            ("neither smaller nor faster", NONE),
            ("not slower or smaller", NONE),
            ("not slower, smaller", SMALL),
            ("no attention, smaller", SMALL),
            ("a GRU without attention and faster", FAST),
            ("not only smaller but also faster", Wishes { smaller: true, ..FAST }),
            ("smaller, not as good", SMALL),
            ("更快，不要更小", FAST),
            ("更快但不更小", FAST),
        ] {
            assert_eq!(Wishes::read(request).0, wishes, "{request}");
        }
        // It is not dropped, so that it is told as not used.
        assert_eq!(Wishes::read("faster, but not smaller").1, "but not smaller");
    }

    #[test]
    fn what_is_said_of_parts_is_no_wish() {
        for (request, wishes) in [
            ("smaller images", NONE),
            ("a smaller beam", NONE),
            ("use lighter backbones", NONE),
            ("faster training", NONE),
            ("更小的词表", NONE),
            ("smaller, images of 96 pixels", SMALL),
            ("a smaller model, a smaller vocabulary", SMALL),
            ("a faster captioner", FAST),
            ("a smaller image captioner", SMALL),
            ("更快的图像描述模型", FAST),
        ] {
            assert_eq!(Wishes::read(request).0, wishes, "{request}");
        }
    }

    #[test]
    fn what_is_best_gives_nothing_up() {
        for (request, wishes) in [
            ("as good as possible", NONE),
            ("as good a BLEU-4 as possible, smaller", SMALL),
            ("as good as it is", GOOD),
            ("as good and as small as possible", GOOD),
            ("the last one was good, faster", FAST),
        ] {
            assert_eq!(Wishes::read(request).0, wishes, "{request}");
        }
    }
}
