//! Ends TLS in front of a store that was built without it: the Valkey that `make setup` installs.

use std::fs;
use std::sync::mpsc;
use std::thread;

use testkit::security::Identity;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_native_tls::TlsAcceptor;

/// Serves until the test process ends; returns the port.
pub(crate) fn start(store: String, shown: &Identity) -> u16 {
    let read = |path| fs::read(path).expect("a file");
    let (certificate, key) = (read(&shown.certificate), read(&shown.key));
    let identity = native_tls::Identity::from_pkcs8(&certificate, &key).expect("they fit");
    let acceptor = TlsAcceptor::from(native_tls::TlsAcceptor::new(identity).expect("TLS"));
    let (sender, port) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            sender.send(address.port()).expect("it is waited for");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(join(stream, store.clone(), acceptor.clone()));
            }
        });
    });
    port.recv().expect("it listens")
}

/// Joins a client with the store, until either breaks off: one that does not trust the certificate does at once.
async fn join(stream: TcpStream, store: String, acceptor: TlsAcceptor) {
    let Ok(mut client) = acceptor.accept(stream).await else { return };
    let Ok(mut store) = TcpStream::connect(store).await else { return };
    let _ = copy_bidirectional(&mut client, &mut store).await;
}
