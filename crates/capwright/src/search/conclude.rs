//! What a study came to, as it is told at its end.

use super::Done;
use crate::failure::Failure;
use crate::{say, setup, study, train};
use capwright_caption_data::{Dataset, ImageRecord, Split};
use capwright_pipeline::note_test;
use capwright_study::{AuthorStats, Scores, Study, Trial};
use capwright_train::Captioner;

/// Captions shown at the end of a search.
const SHOWN: usize = 5;

/// Scores the best model on the test split, and says what a study came to.
pub fn conclude(done: &Done, json: bool) -> Result<(), Failure> {
    let test = test_scores(done)?;
    study::print(&done.outcome.study, json)?;
    if !json {
        say_all(done, test);
    }
    all_admitted(done)
}

/// Scores the best model on the test split, which nothing was chosen on, and writes that into its card.
fn test_scores(Done { folder, outcome }: &Done) -> Result<Option<Scores>, Failure> {
    if outcome.best.is_none() {
        return Ok(None);
    }
    let contract = outcome.study.contract();
    let data = Dataset::load(&contract.data.dir).map_err(Failure::input)?;
    let images: Vec<ImageRecord> = data.records(Split::Test).cloned().collect();
    if images.is_empty() {
        return Ok(None);
    }
    tell!("the best model is scored on {} test images", images.len());
    let model = Captioner::load(folder.best()).map_err(Failure::input)?;
    let scores = model.evaluate(&images, contract.decoding).map_err(Failure::input)?.scores;
    note_test(folder, &scores).map_err(|error| Failure::file(&folder.best(), error))?;
    Ok(Some(scores))
}

/// What people want to know beside the leaderboard.
fn say_all(Done { folder, outcome }: &Done, test: Option<Scores>) {
    let tokens = outcome.study.tokens();
    say(format!("\nlanguage model: {} tokens read, {} written", tokens.prompt, tokens.completion));
    let Some(best) = outcome.best else {
        say(unranked(&outcome.study));
        return;
    };
    let run = outcome.study.best_run(best);
    if let Some(result) = outcome.study.run(run).and_then(Trial::result) {
        say(format!("\nvalidation captions of trial {run}:"));
        for sample in result.samples.iter().take(SHOWN) {
            say(format!("  {}: {}", sample.image, sample.caption));
            if let Some(reference) = sample.references.first() {
                say(format!("  {:width$}  (a person: {reference})", "", width = sample.image.len()));
            }
        }
    }
    if let Some(Scores { bleu, cider_d, images, .. }) = test {
        say(format!(
            "\ntest split, {images} images on which nothing was chosen: BLEU-4 {:.4}, CIDEr-D {cider_d:.4}",
            bleu[3]
        ));
    }
    if let Some(forecast) = outcome.study.forecast() {
        say(format!(
            "\n{} designs were predicted before they were trained: rank correlation {:.2} with what they scored",
            forecast.designs.len(),
            forecast.rank_correlation
        ));
    }
    let path = folder.best();
    say(format!("\nbest model: {}\ntry: capwright caption {} PHOTO", path.display(), path.display()));
    say(format!("all that was tried: capwright study report {}", folder.root().display()));
    let contract = outcome.study.contract();
    if contract.search.finalists.is_none() && outcome.study.trials.len() > 1 {
        say(
            "ranked by one run each, which luck decides too: --finalists trains the best again from other seeds",
        );
    }
    if !contract.limits.is_empty() || !contract.floors.is_empty() {
        say(format!("its limits and floors are not measured yet: capwright verify {}", path.display()));
    }
}

/// Why no design is ranked.
fn unranked(study: &Study) -> &'static str {
    if study.trials.is_empty() {
        "no design was trained: none that was proposed was admitted"
    } else {
        "no design is ranked: every trial failed or collapsed"
    }
}

/// Fails where a person's own designs were refused; what was not is trained all the same.
fn all_admitted(Done { folder, outcome }: &Done) -> Result<(), Failure> {
    if !setup::chosen_architect(&outcome.study).starts_with(train::GIVEN) {
        return Ok(());
    }
    let of = |author: &AuthorStats| author.unreadable + author.rejected + author.violating;
    match outcome.study.authors.values().map(of).sum::<u64>() {
        0 => Ok(()),
        refused => {
            let all = outcome.study.proposals.len();
            Err(Failure::unmet(format!("{refused} of {all} designs do not keep the contract"))
                .help(format!("capwright study report {} tells why", folder.root().display())))
        }
    }
}
