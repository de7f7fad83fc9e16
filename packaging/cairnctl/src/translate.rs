//! The options that people know from other self-extracting files, as verbs: they are only another spelling.

/// Turns the options of a .run file into a verb. `arguments` has no program name.
///
/// # Errors
/// A sentence, if an option lacks its value.
pub fn translate(arguments: Vec<String>) -> Result<Vec<String>, String> {
    let mut words = arguments.into_iter().peekable();
    let (mut verb, mut rest) = (None, Vec::new());
    let (mut target, mut noexec, mut keep) = (None::<String>, false, false);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--check" => verb = Some("verify"),
            "--info" => verb = Some("inspect"),
            "--list" => verb = Some("list"),
            "--version" | "-V" => verb = Some("version"),
            "--help" | "-h" => verb = Some("--help"),
            "--noexec" => noexec = true,
            "--keep" => keep = true,
            "--target" => target = Some(words.next().ok_or("`--target` needs a folder; write --target DIR")?),
            "--" => {
                rest.extend(words);
                break;
            }
            _ if word.starts_with("--target=") => {
                target = word.split_once('=').map(|(_, dir)| dir.to_owned());
            }
            // A verb: all that follows is its own.
            _ if !word.starts_with('-')
                && rest.iter().all(|earlier: &String| earlier == "--quiet")
                && verb.is_none() =>
            {
                if word == "apply" {
                    rest.push("delta".to_owned());
                }
                rest.push(word);
                rest.extend(words);
                return Ok(rest);
            }
            _ => rest.push(word),
        }
    }
    if let Some(verb) = verb {
        rest.insert(0, verb.to_owned());
    } else if noexec {
        rest.splice(0..0, ["extract".to_owned()].into_iter().chain(target));
    } else {
        rest.insert(0, "install".to_owned());
        match target {
            Some(dir) => rest.push(format!("--keep-in={dir}")),
            None if keep => rest.push("--keep-in=".into()),
            None => (),
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(words: &str) -> String {
        translate(words.split_whitespace().map(str::to_owned).collect()).unwrap().join(" ")
    }

    #[test]
    fn no_verb_means_install() {
        assert_eq!(translated(""), "install");
        assert_eq!(translated("--yes --role agent"), "install --yes --role agent");
        assert_eq!(translated("--root /r --yes"), "install --root /r --yes");
        assert_eq!(translated("-- --yes"), "install --yes");
    }

    #[test]
    fn the_options_people_know_become_verbs() {
        assert_eq!(translated("--check"), "verify");
        assert_eq!(translated("--quiet --check"), "verify --quiet");
        assert_eq!(translated("--info"), "inspect");
        assert_eq!(translated("--noexec --target d"), "extract d");
        assert_eq!(translated("--target=d --noexec"), "extract d");
        assert_eq!(translated("--target d -- --yes"), "install --yes --keep-in=d");
        assert_eq!(translated("--help"), "--help");
    }

    #[test]
    fn a_verb_keeps_its_own_arguments() {
        assert_eq!(translated("extract --entry bin/x"), "extract --entry bin/x");
        assert_eq!(translated("--quiet verify"), "--quiet verify");
        assert_eq!(translated("apply --out x"), "delta apply --out x");
        assert_eq!(translated("install --help"), "install --help");
        assert!(translate(vec!["--target".into()]).is_err());
    }
}
