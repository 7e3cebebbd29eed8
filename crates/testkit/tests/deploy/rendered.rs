//! The overlays as `kubectl apply -k` would send them; rendered once for all tests.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::files::{documents, root, tool};

pub(crate) const OVERLAYS: [&str; 2] = ["kind", "cloud"];

static RENDERED: LazyLock<[Vec<Value>; OVERLAYS.len()]> = LazyLock::new(|| OVERLAYS.map(render));

pub(crate) fn rendered(overlay: &str) -> &'static [Value] {
    let at = OVERLAYS.iter().position(|known| *known == overlay).expect("an overlay");
    &RENDERED[at]
}

fn render(overlay: &str) -> Vec<Value> {
    let output = Command::new(tool("kubectl"))
        .args(["kustomize", &format!("deploy/kubernetes/overlays/{overlay}")])
        .current_dir(root())
        .output()
        .expect("scripts/setup.sh installs kubectl");
    assert!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
    documents(&String::from_utf8_lossy(&output.stdout)).expect("it prints YAML")
}
