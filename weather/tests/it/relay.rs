//! A line to a server that can be cut and mended.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What its threads share.
#[derive(Default)]
struct Line {
    is_cut: bool,
    ends: Vec<TcpStream>,
}

/// See the module.
pub(crate) struct Relay {
    address: String,
    line: Arc<Mutex<Line>>,
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// A line to `server`, `host:port`.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let line = Arc::new(Mutex::new(Line::default()));
        let (server, shared) = (server.to_owned(), Arc::clone(&line));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut line = lock(&shared);
                if line.is_cut {
                    continue; // and closed
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) =
                        (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
                    thread::spawn(move || {
                        // A line that breaks is closed at both ends.
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    });
                }
                line.ends.extend([client, server]);
            }
        });
        Self { address, line }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections, and takes none.
    pub(crate) fn cut(&self) {
        let mut line = lock(&self.line);
        line.is_cut = true;
        for end in line.ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both); // it may be over already
        }
    }

    pub(crate) fn mend(&self) {
        lock(&self.line).is_cut = false;
    }
}
