//! The mask of which kind has exactly this pattern of zeros.

use ndarray::ArrayView2;

use super::shape::{Block, Reach, Shape};

/// The visible keys of one query that sees some: the first and the last, counted among the keys that are no padding.
#[derive(Clone, Copy)]
struct Row {
    i: usize,
    first: usize,
    last: usize,
}

/// The mask that hides exactly what is not `seen`; none if no kind of mask does, or only one so narrow that a sharp softmax
/// looks the same.
pub(super) fn fit(seen: ArrayView2<'_, bool>) -> Option<Shape> {
    let queries: Vec<bool> = seen.rows().into_iter().map(|row| row.iter().any(|seen| *seen)).collect();
    let keys: Vec<bool> = seen.columns().into_iter().map(|column| column.iter().any(|seen| *seen)).collect();
    let real: Vec<usize> = (0..keys.len()).filter(|j| keys[*j]).collect();
    if real.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    for (i, row) in seen.rows().into_iter().enumerate().filter(|(i, _)| queries[*i]) {
        let first = real.iter().position(|j| row[*j])?;
        let last = real.iter().rposition(|j| row[*j])?;
        if !real[first..=last].iter().all(|j| row[*j]) {
            return None;
        }
        rows.push(Row { i, first, last });
    }
    let reach = full(&rows, &real)
        .or_else(|| band(&rows, &real))
        .or_else(|| blocks(&rows, &real))
        .or_else(|| prefix(&rows, &real))?;
    Some(Shape { queries, keys, reach })
}

fn full(rows: &[Row], real: &[usize]) -> Option<Reach> {
    rows.iter().all(|row| row.first == 0 && row.last + 1 == real.len()).then_some(Reach::Full)
}

/// A window, as far to each side as all rows agree on.
fn band(rows: &[Row], real: &[usize]) -> Option<Reach> {
    let end = real.len() - 1;
    let at = |place: usize| real[place] as isize;
    // How far ahead of itself each query sees: exactly, up to the next key that is hidden; or to the end, and maybe beyond.
    let ahead = agreed(rows.iter().map(|row| {
        let nearest = at(row.last) - row.i as isize;
        (nearest, (row.last < end).then(|| at(row.last + 1) - row.i as isize - 1))
    }))?
    .keys();
    let back = agreed(rows.iter().map(|row| {
        let nearest = row.i as isize - at(row.first);
        (nearest, (row.first > 0).then(|| row.i as isize - at(row.first - 1) - 1))
    }))?
    .keys();
    // One key a query is what a sharp softmax leaves too.
    let narrow = matches!((back, ahead), (Some(back), Some(ahead)) if back + ahead < 1);
    (!narrow).then_some(Reach::Band { back, ahead })
}

/// How far a window reaches to one side.
enum Side {
    /// As far as there are keys.
    Open,
    /// So many keys.
    Keys(isize),
}

impl Side {
    fn keys(self) -> Option<isize> {
        match self {
            Self::Open => None,
            Self::Keys(keys) => Some(keys),
        }
    }
}

/// The distance that lies within the bounds of every row: open where no row has an upper bound, 0 if it lies within them,
/// else the nearest one; none where they contradict each other.
fn agreed(bounds: impl Iterator<Item = (isize, Option<isize>)>) -> Option<Side> {
    let (mut nearest, mut furthest) = (isize::MIN, None::<isize>);
    for (low, high) in bounds {
        nearest = nearest.max(low);
        furthest = match (furthest, high) {
            (Some(furthest), Some(high)) => Some(furthest.min(high)),
            (furthest, high) => furthest.or(high),
        };
    }
    match furthest {
        None => Some(Side::Open),
        Some(furthest) if furthest < nearest => None,
        Some(furthest) if (nearest..=furthest).contains(&0) => Some(Side::Keys(0)),
        Some(_) => Some(Side::Keys(nearest)),
    }
}

/// Where the last visible key stands if a query sees no later key than itself (and none after `end`).
fn causal_end(i: usize, end: usize, real: &[usize]) -> Option<usize> {
    real.partition_point(|j| *j <= i).checked_sub(1).map(|last| last.min(end))
}

/// Packed sequences: runs of queries that see the same keys (or, if causal, those of them up to their own), none of which
/// another run sees.
fn blocks(rows: &[Row], real: &[usize]) -> Option<Reach> {
    let runs: Vec<&[Row]> = rows.chunk_by(|a, b| a.first == b.first).collect();
    let end = |run: &[Row]| run.iter().map(|row| row.last).max().unwrap_or(0);
    let whole = runs.first()?.first()?.first == 0 && end(runs.last()?) == real.len() - 1;
    let beside = runs.windows(2).all(|pair| end(pair[0]) + 1 == pair[1][0].first);
    // One key a query is what a sharp softmax leaves too.
    let wide = rows.iter().filter(|row| row.last > row.first).count();
    if runs.len() < 2 || !whole || !beside || 2 * wide < rows.len() {
        return None;
    }
    let each = |holds: &dyn Fn(&Row, usize) -> bool| {
        runs.iter().all(|run| run.iter().all(|row| holds(row, end(run))))
    };
    let full = each(&|row, end| row.last == end);
    let causal = each(&|row, end| causal_end(row.i, end, real) == Some(row.last));
    if !full && !causal {
        return None;
    }
    let blocks = runs.iter().map(|run| Block {
        queries: run[0].i..run[run.len() - 1].i + 1,
        keys: real[run[0].first]..real[end(run)] + 1,
    });
    Some(Reach::Blocks { blocks: blocks.collect(), causal: !full })
}

/// A prefix that every query sees, and causal attention after it.
fn prefix(rows: &[Row], real: &[usize]) -> Option<Reach> {
    let last = rows.first()?.last;
    let holds = |row: &Row| {
        let own = causal_end(row.i, real.len() - 1, real).unwrap_or(0);
        row.first == 0 && row.last == own.max(last)
    };
    (last > 0 && rows.iter().all(holds)).then(|| Reach::Prefix(real[last]))
}
