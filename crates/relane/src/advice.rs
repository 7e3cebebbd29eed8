//! Problems that only an operator can solve, and how several of them are told at once.

/// What an operator can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Run this command.
    Command(String),
    /// Do this.
    Words(String),
    /// Start anew: no other advice is of use then.
    Anew(String),
}

/// Something that keeps a pipeline from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) advice: Advice,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, advice: Advice) -> Self {
        Self { message: message.into(), advice }
    }
}

/// All messages in one, each once.
pub(crate) fn message(problems: &[Problem]) -> String {
    once(problems.iter().map(|problem| problem.message.as_str())).join("; ")
}

/// All advice in one: commands that a shell runs one after the other, and then the rest.
pub(crate) fn hint(problems: &[Problem]) -> String {
    let pick = |wanted: fn(&Advice) -> Option<&str>| {
        once(problems.iter().filter_map(|problem| wanted(&problem.advice)))
    };
    let anew = pick(|advice| if let Advice::Anew(text) = advice { Some(text) } else { None });
    if !anew.is_empty() {
        return anew.join("; ");
    }
    let commands =
        pick(|advice| if let Advice::Command(text) = advice { Some(text) } else { None });
    let words = pick(|advice| if let Advice::Words(text) = advice { Some(text) } else { None });
    let commands = (!commands.is_empty()).then(|| commands.join(" && "));
    let all: Vec<String> =
        commands.into_iter().chain(words.into_iter().map(str::to_owned)).collect();
    all.join("; ")
}

fn once<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(message: &str, advice: Advice) -> Problem {
        Problem::new(message, advice)
    }

    #[test]
    fn all_problems_are_told_at_once_and_each_once() {
        let problems = [
            problem("a", Advice::Words("look".into())),
            problem("b", Advice::Command("run 1".into())),
            problem("c", Advice::Command("run 2".into())),
            problem("b", Advice::Command("run 1".into())),
        ];
        assert_eq!(message(&problems), "a; b; c");
        assert_eq!(hint(&problems), "run 1 && run 2; look");
    }

    #[test]
    fn who_has_to_start_anew_gets_no_command_that_is_of_no_use_then() {
        let problems = [
            problem("a", Advice::Command("run 1".into())),
            problem("b", Advice::Anew("start over with a new group".into())),
            problem("c", Advice::Anew("start over with a new group".into())),
        ];
        assert_eq!(hint(&problems), "start over with a new group");
    }
}
