//! A Confluent-compatible registry in memory, for tests and the demo: schemas are gone when it
//! is dropped. It knows no references, no soft deletes and no other types than Avro. Two schemas
//! are the same to it where their letters are: `normalize` is ignored, as by some real ones.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Media type of all answers.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// Compatibility levels that are known; all but `NONE` check as `BACKWARD` does.
const LEVELS: [&str; 2] = ["BACKWARD", "NONE"];

/// A running registry on a free port of 127.0.0.1; stops when it is dropped.
#[derive(Debug)]
pub struct MiniRegistry {
    url: String,
    server: JoinHandle<io::Result<()>>,
}

impl MiniRegistry {
    /// Starts a registry on the current runtime. It answers when this returns.
    ///
    /// # Errors
    ///
    /// If no port can be opened.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async move { serve(listener, router()).await });
        Ok(Self { url, server })
    }

    /// Base address, for `SCHEMA_REGISTRY_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for MiniRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = Arc<Mutex<Store>>;
type Answer = Result<Value, Refusal>;

/// Everything that was registered.
struct Store {
    /// The schema of id n is at n - 1.
    schemas: Vec<Stored>,
    /// Ids by version, from version 1.
    subjects: BTreeMap<String, Vec<usize>>,
    level: String,
}

#[derive(PartialEq, Eq)]
struct Stored {
    text: String,
}

/// An error as Confluent words it.
struct Refusal {
    status: StatusCode,
    code: u32,
    message: String,
}

fn router() -> Router {
    let store =
        Store { schemas: Vec::new(), subjects: BTreeMap::new(), level: "BACKWARD".to_owned() };
    Router::new()
        .route("/schemas/ids/{id}", get(schema_by_id))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/config", get(level).put(set_level))
        .with_state(Arc::new(Mutex::new(store)))
}

async fn schema_by_id(State(store): State<Shared>, Path(id): Path<usize>) -> Response {
    let store = lock(&store);
    let found = id.checked_sub(1).and_then(|index| store.schemas.get(index));
    respond(match found {
        Some(stored) => Ok(json!({ "schema": stored.text })),
        None => Err(Refusal::not_found(40403, format!("Schema {id} not found"))),
    })
}

async fn subjects(State(store): State<Shared>) -> Response {
    respond(Ok(lock(&store).subjects.keys().cloned().collect()))
}

async fn versions(State(store): State<Shared>, Path(subject): Path<String>) -> Response {
    respond(lock(&store).ids(&subject).map(|ids| (1..=ids.len()).collect()))
}

async fn version(
    State(store): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Response {
    respond(lock(&store).version(&subject, &version))
}

async fn look_up(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Response {
    let store = lock(&store);
    respond(posted(&body).and_then(|posted| store.look_up(&subject, &posted)))
}

async fn register(
    State(store): State<Shared>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Response {
    let mut store = lock(&store);
    respond(posted(&body).and_then(|posted| store.register(subject, posted)))
}

async fn level(State(store): State<Shared>) -> Response {
    respond(Ok(json!({ "compatibilityLevel": lock(&store).level })))
}

async fn set_level(State(store): State<Shared>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    respond(match body["compatibility"].as_str() {
        Some(level) if LEVELS.contains(&level) => {
            level.clone_into(&mut lock(&store).level);
            Ok(json!({ "compatibility": level }))
        }
        _ => Err(Refusal::invalid(42203, format!("level must be one of {LEVELS:?}"))),
    })
}

impl Store {
    fn ids(&self, subject: &str) -> Result<&[usize], Refusal> {
        let missing = || Refusal::not_found(40401, format!("Subject '{subject}' not found."));
        self.subjects.get(subject).map(Vec::as_slice).ok_or_else(missing)
    }

    fn version(&self, subject: &str, version: &str) -> Answer {
        let ids = self.ids(subject)?;
        let number = if version == "latest" { Some(ids.len()) } else { version.parse().ok() };
        let found = number.and_then(|n| Some((n, *ids.get(n.checked_sub(1)?)?)));
        let Some((number, id)) = found else {
            return Err(Refusal::not_found(40402, format!("Version {version} not found.")));
        };
        Ok(self.describe(subject, number, id))
    }

    fn describe(&self, subject: &str, version: usize, id: usize) -> Value {
        let schema = &self.schemas[id - 1].text;
        json!({ "subject": subject, "version": version, "id": id, "schema": schema })
    }

    fn look_up(&self, subject: &str, posted: &Stored) -> Answer {
        let ids = self.ids(subject)?;
        let found = ids.iter().position(|id| self.schemas[*id - 1] == *posted);
        match found {
            Some(index) => Ok(self.describe(subject, index + 1, ids[index])),
            None => Err(Refusal::not_found(40403, "Schema not found".to_owned())),
        }
    }

    fn register(&mut self, subject: String, posted: Stored) -> Answer {
        if let Ok(known) = self.look_up(&subject, &posted) {
            return Ok(json!({ "id": known["id"] }));
        }
        if let Some(latest) = self.subjects.get(&subject).and_then(|ids| ids.last()) {
            self.check(&self.schemas[*latest - 1], &posted)?;
        }
        let same = self.schemas.iter().position(|stored| *stored == posted);
        let id = same.map_or(self.schemas.len() + 1, |index| index + 1);
        if same.is_none() {
            self.schemas.push(posted);
        }
        self.subjects.entry(subject).or_default().push(id);
        Ok(json!({ "id": id }))
    }

    /// BACKWARD: the new schema reads what the latest one wrote.
    fn check(&self, latest: &Stored, new: &Stored) -> Result<(), Refusal> {
        if self.level == "NONE" {
            return Ok(());
        }
        let (writer, reader) = (parse(&latest.text)?, parse(&new.text)?);
        SchemaCompatibility::can_read(&writer, &reader).map(drop).map_err(|error| Refusal {
            status: StatusCode::CONFLICT,
            code: 409,
            message: format!(
                "Schema being registered is incompatible with an earlier one: {error}"
            ),
        })
    }
}

impl Refusal {
    const fn not_found(code: u32, message: String) -> Self {
        Self { status: StatusCode::NOT_FOUND, code, message }
    }

    const fn invalid(code: u32, message: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code, message }
    }
}

fn posted(body: &[u8]) -> Result<Stored, Refusal> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(text) = body["schema"].as_str() else {
        return Err(Refusal::invalid(42201, "Empty schema".to_owned()));
    };
    parse(text)?;
    Ok(Stored { text: text.to_owned() })
}

fn parse(text: &str) -> Result<Schema, Refusal> {
    Schema::parse_str(text).map_err(|error| Refusal::invalid(42201, error.to_string()))
}

fn respond(answer: Answer) -> Response {
    let (status, json) = match answer {
        Ok(json) => (StatusCode::OK, json),
        Err(Refusal { status, code, message }) => {
            (status, json!({ "error_code": code, "message": message }))
        }
    };
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], json.to_string()).into_response()
}

fn lock(store: &Shared) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
