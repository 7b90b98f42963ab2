//! Pages about drawn scenes and about text that wants to be markup.

mod common;

use std::path::PathBuf;

use capwright_caption_metrics::Tokenizer;
use capwright_report::{Image, Licence, Model, Problem, Report, ReportError, render, write};
use proptest::prelude::*;

/// A report in which every text is `text`, as far as texts may be equal.
fn report_of(text: &str) -> Report {
    let captions = |extra: &str| vec![format!("{text}{extra}"), text.to_owned()];
    let image = |number: usize| Image {
        id: format!("{text}{number}"),
        path: Some(PathBuf::from(text.replace('\0', ""))),
        references: captions(" one"),
    };
    Report {
        title: text.into(),
        images: vec![image(0), image(1)],
        models: vec![
            Model { name: format!("{text}a"), captions: captions(" shit") },
            Model { name: format!("{text}b"), captions: captions(" man") },
        ],
        training: vec![text.into()],
        licences: vec![Licence { what: text.into(), licence: text.into() }],
        provenance: vec![(text.into(), text.into())],
        ..Report::default()
    }
}

/// The tags of a page in their order, without attributes. Panics where a tag is not closed, or has an attribute that is
/// not quoted.
fn tags(page: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let (mut end, mut quoted) = (None, false);
        for (at, c) in rest[start..].char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = Some(start + at);
                    break;
                }
                _ => {}
            }
        }
        let tag = &rest[start + 1..end.expect("a closed tag")];
        tags.push(tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or("").to_owned());
        rest = &rest[end.unwrap_or(start) + 1..];
    }
    tags
}

fn count(page: &str, part: &str) -> usize {
    page.matches(part).count()
}

#[test]
fn a_page_about_scenes_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let report = common::report_on_scenes(&folder.path().join("scenes"), 40).unwrap();
    let page = render(&report).unwrap();
    for id in ["scores", "comparison", "captions", "examples", "responsible", "provenance"] {
        assert_eq!(count(&page, &format!("<section id=\"{id}\">")), 1, "{id}");
        assert_eq!(count(&page, &format!("href=\"#{id}\"")), 1, "{id}");
    }
    // 16 pictures; 9 panels of intervals and two histograms of two models.
    assert_eq!(count(&page, "<img src=\"data:image/jpeg;base64,"), 16);
    assert_eq!(count(&page, "<svg role=\"img\""), 9 + 4);
    assert_eq!(count(&page, "<article class=\"card\">"), 16);
    // The first model is better in all nine rows, and surely so.
    assert_eq!(count(&page, "<strong class=\"best\">"), 9 + 1);
    assert_eq!(count(&page, "p = 0.001"), 9);
    assert!(page.contains("METEOR (exact, stem)") && page.contains("MIT OR Apache-2.0"));
    assert!(page.contains("No caption and no reference has a word from the lists of gendered words"));
    assert!(!page.contains("class=\"warning\""));
    for outside in ["http:", "https:", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page, render(&report).unwrap());
    assert!(page.len() < 300_000, "{}", page.len());
}

#[test]
fn every_element_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let report = common::report_on_scenes(&folder.path().join("scenes"), 5).unwrap();
    for page in [render(&report).unwrap(), render(&report_of("naked <i>woman</i>")).unwrap()] {
        let mut open: Vec<String> = Vec::new();
        let void = ["!DOCTYPE", "meta", "img", "rect", "line", "circle", "path"];
        let body = page.split_once("</style>").unwrap().1;
        for tag in tags(&page[..page.len() - body.len()]).into_iter().chain(tags(body)) {
            if void.contains(&tag.as_str()) {
                continue;
            }
            open.push(tag);
        }
        // `tags` drops the slash: each element's name must come an even number of times.
        open.sort();
        for names in open.chunk_by(|a, b| a == b) {
            assert_eq!(names.len() % 2, 0, "{}", names[0]);
        }
    }
}

#[test]
fn text_from_outside_is_never_markup() {
    // Words shift scores, so marks, bars and ticks of the axes may come and go.
    let fixed = |page: &str| -> Vec<String> {
        let moving = ["strong", "rect", "line", "text"];
        tags(page).into_iter().filter(|tag| !moving.contains(&tag.as_str())).collect()
    };
    let plain = fixed(&render(&report_of("xyz")).unwrap());
    for nasty in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onload='x",
        "]]>",
        "-->",
        "</style></title></svg>",
        "&lt;b&gt;",
    ] {
        let page = render(&report_of(nasty)).unwrap();
        assert!(fixed(&page) == plain, "{nasty}");
        assert!(!page.contains("<script") && !page.contains("]]>"), "{nasty}");
    }
    assert!(render(&report_of("&lt;b")).unwrap().contains("<h1><bdi>&amp;lt;b</bdi></h1>"));
}

#[test]
fn the_tokenizer_is_told() {
    let mut report = report_of("一只狗在跑");
    assert!(render(&report).unwrap().contains("PTB tokenizer of the COCO evaluation;"));
    report.options.score.tokenizer = Tokenizer::Characters;
    let page = render(&report).unwrap();
    assert!(page.contains("Han characters and kana as words, others by the PTB tokenizer;"));
}

#[test]
fn pictures_that_cannot_be_shown_leave_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut report = common::report_on_scenes(&folder.path().join("scenes"), 3).unwrap();
    let damaged = folder.path().join("damaged.png");
    std::fs::write(&damaged, b"\x89PNG\r\n\x1a\n and no more").unwrap();
    report.images[0].path = Some(damaged);
    report.images[1].path = None;
    report.images[2].path = Some(folder.path().join("gone.png"));
    let page = render(&report).unwrap();
    assert_eq!(count(&page, "class=\"absent\""), 3);
    for why in ["the file is damaged or no picture", "no picture was given", "the file cannot be read"] {
        assert_eq!(count(&page, why), 1, "{why}");
    }
}

#[test]
fn collapse_gender_and_offence_are_told() {
    let references = |text: &str| vec![text.to_owned(), text.to_owned()];
    let image = |id: &str, text: &str| Image { id: id.into(), path: None, references: references(text) };
    let report = Report {
        title: "t".into(),
        images: vec![image("1", "a woman runs"), image("2", "a person runs"), image("3", "a dog")],
        models: vec![Model { name: "m".into(), captions: vec!["a naked man".into(); 3] }],
        ..Report::default()
    };
    let page = render(&report).unwrap();
    assert!(page.contains("<strong>Collapsed:</strong> <bdi>m</bdi>"));
    assert!(page.contains("name a gender</th><td>100.0 %<small>3</small>"));
    assert!(page.contains("name one where no reference does</th><td>66.7 %<small>2</small>"));
    assert!(page.contains("name men only, references women only</th><td>33.3 %<small>1</small>"));
    assert!(
        page.contains("<th scope=\"row\">woman</th><td>33.3<small>2</small></td><td>0.0<small>0</small>")
    );
    assert!(page.contains("with such a word</th><td>0.0 %<small>0</small></td><td>100.0 %<small>3</small>"));
    assert!(page.contains("No licences of data or weights were given"));
    // One model is not compared.
    assert!(!page.contains("id=\"comparison\"") && !page.contains("#comparison"));
}

#[test]
fn equal_scores_are_in_the_order_of_ids() {
    let image = |id: &str| Image { id: id.into(), path: None, references: vec!["a dog".into()] };
    let ids = ["d", "b", "a", "c"];
    let model = Model { name: "m".into(), captions: vec!["a cat".into(); 4] };
    let report = Report { images: ids.map(image).to_vec(), models: vec![model], ..Report::default() };
    let page = render(&report).unwrap();
    let places =
        ["a", "b", "c", "d"].map(|id| page.find(&format!("<p class=\"id\"><bdi>{id}</bdi>")).unwrap());
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn files_are_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    let report = report_of("a dog");
    write(&report, &path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), render(&report).unwrap());
    let none = Report::default();
    assert!(matches!(write(&none, &path), Err(ReportError::Input(p)) if p.contains(&Problem::NoImages)));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = write(&report, folder.path().join("none/report.html")).unwrap_err();
    assert!(error.to_string().contains("report.html"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_leaves_only_known_kinds_of_tags(text in "\\PC{0,40}|[<>&\"'/a!\\-\\[\\]\\x00-\\x1f]{0,30}") {
        let page = render(&report_of(&text)).unwrap();
        for tag in tags(page.split_once("</style>").unwrap().1) {
            prop_assert!(tag.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
            prop_assert!(tag != "script" && tag != "iframe", "{tag}");
        }
        prop_assert!(!page.contains("NaN"));
    }
}
