//! "Did you mean": the known name that is most like an unknown one.

/// The nearest of `known`, if one is near enough to be meant.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)))
        .map(|(_, name)| name)
}

/// `; did you mean ...?`, or what there is to choose from when nothing is near.
pub fn remedy<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(unknown, known.clone()) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => {
            let mut names: Vec<&str> = known.into_iter().collect();
            names.sort_unstable();
            names.dedup();
            names.truncate(12);
            if names.is_empty() { String::new() } else { format!("; there is {}", names.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let known = ["agent", "server", "dashboard"];
        assert_eq!(nearest("agnt", known), Some("agent"));
        assert_eq!(nearest("sever", known), Some("server"));
        assert_eq!(remedy("agnt", known), "; did you mean `agent`?");
        assert_eq!(remedy("zzz", known), "; there is agent, dashboard, server");
    }
}
