//! What strangers see of how the project is kept: workflows, templates, words.

use std::path::Path;
use std::process::Command;

use crate::files::{read, root, tool, under, yaml};

/// Whether a tool has nothing to say, and what it says.
fn says(name: &str, args: &[&str], folder: &Path) -> (bool, String) {
    let output = Command::new(tool(name)).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}: make setup"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn words_are_spelled_right_and_a_planted_slip_is_found() {
    let (is_clean, said) = says("typos", &["--format", "brief"], &root());
    assert!(is_clean, "{said}");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("typos.toml"), dir.path().join("typos.toml")).unwrap();
    std::fs::write(dir.path().join("page.md"), ["Records are rec", "ieved.\n"].concat()).unwrap();
    let (is_clean, said) = says("typos", &["--format", "brief"], dir.path());
    assert!(!is_clean && said.contains("page.md:1"), "{said}");
}

#[test]
fn licences_and_sources_of_all_crates_are_allowed_and_an_unknown_licence_is_found() {
    let check = |config: &Path| {
        let config = config.to_str().expect("a path");
        let args = ["--offline", "--log-level", "error", "--config", config, "check"];
        says("cargo-deny", &[&args[..], &["bans", "licenses", "sources"]].concat(), &root())
    };
    let (is_clean, said) = check(&root().join("deny.toml"));
    assert!(is_clean, "{said}");
    let dir = tempfile::tempdir().unwrap();
    let narrow = dir.path().join("deny.toml");
    std::fs::write(&narrow, read("deny.toml").replace("    \"MIT\",\n", "")).unwrap();
    let (is_clean, said) = check(&narrow);
    assert!(!is_clean && said.contains("MIT"), "{said}");
}

#[test]
fn workflows_are_sound_and_a_planted_hole_is_found() {
    let check = ["--offline", "--quiet", "--no-progress", ".github/workflows"];
    let (is_clean, said) = says("zizmor", &check, &root());
    assert!(is_clean, "{said}");
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join(".github/workflows");
    std::fs::create_dir_all(&folder).unwrap();
    let hole = read(".github/workflows/checks.yml")
        .replace("@11bd71901bbe5b1630ceea73d27597364c9af683", "@main");
    std::fs::write(folder.join("checks.yml"), hole).unwrap();
    let (is_clean, said) = says("zizmor", &check, dir.path());
    assert!(!is_clean && said.contains("unpinned"), "{said}");
}

#[test]
fn workflows_run_targets_and_scripts_that_are_there() {
    let makefile = read("Makefile");
    let mut seen = 0;
    for file in under(".github/workflows", "yml") {
        assert_eq!(yaml(&file).len(), 1, "{file}");
        let text = read(&file);
        for line in text.lines().filter(|line| line.contains("make ")) {
            let target = line.split("make ").nth(1).and_then(|rest| rest.split_whitespace().next());
            let target = target.expect("a target");
            assert!(
                line.trim_start().starts_with('#') || makefile.contains(&format!("\n{target}:")),
                "{file}: {line}"
            );
            seen += 1;
        }
        for word in
            text.split([' ', '(', ')', '\n', '"']).filter(|word| word.starts_with("scripts/"))
        {
            assert!(root().join(word).exists(), "{file}: no {word}");
            seen += 1;
        }
    }
    assert!(seen > 6, "{seen}");
    let all = [".github/workflows/checks.yml", ".github/workflows/release.yml"].map(read).concat();
    assert!(
        all.contains("make test") && all.contains("make release") && all.contains("docker build")
    );
    assert!(all.contains("cargo deny check advisories"));
}

#[test]
fn a_fault_report_asks_for_what_orders_doctor_prints() {
    let fault = yaml(".github/ISSUE_TEMPLATE/fault.yml").remove(0);
    let asked = fault["body"].as_array().expect("fields").iter();
    let doctor = asked.clone().find(|field| field["id"] == "doctor").expect("the field");
    assert_eq!(doctor["validations"]["required"], true);
    assert!(
        doctor["attributes"]["label"].as_str().is_some_and(|label| label.contains("orders doctor"))
    );
    for file in under(".github/ISSUE_TEMPLATE", "yml") {
        assert_eq!(yaml(&file).len(), 1, "{file}");
    }
    assert!(read(".github/PULL_REQUEST_TEMPLATE.md").contains("make test"));
}
