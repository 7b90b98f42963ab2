//! Lists of captions in the cell of a table.

/// What is wrong with a cell such as `['a dog', 'a cat']`.
pub(super) const NO_LIST: &str =
    "its list of captions is no JSON: write [\"a dog\", \"a cat\"], or one caption a row";

/// A cell is a caption, or a list of them as JSON; none where it is a list as others write it, as Python does.
pub(super) fn cell_captions(cell: String) -> Option<Vec<String>> {
    let trimmed = cell.trim();
    let Some(inner) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
        return Some(vec![cell]);
    };
    let marks = ['"', '\''];
    // A caption may have brackets around it, but hardly quotation marks inside of both.
    let is_list = inner.trim_start().starts_with(marks) && inner.trim_end().ends_with(marks);
    match serde_json::from_str(trimmed) {
        Ok(list) => Some(list),
        Err(_) if is_list => None,
        Err(_) => Some(vec![cell]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_told_from_captions_in_brackets() {
        for (cell, expected) in [
            ("['A dog runs', 'A brown dog']", None),
            ("[ \"it's\", 'A brown dog' ]", None),
            ("['A dog'\n 'A brown dog']", None),
            ("[\"A dog\", 'A brown dog\"]", None),
            ("[\"A dog\", \"A brown dog\"]", Some(2)),
            ("[]", Some(0)),
            ("[a dog] runs", Some(1)),
            ("[a dog, inaudible]", Some(1)),
            ("[\"Stop\" on a sign]", Some(1)),
            ("['tis the season]", Some(1)),
            ("[1]", Some(1)),
        ] {
            let captions = cell_captions(cell.into()).map(|captions| captions.len());
            assert_eq!(captions, expected, "{cell}");
        }
    }
}
