use super::*;
use crate::cli::{Cli, Command, SelectArg};
use capwright_contract::{Family, Merit};
use clap::Parser;

#[test]
fn two_first_runs_at_once_use_one_set_of_scenes() {
    let home = tempfile::tempdir().expect("a folder");
    let (dir, scenes) = (home.path().join("scenes"), SceneOptions { train: 40, val: 4, test: 4, ..SCENES });
    let together = std::sync::Barrier::new(4);
    let run = || {
        together.wait();
        drawn_once(&dir, &scenes)
    };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        runs.into_iter().for_each(|done| done.join().expect("no panic").expect("scenes"));
    });
    assert_eq!(load(&dir).expect("a data set").images().len(), 48);
    assert_eq!(fs::read_dir(home.path()).expect("a folder").count(), 1, "nothing else is left");
}

#[test]
fn backbones_that_a_person_named_are_told_from_the_usual_ones() {
    let chosen = |flags: &[&str], toml: &str| {
        let mut contract = Contract::from_toml(&format!("version = 1\n{toml}")).expect("a contract");
        let flags: Vec<String> = flags.iter().map(|name| (*name).to_owned()).collect();
        backbone_names(&flags, &mut contract.components).expect("they are in the zoo")
    };
    let usual = chosen(&[], "");
    assert_eq!((usual.names.len(), usual.named.len()), (USUAL.len(), 0));
    let required = chosen(&[], "[components]\nrequired = [\"resnet50\"]");
    assert_eq!((required.names.len(), required.named), (USUAL.len() + 1, vec!["resnet50".to_owned()]));
    let listed = "[components]\nbackbones = [\"vgg16\"]";
    let cases: [(&[&str], &str); 2] = [(&[], "vgg16"), (&["resnet50"], "resnet50")];
    for (flags, name) in cases {
        let chosen = chosen(flags, listed);
        assert_eq!((chosen.names, chosen.named), (vec![name.to_owned()], vec![name.to_owned()]));
    }
}

/// What request, file and flags of a search ask for.
fn asked(request: &str, file: Option<&str>, flags: &[&str]) -> Result<(Contract, RunArgs), Failure> {
    let home = tempfile::tempdir().expect("a folder");
    let path = home.path().join("c.toml");
    let mut line = vec!["capwright".to_owned(), "search".to_owned(), request.to_owned()];
    if let Some(toml) = file {
        fs::write(&path, format!("version = 1\n{toml}")).expect("writable");
        line.extend(["--contract".to_owned(), path.display().to_string()]);
    }
    line.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let Command::Search(args) = Cli::parse_from(line).command else { panic!("it is a search") };
    wanted(&args)
}

/// The epochs of a search without data, as request and file have them.
fn epochs(request: &str, file: Option<&str>) -> u32 {
    let (mut contract, run) = asked(request, file, &[]).expect("a contract");
    let drawn = named_data(&contract, &run).is_none();
    settle(&mut contract, &run, drawn);
    contract.training.epochs
}

#[test]
fn epochs_that_were_said_hold_also_where_they_are_the_default() {
    assert_eq!(epochs("a small captioner", None), SCENES_EPOCHS);
    assert_eq!(epochs("a small captioner, 6 epochs", None), 6);
    assert_eq!(epochs("small", Some("[training]\npatience = 2")), SCENES_EPOCHS);
    assert_eq!(epochs("small", Some("[training]\nepochs = 6")), 6);
    assert_eq!(epochs("a small captioner, 6 epochs", Some("[training]\nepochs = 9")), 6);
}

#[test]
fn flags_add_to_what_is_asked_and_loosen_nothing() {
    let all =
        |request: &str, toml: &str, flags: &[&str]| asked(request, Some(toml), flags).expect("a contract").0;
    let file = "[budgets]\nmacs_image = 1000\n[search]\ntoken_budget = 50";
    for (flag, macs) in [("9000", 1000), ("900", 900)] {
        assert_eq!(all("", file, &["--max-macs", flag]).budgets.macs_image, Some(macs));
    }
    for (flag, tokens) in [("90", 50), ("9", 9)] {
        assert_eq!(all("", file, &["--token-budget", flag]).search.token_budget, Some(tokens));
    }
    assert_eq!(all("", "", &["--max-macs", "9000"]).budgets.macs_image, Some(9000));

    let file = "[components]\nfamilies = [\"lstm\", \"gru\"]\nimage_sizes = [64, 96]";
    let flags = ["--family", "transformer", "--family", "GRU", "--image-size", "96", "--image-size", "128"];
    let parts = all("", file, &flags).components;
    assert_eq!((parts.families, parts.image_sizes), (vec![Family::Gru], vec![96]));
    assert_eq!(all("", "", &["--image-size", "32"]).components.image_sizes, [32]);
}

#[test]
fn flags_that_leave_nothing_are_refused_with_both_sides() {
    let refused = |request: &str, file: Option<&str>, flags: &[&str]| {
        asked(request, file, flags).expect_err("nothing is left").to_string()
    };
    let said = refused("a transformer without attention", None, &["--family", "gru"]);
    assert!(said.contains("request allow Transformer") && said.contains("--family allows GRU"), "{said}");
    let file = "[components]\nfamilies = [\"transformer\"]\nimage_sizes = [64, 96]";
    let said = refused("small", Some(file), &["--family", "lstm"]);
    assert!(said.contains("contract and request allow Transformer"), "{said}");
    let said = refused("small", Some(file), &["--image-size", "224"]);
    assert!(said.contains("allow 64, 96") && said.contains("--image-size allows 224"), "{said}");
    let said = refused("small", None, &["--family", "grue"]);
    assert!(said.contains("no decoder family \"grue\""), "{said}");
}

#[test]
fn words_are_not_counted_where_pieces_are_learned() {
    let pieces = Some("[data]\npieces = 300");
    let refused = asked("small", pieces, &["--min-count", "3"]).expect_err("it would be dropped").to_string();
    assert!(refused.contains("--min-count") && refused.contains("300 word pieces"), "{refused}");
    assert!(asked("small", pieces, &["--pieces", "400"]).is_ok());
    assert!(asked("small", Some(""), &["--min-count", "3"]).is_ok());
}

#[test]
fn settings_of_a_request_hold_over_those_of_a_file() {
    let file = "version = 1\n[search]\ntrials = 12\n[decoding]\nbeam = 5\nmax_words = 30";
    let file = Contract::from_toml(file).expect("a contract");
    let asked = understood("6 trials, beam width 3, captions of at most 20 words").expect("a request");
    let all = with_request(&file, &asked).expect("a contract");
    assert_eq!((all.search.trials, all.decoding.beam, all.decoding.max_words), (6, 3, 20));
    let silent = with_request(&file, &understood("a GRU").expect("a request")).expect("a contract");
    assert_eq!((silent.search.trials, silent.decoding), (12, file.decoding));
}

#[test]
fn a_chosen_score_takes_the_place_of_others_and_costs_stay() {
    let ranked = |list: &str, score| {
        let mut contract = Contract::from_toml(&format!("version = 1\n{list}")).expect("a contract");
        select(&mut contract, Some(score));
        contract.objectives.iter().map(|objective| (objective.merit, objective.within)).collect::<Vec<_>>()
    };
    let [bleu, cider, cost] = [
        "merit = \"bleu4\"\nwithin = 0.01",
        "merit = \"cider_d\"\nwithin = 0.02",
        "merit = \"params_total\"",
    ]
    .map(|fields| format!("[[objectives]]\n{fields}\n"));
    let front = format!("{bleu}{cost}");
    assert_eq!(ranked(&front, SelectArg::CiderD), [(Merit::CiderD, 0.0), (Merit::ParamsTotal, 0.0)]);
    assert_eq!(ranked(&front, SelectArg::Bleu4), [(Merit::Bleu4, 0.01), (Merit::ParamsTotal, 0.0)]);
    let cost_first = format!("{cost}{bleu}{cider}");
    assert_eq!(ranked(&cost_first, SelectArg::CiderD), [(Merit::ParamsTotal, 0.0), (Merit::CiderD, 0.02)]);
    assert_eq!(ranked("", SelectArg::CiderD), [(Merit::CiderD, 0.0)]);
}
