//! The receivers that are shown, in Python and in Node, run as their first lines say.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{machine, wait};

use crate::rig::{LIMIT, Rig};

/// A receiver as a process; it is killed with its handle.
pub(crate) struct Example {
    child: Child,
    dir: TempDir,
    pub(crate) address: String,
}

impl Example {
    /// Starts one; port 0 takes any free one.
    ///
    /// # Panics
    ///
    /// Panics when the interpreter is missing: a test is never skipped.
    pub(crate) fn start(interpreter: &str, file: &str, port: u16) -> Self {
        let dir = TempDir::with_prefix("push-example-").expect("a directory");
        let made = |name: &str| File::create(dir.path().join(name)).expect("a file");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
        let child = Command::new(interpreter)
            .arg(path)
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stdout(made("stdout"))
            .stderr(made("stderr"))
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter} does not start: {error}; install it"));
        let mut example = Self { child, dir, address: String::new() };
        example.address = wait::until("the receiver's address", LIMIT, || {
            let told = example.read("stderr");
            let line = told.lines().find_map(|line| line.strip_prefix("listening on http://"));
            assert!(line.is_some() || told.is_empty(), "{file}: {told}");
            line.map(str::to_owned)
        });
        example
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it was made at the start")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it has printed of the records that it took.
    pub(crate) fn taken(&self) -> Vec<Value> {
        let text = self.read("stdout");
        // One that was killed may have left half a line.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn kill_9(&mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what the receiver said:\n{}", self.read("stderr"));
        }
    }
}

fn takes_payments(interpreter: &str, file: &str, args: &[&str]) {
    let _machine = machine::shared();
    let rig = Rig::new(1);
    let payments = ["5", "-3", "8"].map(|amount| format!("{{\"amount\": {amount}}}"));
    let keys = ["ada l\u{f6}v", "bob", "eve"];
    // What is no JSON is not among the data of a call with several records.
    let broken = args.is_empty().then(|| ("eve", "no JSON".to_owned()));
    rig.send(keys.into_iter().zip(payments).chain(broken.clone()));
    let receiver = Example::start(interpreter, file, 0);
    rig.push_all(&format!("http://{}/payments", receiver.address), args);
    let mut taken = receiver.taken();
    taken.sort_by_key(|line| line["id"].to_string());
    let line = |offset: usize, amount: i64| {
        let record = json!({ "amount": amount });
        json!({ "id": rig.id(offset), "key": keys[offset], "attempt": 1, "record": record })
    };
    assert_eq!(taken, [line(0, 5), line(2, 8)]);
    let mut told: Vec<String> = Vec::new();
    for letter in rig.dead_letters() {
        assert_eq!(letter.header_text("x-failure-class"), "refused");
        assert_eq!(letter.header_text("x-failure-reason"), "http-422");
        told.push(letter.header_text("x-failure-detail").to_owned());
    }
    told.sort();
    let status = "(422 Unprocessable Entity)";
    let titles = ["A payment is not negative", "The body is not JSON"];
    let titles = &titles[..1 + broken.map_or(0, |_| 1)];
    assert_eq!(told, titles.iter().map(|title| format!("{title} {status}")).collect::<Vec<_>>());
}

#[test]
fn the_receiver_in_python_takes_payments_and_refuses_others() {
    takes_payments("python3", "receiver.py", &[]);
}

#[test]
fn the_receiver_in_python_takes_payments_in_one_call_and_says_which_it_refuses() {
    takes_payments("python3", "receiver.py", &["--batch-max", "3"]);
}

#[test]
fn the_receiver_in_node_takes_payments_and_refuses_others() {
    takes_payments("node", "receiver.mjs", &[]);
}
