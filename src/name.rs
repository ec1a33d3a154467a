//! Names as people type them: "did you mean".

/// The known name nearest to `name` by edits (insert, delete, replace, swap neighbours), if one is within about a
/// third of the length.
pub fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = |other: &&str| name.chars().count().max(other.chars().count()).div_ceil(3);
    known
        .into_iter()
        .map(|other| (distance(name, other), other))
        .filter(|(edits, other)| *edits <= near(other))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, other)| other.to_string())
}

/// Edits between two names (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
