//! Ports that nobody uses, and who listens on one.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::StackError;
use crate::port_book::PortBook;

/// Where free ports are looked for. Below Linux's ephemeral range (32768 and up): there, any
/// outgoing connection could
/// take the port of a server while it is down between `kill_9` and `restart`.
const RANGE: Range<u16> = 20_000..30_000;

/// How often a server that lost its free port to another process is started again, on other ports.
pub const PORT_ATTEMPTS_MAX: u32 = 3;

/// Which ports a server takes.
#[derive(Debug, Clone, Default)]
pub enum Ports {
    /// Free ones, chosen anew for every start of a handle.
    #[default]
    Free,
    /// The ones that everyone knows, such as 9092 for Kafka.
    Default,
    /// Those that the folder's servers had before; where there are none, or another process took
    /// one, a free one.
    Kept(Arc<PortBook>),
}

impl Ports {
    /// Returns `default`, the port that `server` had before, or a free one.
    ///
    /// # Errors
    /// [`StackError::AddressInUse`] when the well-known port is taken.
    pub fn choose(&self, server: &str, default: u16) -> Result<u16, StackError> {
        match self {
            Self::Free => free(),
            Self::Default if can_be_bound(default) => Ok(default),
            Self::Default => Err(StackError::AddressInUse {
                server: server.to_owned(),
                address: address(default),
            }),
            Self::Kept(book) => book.port_of(&format!("{server}:{default}")),
        }
    }

    /// Returns a port for `purpose`, which no client needs to know.
    ///
    /// # Errors
    /// As for [`free`].
    pub(crate) fn choose_inner(&self, purpose: &str) -> Result<u16, StackError> {
        match self {
            Self::Free | Self::Default => free(),
            Self::Kept(book) => book.port_of(purpose),
        }
    }

    /// Runs `start` again, with other ports, as long as it loses a free port between choosing and binding it.
    ///
    /// # Errors
    /// Those of `start`; after [`PORT_ATTEMPTS_MAX`] attempts also [`StackError::AddressInUse`].
    pub(crate) fn retry<T>(
        &self,
        mut start: impl FnMut() -> Result<T, StackError>,
    ) -> Result<T, StackError> {
        let mut attempt = 1;
        loop {
            match start() {
                Err(StackError::AddressInUse { .. })
                    if !matches!(self, Self::Default) && attempt < PORT_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }
}

/// Returns a port of 127.0.0.1 that can be bound now and that this process was not given before.
///
/// # Errors
/// [`StackError::Setting`] when the whole range is taken.
pub fn free() -> Result<u16, StackError> {
    static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut guard = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let handed_out = guard.get_or_insert_default();
    let count = RANGE.end - RANGE.start;
    // A random beginning, so that runs side by side seldom try the same port.
    let random = RandomState::new().build_hasher().finish();
    let beginning = u16::try_from(random % u64::from(count)).unwrap_or_default();
    for step in 0..count {
        let port = RANGE.start + (beginning + step) % count;
        if !handed_out.contains(&port) && can_be_bound(port) {
            handed_out.insert(port);
            return Ok(port);
        }
    }
    Err(StackError::Setting {
        setting: "ports",
        value: format!("{}-{}", RANGE.start, RANGE.end),
        rule: "no port is free; stop what listens there",
    })
}

/// Returns whether nobody listens on `port` of 127.0.0.1.
pub(crate) fn can_be_bound(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Returns `127.0.0.1:port`.
#[must_use]
pub fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Returns whether process `pid` itself listens on `port`: an answer from a stranger on that port
/// proves nothing.
#[must_use]
pub fn listens_on(pid: u32, port: u16) -> bool {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let own: HashSet<String> = entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    ["tcp", "tcp6"].iter().any(|table| {
        fs::read_to_string(format!("/proc/{pid}/net/{table}"))
            .is_ok_and(|text| listening_inodes(&text, port).any(|inode| own.contains(inode)))
    })
}

/// Returns the sockets of a `/proc/net/tcp` table that listen on `port`.
fn listening_inodes(table: &str, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next()?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?;
        (state == LISTEN && local.ends_with(&suffix)).then_some(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_never_handed_out_twice() {
        let ports: Vec<u16> = (0..200).map(|_| free().unwrap()).collect();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 200);
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }

    #[test]
    fn a_process_listens_on_the_port_that_it_bound_and_on_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens_on(std::process::id(), port));
        assert!(!listens_on(std::process::id(), free().unwrap()));
        drop(listener);
        assert!(!listens_on(std::process::id(), port));
    }

    #[test]
    fn a_lost_free_port_is_chosen_again_at_most_three_times() {
        let mut attempts = 0;
        let result: Result<(), _> = Ports::Free.retry(|| {
            attempts += 1;
            Err(StackError::AddressInUse { server: "redis".into(), address: address(1) })
        });
        assert!(matches!(result, Err(StackError::AddressInUse { .. })));
        assert_eq!(attempts, PORT_ATTEMPTS_MAX);
    }

    #[test]
    fn a_taken_well_known_port_is_an_error_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = Ports::Default.choose("kafka", port).unwrap_err();
        assert!(
            error.to_string().contains(&format!("kafka cannot use 127.0.0.1:{port}")),
            "{error}"
        );
    }
}
