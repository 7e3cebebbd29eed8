//! The container image, as far as it shows without a container engine: one version of Rust everywhere, every program in
//! the image, a build that finds all it reads in what is sent to the engine, and a start that keeps its word.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::MetadataCommand;
use testkit::process::path_of;

/// Programs that are not in the image, and why.
const NOT_IN_THE_IMAGE: &[(&str, &str)] = &[
    ("stack", "it starts servers of this machine"),
    ("lab", "it starts servers and services of this machine"),
    ("faults", "it is a tool for tests"),
    ("payments", "it is an example"),
    ("send", "it is an example"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the root exists")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands between `before` and the next of `ends` in `text`.
fn between<'a>(text: &'a str, before: &str, ends: &[char]) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}")).1;
    rest.split(ends).next().unwrap_or_default()
}

/// The arguments of the `cargo` command that the image is built with.
fn build_args() -> Vec<String> {
    let dockerfile = read("docker/Dockerfile");
    let line = between(&dockerfile, "    cargo ", &['\\', '\n']);
    line.split_whitespace().map(str::to_owned).collect()
}

fn programs_of(args: &[String]) -> Vec<&str> {
    args.iter()
        .zip(args.iter().skip(1))
        .filter(|(flag, _)| *flag == "--bin")
        .map(|(_, name)| name.as_str())
        .collect()
}

#[test]
fn one_version_of_rust_stands_in_the_toolchain_file_the_manifest_and_the_image() {
    let channel = between(&read("rust-toolchain.toml"), "channel = \"", &['"']).to_owned();
    let (minor, _patch) = channel.rsplit_once('.').expect("a whole version");
    let manifest = read("Cargo.toml");
    assert_eq!(between(&manifest, "\nrust-version = \"", &['"']), minor);
    let dockerfile = read("docker/Dockerfile");
    assert_eq!(between(&dockerfile, "FROM rust:", &['-']), channel);
    assert_eq!(between(&dockerfile, "RUSTUP_TOOLCHAIN=", &['\n']), channel);
}

#[test]
fn every_program_is_built_into_the_image_and_copied() {
    let metadata = MetadataCommand::new().no_deps().current_dir(root()).exec().expect("metadata");
    let mut expected: Vec<String> = metadata
        .packages
        .iter()
        .flat_map(|package| package.targets.iter().filter(|target| target.is_bin()))
        .map(|target| target.name.clone())
        .filter(|name| NOT_IN_THE_IMAGE.iter().all(|(left_out, _)| left_out != name))
        .collect();
    let args = build_args();
    let mut built: Vec<&str> = programs_of(&args);
    expected.sort();
    built.sort_unstable();
    assert_eq!(built, expected);
    let dockerfile = read("docker/Dockerfile");
    for name in expected {
        assert!(dockerfile.contains(&format!(" target/release/{name}")), "{name} is not copied");
    }
}

/// The Debian packages of the `apt-get install` that stands after `from` in the Dockerfile.
fn installed_after<'a>(dockerfile: &'a str, from: &str) -> Vec<&'a str> {
    let rest = dockerfile.split_once(from).expect("a stage").1;
    between(rest, "--no-install-recommends ", &['\\']).split_whitespace().collect()
}

#[test]
fn the_image_is_built_with_what_setup_installs_and_has_what_its_programs_load() {
    let dockerfile = read("docker/Dockerfile");
    let setup = read("scripts/setup.sh");
    let built_with = installed_after(&dockerfile, "AS build");
    let set_up: Vec<&str> = between(&setup, "\nbuild=(", &[')']).split_whitespace().collect();
    assert_eq!(built_with, set_up);
    let loaded = installed_after(&dockerfile, "AS files");
    // libssl3 brings libcrypto; OpenSSL finds the authorities that it trusts in ca-certificates.
    for package in ["ca-certificates", "libssl3", "libzstd1", "zlib1g"] {
        assert!(loaded.contains(&package), "{package}: {loaded:?}");
    }
}

/// Whether the path is left out of what is sent to the engine. The patterns of the ignore file are names, with `**/`
/// and `*.` as their only wild cards.
fn is_left_out(path: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        if let Some(name) = pattern.strip_prefix("**/") {
            path.split('/').any(|part| part == name)
        } else if let Some(ending) = pattern.strip_prefix('*') {
            !path.contains('/') && path.ends_with(ending)
        } else {
            path == *pattern || path.starts_with(&format!("{pattern}/"))
        }
    })
}

/// Copies what the engine would be sent to `to`: of the files that git knows or would know.
fn copy_context(to: &Path) {
    let ignore = read("docker/Dockerfile.dockerignore");
    let patterns: Vec<&str> =
        ignore.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let files = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git");
    assert!(files.status.success());
    let text = String::from_utf8(files.stdout).expect("paths are UTF-8");
    for path in text.split('\0').filter(|path| !path.is_empty()) {
        let source = root().join(path);
        if is_left_out(path, &patterns) || !source.is_file() {
            continue;
        }
        let target = to.join(path);
        fs::create_dir_all(target.parent().expect("a file lies in a folder")).expect("a folder");
        fs::copy(source, target).expect("a copy");
    }
}

/// The image's own command, but that it only checks: what a build reads, a check reads too, and it takes seconds.
/// `make image-build` runs the very command over the same copy.
#[test]
fn the_image_builds_from_what_the_engine_is_sent() {
    let args = build_args();
    assert_eq!(args[..3], ["build", "--release", "--locked"]);
    let copy = tempfile::tempdir().expect("a folder");
    copy_context(copy.path());
    assert!(!copy.path().join("docs").exists() && copy.path().join("schemas").exists());
    let output = Command::new(env!("CARGO"))
        .args(["check", "--locked"])
        .args(&args[3..])
        .current_dir(copy.path())
        // The dependencies are checked already; what is checked anew lies in a folder of its own beside them.
        .env("CARGO_TARGET_DIR", target_dir())
        // A copy has no history. The name also keeps this build apart from those of the repository.
        .env("BUILD_COMMIT", "0123456789abcdef0123456789abcdef01234567")
        .env_remove("RUSTC_BOOTSTRAP")
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn target_dir() -> PathBuf {
    let metadata = MetadataCommand::new().no_deps().current_dir(root()).exec().expect("metadata");
    metadata.target_directory.into_std_path_buf()
}

/// Programs that an image starts by itself.
fn in_the_image() -> Vec<String> {
    let args = build_args();
    programs_of(&args).into_iter().map(str::to_owned).collect()
}

#[test]
fn every_program_has_a_stage_of_its_own_that_starts_it_without_root_or_shell() {
    let dockerfile = read("docker/Dockerfile");
    let stages: Vec<&str> = dockerfile.split("\nFROM ").collect();
    for program in in_the_image().iter().filter(|program| *program != "run") {
        let begin = format!("base AS {program}\n");
        let stage = stages.iter().find(|stage| stage.starts_with(&begin));
        let stage = stage.unwrap_or_else(|| panic!("no stage {program}"));
        assert!(stage.contains(&format!(
            "COPY --from=build /programs/{program} /usr/local/bin/{program}\n"
        )));
        let start = between(stage, "\nENTRYPOINT ", &['\n']);
        assert!(start.ends_with(&format!("\"/usr/local/bin/{program}\"]")), "{start}");
        assert!(stage.contains("\nHEALTHCHECK "), "{program}");
    }
    let base = stages.iter().find(|stage| stage.starts_with("scratch AS base\n"));
    let base = base.expect("the images begin with nothing");
    assert!(base.contains("\nUSER 10001:10001\n"), "{base}");
    assert!(!base.contains("RUN "), "there is no shell that could run it");
}

#[test]
fn hadolint_has_nothing_to_say_of_the_dockerfile() {
    let output = Command::new(tool("hadolint"))
        .args(["--no-color", "docker/Dockerfile"])
        .current_dir(root())
        .output()
        .expect("hadolint starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A program that scripts/setup.sh has installed.
fn tool(name: &str) -> PathBuf {
    let home = std::env::var_os("HOME").expect("a home");
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let path = cache.join("order-pipeline/tools/bin").join(name);
    assert!(path.exists(), "{} is not there: make setup", path.display());
    path
}

/// The file tree that the image has, with the programs as they are built here: each starts in it, and nothing else could.
#[test]
fn the_programs_start_in_the_file_tree_of_the_image_which_is_small_and_has_no_shell() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let programs = in_the_image();
    let files = Command::new(root().join("docker/root-files.sh"))
        .arg(&tree)
        .args(programs.iter().map(|name| path_of(name)))
        .output()
        .unwrap();
    assert!(files.status.success(), "{}", String::from_utf8_lossy(&files.stderr));
    let size = Command::new("du").args(["--summarize", "--bytes"]).arg(&tree).output().unwrap();
    let size = String::from_utf8_lossy(&size.stdout).split('\t').next().unwrap().parse::<u64>();
    let bytes = size.unwrap();
    assert!((1_000_000..15_000_000).contains(&bytes), "{bytes} bytes without a program");
    for shell in ["bin/sh", "bin/bash", "usr/bin/env", "bin/busybox"] {
        assert!(!tree.join(shell).exists(), "{shell}");
    }
    for name in programs {
        let to = tree.join("usr/local/bin").join(&name);
        fs::copy(path_of(&name), &to).unwrap();
        // Root changes its root; everybody else becomes root of a namespace first.
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let mut start = if is_root {
            Command::new("chroot")
        } else {
            let mut start = Command::new("unshare");
            start.args(["--user", "--map-root-user", "chroot"]);
            start
        };
        let inside = format!("/usr/local/bin/{name}");
        let output = start.arg(&tree).args([&inside[..], "--version"]);
        let output = output.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
        fs::remove_file(to).unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let is_started = if name == "run" {
            said.contains("--version cannot be started")
        } else {
            output.status.success()
        };
        assert!(is_started, "{name}: {said}");
    }
}
