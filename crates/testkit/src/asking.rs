//! The connections over which a pipeline is asked how far it is. They are kept: a wait asks again and again, and to
//! connect costs the test and the broker far more than the answer.

use std::sync::{Arc, Mutex, PoisonError};

use kafka_io::client_config::Role;
use kafka_io::ends::{Ends, GroupOffsets};

use crate::cluster::Servers;

/// Connections to the brokers of a group. A copy has none: what is copied may be changed.
#[derive(Default)]
pub struct Asking(Mutex<Option<Arc<Handles>>>);

pub(crate) struct Handles {
    servers: Servers,
    group: String,
    pub(crate) ends: Ends,
    pub(crate) offsets: GroupOffsets,
}

impl Asking {
    /// The connections to these brokers for this group.
    pub(crate) fn handles(&self, servers: &Servers, group: &str) -> Arc<Handles> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_right = |kept: &&Arc<Handles>| kept.servers == *servers && kept.group == group;
        if let Some(kept) = kept.as_ref().filter(is_right) {
            return Arc::clone(kept);
        }
        let config = servers.config(Role::Consumer);
        let handles = Arc::new(Handles {
            servers: servers.clone(),
            group: group.to_owned(),
            ends: Ends::new(&config).expect("settings are good"),
            offsets: GroupOffsets::new(&config, group).expect("settings are good"),
        });
        kept.insert(handles).clone()
    }
}

impl Clone for Asking {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Asking")
    }
}

/// Two pipelines are the same if their names are, whoever has asked.
impl PartialEq for Asking {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Asking {}
