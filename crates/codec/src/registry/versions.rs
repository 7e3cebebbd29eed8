//! Versions of a subject, and whether another one may follow them.

use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Question;
use super::client::Registry;
use super::error::RegistryError;

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectVersion {
    /// Number under the subject, from 1 on.
    pub version: u32,
    /// Id of its schema: what frames carry.
    pub id: u32,
    /// The schema's text.
    pub text: String,
    /// `AVRO`, `PROTOBUF` or `JSON`.
    pub kind: String,
    /// Texts of the schemas that it refers to, directly or not.
    pub references: Vec<String>,
}

impl Registry {
    /// Fetches a version of a subject, the latest one where none is named.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] if subject or version are unknown.
    pub async fn version(
        &self,
        subject: &str,
        version: Option<u32>,
    ) -> Result<SubjectVersion, RegistryError> {
        let named = version.map_or_else(|| "latest".to_owned(), |version| version.to_string());
        let path = ["subjects", subject, "versions", &named];
        let answer = self.call(Method::GET, &path, None, Question::Subject).await?;
        let (text, kind) = self.delivered(&answer, &format!("version {named}"))?;
        let number = |name: &str| answer[name].as_u64().and_then(|n| u32::try_from(n).ok());
        let (Some(version), Some(id)) = (number("version"), number("id")) else {
            return self.no_registry("without the number of a version");
        };
        let references = self.references(&answer).await?;
        Ok(SubjectVersion { version, id, text, kind, references })
    }

    /// Whether the subject's rule lets this schema follow the latest version.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] if the subject is unknown, [`RegistryError::Rejected`] if it is no
    /// valid schema.
    pub async fn may_follow(&self, subject: &str, schema: &str) -> Result<bool, RegistryError> {
        let path = ["compatibility", "subjects", subject, "versions", "latest"];
        let body = json!({ "schema": schema });
        let answer = self.call(Method::POST, &path, Some(body), Question::Subject).await?;
        match answer["is_compatible"] {
            Value::Bool(is_compatible) => Ok(is_compatible),
            _ => self.no_registry("without a result on compatibility"),
        }
    }
}
