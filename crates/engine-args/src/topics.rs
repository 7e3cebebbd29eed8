//! Names of topics.

use service_kit::exit::{AppError, require};

/// Longest topic name that Kafka takes, in characters.
const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Returns the name of a topic that `flag` gave, or the default. Topics may be named after it, with a
/// suffix of so many characters.
///
/// # Errors
///
/// Fails with exit code 2 for a name that Kafka does not take.
pub fn topic_name(
    flag: &str,
    given: Option<&str>,
    default: &str,
    suffix_chars: usize,
) -> Result<String, AppError> {
    let name = given.unwrap_or(default);
    let chars_max = TOPIC_NAME_CHARS_MAX - suffix_chars;
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_name = (1..=chars_max).contains(&name.len())
        && name.chars().all(is_legal)
        && name != "."
        && name != "..";
    require(is_name, || {
        format!(
            "{flag} {name:?} is not a topic name: letters, digits, '.', '_' and '-', at most \
             {chars_max}"
        )
    })?;
    Ok(name.to_owned())
}

/// Checks that no topic is given two roles.
///
/// # Errors
///
/// Fails with exit code 2 and names a topic that is.
pub fn distinct<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), AppError> {
    let mut names: Vec<&String> = names.into_iter().collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(AppError::usage(format!("topic {:?} is given two roles", pair[0]))),
        None => Ok(()),
    }
}
