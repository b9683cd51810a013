//! What somebody may have meant.

/// The nearest of `known` to `word`, if it is near enough to be meant.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    // Nobody misspells that much; and a word of 64 KiB is not compared with anything.
    if word.chars().count() > 24 {
        return None;
    }
    let allowed = match word.chars().count() {
        0..=4 => 1,
        5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|known| (distance(&word, &known.to_ascii_lowercase()), known))
        .filter(|(distance, known)| *distance <= allowed && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Optimal string alignment: insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut next = vec![i + 1; b.len() + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (row[j] + usize::from(x != y)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            next[j + 1] = best;
        }
        before = row;
        row = next;
    }
    row[b.len()]
}

/// `a`, `a or b`, `a, b or c`.
pub fn alternatives(all: &[&str]) -> String {
    match all {
        [] => "something else".into(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// At most some 100 characters.
pub fn short(text: &str) -> String {
    within(100, text)
}

/// At most so many characters, and a sign that there are more.
pub fn within(most: usize, text: &str) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_nothing_far_away() {
        let known = ["sport", "dport", "port", "src", "tcp", "udp", "retrans", "duration"];
        assert_eq!(nearest("sprot", known), Some("sport"));
        assert_eq!(nearest("DPROT", known), Some("dport"));
        assert_eq!(nearest("tpc", known), Some("tcp"));
        assert_eq!(nearest("druation", known), Some("duration"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest(&"a".repeat(60_000), known), None);
    }
}
