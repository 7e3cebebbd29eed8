//! What Kubernetes and its operators accept, as scripts/kubernetes-schemas.py wrote it down.

use std::collections::BTreeMap;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::files::read;

/// The schemas of one version of Kubernetes and of the operators.
pub(crate) struct Known {
    schemas: Schemas,
    pub(crate) kinds: BTreeMap<String, SchemaIndex>,
}

impl Known {
    pub(crate) fn of(kubernetes: &str) -> Self {
        let mut compiler = Compiler::new();
        let mut schemas = Schemas::new();
        let mut kinds = BTreeMap::new();
        for name in [&format!("kubernetes-{kubernetes}"), "operators", "strimzi"] {
            let text = read(&format!("deploy/kubernetes/schemas/{name}.json"));
            let all: Value = serde_json::from_str(&text).expect("JSON");
            let url = format!("file:///{name}.json");
            let names: Vec<String> =
                all["kinds"].as_object().expect("kinds").keys().cloned().collect();
            compiler.add_resource(&url, all).expect("a schema");
            for kind in names {
                let place = format!("{url}#/$defs/{}", kind.replace('/', "~1"));
                let index = compiler.compile(&place, &mut schemas);
                kinds.insert(kind, index.unwrap_or_else(|error| panic!("{place}: {error}")));
            }
        }
        Self { schemas, kinds }
    }

    /// What is wrong with a manifest.
    pub(crate) fn fault(&self, manifest: &Value) -> Option<String> {
        let kind = kind_of(manifest);
        let Some(index) = self.kinds.get(&kind) else {
            return Some(format!("there is no schema for {kind}"));
        };
        self.schemas.validate(manifest, *index).err().map(|error| format!("{error:#}"))
    }
}

pub(crate) fn kind_of(manifest: &Value) -> String {
    let text = |name: &str| manifest[name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("apiVersion"), text("kind"))
}
