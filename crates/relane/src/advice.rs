//! Problems that only an operator can solve, and how several of them are told at once.

use std::collections::BTreeSet;

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

/// Stands for the partitions that have a problem, in its message and advice.
pub(crate) const PARTITIONS: &str = "{partitions}";

/// Something that keeps a pipeline from going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) advice: Advice,
    /// The partition that has it, of a problem that several may have.
    partition: Option<i32>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, advice: Advice) -> Self {
        Self { message: message.into(), advice, partition: None }
    }

    /// A problem that several partitions may have; it is told once, with all of them for [`PARTITIONS`].
    pub(crate) fn of_partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// What it is and what to do, for partitions that are written as `0,1,2`.
    fn of(&self, partitions: &str) -> Self {
        let fill = |text: &str| text.replace(PARTITIONS, partitions);
        let advice = match &self.advice {
            Advice::Command(text) => Advice::Command(fill(text)),
            Advice::Words(text) => Advice::Words(fill(text)),
            Advice::Anew(text) => Advice::Anew(fill(text)),
        };
        Self::new(fill(&self.message), advice)
    }
}

/// The problems, those of several partitions as one.
fn merged(problems: &[Problem]) -> Vec<Problem> {
    let merge = |problem: &Problem| {
        let is_same =
            |other: &&Problem| other.message == problem.message && other.advice == problem.advice;
        let same = problems.iter().filter(is_same);
        let partitions: BTreeSet<i32> = same.filter_map(|other| other.partition).collect();
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        problem.of(&partitions.join(","))
    };
    problems.iter().map(merge).collect()
}

/// All messages in one, each once.
pub(crate) fn message(problems: &[Problem]) -> String {
    let problems = merged(problems);
    once(problems.iter().map(|problem| problem.message.as_str())).join("; ")
}

/// All advice in one: commands that a shell runs one after the other, and then the rest.
pub(crate) fn hint(problems: &[Problem]) -> String {
    let problems = merged(problems);
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
    fn what_several_partitions_have_is_told_once_with_all_of_them() {
        let of = |partition| {
            problem("none for t/{partitions}", Advice::Command("run t:{partitions}".into()))
                .of_partition(partition)
        };
        let problems = [of(10), of(2), of(0), problem("b", Advice::Words("look".into()))];
        assert_eq!(message(&problems), "none for t/0,2,10; b");
        assert_eq!(hint(&problems), "run t:0,2,10; look");
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
