//! Redis and Valkey: one step that counts a report and remembers its id.
//!
//! | key | type | content |
//! |---|---|---|
//! | `country:counts` | hash | reports by country |
//! | `messages:total` | string | all reports |
//! | `weather:counts:<CC>` | hash | reports of one country by kind of weather |
//! | `messages:seen` | sorted set | ids of the latest reports, by their number |
//!
//! Nothing that a store answers is the fault of a report: refused, loading, read-only, out of memory, no answer in
//! time, a wrong password and a key of another type are outages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use native_tls::TlsConnector;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, Script};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::country::Country;
use crate::kind::Kind;
use crate::limits::{STORE_ANSWER_MAX, STORE_CONNECT_MAX, STORE_WRITE_MAX};
use crate::metrics::{self, Wrote};
use crate::place::{Brand, Place};

/// What counts a report.
const COUNT: &str = include_str!("count.lua");

/// Whether a report was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Now.
    Now,
    /// Before, under the same id.
    Before,
}

/// A store cannot be asked, or did not answer as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{store} at {address}: {detail}")]
pub(crate) struct StoreError {
    store: &'static str,
    address: String,
    detail: String,
    /// It does not let us in.
    pub(crate) is_login: bool,
}

/// A connection, and which of all of them it is.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    generation: u64,
}

/// A store whose connection comes back by itself.
pub(crate) struct Store {
    place: Place,
    /// Ids that are remembered.
    seen_max: u64,
    /// Longest time for one write.
    write_max: Duration,
    script: Script,
    live: Mutex<(u64, Option<Live>)>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Store {
    /// Connects to a store, and says in the log what it may lose. An attempt at a report may take `attempt_max`.
    ///
    /// # Errors
    ///
    /// Fails within [`STORE_CONNECT_MAX`] if it is not there, or does not let us in.
    pub(crate) async fn open(
        place: Place,
        seen_max: u64,
        attempt_max: Duration,
    ) -> Result<Self, StoreError> {
        metrics::begin_store(place.brand);
        let write_max = STORE_WRITE_MAX.min(attempt_max * 9 / 10);
        let (script, live) = (Script::new(COUNT), Mutex::default());
        let store = Self { place, seen_max, write_max, script, live };
        let mut live = store.live().await?;
        store.look_at_settings(&mut live.connection).await;
        Ok(store)
    }

    /// Counts a report, unless it was counted under this id, in one step. When this returns, a store that writes its
    /// log before it answers (`appendonly yes`) has it on disk.
    ///
    /// # Errors
    ///
    /// If the store is unavailable. The report may be counted all the same; the next try tells.
    ///
    /// # Cancel safety
    ///
    /// As after an error.
    pub(crate) async fn count(
        &self,
        message_id: &str,
        country: Country,
        kind: Kind,
    ) -> Result<Counted, StoreError> {
        let began_at = Instant::now();
        let counting = self.count_once(message_id, country, kind);
        let counted = timeout(self.write_max, counting).await.unwrap_or_else(|_elapsed| {
            Err(self.error(format!("no answer within {:?}", self.write_max)))
        });
        let wrote = match &counted {
            Ok(Counted::Now) => Wrote::Counted,
            Ok(Counted::Before) => Wrote::Duplicate,
            Err(_) => Wrote::Unavailable,
        };
        metrics::wrote(self.place.brand, wrote, began_at.elapsed());
        counted
    }

    async fn count_once(
        &self,
        message_id: &str,
        country: Country,
        kind: Kind,
    ) -> Result<Counted, StoreError> {
        let mut live = self.live().await?;
        let mut call = self.script.prepare_invoke();
        call.key("country:counts").key("messages:total");
        call.key(format!("weather:counts:{country}")).key("messages:seen");
        call.arg(message_id).arg(country.as_str()).arg(kind.as_str()).arg(self.seen_max);
        let asked = call.invoke_async::<u8>(&mut live.connection);
        let answer = self.answer(live.generation, asked).await?;
        Ok(if answer == 1 { Counted::Now } else { Counted::Before })
    }

    /// Waits for an answer, and gives the connection up if it is none that can be used.
    async fn answer<T>(
        &self,
        generation: u64,
        asked: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, StoreError> {
        let fault = match timeout(STORE_ANSWER_MAX, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => self.fault(&error),
            Err(_elapsed) => self.error(format!("no answer within {STORE_ANSWER_MAX:?}")),
        };
        // Also after an answer: a replica that refuses to write may stand where the primary was.
        self.forget(generation).await;
        Err(fault)
    }

    /// Which of the two it is.
    pub(crate) const fn brand(&self) -> Brand {
        self.place.brand
    }

    /// Reads the counts by country. What is no country, or no count, is not ours, and left out.
    ///
    /// # Errors
    ///
    /// If the store is unavailable.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub(crate) async fn countries(&self) -> Result<BTreeMap<Country, u64>, StoreError> {
        let mut live = self.live().await?;
        let mut command = redis::cmd("HGETALL");
        command.arg("country:counts");
        let asked = command.query_async::<Vec<(String, String)>>(&mut live.connection);
        let fields = self.answer(live.generation, asked).await?;
        let counted = |(code, count): &(String, String)| {
            let country = Country::parse(code).filter(|country| country.as_str() == code)?;
            Some((country, count.parse().ok()?))
        };
        Ok(fields.iter().filter_map(counted).collect())
    }

    /// The connection, or a new one.
    async fn live(&self) -> Result<Live, StoreError> {
        let mut held = self.live.lock().await;
        if let Some(live) = &held.1 {
            return Ok(live.clone());
        }
        let connection = match timeout(STORE_CONNECT_MAX, self.connect()).await {
            Ok(connected) => connected?,
            Err(_elapsed) => {
                return Err(self.error(format!("no answer within {STORE_CONNECT_MAX:?}")));
            }
        };
        let generation = held.0 + 1;
        let live = Live { connection, generation };
        *held = (generation, Some(live.clone()));
        Ok(live)
    }

    async fn forget(&self, generation: u64) {
        let mut held = self.live.lock().await;
        if held.0 == generation {
            held.1 = None;
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let Place { host, port, tls, .. } = &self.place;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|error| self.error(error.to_string()))?;
        // Small requests are not to wait for each other's acknowledgement.
        stream.set_nodelay(true).map_err(|error| self.error(error.to_string()))?;
        match tls {
            None => self.enter(stream).await,
            Some(tls) => self.enter(self.encrypted(tls, host, stream).await?).await,
        }
    }

    async fn encrypted(
        &self,
        tls: &TlsConnector,
        host: &str,
        stream: TcpStream,
    ) -> Result<tokio_native_tls::TlsStream<TcpStream>, StoreError> {
        let tls = tokio_native_tls::TlsConnector::from(tls.clone());
        let stream = tls.connect(host, stream).await;
        stream.map_err(|error| self.error(format!("TLS: {error}")))
    }

    async fn enter<S>(&self, stream: S) -> Result<MultiplexedConnection, StoreError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(STORE_ANSWER_MAX));
        let made = MultiplexedConnection::new_with_config(&self.place.login, stream, config).await;
        let (connection, driver) = made.map_err(|error| self.fault(&error))?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// Warns where a restart of the store may lose counts, and so make the two stores differ. A store that does not say
    /// is not asked again.
    async fn look_at_settings(&self, connection: &mut MultiplexedConnection) {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg("append*").arg("maxmemory-policy");
        let asked = command.query_async::<Vec<String>>(connection);
        let Ok(Ok(found)) = timeout(STORE_ANSWER_MAX, asked).await else { return };
        let value = |name: &str| {
            let pair = found.chunks(2).find(|pair| pair[0] == name);
            pair.and_then(|pair| pair.get(1)).map_or("", String::as_str)
        };
        let store = self.place.brand.name();
        if value("appendonly") == "no" {
            tracing::warn!(
                store,
                "a restart of the store loses its counts: set appendonly yes and appendfsync always"
            );
        } else if value("appendfsync") != "always" {
            tracing::warn!(
                store,
                "a power failure may lose the last counts: set appendfsync always"
            );
        }
        if !matches!(value("maxmemory-policy"), "noeviction" | "") {
            tracing::warn!(store, "the store may evict counts: set maxmemory-policy noeviction");
        }
    }

    fn fault(&self, error: &RedisError) -> StoreError {
        let is_login = error.kind() == ErrorKind::AuthenticationFailed
            || matches!(error.code(), Some("NOAUTH" | "NOPERM" | "WRONGPASS"));
        StoreError { is_login, ..self.error(error.to_string()) }
    }

    fn error(&self, detail: String) -> StoreError {
        let (store, address) = (self.place.brand.name(), self.place.address());
        StoreError { store, address, detail, is_login: false }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_for_a_store_that_says_nothing_give_it_up_within_the_time_of_one_write() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", silent.local_addr().unwrap());
        let place = Place::check(Brand::Redis, &url, None, None).unwrap();
        let write_max = Duration::from_millis(200);
        let (script, live) = (Script::new(COUNT), Mutex::default());
        let store = Arc::new(Store { place, seen_max: 1, write_max, script, live });
        let (began_at, country) = (Instant::now(), Country::parse("GT").unwrap());
        let mut writes = JoinSet::new();
        for n in 0..64 {
            let store = Arc::clone(&store);
            writes.spawn(async move { store.count(&format!("m{n}"), country, Kind::Rainy).await });
        }
        for counted in writes.join_all().await {
            let told = counted.unwrap_err().to_string();
            assert!(
                told.starts_with("Redis at 127.0.0.1:") && told.contains("no answer"),
                "{told}"
            );
        }
        // One after the other, each would wait for a connection of its own.
        assert!(began_at.elapsed() < STORE_CONNECT_MAX, "{:?}", began_at.elapsed());
    }
}
