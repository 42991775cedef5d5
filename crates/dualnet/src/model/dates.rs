//! Dates written as words, which no kernel can use as they are.

/// True if every word is written like a date: 2024-01-31, 31.1.2024, 1/31/24, with or without a time of day behind.
///
/// ```
/// use dualnet::model::looks_like_dates;
/// let words = |list: &[&str]| list.iter().map(|w| w.to_string()).collect::<Vec<_>>();
/// assert!(looks_like_dates(&words(&["2024-01-31", "2024-02-01T10:00:00Z"])));
/// assert!(!looks_like_dates(&words(&["2024-01-31", "never"])));
/// ```
pub fn looks_like_dates(words: &[String]) -> bool {
    !words.is_empty() && words.iter().all(|word| is_date(word))
}

fn is_date(word: &str) -> bool {
    let (date, time) = match word.split_once(['T', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (word, None),
    };
    let number = |p: &&str| p.bytes().all(|b| b.is_ascii_digit()).then(|| Some((p.len(), p.parse().ok()?)))?;
    let split = |separator: char| -> Option<Vec<(usize, u32)>> {
        let parts: Vec<&str> = date.split(separator).collect();
        (parts.len() == 3).then(|| parts.iter().map(number).collect())?
    };
    let Some(parts) = ['-', '/', '.'].into_iter().find_map(split) else { return false };
    let year = |&(digits, _): &(usize, u32)| digits == 4 || digits == 2;
    let day = |&(digits, n): &(usize, u32)| digits <= 2 && (1..=31).contains(&n);
    let ordered = |y: usize, a: usize, b: usize| {
        year(&parts[y]) && day(&parts[a]) && day(&parts[b]) && (parts[a].1 <= 12 || parts[b].1 <= 12)
    };
    (ordered(0, 1, 2) || ordered(2, 0, 1)) && time.is_none_or(|t| t.starts_with(|c: char| c.is_ascii_digit()))
}
