//! The words that requests are made of, English and Chinese, and what each means. A phrase is matched token by token,
//! the longest first.

use super::backbones::{BACKBONES, spellings};
use super::tokens::{self, Token};
use crate::{Clause, Family};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Which values a limit word allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Upper,
    Lower,
    /// "about": no bound.
    Near,
    /// "exactly", "between": both ends.
    Exact,
}

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Parameters,
    Macs,
    /// Operations: two are one multiply-accumulate.
    Flops,
    Bytes,
    /// In microseconds.
    Time,
    /// In microjoules.
    Energy,
    Percent,
    Dollars,
    Tokens,
    Words,
    Captions,
    Pixels,
    Layers,
    Heads,
}

/// What a bound is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// A clause with one number.
    Clause(Clause),
    /// A hyperparameter by its field.
    Field(&'static str),
    /// A time or memory of training.
    Training,
    /// A weight or parameter that is trained.
    Trainable,
    /// For one word; without it, for one image.
    PerWord,
    PerImage,
    ImageSize,
    Beam,
    Epochs,
    Trials,
    Confidence,
}

/// What is named without a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Family(Family),
    /// A part by the language's word, or a backbone.
    Part(&'static str),
    Scratch,
    /// A licence as SPDX identifier.
    Licence(&'static str),
}

/// What a phrase means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    Limit(Limit),
    /// A limit that stands behind its number.
    Late(Limit),
    Scale(u64),
    /// A unit and its factor in the base of its dimension.
    Unit(Dimension, u64),
    Topic(Topic),
    Name(Name),
    /// Turns what follows into its opposite.
    Not,
    /// "with or without", "optional": what may be there or not.
    Maybe,
    /// Alone.
    Only,
    /// Must be there.
    Must,
    /// Says that what stands beside it is of an encoder.
    Encoder,
    /// Says that what follows are licences of data, or of weights.
    OfData,
    OfWeights,
    /// Holds phrases together and means nothing.
    Join,
    /// "or", "and", a comma between names.
    List,
    /// "smallest", "best": what designs are ranked by.
    Best(crate::Merit),
}

macro_rules! lexicon {
    ($($sense:expr => $($phrase:literal)+;)+) => {
        const PHRASES: &[(&str, Sense)] = &[$($(($phrase, $sense)),+),+];
    };
}

use self::Dimension::*;
use self::Name::*;
use self::Sense::*;
use Clause as C;

lexicon! {
    Limit(self::Limit::Upper) => "less than" "fewer than" "smaller than" "lower than" "shorter than" "faster than" "cheaper than"
        "at most" "up to" "limited to" "limit" "budget" "under" "below" "within" "max" "maximum" "no more than" "no greater than"
        "not exceed" "not exceeding" "do not exceed" "doesn't exceed" "never exceed" "never exceeds"
        "cannot exceed" "can't exceed" "shouldn't exceed" "mustn't exceed" "won't exceed" "cap" "capped at" "<" "≤" "不超过" "不超" "不能超过" "不得超过" "不要超过" "别超过" "少于" "小于" "低于" "不高于"
        "不大于" "不多于" "最多" "至多" "最大" "最高" "上限" "预算" "控制在" "短于" "不长于" "快于" "限制在" "未超过" "最长";
    Limit(self::Limit::Lower) => "more than" "greater than" "larger than" "bigger than" "higher than" "better than" "at least" "over"
        "above" "exceeding" "from" "min" "minimum" "no less than" "no fewer than" "not less than" ">" "≥" "至少" "不少于" "不低于" "不小于" "大于" "高于" "多于" "超过" "最少"
        "最低" "最小" "下限" "达到" "reach" "reaches";
    Limit(self::Limit::Near) => "about" "around" "roughly" "approximately" "~" "≈" "大约" "大概" "约" "左右";
    Limit(self::Limit::Exact) => "exactly" "between" "=" "恰好" "正好" "等于" "介于";
    Late(self::Limit::Upper) => "or less" "or fewer" "or below" "or under" "or faster" "以内" "以下" "之内" "之下" "内" "封顶";
    Late(self::Limit::Lower) => "or more" "or above" "or better" "or higher" "以上" "之上" "起步";
    Scale(1_000) => "k" "thousand" "thousands" "千";
    Scale(10_000) => "万" "w";
    Scale(1_000_000) => "m" "mio" "mn" "million" "millions" "百万" "兆";
    Scale(10_000_000) => "千万";
    Scale(100_000_000) => "亿";
    Scale(1_000_000_000) => "b" "bn" "g" "billion" "billions" "十亿";
    Unit(Parameters, 1) => "parameter" "parameters" "param" "params" "参数" "参数量" "个参数" "参数数量" "总参数"
        "总参数量" "parameter count";
    Unit(Macs, 1) => "mac" "macs" "madds" "multiply accumulate" "multiply accumulates" "multiply adds" "multiply add"
        "multiply accumulate operations" "乘加" "乘加运算" "次乘加" "次乘加运算" "乘加次数";
    Unit(Macs, 1_000) => "kmac" "kmacs";
    Unit(Macs, 1_000_000) => "mmac" "mmacs" "mmadds";
    Unit(Macs, 1_000_000_000) => "gmac" "gmacs" "gmadds";
    Unit(Macs, 1_000_000_000_000) => "tmac" "tmacs";
    Unit(Flops, 1) => "flop" "flops" "浮点运算" "次浮点运算";
    Unit(Flops, 1_000_000) => "mflop" "mflops";
    Unit(Flops, 1_000_000_000) => "gflop" "gflops";
    Unit(Bytes, 1) => "byte" "bytes" "字节" "个字节";
    Unit(Bytes, 1_000) => "kb" "kilobyte" "kilobytes";
    Unit(Bytes, 1_000_000) => "mb" "megabyte" "megabytes" "兆字节";
    Unit(Bytes, 1_000_000_000) => "gb" "gigabyte" "gigabytes";
    Unit(Bytes, 1 << 10) => "kib" "kibibyte" "kibibytes";
    Unit(Bytes, 1 << 20) => "mib" "mebibyte" "mebibytes";
    Unit(Bytes, 1 << 30) => "gib" "gibibyte" "gibibytes";
    Unit(Time, 1) => "us" "µs" "microsecond" "microseconds" "微秒";
    Unit(Time, 1_000) => "ms" "msec" "millisecond" "milliseconds" "毫秒";
    Unit(Time, 1_000_000) => "s" "sec" "secs" "second" "seconds" "秒" "秒钟";
    Unit(Time, 60_000_000) => "mins" "minute" "minutes" "分钟";
    Unit(Time, 3_600_000_000) => "h" "hr" "hrs" "hour" "hours" "小时" "个小时";
    Unit(Energy, 1_000) => "mj" "millijoule" "millijoules" "毫焦" "毫焦耳";
    Unit(Energy, 1_000_000) => "j" "joule" "joules" "焦" "焦耳";
    Unit(Energy, 3_600_000_000) => "wh" "watt hour" "watt hours" "瓦时";
    Unit(Percent, 1) => "%" "percent" "per cent";
    Unit(Dollars, 1) => "$" "usd" "dollar" "dollars" "美元" "美金";
    Unit(Tokens, 1) => "token" "tokens" "个 token" "个 tokens" "令牌" "个令牌";
    Unit(Words, 1) => "word" "words" "个词" "词" "个单词" "单词";
    Unit(Captions, 1) => "caption" "captions" "种描述" "条描述" "句描述" "种不同描述" "条不同描述" "种不同的描述" "条不同的描述";
    Unit(Pixels, 1) => "pixel" "pixels" "px" "像素";
    Unit(Layers, 1) => "layer" "layers" "层" "decoder layers" "decoder layer" "解码层";
    Unit(Heads, 1) => "head" "heads" "attention heads" "个头" "个注意力头" "头";
    Topic(self::Topic::Trainable) => "trainable" "trained" "learnable" "可训练" "可训练的" "可学习" "可学习的";
    Topic(self::Topic::PerWord) => "per word" "per token" "each word" "each token" "for each word" "for each token" "a word" "a token" "/ word"
        "/ token" "per generated word" "每词" "每个词" "每生成一个词" "每个单词" "每个 token" "for one word";
    Topic(self::Topic::PerImage) => "per image" "per photo" "per picture" "each image" "for each image" "for an image" "an image" "a photo"
        "/ image" "每张图" "每张图片" "每幅图" "每图" "每张照片" "per caption" "for one caption" "for a caption" "each caption" "每条描述"
        "每次描述" "每张";
    Topic(self::Topic::Clause(C::WeightBytes)) => "of weights" "model size" "size on disk" "on disk" "download" "file size" "weight file" "模型大小" "模型文件"
        "权重" "权重文件" "模型体积" "体积" "weights file" "weight size";
    Topic(self::Topic::Clause(C::MemoryBytes)) => "memory" "ram" "of ram" "of memory" "peak memory" "memory use" "memory usage" "of gpu memory" "vram"
        "内存" "峰值内存" "运行内存" "内存占用";
    Topic(self::Topic::Clause(C::TrainingMemoryBytes)) => "training memory" "memory in training" "memory during training" "memory while training"
        "of memory during training" "of memory in training" "of ram in training" "of ram during training" "of memory while training" "训练内存" "训练时内存" "训练时的内存" "训练峰值内存" "training ram";
    Topic(self::Topic::Clause(C::LatencyP50)) => "latency" "median latency" "p50" "p50 latency" "latency p50" "response time" "inference time" "per photo latency"
        "延迟" "时延" "推理时间" "推理延迟" "中位延迟" "延迟中位数" "p50 延迟" "响应时间" "inference latency" "typical latency";
    Topic(self::Topic::Clause(C::LatencyP95)) => "p95" "p95 latency" "latency p95" "95th percentile latency" "latency at the 95th percentile" "95th percentile"
        "tail latency" "p95 延迟" "p95延迟" "延迟 p95" "95 分位延迟" "95 分位" "95 分位数" "第 95 百分位" "第 95 百分位延迟" "95% 分位延迟" "尾延迟" "at p95" "at the 95th percentile" "95% 的照片" "95% 的图片" "95% 的图像" "95% 的情况" "95% 的情况下" "95% 的请求";
    Topic(self::Topic::Training) => "training" "training time" "train" "to train" "of training" "for training" "per trial" "训练" "训练时间" "训练时长"
        "training a design" "train each design" "trains in" "to train each design" "during training" "while training" "when training" "in training"
        "at training time" "during the training" "训练时" "训练期间" "训练过程" "训练过程中" "训练中";
    Topic(self::Topic::Clause(C::EnergyJoules)) => "energy" "of energy" "energy use" "能耗" "耗能" "耗电" "电量" "能量";
    Topic(self::Topic::Clause(C::Bleu1)) => "bleu-1" "bleu1" "bleu 1" "bleu@1" "b-1";
    Topic(self::Topic::Clause(C::Bleu2)) => "bleu-2" "bleu2" "bleu 2" "bleu@2";
    Topic(self::Topic::Clause(C::Bleu3)) => "bleu-3" "bleu3" "bleu 3" "bleu@3";
    Topic(self::Topic::Clause(C::Bleu4)) => "bleu-4" "bleu4" "bleu 4" "bleu@4" "bleu" "bleu score";
    Topic(self::Topic::Clause(C::CiderD)) => "cider" "cider-d" "cider d" "ciderd";
    Topic(self::Topic::Clause(C::IdenticalShare)) => "identical captions" "same caption" "identical" "of identical captions" "of captions identical" "repeated captions"
        "of the captions identical" "相同描述" "相同的描述" "重复描述" "重复的描述" "描述重复率" "重复率";
    Topic(self::Topic::Clause(C::DistinctCaptions)) => "distinct captions" "different captions" "distinct" "unique captions" "不同描述" "不同的描述";
    Topic(self::Topic::Clause(C::MaxWords)) => "caption length" "words per caption" "words in a caption" "words a caption" "caption words" "captions of" "word captions" "words long"
        "描述长度" "句长" "每句" "每句描述";
    Topic(self::Topic::Clause(C::MaxVocab)) => "vocabulary" "vocab" "vocabulary size" "of vocabulary" "vocabulary of" "in the vocabulary" "words in the vocabulary" "词表"
        "词汇表" "词汇量" "词表大小" "vocabulary words";
    Topic(self::Topic::Clause(C::TokenBudget)) => "llm tokens" "of the language model" "for the language model" "language model tokens" "大模型" "语言模型" "llm" "by the language model" "from the language model" "tokens for the architect" "架构师";
    Topic(self::Topic::Clause(C::MoneyUsd)) => "cost" "spend" "money" "api" "api cost" "费用" "花费" "成本";
    Topic(self::Topic::Field("hidden")) => "hidden" "hidden size" "hidden width" "hidden units" "hidden dimension" "hidden state" "隐藏层宽度" "隐藏单元" "隐藏维度" "隐藏层维度" "隐藏状态";
    Topic(self::Topic::Field("embed")) => "embedding" "embeddings" "embedding size" "embedding width" "word embedding" "embedding dimension" "词嵌入" "嵌入维度" "词向量维度" "词向量";
    Topic(self::Topic::Field("dim")) => "dim" "model width" "model dimension" "d_model" "模型宽度" "模型维度";
    Topic(self::Topic::Field("layers")) => "number of layers" "depth" "层数" "解码器层数";
    Topic(self::Topic::Field("heads")) => "number of heads" "head count" "头数" "注意力头数";
    Topic(self::Topic::Field("dropout_pct")) => "dropout" "丢弃率" "随机失活";
    Topic(self::Topic::Field("lr")) => "learning rate" "lr" "学习率";
    Topic(self::Topic::Field("weight_decay")) => "weight decay" "权重衰减";
    Topic(self::Topic::Field("label_smoothing")) => "label smoothing" "标签平滑";
    Topic(self::Topic::Field("word_dropout_pct")) => "word dropout";
    Topic(self::Topic::Field("scheduled_sampling_pct")) => "scheduled sampling" "计划采样";
    Topic(self::Topic::Field("accumulate")) => "gradient accumulation" "accumulation steps" "梯度累积";
    Topic(self::Topic::Field("batch")) => "batch size" "batch" "批大小" "批量" "批次大小";
    Topic(self::Topic::ImageSize) => "image size" "image sizes" "images of" "input size" "input sizes" "resolution" "input resolution" "图像大小" "图片大小" "输入尺寸" "分辨率" "输入分辨率";
    Topic(self::Topic::Beam) => "beam" "beam width" "beam size" "beam search" "束宽" "束搜索" "beam 宽度";
    Topic(self::Topic::Epochs) => "epoch" "epochs" "training epochs" "轮" "训练轮数" "轮训练" "个 epoch";
    Topic(self::Topic::Trials) => "trial" "trials" "candidate" "candidates" "designs" "个候选" "个设计" "次试验" "个模型";
    Topic(self::Topic::Confidence) => "confidence" "confidence level" "with confidence" "sure" "置信度" "置信水平" "把握";
    Sense::Name(Family(crate::Family::Lstm)) => "lstm" "lstms" "长短期记忆" "长短期记忆网络";
    Sense::Name(Family(crate::Family::Gru)) => "gru" "grus" "门控循环单元";
    Sense::Name(Family(crate::Family::Transformer)) => "transformer" "transformers";
    Sense::Name(Family(crate::Family::Convolution)) => "convolutional decoder" "convolutional decoders" "卷积解码器";
    Sense::Name(Part("top_down")) => "top-down attention" "top down attention" "自顶向下注意力";
    Sense::Name(Part("multi_head")) => "multi-head attention" "multi head attention" "多头注意力";
    Sense::Name(Part("adaptive")) => "adaptive attention" "visual sentinel" "自适应注意力";
    Sense::Name(Part("highway")) => "highway layers" "highway connections";
    Sense::Name(Part("mobilenet_v2")) => "mobilenet";
    Sense::Name(Part("efficientnet_lite0")) => "efficientnet" "efficientnet lite" "efficientnet-lite";
    Sense::Name(Part("vit_b_16")) => "vit-b/16" "vit b/16";
    Sense::Name(Part("vit_b_32")) => "vit-b/32" "vit b/32";
    Sense::Name(Part("swin_t")) => "swin" "swin transformer";
    Sense::Name(Part("attention")) => "attention" "attention mechanism" "注意力" "注意力机制";
    Sense::Name(Part("additive")) => "additive attention" "bahdanau attention" "加性注意力";
    Sense::Name(Part("dot")) => "dot attention" "dot product attention" "luong attention" "点积注意力";
    Sense::Name(Part("se")) => "squeeze and excitation" "squeeze excitation" "se block" "se blocks" "se 模块";
    Sense::Name(Part("eca")) => "eca" "eca blocks";
    Sense::Name(Part("cbam")) => "cbam" "cbam blocks" "cbam 模块";
    Sense::Name(Part("coordinate")) => "coordinate attention" "坐标注意力";
    Sense::Name(Part("conv_next")) => "convnext" "convnext blocks" "convnext block";
    Sense::Name(Part("self_attention")) => "self attention" "self attention blocks" "self attention block" "自注意力模块";
    Sense::Name(Part("swiglu")) => "swiglu";
    Sense::Name(Part("rotary")) => "rope" "rotary" "rotary positions" "旋转位置编码";
    Sense::Name(Part("tied")) => "tied embeddings" "weight tying" "共享词嵌入";
    Sense::Name(Scratch) => "from scratch" "scratch" "training from scratch" "trained from scratch" "从头训练" "从零训练" "从头训练的编码器" "encoders from scratch";
    Sense::Name(Licence("MIT")) => "mit" "mit licence" "mit license" "mit 许可" "mit 许可证";
    Sense::Name(Licence("Apache-2.0")) => "apache" "apache-2.0" "apache 2.0" "apache licence" "apache license" "apache-2.0 许可";
    Sense::Name(Licence("BSD-3-Clause")) => "bsd" "bsd-3" "bsd-3-clause" "bsd 3 clause" "bsd-3-clause 许可";
    Sense::Name(Licence("CC0-1.0")) => "cc0" "cc0-1.0" "public domain" "公有领域";
    Sense::Name(Licence("CC-BY-4.0")) => "cc by" "cc by 4.0" "cc-by-4.0" "cc by-4.0" "creative commons attribution";
    Not => "no" "not" "non" "without" "never" "neither" "nor" "except" "avoid" "avoiding" "excluding" "don't" "dont" "do not" "don't use" "instead of"
        "rather than" "other than" "anything but" "forbid" "forbidden" "ban" "banned" "prohibited" "disallowed" "excluded" "cannot" "can't"
        "exclude" "excludes" "omit" "omitting" "leave out" "leaving out" "free of" "w/o" "disallow" "prohibit" "except for" "apart from" "aside from"
        "with the exception of" "doesn't" "shouldn't" "mustn't" "isn't" "aren't" "won't" "wouldn't" "不要" "不用" "不使用" "别用" "禁止" "禁用" "避免" "不带" "不含" "没有" "无" "除了" "而不是" "不能用" "不" "不允许" "除" "排除" "去掉" "去除" "不包括" "不包含" "除外";
    Maybe => "with or without" "with and without" "with/without" "optional" "optionally" "可有可无" "可选" "可选的" "带或不带" "带不带" "有没有" "有无" "用不用";
    Only => "only" "just" "pure" "solely" "只用" "仅用" "只要" "只" "仅" "只能用" "仅限" "只使用" "只允许";
    Must => "must have" "must use" "must include" "has to use" "require" "requires" "with" "using" "use" "必须用" "必须有" "必须使用" "要有" "使用" "采用" "用" "带" "带有" "需要有" "want" "including" "包含" "必须带";
    Encoder => "encoder" "encoders" "backbone" "backbones" "vision" "编码器" "主干" "主干网络" "骨干网络" "视觉";
    OfData => "data licences" "data licenses" "data licence" "data license" "data under" "dataset licence" "dataset license" "data licensed" "训练数据许可" "数据许可" "数据许可证" "数据集许可" "datasets under" "data sets under";
    OfWeights => "weights licences" "weights licenses" "weight licences" "weight licenses" "weights licensed" "weights under" "licence" "license" "licensed" "licences" "licenses" "许可证"
        "许可" "权重许可" "权重许可证" "许可协议" "pretrained weights under" "weights licence" "weights license";
    Join => "of" "a" "an" "the" "is" "are" "be" "must" "should" "stay" "count" "number" ":" "to" "in" "at" "must be" "should be" "must stay" "should stay" "in total" "total"
        "overall" "model" "的" "为" "是" "在" "要" "应" "需" "须" "必须" "应该" "希望" "需要" "保持" "总共" "总" "一共" "到" "has" "take" "takes" "taking" "have" "with a" "with an" "keep" "its" "it" "time" "score" "分数" "得分" "值" "每个" "个" "for" "on" "模型" "the model" "一个" "且" "runs" "finish" "finishes" "set" "can" "may" "using at";
    List => "or" "and" "," "/" "&" "和" "或" "或者" "以及" "、" "，" "与" "及";
    Best(crate::Merit::ParamsTotal) => "as small as possible" "smallest possible" "smallest" "as few parameters as possible" "fewest parameters" "尽可能小" "越小越好" "尽量小";
    Best(crate::Merit::MacsImage) => "as fast as possible" "fastest" "fastest possible" "尽可能快" "越快越好" "尽量快";
    Best(crate::Merit::Bleu4) => "as accurate as possible" "best quality" "highest quality" "best possible" "best bleu" "质量最好" "尽可能准确" "越准越好" "质量越高越好";
}

/// A phrase of the request with its meaning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub sense: Sense,
    /// Tokens that it spans.
    pub tokens: usize,
}

type Entry = (Vec<String>, Sense);

fn entries() -> &'static HashMap<String, Vec<Entry>> {
    static ENTRIES: OnceLock<HashMap<String, Vec<Entry>>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let mut map = HashMap::<String, Vec<Entry>>::new();
        let mut add = |phrase: &str, sense| {
            let words: Vec<String> = tokens::tokens(phrase).into_iter().map(|t| t.text).collect();
            map.entry(words[0].clone()).or_default().push((words, sense));
        };
        PHRASES.iter().for_each(|(phrase, sense)| add(phrase, *sense));
        let p95 = Sense::Topic(self::Topic::Clause(C::LatencyP95));
        most_cases().iter().for_each(|phrase| add(phrase, p95));
        for name in BACKBONES {
            spellings(name).iter().for_each(|way| add(way, Sense::Name(Name::Part(name))));
        }
        map.values_mut().for_each(|list| list.sort_by_key(|(words, _)| std::cmp::Reverse(words.len())));
        map
    })
}

/// "in 95 % of cases", "for 95 percent of the photos" and the like, which are what the 95th percentile is.
fn most_cases() -> Vec<String> {
    let mut all = Vec::new();
    for lead in ["", "for ", "in ", "on ", "at "] {
        for percent in ["%", "percent"] {
            for of in ["of", "of the", "of all"] {
                for cases in ["cases", "time", "photos", "images", "pictures", "requests"] {
                    all.push(format!("{lead}95 {percent} {of} {cases}"));
                }
            }
        }
    }
    all
}

/// The longest phrase that starts with the first of these tokens.
pub(super) fn longest(tokens: &[Token]) -> Option<Match> {
    let list = entries().get(&tokens.first()?.text)?;
    let fits = |words: &[String]| {
        words.len() <= tokens.len() && words.iter().zip(tokens).all(|(word, token)| *word == token.text)
    };
    list.iter()
        .find(|(words, _)| fits(words))
        .map(|(words, sense)| Match { sense: *sense, tokens: words.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_phrase_has_two_meanings() {
        let mut twice = Vec::new();
        for list in entries().values() {
            for (i, (words, sense)) in list.iter().enumerate() {
                twice.extend(
                    list[i + 1..].iter().filter(|(other, meaning)| other == words && meaning != sense),
                );
            }
        }
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn the_longest_phrase_wins_in_both_languages() {
        let sense = |text| longest(&tokens::tokens(text)).map(|m| (m.sense, m.tokens));
        assert_eq!(sense("no more than 5"), Some((Limit(self::Limit::Upper), 3)));
        assert_eq!(sense("不超过500"), Some((Limit(self::Limit::Upper), 3)));
        assert_eq!(sense("不用"), Some((Not, 2)));
        assert_eq!(
            sense("95th percentile latency").map(|s| s.0),
            Some(Topic(self::Topic::Clause(C::LatencyP95)))
        );
        assert_eq!(sense("gizmo"), None);
    }
}
