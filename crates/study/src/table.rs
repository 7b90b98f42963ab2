//! The leaderboard as text: what the finals say, and a table in aligned columns.

use crate::finals::LEVEL;
use crate::{Leaderboard, Row, Unranked};

const HEADS: [&str; 13] = [
    "#",
    "trial",
    "author",
    "trainable",
    "total",
    "BLEU-1",
    "BLEU-2",
    "BLEU-3",
    "BLEU-4",
    "CIDEr-D",
    "distinct",
    "epochs",
    "design",
];

/// Columns of text (author, design) are set to the left, numbers to the right.
const TEXT_COLUMNS: [usize; 2] = [2, 12];

impl Leaderboard {
    /// What the finals say, if there were any: which finalist is best, or of which that cannot be said.
    pub fn verdict(&self) -> Option<String> {
        let finalists = || self.rows.iter().filter(|row| row.runs > 1);
        let leader = finalists().find(|row| row.lead_p.is_none())?;
        let close: Vec<String> = finalists()
            .filter_map(|row| Some((row.trial, row.lead_p?)))
            .filter(|(_, p)| *p >= LEVEL)
            .map(|(trial, p)| format!("trial {trial} (p = {p:.2})"))
            .collect();
        let runs = leader.runs;
        Some(match close.as_slice() {
            [] if finalists().count() == 1 => format!("finals: trial {} trained {runs} times", leader.trial),
            [] => format!(
                "finals: trial {} is better than every other finalist, {runs} runs each (p < {LEVEL})",
                leader.trial
            ),
            close => format!(
                "finals: trial {} leads, {runs} runs each; chance explains its lead over {}",
                leader.trial,
                close.join(", ")
            ),
        })
    }

    /// The leaderboard as plain text in aligned columns, with what is not ranked below.
    pub fn table(&self) -> String {
        let mut lines = vec![HEADS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(Row::cells));
        let mut text = if self.rows.is_empty() { "no trial is ranked\n".to_owned() } else { aligned(&lines) };
        text.push_str(&self.verdict().map(|verdict| verdict + "\n").unwrap_or_default());
        for (title, trials) in
            [("collapsed", &self.collapsed), ("failed", &self.failed), ("unfinished", &self.unfinished)]
        {
            for Unranked { trial, author, design, reason } in trials {
                let (design, reason) = (one_line(design), one_line(reason));
                text.push_str(&format!(
                    "{title}: trial {trial} by {}, {design}: {reason}\n",
                    one_line(author)
                ));
            }
        }
        text
    }
}

impl Row {
    fn cells(&self) -> [String; 13] {
        let bleu = self.bleu.map(|b| format!("{b:.4}"));
        let [bleu1, bleu2, bleu3, bleu4] = bleu;
        [
            self.rank.to_string(),
            self.trial.to_string(),
            one_line(&self.author),
            millions(self.params_trainable),
            millions(self.params_total),
            bleu1,
            bleu2,
            bleu3,
            bleu4,
            format!("{:.4}", self.cider_d),
            format!("{}/{}", self.distinct, self.images),
            self.trained(),
            one_line(&self.design),
        ]
    }
}

/// Parameters in millions with two decimals.
fn millions(count: u64) -> String {
    format!("{:.2} M", count as f64 / 1e6)
}

/// Control characters would break the table, and a terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn aligned(lines: &[[String; 13]]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 13] = std::array::from_fn(width);
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, w))| {
                    if TEXT_COLUMNS.contains(&column) { format!("{cell:<w$}") } else { format!("{cell:>w$}") }
                })
                .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::Leaderboard;
    use crate::leaderboard::tests::study;

    #[test]
    fn the_table_is_aligned() {
        let text = Leaderboard::of(&study(&[(0.1, 5_000_000), (0.25, 12_345_678)])).table();
        let expected = "\
#  trial  author  trainable   total  BLEU-1  BLEU-2  BLEU-3  BLEU-4  CIDEr-D  distinct  epochs  design
1      2  random    12.35 M  3.00 M  0.6000  0.4000  0.3000  0.2500   0.5000    40/100       1  net2@s32 224px → lstm 512 dot
2      1  random     5.00 M  3.00 M  0.6000  0.4000  0.3000  0.1000   0.2000    40/100       1  net1@s32 224px → lstm 512 dot
";
        assert_eq!(text, expected);
    }
}
