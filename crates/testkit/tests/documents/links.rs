//! Relative links of every document lead to files and headings that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{BrokenLink, Event, LinkType, Options, Parser, Tag, TagEnd};

use super::root;

/// Folders at the top that `.gitignore` names.
const IGNORED: [&str; 3] = ["target", "data", "lab-results"];

/// Files with this extension, hidden and ignored folders left out.
pub(super) fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let is_ignored = folder == root() && IGNORED.contains(&&*name);
            if name.starts_with('.') || is_ignored {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// What GitHub makes of the text of a heading, but for the number of one that comes again.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What a document links to, and where its headings are.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Paths and addresses; of a link whose name nothing defines, the name in brackets.
    pub(super) targets: Vec<String>,
    anchors: BTreeSet<String>,
}

/// Reads a document as GitHub does.
pub(super) fn links(text: &str) -> Links {
    let mut found = Links::default();
    let (mut seen, mut heading) = (BTreeMap::<String, usize>::new(), None::<String>);
    let mut undefined = Vec::new();
    let mut note_undefined = |link: BrokenLink<'_>| {
        // `[text][name]` without a line for the name is shown as it stands. `[text]` may be meant so.
        if link.link_type == LinkType::Reference {
            undefined.push(format!("[{}]", link.reference));
        }
        None
    };
    let options = Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES;
    for event in Parser::new_with_broken_link_callback(text, options, Some(&mut note_undefined)) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor(&heading.take().unwrap_or_default());
                let before = seen.entry(name.clone()).or_default();
                found.anchors.insert(match *before {
                    0 => name,
                    again => format!("{name}-{again}"),
                });
                *before += 1;
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                found.targets.push(dest_url.into_string());
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found.targets.extend(undefined);
    found
}

/// Whether a link leads out of the repository.
pub(super) fn is_elsewhere(target: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|start| target.starts_with(start))
}

/// A path without `..`: links may not lead out of the repository by it.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => plain.pop().then_some(())?,
            other => plain.push(other),
        }
    }
    plain.starts_with(root()).then_some(plain)
}

/// What is wrong with a link of a document.
fn fault(document: &Path, target: &str) -> Option<String> {
    let (path, wanted) = target.split_once('#').unwrap_or((target, ""));
    let beside = document.parent().expect("a folder");
    let file = if path.is_empty() { document.to_owned() } else { beside.join(path) };
    let Some(file) = plain(&file).filter(|file| file.exists()) else {
        return Some(format!("{target}: no such file"));
    };
    if wanted.is_empty() || file.extension().is_none_or(|extension| extension != "md") {
        return None;
    }
    let text = fs::read_to_string(&file).expect("it is text");
    let has_it = links(&text).anchors.contains(wanted);
    (!has_it).then(|| format!("{target}: no such heading"))
}

#[test]
fn every_relative_link_of_every_document_leads_to_a_file_and_a_heading_that_are_there() {
    let (mut count, mut faults) = (0, Vec::new());
    for document in files_below(&root(), "md") {
        let text = fs::read_to_string(&document).expect("it is text");
        for target in links(&text).targets.iter().filter(|target| !is_elsewhere(target)) {
            count += 1;
            let name = document.strip_prefix(root()).expect("below the root").display();
            faults.extend(fault(&document, target).map(|fault| format!("{name}: {fault}")));
        }
    }
    assert!(count > 150, "only {count} links were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn headings_have_the_anchors_that_github_gives_them() {
    let text = "# A `kill -9`, and: more!\n\n## What's *new*_here\n\n## [A](b.md) link\n\n\
                ## Twice\n\n## Twice\n\n## …of 20,000 at 3 a.m.\n\n```text\n# no heading\n```\n";
    let expected =
        ["a-kill--9-and-more", "whats-new_here", "a-link", "twice", "twice-1", "of-20000-at-3-am"];
    assert_eq!(links(text).anchors, expected.map(str::to_owned).into());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let readme = root().join("README.md");
    let text = "[a](docs/push.md) `[b](c.md)` ![d](docs/images/path.svg) [e][g] [h]\n\n```\n[e](f.md)\n```\n";
    assert_eq!(links(text).targets, ["docs/push.md", "docs/images/path.svg", "[g]"]);
    for right in ["docs/push.md", "docs/", "#try-it", "docs/dlq.md#", "LICENSE#L1"] {
        assert_eq!(fault(&readme, right), None);
    }
    for wrong in ["docs/pull.md", "#no-such-heading", "docs/push.md#nowhere", "../README.md", "[g]"]
    {
        assert!(fault(&readme, wrong).is_some(), "{wrong}");
    }
    assert!(is_elsewhere("https://kafka.apache.org") && !is_elsewhere("docs/push.md"));
}
