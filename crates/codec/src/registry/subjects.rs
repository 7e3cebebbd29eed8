//! Schemas under a subject: what a program writes is looked up by what it means, not by its
//! letters, and registered only where it is new.

use reqwest::Method;
use serde_json::{Value, json};

use super::answer::Question;
use super::canonical::canonical;
use super::client::Registry;
use super::error::RegistryError;

/// Most versions of a subject that are compared, the latest first. A schema that is spelled
/// otherwise and stands only in older ones counts as not registered.
const VERSIONS_MAX: usize = 100;

impl Registry {
    /// Adds a schema to a subject as it is written and returns its id. Whether another spelling
    /// of it is a version of its own, the registry decides: see [`Registry::find_or_register`].
    ///
    /// # Errors
    ///
    /// [`RegistryError::Incompatible`] if the subject's rule forbids it,
    /// [`RegistryError::Rejected`] if it is no valid schema.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let path = ["subjects", subject, "versions"];
        let body = json!({ "schema": schema });
        let answer = self.call(Method::POST, &path, Some(body), Question::Change).await?;
        self.id_of(&answer)
    }

    /// Finds the id of a schema under a subject, whatever its white space, the order of its
    /// attributes, and what it says for people: first by the registry's own normal form, then,
    /// since not all have one, by [`canonical`] among the latest versions.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] if the subject or the schema under it is unknown.
    pub async fn look_up(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let path = ["subjects", subject];
        let body = json!({ "schema": schema });
        let by_registry = self.call(Method::POST, &path, Some(body), Question::Subject).await;
        match by_registry {
            Ok(answer) => self.id_of(&answer),
            Err(unknown @ RegistryError::NotFound { .. }) => {
                self.look_up_among_versions(subject, schema).await?.ok_or(unknown)
            }
            Err(error) => Err(error),
        }
    }

    /// The id of a schema under a subject; it is registered only if the subject does not hold it
    /// in any spelling.
    ///
    /// # Errors
    ///
    /// As [`Registry::look_up`] and [`Registry::register`], but [`RegistryError::NotFound`].
    pub async fn find_or_register(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<u32, RegistryError> {
        match self.look_up(subject, schema).await {
            Err(RegistryError::NotFound { .. } | RegistryError::Rejected { .. }) => {
                self.register(subject, schema).await
            }
            found => found,
        }
    }

    /// The versions of a subject that are not deleted.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] if the subject is unknown.
    pub async fn versions(&self, subject: &str) -> Result<Vec<u32>, RegistryError> {
        let path = ["subjects", subject, "versions"];
        let versions = self.call(Method::GET, &path, None, Question::Subject).await?;
        serde_json::from_value(versions).or_else(|_| self.no_registry("not a list of versions"))
    }

    async fn look_up_among_versions(
        &self,
        subject: &str,
        schema: &str,
    ) -> Result<Option<u32>, RegistryError> {
        let Some(wanted) = canonical(schema) else { return Ok(None) };
        let mut versions = match self.versions(subject).await {
            Ok(versions) => versions,
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        versions.sort_unstable_by(|one, other| other.cmp(one));
        for version in versions.into_iter().take(VERSIONS_MAX) {
            let path = ["subjects", subject, "versions", &version.to_string()];
            let answer = match self.call(Method::GET, &path, None, Question::Subject).await {
                Ok(answer) => answer,
                // Deleted since the list was made.
                Err(RegistryError::NotFound { .. }) => continue,
                Err(error) => return Err(error),
            };
            if answer["schema"].as_str().and_then(canonical).as_ref() == Some(&wanted) {
                return self.id_of(&answer).map(Some);
            }
        }
        Ok(None)
    }

    fn id_of(&self, answer: &Value) -> Result<u32, RegistryError> {
        match answer["id"].as_u64().map(u32::try_from) {
            Some(Ok(id)) => Ok(id),
            _ => self.no_registry("without a schema id"),
        }
    }
}
