//! The ports of a folder's servers, so that a server that comes back is found where it was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::StackError;
use crate::ports::{can_be_bound, free};
use crate::state::StackDir;

/// Its name in the folder of a stack; it outlives `stack down`.
const FILE: &str = "ports.json";

/// Which port each server of a folder has, by name and purpose.
#[derive(Debug)]
pub struct PortBook {
    path: PathBuf,
    ports: Mutex<BTreeMap<String, u16>>,
}

impl PortBook {
    /// Returns the book of `dir`; an empty one, where none was written.
    ///
    /// # Errors
    /// When the file cannot be read, or was not written by this program.
    pub fn open(dir: &StackDir) -> Result<Self, StackError> {
        let path = dir.path().join(FILE);
        let ports = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(io::Error::other)
                .map_err(StackError::io("cannot understand", &path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(StackError::io("cannot read", &path)(error)),
        };
        Ok(Self { path, ports: Mutex::new(ports) })
    }

    /// Writes down that the servers have the ports that everyone knows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, server: &str, default: u16) -> Result<(), StackError> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(format!("{server}:{default}"), default);
        self.write(&ports)
    }

    /// Returns the port noted for `purpose` if it can be bound, else a free one, which is noted.
    pub(crate) fn port_of(&self, purpose: &str) -> Result<u16, StackError> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(port) = ports.get(purpose).copied().filter(|port| can_be_bound(*port)) {
            return Ok(port);
        }
        // A port that is noted for another server of the folder may be free only because that server is down.
        let port = loop {
            let port = free()?;
            if !ports.values().any(|noted| *noted == port) {
                break port;
            }
        };
        ports.insert(purpose.to_owned(), port);
        self.write(&ports)?;
        Ok(port)
    }

    fn write(&self, ports: &BTreeMap<String, u16>) -> Result<(), StackError> {
        let json = serde_json::to_string_pretty(ports).expect("plain data has a JSON form");
        let staging = self.path.with_extension("json.new");
        fs::write(&staging, json)
            .and_then(|()| fs::rename(&staging, &self.path))
            .map_err(StackError::io("cannot write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_purpose_keeps_its_port_over_runs_unless_another_process_took_it() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StackDir::create(temporary.path()).unwrap();
        let first = PortBook::open(&dir).unwrap().port_of("kafka:9092").unwrap();
        let later = PortBook::open(&dir).unwrap();
        assert_eq!(later.port_of("kafka:9092").unwrap(), first);
        assert_ne!(later.port_of("registry:8081").unwrap(), first);

        let stranger = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let second = PortBook::open(&dir).unwrap().port_of("kafka:9092").unwrap();
        assert_ne!(second, first);
        drop(stranger);
        assert_eq!(PortBook::open(&dir).unwrap().port_of("kafka:9092").unwrap(), second);
    }

    #[test]
    fn a_file_of_another_program_is_an_error_that_names_it() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = StackDir::create(temporary.path()).unwrap();
        fs::write(temporary.path().join(FILE), "ports: none").unwrap();
        let error = PortBook::open(&dir).unwrap_err().to_string();
        assert!(error.contains("cannot understand") && error.contains(FILE), "{error}");
    }
}
