//! The calls that the programs make.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use reqwest::{Certificate, Client, Method, Url, redirect};
use serde_json::{Value, json};

use super::access::Login;
use super::answer::{self, away, not_found, unreachable_because};
use super::error::RegistryError;
use super::settings::{BadRegistryUrl, RegistrySettings, redacted};

/// Media type of requests.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Most schemas that one schema may refer to, directly or not.
const REFERENCES_MAX: usize = 32;
/// Deepest chain of references.
const REFERENCE_DEPTH_MAX: usize = 8;

/// A registry; cheap to clone, all clones share their connections.
///
/// Waits and answers are bounded by [`RegistrySettings`]; redirects are not followed, and
/// proxies of the environment not used: a registry stands inside the network.
#[derive(Debug, Clone)]
pub struct Registry {
    client: Client,
    bases: Arc<[Base]>,
    address: Arc<str>,
    body_bytes_max: usize,
}

#[derive(Debug)]
struct Base {
    url: Url,
    /// The address without user and password, for messages.
    address: String,
    login: Option<Login>,
}

/// A schema as the registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedSchema {
    /// The schema's text.
    pub text: String,
    /// `AVRO`, `PROTOBUF` or `JSON`.
    pub kind: String,
    /// Texts of the schemas that it refers to, directly or not.
    pub references: Vec<String>,
}

impl Registry {
    /// A client; connects when it is first used.
    ///
    /// # Errors
    ///
    /// If the client cannot be built from the settings.
    pub fn new(settings: RegistrySettings) -> Result<Self, BadRegistryUrl> {
        let login = settings.login.as_ref();
        let bases: Arc<[Base]> = settings.urls.iter().map(|url| Base::new(url, login)).collect();
        let address = bases.iter().map(|base| base.address.as_str()).collect::<Vec<_>>().join(",");
        let mut client = Client::builder();
        if let Some(pem) = &settings.ca_pem {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| BadRegistryUrl::new(&address, error.to_string()))?;
            client = client.tls_certs_only(certificates);
        }
        let client = client
            .connect_timeout(settings.connect_timeout)
            .timeout(settings.request_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| BadRegistryUrl::new(&address, error.to_string()))?;
        let body_bytes_max = settings.body_bytes_max;
        Ok(Self { client, bases, address: address.into(), body_bytes_max })
    }

    /// Where it is, without credentials; for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Fetches the schema of an id, with what it refers to.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] only where the registry says 40403;
    /// [`RegistryError::Rejected`] where the references are too many or too deep.
    pub async fn schema_by_id(&self, id: u32) -> Result<FetchedSchema, RegistryError> {
        let path = ["schemas", "ids", &id.to_string()];
        let answer = self.call(Method::GET, &path, None, not_found::SCHEMA).await?;
        let Some(text) = answer["schema"].as_str() else {
            return away(format!("{} answered without a schema for id {id}", self.address));
        };
        // Registries leave the type out where it is Avro.
        let kind = answer["schemaType"].as_str().unwrap_or("AVRO").to_owned();
        let references = self.references(&answer).await?;
        Ok(FetchedSchema { text: text.to_owned(), kind, references })
    }

    /// Adds a schema to a subject and returns its id; an equal one keeps its id.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Incompatible`] if the subject's rule forbids it,
    /// [`RegistryError::Rejected`] if it is no valid schema.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let path = ["subjects", subject, "versions"];
        let body = json!({ "schema": schema });
        let answer = self.call(Method::POST, &path, Some(body), not_found::NEVER).await?;
        self.id_of(&answer)
    }

    /// Finds the id of a schema under a subject.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] if the subject or the schema under it is unknown.
    pub async fn look_up(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let path = ["subjects", subject];
        let body = json!({ "schema": schema });
        let answer = self.call(Method::POST, &path, Some(body), not_found::SUBJECT).await?;
        self.id_of(&answer)
    }

    /// Names of all subjects.
    ///
    /// # Errors
    ///
    /// If the registry is away.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let answer = self.call(Method::GET, &["subjects"], None, not_found::NEVER).await?;
        serde_json::from_value(answer)
            .or_else(|_| away(format!("{} answered no list of subjects", self.address)))
    }

    /// The compatibility rule for subjects that have none of their own, `BACKWARD`, `NONE`, …
    ///
    /// # Errors
    ///
    /// If the registry is away.
    pub async fn compatibility(&self) -> Result<String, RegistryError> {
        let answer = self.call(Method::GET, &["config"], None, not_found::NEVER).await?;
        match answer["compatibilityLevel"].as_str() {
            Some(level) => Ok(level.to_owned()),
            None => away(format!("{} answered no compatibility level", self.address)),
        }
    }

    /// Sets the compatibility rule for subjects that have none of their own.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Rejected`] if there is no such level.
    pub async fn set_compatibility(&self, level: &str) -> Result<(), RegistryError> {
        let body = json!({ "compatibility": level });
        self.call(Method::PUT, &["config"], Some(body), not_found::NEVER).await.map(drop)
    }

    /// Collects the schemas that an answer refers to, nearest first.
    async fn references(&self, answer: &Value) -> Result<Vec<String>, RegistryError> {
        let mut texts = Vec::new();
        let mut seen = HashSet::new();
        let mut level = named_references(answer);
        for _ in 0..REFERENCE_DEPTH_MAX {
            let mut next = Vec::new();
            for (subject, version) in level {
                if !seen.insert((subject.clone(), version)) {
                    continue;
                }
                if seen.len() > REFERENCES_MAX {
                    let detail = format!("it refers to more than {REFERENCES_MAX} schemas");
                    return Err(RegistryError::Rejected { detail });
                }
                let path = ["subjects", &subject, "versions", &version.to_string()];
                // Whatever is wrong with a reference, it does not say that the id is unknown.
                let referred = self.call(Method::GET, &path, None, not_found::NEVER).await?;
                let Some(text) = referred["schema"].as_str() else {
                    let whose = format!("version {version} of {subject}");
                    return away(format!("{} answered without a schema for {whose}", self.address));
                };
                texts.push(text.to_owned());
                next.extend(named_references(&referred));
            }
            if next.is_empty() {
                return Ok(texts);
            }
            level = next;
        }
        let detail = format!("its references nest more than {REFERENCE_DEPTH_MAX} deep");
        Err(RegistryError::Rejected { detail })
    }

    fn id_of(&self, answer: &Value) -> Result<u32, RegistryError> {
        match answer["id"].as_u64().map(u32::try_from) {
            Some(Ok(id)) => Ok(id),
            _ => away(format!("{} answered without a schema id", self.address)),
        }
    }

    /// Asks one address after the other until one is not away.
    async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        not_found: &[i64],
    ) -> Result<Value, RegistryError> {
        let mut details = Vec::new();
        for base in self.bases.iter() {
            match self.call_one(base, &method, path, body.as_ref(), not_found).await {
                Err(RegistryError::Away { detail }) => {
                    details.push(format!("{} {detail}", base.address));
                }
                settled => return settled,
            }
        }
        away(details.join("; "))
    }

    async fn call_one(
        &self,
        base: &Base,
        method: &Method,
        path: &[&str],
        body: Option<&Value>,
        not_found: &[i64],
    ) -> Result<Value, RegistryError> {
        let mut request = self.client.request(method.clone(), base.endpoint(path));
        if let Some(login) = &base.login {
            request = login.add_to(request);
        }
        request =
            request.header(reqwest::header::ACCEPT, format!("{CONTENT_TYPE}, application/json"));
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, CONTENT_TYPE);
            request = request.body(body.to_string());
        }
        let response = request.send().await.map_err(|error| unreachable_because(&error))?;
        answer::read(response, self.body_bytes_max, not_found).await
    }
}

impl Base {
    fn new(url: &Url, login: Option<&Login>) -> Self {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let password = url.password().map(decoded);
        let has_user = !url.username().is_empty() || password.is_some();
        let own = has_user.then(|| Login::Basic { user: decoded(url.username()), password });
        let login = own.or_else(|| login.cloned());
        let address = redacted(url);
        let url = Url::parse(&address).expect("an address stays one without its user");
        if login.is_some() && url.scheme() == "http" && !is_this_machine(&url) {
            tracing::warn!(
                address,
                "the login for the schema registry crosses the network in clear"
            );
        }
        Self { url, address, login }
    }

    fn endpoint(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        url.path_segments_mut().expect("http addresses have a path").pop_if_empty().extend(path);
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// Subject and version of each reference of an answer; malformed ones name a schema that
/// nothing will define.
fn named_references(answer: &Value) -> Vec<(String, i64)> {
    let references = answer["references"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = references.iter().filter_map(|reference| {
        Some((reference["subject"].as_str()?.to_owned(), reference["version"].as_i64()?))
    });
    named.collect()
}
