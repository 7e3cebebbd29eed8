//! The container image, as far as it shows without a container engine: one version of Rust everywhere, every program in
//! the image, a build that finds all it reads in what is sent to the engine, and a start script that keeps its word.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cargo_metadata::MetadataCommand;

/// Programs that are not in the image, and why.
const NOT_IN_THE_IMAGE: &[(&str, &str)] =
    &[("stack", "it starts servers of this machine"), ("faults", "it is a tool for tests")];

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
    let loaded = installed_after(&dockerfile, "slim\n");
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

/// Paths that the engine would be sent: of the files that git knows or would know.
fn sent() -> Vec<PathBuf> {
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
    let paths = text.split('\0').filter(|path| !path.is_empty() && !is_left_out(path, &patterns));
    paths.map(|path| root().join(path)).filter(|path| path.is_file()).collect()
}

/// Files that a source includes, but for those of its tests: `include_str!("…")`, `include_bytes!("…")`.
fn included_by(source: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(source).expect("sources are UTF-8");
    let product = text.split("#[cfg(test)]").next().unwrap_or_default();
    let folder = source.parent().expect("a file lies in a folder");
    let paths = ["include_str!(\"", "include_bytes!(\""]
        .into_iter()
        .flat_map(|start| product.split(start).skip(1))
        .filter_map(|rest| rest.split('"').next());
    paths.map(|path| folder.join(path)).collect()
}

/// `make image-build` runs the image's own command over the same files; here, what would make it fail: a manifest, a
/// source or a file that a source includes is left out.
#[test]
fn all_that_a_build_reads_is_sent_to_the_engine() {
    assert_eq!(build_args()[..3], ["build", "--release", "--locked"]);
    let sent = sent();
    let has = |path: &Path| path.canonicalize().is_ok_and(|path| sent.contains(&path));
    let metadata = MetadataCommand::new().no_deps().current_dir(root()).exec().expect("metadata");
    for package in metadata.packages {
        assert!(has(package.manifest_path.as_std_path()), "{}", package.manifest_path);
        for target in package.targets {
            assert!(has(target.src_path.as_std_path()), "{}", target.src_path);
        }
    }
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", ".cargo/config.toml"] {
        assert!(has(&root().join(name)), "{name}");
    }
    let is_source = |path: &&PathBuf| {
        path.extension().is_some_and(|end| end == "rs") && path.iter().any(|part| part == "src")
    };
    let included: Vec<PathBuf> =
        sent.iter().filter(is_source).flat_map(|source| included_by(source)).collect();
    assert!(included.iter().any(|path| path.ends_with("schemas/order/v2.avsc")), "{included:?}");
    for path in included {
        assert!(has(&path), "{} is included, and not sent", path.display());
    }
    assert!(!has(&root().join("docs/faults.md")), "what no build reads is left out");
}

/// Starts `script` as the container starts a program.
fn run(script: &str) -> Command {
    let mut command = Command::new(root().join("docker/run.sh"));
    command
        .args(["/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_container_with_wrong_settings_ends_as_done_and_any_other_code_is_kept() {
    let wrong = run("exit 2").output().unwrap();
    assert_eq!(code(&wrong), Some(0));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("its settings are wrong"));
    for kept in [0, 1, 3, 4, 101] {
        assert_eq!(code(&run(&format!("exit {kept}")).output().unwrap()), Some(kept));
    }
}

#[test]
fn a_program_in_a_container_reads_its_input_and_hears_term() {
    let mut reading = run("cat").spawn().unwrap();
    reading.stdin.take().unwrap().write_all(b"order\n").unwrap();
    assert_eq!(reading.wait_with_output().unwrap().stdout, b"order\n");

    let script = "trap 'echo finished; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = run(script).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), &output.stdout[..]), (Some(3), &b"finished\n"[..]));
}

#[test]
fn the_compose_file_runs_every_program_that_waits_for_work() {
    let compose = read("docker-compose.yml");
    for profile in ["pipeline", "sync-rest", "rabbit", "streaming", "observability"] {
        assert!(compose.contains(&format!("profiles: [{profile}")), "no profile {profile}");
    }
    // A fixed port of the machine, and a second consumer could not start.
    let consumer = between(&compose, "\n  consumer:\n", &['\0']);
    let consumer = consumer.split("\n\n").next().unwrap_or_default();
    assert!(!consumer.contains("ports:"), "{consumer}");
    assert!(!compose.contains(".sh\", \"--bootstrap-server"), "a health check starts a Java tool");
}
