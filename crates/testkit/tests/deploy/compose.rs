//! Whether those who start programs, docker-compose.yml and the manifests, call them as they want to be called.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use serde_json::Value;
use testkit::process::path_of;

use crate::files::{read, root, yaml};
use crate::queries::list;

/// What stands between the name of a profile and its services in the README.
const PROFILES: [&str; 4] = ["core", "paradigms", "weather", "observability"];

fn services() -> BTreeMap<String, Value> {
    let compose = yaml("docker-compose.yml").remove(0);
    let services = compose["services"].as_object().expect("services").clone();
    services.into_iter().collect()
}

/// The programs of the workspace.
pub(crate) fn programs() -> BTreeSet<String> {
    let metadata = MetadataCommand::new().no_deps().current_dir(root()).exec().expect("metadata");
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect()
}

/// The stages of the Dockerfile, and what each begins with.
pub(crate) fn stages() -> BTreeMap<String, String> {
    let dockerfile = read("docker/Dockerfile");
    let stages = dockerfile.split("\nFROM ").skip(1).map(|stage| {
        let (head, rest) = stage.split_once('\n').expect("a line");
        let name = head.split_once(" AS ").expect("every stage has a name").1;
        (name.to_owned(), rest.to_owned())
    });
    stages.collect()
}

/// Flags among these arguments that the program does not have, by its own help.
pub(crate) fn unknown_flags(program: &str, arguments: &[String]) -> Vec<String> {
    let subcommands = arguments.iter().take_while(|argument| !argument.starts_with('-'));
    let mut command = Command::new(path_of(program));
    command.args(subcommands).arg("--help").env_clear().current_dir(std::env::temp_dir());
    let output = command.output().expect("it starts");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && help.contains("Usage:"), "{program} {arguments:?}: {help}");
    let has = |flag: &str| {
        help.lines().any(|line| line.split([' ', ',', '[', '=']).any(|word| word == flag))
    };
    let flags = arguments.iter().filter(|argument| argument.starts_with("--"));
    let flags = flags.map(|argument| argument.split('=').next().unwrap_or_default());
    flags.filter(|flag| !has(flag)).map(str::to_owned).collect()
}

pub(crate) fn texts(of: &Value, name: &str) -> Vec<String> {
    list(of, name).iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn every_service_of_ours_runs_a_program_that_has_its_flags_from_a_stage_that_is_there() {
    let (stages, programs) = (stages(), programs());
    let mut seen = 0;
    for (name, service) in services() {
        let Some(target) = service["build"]["target"].as_str() else { continue };
        seen += 1;
        let stage = stages.get(target).unwrap_or_else(|| panic!("{name}: no stage {target}"));
        assert!(programs.contains(target), "{name}: no program {target}");
        assert!(stage.contains(&format!("/usr/local/bin/{target}\"")), "{name}: {stage}");
        let unknown = unknown_flags(target, &texts(&service, "command"));
        assert!(unknown.is_empty(), "{name}: {target} has no {unknown:?}");
        assert_eq!(service["read_only"], true, "{name}");
        assert!(!list(&service, "profiles").is_empty(), "{name} is in no profile");
        assert_eq!(service["image"], format!("order-pipeline/{target}:local"), "{name}");
    }
    assert!(seen >= 7, "{seen} services");
    assert_eq!(unknown_flags("consumer", &["--metrics-adr=x".to_owned()]), ["--metrics-adr"]);
}

#[test]
fn every_profile_is_in_the_table_of_the_readme_and_depends_only_on_what_it_starts() {
    let services = services();
    let readme = read("README.md");
    let profiles_of = |of: &Value| of["profiles"].as_array().cloned().unwrap_or_default();
    for profile in PROFILES {
        let row = format!("| `docker compose --profile {profile} up -d --build`");
        let row = readme.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {profile}"));
        let mut members = 0;
        for (name, service) in &services {
            if !profiles_of(service).contains(&profile.into()) {
                continue;
            }
            members += 1;
            assert!(
                row.to_lowercase().contains(&name.replace('-', " ")) || row.contains(name),
                "{row}: {name}"
            );
            for needed in
                service["depends_on"].as_object().into_iter().flatten().map(|(name, _)| name)
            {
                let other = profiles_of(&services[needed]);
                let is_started = other.is_empty() || other.contains(&profile.into());
                assert!(
                    is_started,
                    "{profile}: {name} waits for {needed}, which it does not start"
                );
            }
        }
        assert!(members > 1, "{profile} starts {members} services");
    }
}

#[test]
fn published_ports_are_local_and_each_is_published_once() {
    let mut published = BTreeMap::new();
    for (name, service) in services() {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().expect("a text");
            let local = port.strip_prefix("127.0.0.1:").unwrap_or_else(|| panic!("{name}: {port}"));
            let outside = local.split(':').next().unwrap_or_default().to_owned();
            let other = published.insert(outside, name.clone());
            assert_eq!(other, None, "{name}: {port} is taken");
        }
    }
    // A fixed port of the machine, and a second consumer could not start.
    assert!(!published.values().any(|name| name == "consumer"));
}

#[test]
fn prometheus_scrapes_every_service_of_ours_and_has_the_rules() {
    let scraped = yaml("deploy/prometheus/prometheus.yml").remove(0);
    let jobs: BTreeSet<String> = list(&scraped, "scrape_configs")
        .iter()
        .map(|job| job["job_name"].as_str().expect("a name").to_owned())
        .collect();
    let services = services();
    for (name, service) in &services {
        let is_ours = service["build"]["target"].is_string() && name != "orders";
        assert!(!is_ours || jobs.contains(name), "{name} is not scraped");
        let health = service["healthcheck"]["test"].to_string();
        assert!(
            !health.contains(".sh") || health.contains("/dev/tcp"),
            "{name} starts a Java tool"
        );
    }
    let prometheus = services["prometheus"]["volumes"].to_string();
    assert!(prometheus.contains("./deploy/prometheus/rules:/etc/prometheus/rules:ro"));
    assert_eq!(texts(&scraped, "rule_files"), ["/etc/prometheus/rules/*.yml"]);
}
