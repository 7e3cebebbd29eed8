//! Inside a crate, modules stand in reading order: each uses only those that are listed above it.

use super::workspace_sources;

/// Files whose list of modules is such an order: the file, the folder of its modules, and how code names
/// them.
const ORDERED: &[(&str, &str, &str)] = &[
    ("crates/pipeline/src/lib.rs", "crates/pipeline/src", "crate::"),
    ("crates/relane/src/lib.rs", "crates/relane/src", "crate::"),
    ("crates/relane/src/lane.rs", "crates/relane/src/lane", "crate::lane::"),
];

/// The modules that a file declares, those for tests left out.
fn declared(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_for_tests = false;
    for line in text.lines().map(str::trim) {
        let name = line.strip_suffix(';').and_then(|line| line.rsplit_once("mod "));
        if let Some((_, name)) = name.filter(|_| !line.starts_with("//") && !is_for_tests) {
            found.push(name.to_owned());
        }
        is_for_tests = line.starts_with("#[cfg(test)]") || (is_for_tests && line.starts_with("#["));
    }
    found
}

/// What stands behind a path in a file's code, its tests and comments left out.
fn used(text: &str, path: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = code.lines().scan(false, |is_for_tests, line| {
        let skipped = std::mem::replace(is_for_tests, line.starts_with("#[cfg(test)]"));
        Some(if skipped { "" } else { line.split("//").next().unwrap_or_default() })
    });
    let code: String = lines.collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(path) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue; // the end of another name
        }
        let rest = &code[at + path.len()..];
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split(['}', ',']).collect(),
            None => vec![rest],
        };
        let word = |name: &str| {
            let name = name.trim_start().split(|c: char| !(c.is_alphanumeric() || c == '_'));
            name.into_iter().next().unwrap_or_default().to_owned()
        };
        found.extend(names.into_iter().map(word));
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Uses of modules that do not stand above the one that uses them.
fn upward(sources: &[(String, String)], file: &str, folder: &str, path: &str) -> Vec<String> {
    let text = |name: &str| sources.iter().find(|(of, _)| of == name).map(|(_, text)| text);
    let order = declared(text(file).expect("the file of the list"));
    assert!(order.len() > 5, "{file} declares {order:?}");
    let place = |name: &str| order.iter().position(|known| known == name);
    let mut faults = Vec::new();
    for (name, text) in sources {
        let Some(below) = name.strip_prefix(&format!("{folder}/")) else { continue };
        let module = below.split(['/', '.']).next().unwrap_or_default();
        let Some(own) = place(module) else { continue };
        for used in used(text, path) {
            match place(&used) {
                Some(other) if other <= own => {}
                // A name of the crate's face, or of the list's file itself.
                None if path == "crate::" => {}
                _ => faults.push(format!("{name} uses {path}{used}, which is not above it")),
            }
        }
    }
    faults
}

#[test]
fn a_module_uses_only_those_that_are_listed_above_it() {
    let sources = workspace_sources();
    let all = ORDERED.iter().flat_map(|(file, folder, path)| upward(&sources, file, folder, path));
    let faults: Vec<String> = all.collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn uses_are_seen_in_groups_and_in_paths_and_not_in_tests_or_comments() {
    let text = "use crate::{a::X, b};\n// crate::c\nfn f() { crate::d::g(); other_crate::e(); }\n\
                #[cfg(test)]\nuse crate::i;\n#[cfg(test)]\nmod tests { use crate::h; }";
    assert_eq!(used(text, "crate::")[..2], ["a", "b"]);
    assert!(used(text, "crate::").contains(&"d".to_owned()));
    assert!(["c", "e", "h", "i"].iter().all(|n| !used(text, "crate::").contains(&(*n).to_owned())));
    assert_eq!(
        declared("mod a;\npub(crate) mod b;\n#[cfg(test)]\n#[path = \"x\"]\nmod t;"),
        ["a", "b"]
    );
    let file = |name: &str, text: &str| (format!("src/{name}.rs"), text.to_owned());
    let list = file("lib", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;\nmod f;");
    let upwards = |text| upward(&[list.clone(), file("b", text)], "src/lib.rs", "src", "crate::");
    assert!(upwards("use crate::a::X;").is_empty());
    assert_eq!(upwards("use crate::c::X;").len(), 1);
}
