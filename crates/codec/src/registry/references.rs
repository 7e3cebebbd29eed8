//! The schemas that a schema refers to.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::Value;

use super::answer::{Question, away};
use super::client::Registry;
use super::error::{AwayCause, RegistryError};

/// Most schemas that one schema may refer to, directly or not. More counts as an outage that names
/// this limit.
const REFERENCES_MAX: usize = 32;
/// Deepest chain of references; likewise.
const REFERENCE_DEPTH_MAX: usize = 8;

impl Registry {
    /// Collects the schemas that an answer refers to, nearest first.
    pub(super) async fn references(&self, answer: &Value) -> Result<Vec<String>, RegistryError> {
        let mut texts = Vec::new();
        let mut seen = HashSet::new();
        let mut level = self.named_references(answer)?;
        for _ in 0..REFERENCE_DEPTH_MAX {
            let mut next = Vec::new();
            for (subject, version) in level {
                if !seen.insert((subject.clone(), version)) {
                    continue;
                }
                if seen.len() > REFERENCES_MAX {
                    let detail = format!(
                        "{} has a schema that refers to more than {REFERENCES_MAX} others, the \
                         limit REFERENCES_MAX",
                        self.address()
                    );
                    return away(AwayCause::TooManyReferences, detail);
                }
                let path = ["subjects", &subject, "versions", &version.to_string()];
                let referred = self.call(Method::GET, &path, None, Question::Schema).await?;
                let whose = format!("version {version} of {subject}");
                texts.push(self.delivered(&referred, &whose)?.0);
                next.extend(self.named_references(&referred)?);
            }
            if next.is_empty() {
                return Ok(texts);
            }
            level = next;
        }
        let detail = format!(
            "{} has a schema whose references nest more than {REFERENCE_DEPTH_MAX} deep, the limit \
             REFERENCE_DEPTH_MAX",
            self.address()
        );
        away(AwayCause::TooManyReferences, detail)
    }

    /// Subject and version of each reference of an answer.
    fn named_references(&self, answer: &Value) -> Result<Vec<(String, i64)>, RegistryError> {
        let references = match &answer["references"] {
            Value::Null => return Ok(Vec::new()),
            Value::Array(references) => references,
            _ => return self.no_registry("with references that are not a list"),
        };
        let named = references.iter().map(|reference| {
            Some((reference["subject"].as_str()?.to_owned(), reference["version"].as_i64()?))
        });
        match named.collect() {
            Some(named) => Ok(named),
            None => self.no_registry("with a reference without subject and version"),
        }
    }
}
