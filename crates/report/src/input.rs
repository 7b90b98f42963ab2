//! What a report is made from.

use std::collections::HashSet;
use std::path::PathBuf;

use capwright_caption_metrics::ScoreOptions;

use crate::error::{Problem, ReportError};

/// Most models on one page: as many as there are colours that can be told apart.
pub const MAX_MODELS: usize = 8;

/// Everything that a page tells.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The heading of the page.
    pub title: String,
    /// The images, at least one.
    pub images: Vec<Image>,
    /// The models, 1 to [`MAX_MODELS`]. The others are compared with the first, whose scores choose the examples.
    pub models: Vec<Model>,
    /// Captions that the models were trained on, to tell which of their captions are new; may be empty.
    pub training: Vec<String>,
    /// Licences of data, weights and programs; may be empty.
    pub licences: Vec<Licence>,
    /// Where the figures come from, as name and value: machine, date, fingerprint of the data, split, decoding, versions.
    pub provenance: Vec<(String, String)>,
    /// How scores are computed.
    pub options: ReportOptions,
}

/// An image with its reference captions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Names the image on the page; no two images have the same.
    pub id: String,
    /// The file (JPEG, PNG, WebP or GIF), of which a small copy without metadata goes into the page.
    pub path: Option<PathBuf>,
    /// Captions by people, at least one.
    pub references: Vec<String>,
}

/// A model with its captions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// Names the model on the page; no two models have the same.
    pub name: String,
    /// One caption for each image, in the order of [`Report::images`].
    pub captions: Vec<String>,
}

/// A row of the table of licences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Licence {
    /// What is licensed, such as `Flickr8k images` or `ResNet-18 weights`.
    pub what: String,
    /// The licence, such as `CC-BY-4.0`.
    pub licence: String,
}

/// How scores are computed.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Intervals and METEOR's word lists. The seed is that of the paired tests too.
    pub score: ScoreOptions,
    /// Drawn swaps of a paired test; up to 14 images, all swaps are counted.
    pub swaps: usize,
}

impl Default for ReportOptions {
    /// The options of [`ScoreOptions`], and 1,000 swaps.
    fn default() -> Self {
        Self { score: ScoreOptions::default(), swaps: 1_000 }
    }
}

impl Report {
    /// All that is wrong with the input.
    pub(crate) fn check(&self) -> Result<(), ReportError> {
        let mut problems = Vec::new();
        if self.images.is_empty() {
            problems.push(Problem::NoImages);
        }
        if !(1..=MAX_MODELS).contains(&self.models.len()) {
            problems.push(Problem::Models(self.models.len()));
        }
        let mut ids = HashSet::new();
        for image in &self.images {
            if !ids.insert(&image.id) {
                problems.push(Problem::SameImage(image.id.clone()));
            }
            if image.references.is_empty() {
                problems.push(Problem::NoReferences(image.id.clone()));
            }
        }
        let mut names = HashSet::new();
        for Model { name, captions } in &self.models {
            if !names.insert(name) {
                problems.push(Problem::SameModel(name.clone()));
            }
            if captions.len() != self.images.len() {
                let (captions, images) = (captions.len(), self.images.len());
                problems.push(Problem::Captions { model: name.clone(), captions, images });
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(ReportError::Input(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_told_at_once() {
        let image = |id: &str, references: &[&str]| Image {
            id: id.into(),
            path: None,
            references: references.iter().map(|r| r.to_string()).collect(),
        };
        let model =
            |name: &str, captions: usize| Model { name: name.into(), captions: vec!["a".into(); captions] };
        let report = Report {
            images: vec![image("1", &["a"]), image("1", &[])],
            models: vec![model("m", 2), model("m", 3)],
            ..Report::default()
        };
        let Err(ReportError::Input(problems)) = report.check() else { panic!("no problems") };
        let expected = [
            Problem::SameImage("1".into()),
            Problem::NoReferences("1".into()),
            Problem::SameModel("m".into()),
            Problem::Captions { model: "m".into(), captions: 3, images: 2 },
        ];
        assert_eq!(problems, expected);
        let Err(ReportError::Input(problems)) = Report::default().check() else { panic!("no problems") };
        assert_eq!(problems, [Problem::NoImages, Problem::Models(0)]);
    }

    #[test]
    fn long_lists_of_problems_are_cut_in_the_message() {
        let image = Image { id: "1".into(), ..Image::default() };
        let model = Model { name: "m".into(), captions: vec![String::new(); 50] };
        let report = Report { images: vec![image; 50], models: vec![model], ..Report::default() };
        let message = report.check().unwrap_err().to_string();
        assert!(message.starts_with("99 problems"), "{message}");
        assert_eq!(message.lines().count(), 1 + 20 + 1, "{message}");
    }
}
