//! A broker with TLS listeners, logins and permissions.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use stack::{KafkaConfig, KafkaServer, Listener};
use tempfile::TempDir;

use super::certificates::{Authority, Identity, Validity};
use super::{Grant, grant};
use crate::cluster::{Servers, variable};
use crate::pipeline::Pipeline;

/// Address that all good certificates are for.
pub(super) const HOST: &str = "127.0.0.1";

/// A broker of the test's own. Whoever comes over the plain listener may do everything; the others
/// may do what they were granted.
pub struct SecureKafka {
    kafka: KafkaServer,
    authority: Authority,
    stranger: Authority,
    // Last: the server ends before its files go.
    _dir: TempDir,
}

impl SecureKafka {
    /// The broker that tests which run at the same time share; it ends with the last of them.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn shared(users: &[(&str, &str)]) -> Arc<Self> {
        static SHARED: Mutex<Weak<SecureKafka>> = Mutex::new(Weak::new());
        // A test that failed while it started the broker leaves nothing half-made behind.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(users));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// Starts the broker. `users` can log in with SCRAM-SHA-512.
    ///
    /// # Panics
    ///
    /// Panics when it does not start.
    pub fn start(users: &[(&str, &str)]) -> Self {
        let dir = TempDir::with_prefix("testkit-secure-").expect("a directory");
        let authority = Authority::new(dir.path(), "authority");
        let stranger = Authority::new(dir.path(), "stranger");
        let good = authority.issue("broker", &[HOST, "localhost"], Validity::Good);
        let elsewhere = authority.issue("elsewhere", &["broker.example"], Validity::Good);
        let expired = authority.issue("expired", &[HOST], Validity::Expired);
        let mut properties = vec![
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".into(),
            "super.users=User:ANONYMOUS".into(),
            "sasl.enabled.mechanisms=SCRAM-SHA-512".into(),
            "listener.name.scram.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;"
                .into(),
            "ssl.keystore.type=PEM".into(),
            format!("ssl.keystore.location={}", good.keystore.display()),
            "ssl.truststore.type=PEM".into(),
            format!("ssl.truststore.location={}", authority.file().display()),
            "listener.name.mutual.ssl.client.auth=required".into(),
        ];
        for (listener, identity) in [("elsewhere", &elsewhere), ("expired", &expired)] {
            let keystore = identity.keystore.display();
            properties.push(format!("listener.name.{listener}.ssl.keystore.type=PEM"));
            properties.push(format!("listener.name.{listener}.ssl.keystore.location={keystore}"));
        }
        let listeners =
            [("SCRAM", "SASL_SSL"), ("MUTUAL", "SSL"), ("ELSEWHERE", "SSL"), ("EXPIRED", "SSL")];
        let listener = |(name, protocol): (&str, &str)| Listener {
            name: name.to_owned(),
            protocol: protocol.to_owned(),
            advertised: Vec::new(),
        };
        let config = KafkaConfig {
            properties,
            listeners: listeners.map(listener).to_vec(),
            scram_users: users.iter().map(|(n, p)| ((*n).to_owned(), (*p).to_owned())).collect(),
            ..KafkaConfig::in_dir(dir.path().join("kafka"))
        };
        let kafka = KafkaServer::start(config).expect("Kafka starts");
        Self { kafka, authority, stranger, _dir: dir }
    }

    /// The plain listener, where everything is allowed.
    pub fn plain(&self) -> String {
        self.kafka.bootstrap_servers()
    }

    /// The listener `SCRAM` (SASL_SSL), `MUTUAL` (SSL, wants the client's certificate), `ELSEWHERE`
    /// (its certificate is for another host) or `EXPIRED` (its certificate is).
    ///
    /// # Panics
    ///
    /// Panics for another name.
    pub fn listener(&self, name: &str) -> String {
        self.kafka.listener_address(name).expect("a listener of this broker")
    }

    /// The authority that signed the broker's certificates, and that it trusts.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// PEM file of an authority that has nothing to do with this broker.
    pub fn stranger(&self) -> &Path {
        self.stranger.file()
    }

    /// A certificate with which a client is the principal `User:CN=NAME`.
    pub fn client(&self, name: &str) -> Identity {
        self.authority.issue(name, &[], Validity::Good)
    }

    /// Grants permissions; see [`grant`].
    pub fn grant(&self, grants: &[(String, Grant)]) {
        grant(&self.plain(), grants);
    }

    /// A pipeline of its own, reached over the plain listener, with the shared registry.
    pub fn names(&self, partitions: i32) -> Pipeline {
        let servers = Servers {
            bootstrap_servers: self.plain(),
            registry_url: variable("SCHEMA_REGISTRY_URL"),
        };
        Pipeline::with_random_names(servers, partitions)
    }

    /// As [`Self::names`], with all topics as the contract wants them.
    pub fn pipeline(&self, partitions: i32) -> Pipeline {
        let pipeline = self.names(partitions);
        pipeline.create_all(&[]);
        pipeline
    }
}
