//! The calls that the programs make.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::access::Login;
use super::address::{Address, BadRegistryUrl};
use super::answer::{self, Question, away};
use super::error::{AwayCause, RegistryError};
use super::settings::RegistrySettings;
use super::transport::Transport;
use super::unreachable::{silent, speaks_tls, unreachable_because};

/// Media type of requests.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Media types of answers.
const MEDIA_TYPES: &str = "application/vnd.schemaregistry.v1+json, application/json";
/// Longest wait for the answer that tells http from TLS, after a failure. Without it, the failure
/// is told as it is.
const SCHEME_PROBE_MAX: Duration = Duration::from_secs(1);

/// A registry; cheap to clone, all clones share their connections.
///
/// Waits and answers are bounded by [`RegistrySettings`]; redirects are not followed, and
/// proxies of the environment not used: a registry stands inside the network.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: Transport,
    bases: Arc<[Base]>,
    address: Arc<str>,
    request_timeout: Duration,
    answer_bytes_max: usize,
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
        let bases: Arc<[Base]> =
            settings.addresses.iter().map(|address| Base::new(address, login)).collect();
        let address = bases.iter().map(|base| base.address.as_str()).collect::<Vec<_>>().join(",");
        let unusable = |error: reqwest::Error| BadRegistryUrl::new(&address, error.to_string());
        let transport = Transport::new(settings.connect_timeout, settings.ca_pem.as_deref())
            .map_err(unusable)?;
        if bases.iter().any(|base| base.url.scheme() == "https") {
            transport.over_tls().map_err(unusable)?;
        }
        let RegistrySettings { request_timeout, answer_bytes_max, .. } = settings;
        Ok(Self { transport, bases, address: address.into(), request_timeout, answer_bytes_max })
    }

    /// Where it is, without credentials; for messages.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Fetches the schema of an id, with what it refers to.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`] where the registry says 404 with 40403, of the id or of a
    /// schema that it refers to; anything else is [`RegistryError::Away`].
    pub async fn schema_by_id(&self, id: u32) -> Result<FetchedSchema, RegistryError> {
        let path = ["schemas", "ids", &id.to_string()];
        let answer = self.call(Method::GET, &path, None, Question::Schema).await?;
        let (text, kind) = self.delivered(&answer, &format!("id {id}"))?;
        let references = self.references(&answer).await?;
        Ok(FetchedSchema { text, kind, references })
    }

    /// Text and type of a schema in an answer; `whose` is told where there is none.
    pub(super) fn delivered(
        &self,
        answer: &Value,
        whose: &str,
    ) -> Result<(String, String), RegistryError> {
        let text = answer["schema"].as_str().filter(|text| !text.trim().is_empty());
        // Registries leave the type out where it is Avro.
        let kind = match &answer["schemaType"] {
            Value::Null => Some("AVRO"),
            kind => kind.as_str(),
        };
        match (text, kind) {
            (Some(text), Some(kind)) => Ok((text.to_owned(), kind.to_owned())),
            _ => self.no_registry(&format!("without a schema for {whose}")),
        }
    }

    /// An answer that no registry gives.
    pub(super) fn no_registry<T>(&self, answered: &str) -> Result<T, RegistryError> {
        away(AwayCause::NotARegistry, format!("{} answered {answered}", self.address))
    }

    /// Names of all subjects.
    ///
    /// # Errors
    ///
    /// If the registry is away.
    pub async fn subjects(&self) -> Result<Vec<String>, RegistryError> {
        let answer = self.call(Method::GET, &["subjects"], None, Question::Fact).await?;
        serde_json::from_value(answer).or_else(|_| self.no_registry("not a list of subjects"))
    }

    /// The compatibility rule for subjects that have none of their own, `BACKWARD`, `NONE`, …
    ///
    /// # Errors
    ///
    /// If the registry is away.
    pub async fn compatibility(&self) -> Result<String, RegistryError> {
        let answer = self.call(Method::GET, &["config"], None, Question::Fact).await?;
        match answer["compatibilityLevel"].as_str() {
            Some(level) => Ok(level.to_owned()),
            None => self.no_registry("no compatibility level"),
        }
    }

    /// Sets the compatibility rule for subjects that have none of their own.
    ///
    /// # Errors
    ///
    /// [`RegistryError::Rejected`] if there is no such level.
    pub async fn set_compatibility(&self, level: &str) -> Result<(), RegistryError> {
        let body = json!({ "compatibility": level });
        self.call(Method::PUT, &["config"], Some(body), Question::Change).await.map(drop)
    }

    /// Asks one address after the other until one is not unavailable.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        question: Question,
    ) -> Result<Value, RegistryError> {
        let mut details = Vec::new();
        let mut told = AwayCause::Unreachable;
        for base in self.bases.iter() {
            match self.call_one(base, &method, path, body.as_ref(), question).await {
                Err(RegistryError::Away { cause, detail }) => {
                    let cause = self.by_scheme(base, cause).await.unwrap_or(cause);
                    told = told.max(cause);
                    details.push(format!("{} {detail}", base.address));
                }
                settled => return settled,
            }
        }
        away(told, details.join("; "))
    }

    async fn call_one(
        &self,
        base: &Base,
        method: &Method,
        path: &[&str],
        body: Option<&Value>,
        question: Question,
    ) -> Result<Value, RegistryError> {
        let mut url = base.endpoint(path);
        if question == Question::Subject && *method == Method::POST {
            // Servers that do not know it ignore it.
            url.set_query(Some("normalize=true"));
        }
        let asked = url.clone();
        let mut request = Request::new(method.clone(), url);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(MEDIA_TYPES));
        if let Some(login) = &base.login {
            headers.insert(AUTHORIZATION, login.header());
        }
        if let Some(body) = body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
            *request.body_mut() = Some(body.to_string().into());
        }
        let answer = async {
            let response = self.transport.send(request).await;
            let response = response.map_err(|error| unreachable_because(&*error))?;
            answer::read(response, &asked, self.answer_bytes_max, question).await
        };
        timeout(self.request_timeout, answer).await.unwrap_or_else(|_elapsed| Err(silent()))
    }

    /// Whether a failure comes from http where TLS is spoken, or the other way round: asks once
    /// with the other scheme, without a login.
    async fn by_scheme(&self, base: &Base, cause: AwayCause) -> Option<AwayCause> {
        let is_https = base.url.scheme() == "https";
        let (other, found) = match cause {
            AwayCause::Handshake if is_https => ("http", AwayCause::SpeaksNoTls),
            AwayCause::BrokenOff if !is_https => ("https", AwayCause::SpeaksTls),
            _ => return None,
        };
        let (host, port) = (base.url.host_str()?, base.url.port_or_known_default()?);
        let url = Url::parse(&format!("{other}://{host}:{port}/")).ok()?;
        let request = self.transport.send(Request::new(Method::GET, url));
        match timeout(SCHEME_PROBE_MAX, request).await {
            Ok(Ok(_)) => Some(found),
            Ok(Err(error)) if found == AwayCause::SpeaksTls && speaks_tls(&*error) => Some(found),
            _ => None,
        }
    }
}

impl Base {
    fn new(address: &Address, login: Option<&Login>) -> Self {
        let login = address.login.as_ref().or(login).cloned();
        let (url, address) = (address.url.clone(), address.shown().to_owned());
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
