//! The programs that others would write, built into the folder of the build.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::contender::Contender;
use crate::program::{build, done, programs, root, target};

/// What a strong user of Java gives the machine: one thread collects garbage on a small machine, and a heap as large as the
/// work needs.
const JAVA_OPTIONS: [&str; 2] = ["-XX:+UseSerialGC", "-Xmx256m"];

/// Starts of the names of what Kafka's client consists of.
const CLIENT_JARS: [&str; 5] =
    ["kafka-clients-", "slf4j-api-", "lz4-java-", "snappy-java-", "zstd-jni-"];

/// Rust from the manuals of the crates.
pub(crate) fn naive() -> Contender {
    build(&["--locked", "--manifest-path", "benches/naive/Cargo.toml"]);
    let name = "Rust from the crates' manuals, transactions";
    Contender::rival("naive", name, programs().join("naive"), Vec::new(), Vec::new())
}

/// Python on librdkafka. The packages are installed once for each list of them.
pub(crate) fn python() -> Contender {
    let sources = root().join("benches/python");
    let (packages, list) = (target().join("bench-python"), sources.join("requirements.txt"));
    let installed = packages.join("installed");
    let is_there = read(&installed).is_some_and(|text| Some(text) == read(&list));
    if !is_there {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]);
        pip.args(["--root-user-action=ignore", "--only-binary", ":all:", "--target"]);
        done(pip.arg(&packages).arg("--requirement").arg(&list));
        std::fs::copy(&list, &installed).expect("it is written beside the packages");
    }
    // The program itself, and not what a version manager puts before it.
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let program = String::from_utf8(output.expect("python3 runs").stdout).expect("a path");
    let arguments = vec![sources.join("averages.py").display().to_string()];
    let variables = vec![("PYTHONPATH", packages.into_os_string())];
    let name = "Python, confluent-kafka and fastavro, transactions";
    Contender::rival("python", name, program.trim().into(), arguments, variables)
}

/// Java with Kafka's own client, whose jars the servers bring.
///
/// # Panics
///
/// Panics without a compiler.
pub(crate) fn java() -> Contender {
    let name = "Java, kafka-clients, transactions";
    compiled("java", name, "Averages", &client_jars())
}

/// Java with Kafka Streams, of the version of the servers. Its jars are fetched once.
///
/// # Panics
///
/// Panics without a compiler, or without Maven where they are not there.
pub(crate) fn streams() -> Contender {
    let name = "Kafka Streams, exactly-once, store in memory";
    let jars = streams_jars(&client_version());
    compiled("streams", name, "AveragesOfStreams", &format!("{}/*", jars.display()))
}

/// A program of `benches/java`, against these jars.
fn compiled(key: &'static str, name: &'static str, class: &str, jars: &str) -> Contender {
    let sources = root().join("benches/java");
    let classes = target().join(format!("bench-{key}"));
    let is_there = Command::new("javac").arg("-version").output().is_ok();
    assert!(
        is_there,
        "javac is missing, which {key} needs: scripts/setup.sh bench installs it, or name others in BENCH_ONLY"
    );
    let mut compiler = Command::new("javac");
    compiler.args(["-cp", jars, "-sourcepath"]).arg(&sources).arg("-d").arg(&classes);
    done(compiler.arg(sources.join(format!("{class}.java"))));
    let path = format!("{}:{jars}", classes.display());
    let options = JAVA_OPTIONS.map(str::to_owned);
    let arguments = options.into_iter().chain(["-cp".to_owned(), path, class.to_owned()]);
    Contender::rival(key, name, "java".into(), arguments.collect(), Vec::new())
}

/// The folder of Streams and what it needs, in the cache of the build.
fn streams_jars(version: &str) -> PathBuf {
    let jars = target().join(format!("bench-streams-jars-{version}"));
    if !jars.is_dir() {
        // Renamed when it is whole.
        let fetched = jars.with_extension("fetching");
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", "--file"]).arg(root().join("benches/java/pom.xml"));
        maven.arg(format!("-Dkafka.version={version}"));
        done(maven.arg(format!("-Djars.directory={}", fetched.display())).arg("validate"));
        std::fs::rename(&fetched, &jars).expect("Maven has made it");
    }
    jars
}

/// The version of the servers' client, as the name of its jar has it.
fn client_version() -> String {
    let jars = client_jars();
    let of_client = |jar: &str| {
        let name = Path::new(jar).file_name()?.to_str()?;
        Some(name.strip_prefix(CLIENT_JARS[0])?.strip_suffix(".jar")?.to_owned())
    };
    jars.split(':').find_map(of_client).expect("the client is among its jars")
}

/// The client and what it needs, out of all the jars of a broker: the class path of those who use it.
fn client_jars() -> String {
    let all = std::env::var("KAFKA_CLASSPATH").expect("the servers' start sets it");
    let files = std::fs::read_dir(all.trim_end_matches('*')).expect("a folder of jars");
    let is_needed = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        CLIENT_JARS.iter().any(|needed| name.starts_with(needed))
    };
    let needed = files.filter_map(|entry| Some(entry.ok()?.path())).filter(is_needed);
    let needed: Vec<String> = needed.map(|path| path.display().to_string()).collect();
    assert_eq!(needed.len(), CLIENT_JARS.len(), "{needed:?} are in {all}");
    needed.join(":")
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
