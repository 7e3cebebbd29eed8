//! Rules of the workspace that the compiler does not check: who may depend on whom, where
//! `unsafe` may stand, how long files and functions may be.

#[path = "workspace/edges.rs"]
mod edges;
#[path = "workspace/functions.rs"]
mod functions;
#[path = "workspace/messages.rs"]
mod messages;
#[path = "workspace/modules.rs"]
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use edges::Kind::{Normal, Test};
use edges::{EDGES, GUARDED, Kind};

/// Crates that other crates could bring in, and why they stay out.
const KEPT_OUT: &[(&str, &str)] = &[
    ("rustls", "OpenSSL, which librdkafka needs anyway, is the one TLS stack"),
    ("aws-lc-sys", "its C code takes a minute to build"),
    ("openssl-src", "the system's OpenSSL is used, and mended by the system's updates"),
    (
        "icu_properties",
        "host names need no more than: cargo update -p idna_adapter --precise 1.1.0",
    ),
];

/// Everything that the pure crates use. Nothing of it does I/O, tells the time or rolls dice on which an answer depends.
const PURE: &[(&str, &[&str])] = &[
    ("orders", &["crc32fast", "ryu", "thiserror"]),
    ("pipeline", &["base64", "crc32fast", "foldhash", "hashbrown", "thiserror"]),
];

/// Where `unsafe` stands, and why.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("crates/kafka-io/src/native.rs", "the only calls into librdkafka that rdkafka does not wrap"),
    (
        "crates/kafka-io/src/native/access.rs",
        "part of native: which permissions a client has, and which topic it is",
    ),
    ("crates/kafka-io/src/native/batch.rs", "part of native: many records with one call"),
    ("crates/kafka-io/src/native/group.rs", "part of native: a member's standing and its offsets"),
    ("crates/kafka-io/src/native/groups.rs", "part of native: groups of both protocols"),
    ("crates/kafka-io/src/native/headers.rs", "part of native: headers byte for byte"),
    ("crates/kafka-io/src/native/listing.rs", "part of native: offsets of many partitions at once"),
    (
        "crates/kafka-io/src/native/memory.rs",
        "part of native: freed memory that the system gets back",
    ),
    ("crates/kafka-io/src/native/request.rs", "part of native: administrative requests"),
    ("crates/kafka-io/src/native/settings.rs", "part of native: a topic's settings, one by one"),
    ("crates/kafka-io/src/native/trust.rs", "part of native: what a broker's certificate is like"),
    ("crates/allocations/src/lib.rs", "a counting allocator implements an unsafe trait"),
];

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 400;

/// Longest function, from its `fn` to its closing brace, in lines.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace stands")
}

/// What the manifests say; nothing is resolved, so no network and no lock are needed.
fn metadata() -> Metadata {
    let manifest = root().join("Cargo.toml");
    MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata works")
}

/// Every dependency of our crates: from, to, for what.
fn dependencies(metadata: &Metadata) -> Vec<(String, String, Kind)> {
    let kind = |kind| if kind == DependencyKind::Development { Test } else { Normal };
    let of = |package: &cargo_metadata::Package| {
        let from = package.name.to_string();
        let edge = |d: &cargo_metadata::Dependency| (from.clone(), d.name.clone(), kind(d.kind));
        package.dependencies.iter().map(edge).collect::<Vec<_>>()
    };
    metadata.packages.iter().flat_map(of).collect()
}

/// Differences between what is allowed and what is there, in words; both ways.
fn differences(
    allowed: &[(&str, &str, Kind, &str)],
    actual: impl IntoIterator<Item = (String, String, Kind)>,
) -> Vec<String> {
    let allowed: BTreeSet<_> =
        allowed.iter().map(|(a, b, kind, _)| ((*a).to_owned(), (*b).to_owned(), *kind)).collect();
    let actual: BTreeSet<_> = actual.into_iter().collect();
    let forbidden = actual.difference(&allowed).map(|(from, to, kind)| {
        format!("{from} → {to} ({kind:?}) is not allowed; add it to the table with its reason, or do without")
    });
    let gone = allowed.difference(&actual).map(|(from, to, kind)| {
        format!("{from} → {to} ({kind:?}) stands in the table and nowhere else; take it out")
    });
    forbidden.chain(gone).collect()
}

#[test]
fn our_crates_depend_on_each_other_in_one_direction() {
    let metadata = metadata();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    let edges = dependencies(&metadata).into_iter().filter(|(_, to, _)| ours.contains(to));
    let faults = differences(EDGES, edges);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nobody_ships_the_testkit() {
    let metadata = metadata();
    let edges = dependencies(&metadata);
    // `faults` is a tool for tests itself.
    let shipped = edges
        .iter()
        .filter(|(from, to, kind)| to == "testkit" && *kind == Normal && from != "faults");
    assert_eq!(shipped.count(), 0);
    assert!(edges.iter().all(|(_, to, _)| to != "faults"), "nobody ships the faults");
    let all = metadata.packages.iter().flat_map(|package| &package.dependencies);
    let mut shipped =
        all.filter(|it| it.name == "relane" && it.kind != DependencyKind::Development);
    let is_without_kit = shipped.all(|it| it.features.iter().all(|name| name != "testing"));
    assert!(is_without_kit, "nobody ships the engine's test kit");
}

#[test]
fn guarded_dependencies_stay_with_their_crate() {
    let guarded: BTreeSet<&str> = GUARDED.iter().map(|(guarded, ..)| *guarded).collect();
    let turned: Vec<_> =
        GUARDED.iter().map(|(to, from, kind, why)| (*from, *to, *kind, *why)).collect();
    let metadata = metadata();
    let edges =
        dependencies(&metadata).into_iter().filter(|(_, to, _)| guarded.contains(to.as_str()));
    let faults = differences(&turned, edges);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The engine serves any topic: neither it nor what it is built on knows an order, or the schema of one.
#[test]
fn the_engine_knows_no_order() {
    let metadata = metadata();
    let edges = dependencies(&metadata);
    let mut reached = BTreeSet::from(["relane".to_owned()]);
    loop {
        let known = reached.len();
        let next = edges.iter().filter(|(from, _, kind)| *kind == Normal && reached.contains(from));
        let next: Vec<String> = next.map(|(_, to, _)| to.clone()).collect();
        reached.extend(next);
        if reached.len() == known {
            break;
        }
    }
    assert!(reached.contains("kafka-io") && reached.contains("codec"), "{reached:?}");
    for name in ["orders", "order-schemas", "order-store", "order-api"] {
        assert!(!reached.contains(name), "relane depends on {name}");
    }
    let sources = messages::engine_sources();
    let speaks_of_orders =
        |line: &&str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "orders");
    let mut lines = 0;
    let mut found = Vec::new();
    for (name, text) in sources {
        let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        lines += product.lines().count();
        let of_orders = product.lines().filter(speaks_of_orders);
        found.extend(of_orders.map(|line| format!("{name}: {}", line.trim())));
    }
    assert!(lines > 5_000, "only {lines} lines are seen");
    assert!(found.is_empty(), "what is named from outside is a setting of a pipeline: {found:#?}");
}

#[test]
fn what_makes_a_first_build_long_stays_out_of_the_lock_file() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("a lock file");
    let is_locked = |name: &str| lock.contains(&format!("\nname = \"{name}\"\n"));
    assert!(is_locked("openssl-sys"), "the form of the lock file is another");
    for (name, why) in KEPT_OUT {
        assert!(!is_locked(name), "{name} is in Cargo.lock: {why}");
    }
}

#[test]
fn pure_crates_use_nothing_but_what_is_listed() {
    let metadata = metadata();
    let mut actual: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let ours: BTreeSet<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    for (from, to, kind) in dependencies(&metadata) {
        if kind == Normal && !ours.contains(&to) {
            actual.entry(from).or_default().insert(to);
        }
    }
    for (name, allowed) in PURE {
        let allowed: BTreeSet<String> = allowed.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(actual[*name], allowed, "dependencies of {name}");
    }
}

/// Source files below a directory, targets left out.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Source files with their path from the root of the workspace.
fn workspace_sources() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 50, "the sources were not found below {}", root.display());
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).expect("found below it").display().to_string();
        (name, fs::read_to_string(&path).expect("a source file is text"))
    };
    found.into_iter().map(read).collect()
}

/// Whether a line of code, its comment left out, uses the keyword.
fn uses_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '"'));
    words.into_iter().any(|word| word == "unsafe")
}

#[test]
fn the_keyword_is_told_from_comments_and_other_words() {
    assert!(uses_unsafe("    unsafe { call() };") && uses_unsafe("pub unsafe fn f() {}"));
    assert!(!uses_unsafe("// unsafe") && !uses_unsafe("#![expect(unsafe_code)]"));
    assert!(!uses_unsafe(r#"word == "unsafe""#) && !uses_unsafe("let unsafely = 1;"));
}

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let is_listed = |name: &str| UNSAFE_FILES.iter().any(|(listed, _)| *listed == name);
    let mut with_unsafe = BTreeSet::new();
    for (name, text) in workspace_sources() {
        // This file speaks of it.
        if name.ends_with("testkit/tests/workspace.rs") || !text.lines().any(uses_unsafe) {
            continue;
        }
        assert!(is_listed(&name), "{name} uses unsafe code");
        with_unsafe.insert(name);
    }
    for (listed, _) in UNSAFE_FILES {
        assert!(with_unsafe.contains(*listed), "{listed} has no unsafe code (any more)");
    }
}

#[test]
fn every_source_file_has_at_most_400_lines() {
    let count = |(name, text): (String, String)| (text.lines().count(), name);
    let too_long: Vec<_> =
        workspace_sources().into_iter().map(count).filter(|(n, _)| *n > FILE_LINES_MAX).collect();
    assert!(too_long.is_empty(), "split what has more than {FILE_LINES_MAX} lines: {too_long:#?}");
}

#[test]
fn every_function_has_at_most_70_lines_in_tests_as_well() {
    let (mut too_long, mut counted) = (Vec::new(), 0);
    for (name, text) in workspace_sources() {
        let found = functions::functions(&text);
        counted += found.len();
        let long = found.into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX);
        too_long.extend(long.map(|f| format!("{name}:{} {} has {}", f.line, f.name, f.lines)));
    }
    assert!(counted > 5_000, "only {counted} functions are seen");
    assert!(too_long.is_empty(), "more than {FUNCTION_LINES_MAX} lines: {too_long:#?}");
}

#[test]
fn tests_that_want_the_machine_to_themselves_stand_in_a_module_that_runs_last() {
    let mut found = 0;
    for (name, text) in workspace_sources() {
        if name.contains("crates/testkit/") {
            continue; // it offers the leave, and speaks of it
        }
        let Some(first) = text.find("machine::alone()") else { continue };
        let module = text.find("\nmod alone {");
        assert!(module.is_some_and(|module| module < first), "{name}: put it into `mod alone`");
        found += 1;
    }
    assert!(found > 2, "where are they?");
}

#[test]
fn no_script_stops_reading_a_pipe_before_its_writer_ends() {
    let (mut leaves, mut seen) = (Vec::new(), 0);
    for folder in ["scripts", "docker"] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder of scripts") {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "sh") {
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(&path).expect("a script is text");
            // With `pipefail` the writer's broken pipe fails the pipeline, though the reader found what it wanted.
            let is_early = |line: &&str| line.contains("| grep -q") || line.contains("| grep -m");
            let early = text.lines().filter(is_early);
            leaves.extend(early.map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(seen > 8, "only {seen} scripts are seen");
    assert!(leaves.is_empty(), "read the list to its end, or into a variable: {leaves:#?}");
}
