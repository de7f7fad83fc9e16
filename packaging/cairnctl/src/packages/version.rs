//! Versions of Debian packages, compared as dpkg does it: deb-version(7).

use std::cmp::Ordering;

/// Which of two versions is newer.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    let epoch = number(one.0).cmp(&number(other.0));
    epoch.then_with(|| part(one.1, other.1)).then_with(|| part(one.2, other.2))
}

/// Epoch, upstream version and revision.
fn parts(version: &str) -> (&str, &str, &str) {
    let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    (epoch, upstream, revision)
}

/// Runs of what are no digits and runs of digits, in turn.
fn part(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let (letters, digits, rest) = first(one);
        let (other_letters, other_digits, other_rest) = first(other);
        let order = text(letters, other_letters).then_with(|| number(digits).cmp(&number(other_digits)));
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

fn first(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
    let (letters, rest) = text.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (letters, &rest[..end], &rest[end..])
}

/// Digits as a number of any length: by length, then by themselves.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

/// A tilde comes before the end, the end before letters, letters before all else.
fn text(one: &str, other: &str) -> Ordering {
    let order = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i64::from(u32::from(c)),
        Some(c) => i64::from(u32::from(c)) + 256,
    };
    let (mut one, mut other) = (one.chars(), other.chars());
    loop {
        let (a, b) = (one.next(), other.next());
        match order(a).cmp(&order(b)) {
            Ordering::Equal if a.is_none() && b.is_none() => return Ordering::Equal,
            Ordering::Equal => (),
            differs => return differs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_of_dpkg() {
        let ascending = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0a.",
            "0+",
            "1.0~rc1-1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1+deb12u1",
            "1.0-1.1",
            "1.0-2",
            "1.0.1-1",
            "1.2",
            "1.10",
            "2.36-9+deb12u9",
            "2.36-9+deb12u13",
            "1:0.1",
            "1:7.2+dfsg-7+deb12u18",
            "1:7.2+dfsg-7+deb12u18+b3",
            "1:10.0.2+ds-1~bpo12+1",
            "1:10.0.2+ds-1",
            "2:0",
        ];
        for (index, one) in ascending.iter().enumerate() {
            assert_eq!(compare(one, one), Ordering::Equal, "{one}");
            for other in &ascending[index + 1..] {
                assert_eq!(compare(one, other), Ordering::Less, "{one} {other}");
                assert_eq!(compare(other, one), Ordering::Greater, "{one} {other}");
            }
        }
        for (one, other) in [("1.0", "1.0-0"), ("0:1", "1"), ("1.01", "1.1"), ("00:1", "1")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
