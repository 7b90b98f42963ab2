//! Changes of a design that a model may choose from: delta proposals and repairs. Each is known to fit before it is offered.

use crate::judge::Judge;
use capwright_blueprint::change::{Change, changes};
use capwright_blueprint::schema::{language, validate};
use capwright_study::{Study, Verdict};
use serde_json::{Value, json};

/// Some changes of one design, made together.
#[derive(Debug, Clone, PartialEq)]
struct Choice {
    label: String,
    changes: Vec<Change>,
}

/// A menu of changes of one design.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    design: Value,
    options: Vec<Choice>,
    /// Options that may be chosen at once.
    most: usize,
}

/// Where no single change mends a design, that many first ones are followed, and none over more steps than that.
const DESCENTS: usize = 8;
const STEPS: usize = 6;

impl Delta {
    /// Changes that make a design which is not admitted one that is, each alone or, where none does, a few together. `None` where
    /// the text is no design, or nothing helps.
    pub fn mending(text: &str, judge: &Judge, study: &Study, shown: usize) -> Option<Self> {
        let design: Value = serde_json::from_str(text).ok()?;
        if !validate(&design, language()).is_empty() {
            return None;
        }
        let ranked = ranked(&design, judge, study);
        let mending = ranked.iter().take_while(|(wrong, _)| *wrong == 0.0);
        let mut sets: Vec<Vec<Change>> = mending.map(|(_, change)| vec![change.clone()]).collect();
        if sets.is_empty() {
            sets = descents(&design, ranked, judge, study);
        }
        let options = spread(sets, shown);
        (!options.is_empty()).then_some(Self { design, options, most: 1 })
    }

    /// Changes of a design of the study, each of which gives a new one that fits; `most` of them may be chosen at once.
    pub fn varying(design: Value, schema: &Value, judge: &Judge, study: &Study, most: usize) -> Option<Self> {
        let fits = |change: &Change| judge.judge(&changed(&design, change), study).admitted.is_some();
        let fitting = changes(&design, schema).into_iter().filter(fits);
        let options = spread(fitting.map(|change| vec![change]).collect(), usize::MAX);
        (!options.is_empty()).then_some(Self { design, options, most })
    }

    /// The design, as compact JSON.
    pub fn design(&self) -> String {
        self.design.to_string()
    }

    /// The changes in words.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|option| option.label.as_str())
    }

    /// Changes that may be chosen at once.
    pub fn most(&self) -> usize {
        self.most
    }

    /// What an answer must follow.
    pub fn schema(&self) -> Value {
        let labels: Vec<&str> = self.labels().collect();
        // A model that may add fields of its own writes them until it is stopped.
        json!({ "type": "object", "required": ["edits"], "additionalProperties": false, "properties": { "edits":
            { "type": "array", "minItems": 1, "maxItems": self.most, "items": { "enum": labels } } } })
    }

    /// The design with the changes of an answer; `None` where it is no answer under the schema.
    pub fn apply(&self, answer: &str) -> Option<String> {
        let answer: Value = serde_json::from_str(answer).ok()?;
        let chosen = answer.get("edits")?.as_array()?;
        if chosen.is_empty() || chosen.len() > self.most {
            return None;
        }
        let mut design = self.design.clone();
        let mut places: Vec<&str> = Vec::new();
        for label in chosen {
            let choice = self.options.iter().find(|choice| Some(choice.label.as_str()) == label.as_str())?;
            let own = || choice.changes.iter().map(Change::at);
            // A second choice of one place was listed for what the first has replaced.
            if own().all(|at| places.iter().all(|place| !touches(place, at))) {
                choice.changes.iter().for_each(|change| change.apply(&mut design));
                places.extend(own());
            }
        }
        Some(design.to_string())
    }
}

/// Whether one place lies in the other, or both in one list, whose places move when an item is dropped.
fn touches(a: &str, b: &str) -> bool {
    let inside = |a: &str, b: &str| b == a || b.strip_prefix(a).is_some_and(|rest| rest.starts_with('/'));
    let list = |at: &str| at.split('/').position(|part| part.parse::<usize>().is_ok());
    let same_list = match (list(a), list(b)) {
        (Some(i), Some(j)) => i == j && a.split('/').take(i).eq(b.split('/').take(j)),
        _ => false,
    };
    inside(a, b) || inside(b, a) || same_list
}

fn changed(design: &Value, change: &Change) -> String {
    let mut design = design.clone();
    change.apply(&mut design);
    design.to_string()
}

/// The changes of a design with what each leaves to be mended, least first.
fn ranked(design: &Value, judge: &Judge, study: &Study) -> Vec<(f64, Change)> {
    let after = |change: Change| (left(&changed(design, &change), judge, study), change);
    let mut all: Vec<(f64, Change)> = changes(design, language()).into_iter().map(after).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

/// Sets of changes that mend a design together: from each of the first changes, step by step the one that leaves least.
fn descents(design: &Value, first: Vec<(f64, Change)>, judge: &Judge, study: &Study) -> Vec<Vec<Change>> {
    let mut found = Vec::new();
    for (mut wrong, first) in first.into_iter().take(DESCENTS) {
        let (mut set, mut now) = (vec![first], design.clone());
        set[0].apply(&mut now);
        while wrong > 0.0 && set.len() < STEPS {
            let best = ranked(&now, judge, study).into_iter().next();
            let Some((less, next)) = best.filter(|best| best.0 < wrong) else { break };
            next.apply(&mut now);
            set.push(next);
            wrong = less;
        }
        if wrong == 0.0 {
            found.push(set);
        }
    }
    found
}

/// How much is wrong with a text: problems, and by what factor each budget is missed.
fn left(text: &str, judge: &Judge, study: &Study) -> f64 {
    match judge.judge(text, study).verdict {
        Verdict::Unreadable { diagnostics } | Verdict::Rejected { diagnostics } => {
            // Costs are known only of what fits together.
            100.0 * diagnostics.len() as f64
        }
        Verdict::Violates { violations } => violations
            .iter()
            .map(|v| match (v.value.parse::<f64>(), v.bound.parse::<f64>()) {
                (Ok(value), Ok(bound)) if bound > 0.0 && value > bound => value / bound,
                _ => 2.0,
            })
            .sum(),
        Verdict::Duplicate { .. } => 1.0,
        Verdict::Admitted { .. } => 0.0,
    }
}

/// At most `shown` sets, taken in turn from all places that can be changed, the nearest changes of each first.
fn spread(sets: Vec<Vec<Change>>, shown: usize) -> Vec<Choice> {
    let mut by_place: Vec<(String, Vec<Choice>)> = Vec::new();
    for changes in sets {
        let place = changes.iter().map(Change::at).collect::<Vec<_>>().join(" ");
        let label = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let option = Choice { label, changes };
        match by_place.iter_mut().find(|(known, _)| *known == place) {
            Some((_, options)) => options.push(option),
            None => by_place.push((place, vec![option])),
        }
    }
    let deepest = by_place.iter().map(|(_, options)| options.len()).max().unwrap_or(0);
    let turns = (0..deepest).flat_map(|i| by_place.iter().filter_map(move |(_, options)| options.get(i)));
    turns.take(shown).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_each_other_or_in_one_list_touch() {
        for (a, b, wanted) in [
            ("/decoder/hidden", "/decoder/hidden", true),
            ("/decoder", "/decoder/hidden", true),
            ("/decoder/hidden", "/decoder/hid", false),
            ("/encoder/blocks/0", "/encoder/blocks/2/out", true),
            ("/encoder/blocks/0", "/encoder/source/stages/0", false),
        ] {
            assert_eq!((touches(a, b), touches(b, a)), (wanted, wanted), "{a} {b}");
        }
    }

    #[test]
    fn an_answer_makes_the_changes_that_it_names() {
        let design = json!({ "encoder": { "input": 96 }, "decoder": { "hidden": 64, "embeddings": "tied" } });
        let schema = json!({ "type": "object", "required": ["encoder", "decoder"], "properties": {
            "encoder": { "type": "object", "required": ["input"], "properties": { "input": { "enum": [64, 96] } } },
            "decoder": { "type": "object", "required": ["hidden"], "properties": {
                "hidden": { "enum": [64, 128, 256] }, "embeddings": { "enum": ["separate", "tied"] } } } } });
        let single = changes(&design, &schema).into_iter().map(|change| vec![change]).collect();
        let delta = Delta { design, options: spread(single, usize::MAX), most: 2 };
        let labels: Vec<&str> = delta.labels().collect();
        // The nearest of each place first, places in turn.
        assert_eq!(labels[..3], ["encoder.input = 64", "decoder.hidden = 128", "without decoder.embeddings"]);
        let apply = |answer: &str| {
            delta.apply(answer).map(|text| serde_json::from_str::<Value>(&text).expect("JSON"))
        };
        let both = apply(r#"{"edits":["decoder.hidden = 256","without decoder.embeddings"]}"#);
        assert_eq!(both, Some(json!({ "encoder": { "input": 96 }, "decoder": { "hidden": 256 } })));
        // Of two changes of one place the first counts.
        let twice = apply(r#"{"edits":["decoder.hidden = 256","decoder.hidden = 128"]}"#);
        assert_eq!(twice.expect("an answer")["decoder"]["hidden"], 256);
        for bad in ["{}", "no", r#"{"edits":[]}"#, r#"{"edits":["decoder.hidden = 7"]}"#, r#"{"edits":[1]}"#]
        {
            assert_eq!(apply(bad), None, "{bad}");
        }
    }
}
