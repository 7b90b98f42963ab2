//! Which captions say somebody's gender, and whether the references say the same.

/// English words for men and boys, in lower case.
pub(crate) const MALE: &[&str] = &[
    "man",
    "men",
    "boy",
    "boys",
    "he",
    "him",
    "his",
    "himself",
    "male",
    "males",
    "guy",
    "guys",
    "gentleman",
    "gentlemen",
    "father",
    "dad",
    "son",
    "brother",
    "husband",
    "grandfather",
    "groom",
];
/// English words for women and girls, in lower case.
pub(crate) const FEMALE: &[&str] = &[
    "woman",
    "women",
    "girl",
    "girls",
    "she",
    "her",
    "hers",
    "herself",
    "female",
    "females",
    "lady",
    "ladies",
    "mother",
    "mom",
    "daughter",
    "sister",
    "wife",
    "grandmother",
    "bride",
];

/// The genders that a text names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Named {
    male: bool,
    female: bool,
}

impl Named {
    fn any(self) -> bool {
        self.male || self.female
    }

    fn of(words: &[String]) -> Self {
        let one_of = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        Named { male: one_of(MALE), female: one_of(FEMALE) }
    }
}

/// How the captions of a model name gender, in numbers of captions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gender {
    /// Captions that name a gender.
    pub named: usize,
    /// Those where no reference of the image names any.
    pub unsupported: usize,
    /// Captions that name men only, where the references name women only.
    pub male_for_female: usize,
    /// Captions that name women only, where the references name men only.
    pub female_for_male: usize,
    /// Captions that name none where a reference does.
    pub left_open: usize,
}

impl Gender {
    /// Compares the words of each caption with those of all references of its image.
    pub fn new(captions: &[Vec<String>], references: &[Vec<Vec<String>>]) -> Self {
        let mut gender = Gender::default();
        for (caption, references) in captions.iter().zip(references) {
            let said = Named::of(caption);
            let seen = references.iter().map(|r| Named::of(r)).fold(Named::default(), |all, one| Named {
                male: all.male || one.male,
                female: all.female || one.female,
            });
            gender.named += usize::from(said.any());
            gender.unsupported += usize::from(said.any() && !seen.any());
            gender.left_open += usize::from(!said.any() && seen.any());
            let only = |named: Named| (named.male && !named.female, named.female && !named.male);
            match (only(said), only(seen)) {
                ((true, _), (_, true)) => gender.male_for_female += 1,
                ((_, true), (true, _)) => gender.female_for_male += 1,
                _ => {}
            }
        }
        gender
    }
}

/// Occurrences of a word.
pub(crate) fn occurrences<'a>(word: &str, texts: impl Iterator<Item = &'a Vec<String>>) -> usize {
    texts.map(|text| text.iter().filter(|w| *w == word).count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn captions_are_compared_with_all_references() {
        let cases = [
            ("a man runs", ["a person runs", "somebody runs"]),
            ("a man runs", ["a woman runs", "a runner"]),
            ("a girl runs", ["a boy runs", "he runs"]),
            ("a girl runs", ["a boy runs", "a girl and a boy"]),
            ("a runner", ["a woman runs", "a runner"]),
            ("a dog", ["a dog", "a dog"]),
        ];
        let captions: Vec<_> = cases.iter().map(|(caption, _)| words(caption)).collect();
        let references: Vec<_> = cases.iter().map(|(_, refs)| refs.map(words).to_vec()).collect();
        let expected =
            Gender { named: 4, unsupported: 1, male_for_female: 1, female_for_male: 1, left_open: 1 };
        assert_eq!(Gender::new(&captions, &references), expected);
        assert_eq!(occurrences("boy", references.iter().flatten()), 3);
    }

    #[test]
    fn no_word_is_in_both_lists() {
        assert!(MALE.iter().all(|word| !FEMALE.contains(word)));
    }
}
