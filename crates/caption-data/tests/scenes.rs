//! The drawn benchmark: what its sentences say, read back and held against what its images show.

use std::collections::HashSet;
use std::path::Path;

use capwright_caption_data::scenes::{
    Benchmark, Colour, Layout, Relation, Scene, Texture, facts, factual_score, load_truth, make_benchmark,
};
use capwright_caption_data::{Dataset, SceneOptions, Split, make_scenes};
use sha2::{Digest, Sha256};

fn drawn(dir: &Path, benchmark: &Benchmark) -> Vec<(String, Scene)> {
    make_benchmark(dir, benchmark).unwrap();
    let truth = load_truth(dir).unwrap();
    let data = Dataset::load(dir).unwrap();
    let images = Split::ALL.into_iter().flat_map(|split| data.records(split));
    let pairs = images.flat_map(|image| {
        let scene = &truth[image.path.file_name().unwrap().to_str().unwrap()];
        image.captions.iter().map(move |caption| (caption.clone(), scene.clone()))
    });
    pairs.collect()
}

fn benchmark(level: u8, train: usize) -> Benchmark {
    let options = SceneOptions { train, val: 1, test: 1, size: 32, seed: 40 + u64::from(level) };
    Benchmark { options, level, held_out: 0 }
}

/// A sentence that says everything about a scene.
fn everything(scene: &Scene) -> String {
    let numbers = ["", "one", "two", "three", "four", "five", "six"];
    let phrases: Vec<String> = scene
        .groups
        .iter()
        .map(|g| {
            let texture = match g.texture {
                Texture::Plain => "",
                Texture::Striped => "striped",
                Texture::Dotted => "dotted",
            };
            let size = format!("{:?}", g.size).to_lowercase();
            let shape = if g.count == 1 { g.shape.names().0 } else { g.shape.names().1 };
            format!("{} {size} {texture} {} {shape}", numbers[g.count], g.colour.look().0)
        })
        .collect();
    match (phrases.as_slice(), scene.layout) {
        ([only], _) => format!("{only} and nothing else"),
        (all, Layout::Row) => format!("from left to right {}", all.join(" , ")),
        (all, Layout::Column) => format!("from top to bottom {}", all.join(" , ")),
    }
}

#[test]
fn every_drawn_sentence_is_read_and_true() {
    for level in 1..=4 {
        let dir = tempfile::tempdir().unwrap();
        let pairs = drawn(&dir.path().join("set"), &benchmark(level, 600));
        assert_eq!(pairs.len(), 5 * 602);
        for (caption, scene) in &pairs {
            let scores = factual_score([(caption.as_str(), scene)]);
            assert_eq!((scores.faithful, scores.unread), (1, 0), "{caption}\n{scene:?}\n{scores:?}");
            assert!(scores.objects.claimed + scores.colours.claimed > 0, "{caption}");
        }
        // The sentences say enough for the score to mean something: every aspect is claimed, none of them all the time.
        let scores = factual_score(pairs.iter().map(|(c, s)| (c.as_str(), s)));
        for (name, aspect) in scores.aspects() {
            let silent = name == "textures" && level < 3;
            assert_eq!(aspect.precision(), 1.0, "{name}");
            assert!(silent || (0.05..0.99).contains(&aspect.recall()), "level {level}, {name}: {aspect:?}");
        }
    }
}

#[test]
fn what_says_everything_is_read_back_whole() {
    for level in 1..=4 {
        let dir = tempfile::tempdir().unwrap();
        let scenes: HashSet<Scene> =
            drawn(&dir.path().join("set"), &benchmark(level, 600)).into_iter().map(|(_, s)| s).collect();
        for scene in &scenes {
            let text = everything(scene);
            let read = facts(&text);
            assert_eq!(read.mentions.len(), scene.groups.len(), "{text}");
            for (mention, group) in read.mentions.iter().zip(&scene.groups) {
                assert_eq!(mention.shape, Some(group.shape), "{text}");
                assert_eq!(mention.colour, Some(group.colour), "{text}");
                assert_eq!(mention.count, Some(group.count), "{text}");
                assert_eq!(mention.size, Some(group.size), "{text}");
                assert_eq!(mention.texture.unwrap_or_default(), group.texture, "{text}");
            }
            let scores = factual_score([(text.as_str(), scene)]);
            assert_eq!(scores.exact, 1, "{text}");
            for (name, aspect) in scores.aspects() {
                let whole = name == "places" || (aspect.precision(), aspect.recall()) == (1.0, 1.0);
                assert!(whole, "{text}, {name}: {aspect:?}");
            }
        }
    }
}

#[test]
fn a_changed_word_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let scenes: Vec<Scene> =
        drawn(&dir.path().join("set"), &benchmark(4, 300)).into_iter().step_by(5).map(|(_, s)| s).collect();
    for scene in &scenes {
        let text = everything(scene);
        let colour = scene.groups[0].colour;
        let free = Colour::ALL.into_iter().find(|c| scene.groups.iter().all(|g| g.colour != *c)).unwrap();
        let changed = text.replacen(colour.look().0, free.look().0, 1);
        let scores = factual_score([(changed.as_str(), scene)]);
        assert_eq!((scores.exact, scores.faithful), (0, 0), "{changed}");
        assert_eq!(scores.colours.correct, scores.colours.claimed - 1, "{changed}");
        assert_eq!(scores.objects.precision(), 1.0, "{changed}");
        // Read backwards, every order is wrong and all else is right.
        if scene.groups.len() > 1 {
            let mut turned = scene.clone();
            turned.groups.reverse();
            let scores = factual_score([(everything(&turned).as_str(), scene)]);
            assert_eq!((scores.relations.correct, scores.relations.found), (0, 0));
            assert_eq!(scores.colours.f1(), 1.0);
        }
    }
}

#[test]
fn wrong_and_invented_groups_cost_precision() {
    let scene: Scene = serde_json::from_str(
        r#"{"layout": "row", "groups": [{"shape": "star", "colour": "red", "size": "small", "count": 2},
            {"shape": "circle", "colour": "blue", "size": "large", "count": 1}]}"#,
    )
    .unwrap();
    let score = |caption: &str| factual_score([(caption, &scene)]);
    let all = score("two small red stars left of a large blue circle");
    assert_eq!((all.exact, all.relations.f1(), all.sizes.f1()), (1, 1.0, 1.0));
    let more = score("two red stars left of a blue circle and a green cross");
    assert_eq!((more.objects.claimed, more.objects.correct, more.objects.truths), (3, 2, 2));
    assert_eq!(more.faithful, 0);
    let less = score("two stars");
    assert_eq!((less.faithful, less.exact, less.objects.recall(), less.colours.claimed), (1, 0, 0.5, 0));
    let number = score("three red stars");
    assert_eq!((number.counts.claimed, number.counts.correct, number.objects.correct), (1, 0, 1));
    let places = score("a blue circle on the right and two stars on the left");
    assert_eq!((places.places.f1(), places.relations.f1()), (1.0, 1.0));
    let alone = score("two red stars and nothing else");
    assert_eq!((alone.relations.claimed, alone.relations.correct), (1, 0));
    let nothing = score("a dog on the beach");
    assert_eq!((nothing.unread, nothing.objects.claimed, nothing.faithful), (2, 0, 0));
    assert_eq!(facts("a star next to a cross").relations, [Relation::Beside(0, 1)]);
}

#[test]
fn a_caption_that_repeats_itself_is_scored() {
    let stars: Vec<String> = ["red", "blue", "green", "pink"]
        .iter()
        .map(|colour| format!(r#"{{"shape": "star", "colour": "{colour}", "size": "small", "count": 1}}"#))
        .collect();
    let scene = format!(r#"{{"layout": "row", "groups": [{}]}}"#, stars.join(","));
    let scene: Scene = serde_json::from_str(&scene).unwrap();
    let caption = "from left to right star ".repeat(20) + &"star ".repeat(120);
    let scores = factual_score([(caption.as_str(), &scene)]);
    assert_eq!((scores.objects.claimed, scores.objects.correct), (140, 4));
    // Each list is about all stars after it, so that of the first eight the last four are in the most true pairs.
    let claimed: usize = (0..20).map(|first| (140 - first) * (139 - first) / 2).sum();
    assert_eq!(
        (scores.relations.claimed, scores.relations.correct, scores.relations.found),
        (claimed, 3 * 5 + 2 * 6 + 7, 6)
    );
}

#[test]
fn the_first_level_is_what_it_always_was() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    make_scenes(&set, &SceneOptions { train: 40, val: 10, test: 10, ..SceneOptions::default() }).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(set.join("images")).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    let mut digest = Sha256::new();
    for name in &names {
        let image =
            capwright_caption_data::decode(&std::fs::read(name).unwrap(), &Default::default()).unwrap();
        digest.update(&image.pixels);
    }
    digest.update(std::fs::read(set.join("captions.json")).unwrap());
    let hash: String = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    // Searches on the drawn set are compared over time: its images and sentences stay.
    assert_eq!(
        (names.len(), hash.as_str()),
        (60, "d7cd37d917c1651f575eadfce1b80adf815db9dacacbae9da84e1b260290966e")
    );
}

#[test]
fn levels_are_drawn_apart() {
    let dir = tempfile::tempdir().unwrap();
    let options = SceneOptions { train: 20, val: 5, test: 5, size: 64, seed: 3 };
    let fingerprints: HashSet<String> = (1..=4)
        .map(|level| {
            let set = dir.path().join(level.to_string());
            make_benchmark(&set, &Benchmark { options, level, held_out: 4 }).unwrap();
            Dataset::load(&set).unwrap().fingerprint().to_string()
        })
        .collect();
    assert_eq!(fingerprints.len(), 4);
    let note = std::fs::read_to_string(dir.path().join("4/SOURCE.md")).unwrap();
    assert!(note.contains("level 4") && note.contains("In the test only"), "{note}");
}
