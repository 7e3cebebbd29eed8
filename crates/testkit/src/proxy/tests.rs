//! The proxy in front of a broker that answers everything with the request's number.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Api, Cut, Drip, KafkaProxy, Trap, Way};
use crate::wait;

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// What does not come within this time does not come.
const NOTHING: Duration = Duration::from_millis(150);

const END_TXN: i16 = 26;
const METADATA: i16 = 3;

/// A broker that tells what it gets, and answers with correlation id, no tags, no throttle time
/// and error 47.
struct Broker {
    address: String,
    requests: Receiver<(i16, i32)>,
}

impl Broker {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, sender) = (stream.unwrap(), sender.clone());
                thread::spawn(move || {
                    while let Some(frame) = read(&mut stream) {
                        let key = i16::from_be_bytes(frame[..2].try_into().unwrap());
                        let id = i32::from_be_bytes(frame[4..8].try_into().unwrap());
                        let _nobody_asks = sender.send((key, id));
                        let answer = [&id.to_be_bytes()[..], &[0], &[0; 4], &47_i16.to_be_bytes()];
                        if stream.write_all(&framed(&answer.concat())).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    #[track_caller]
    fn expect(&self, key: i16, id: i32) {
        assert_eq!(self.requests.recv_timeout(LIMIT), Ok((key, id)));
    }

    #[track_caller]
    fn expect_nothing(&self) {
        assert!(self.requests.recv_timeout(NOTHING).is_err());
    }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}

struct Client(TcpStream);

impl Client {
    fn connect(proxy: &KafkaProxy) -> Self {
        let stream = wait::until("a connection", LIMIT, || TcpStream::connect(proxy.address).ok());
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(stream)
    }

    fn send(&mut self, key: i16, id: i32) {
        let header = [&key.to_be_bytes()[..], &3_i16.to_be_bytes(), &id.to_be_bytes()].concat();
        self.0.write_all(&framed(&header)).unwrap();
    }

    #[track_caller]
    fn expect_answer(&mut self, id: i32) {
        let answer = read(&mut self.0).expect("an answer");
        assert_eq!(answer[..4], id.to_be_bytes());
    }

    #[track_caller]
    fn expect_nothing(&mut self) {
        self.0.set_read_timeout(Some(NOTHING)).unwrap();
        let error = self.0.read(&mut [0]).expect_err("nothing comes");
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        self.0.set_read_timeout(Some(LIMIT)).unwrap();
    }

    #[track_caller]
    fn expect_end(&mut self) {
        assert!(matches!(self.0.read(&mut [0]), Ok(0)), "the connection is closed");
    }
}

fn proxied() -> (Broker, KafkaProxy, Client) {
    let (broker, proxy) = (Broker::start(), KafkaProxy::bind());
    proxy.lead_to(&broker.address);
    let client = Client::connect(&proxy);
    (broker, proxy, client)
}

#[test]
fn requests_and_answers_pass_in_order_and_are_counted() {
    let (broker, proxy, mut client) = proxied();
    for id in 0..100 {
        client.send(END_TXN, id);
    }
    for id in 0..100 {
        broker.expect(END_TXN, id);
        client.expect_answer(id);
    }
    assert_eq!((proxy.seen(Api::EndTxn), proxy.seen(Api::Produce)), (100, 0));
}

#[test]
fn latency_is_added_in_each_direction_and_does_not_add_up() {
    let (_broker, proxy, mut client) = proxied();
    let latency = Duration::from_millis(100);
    proxy.delay(latency);
    let started = Instant::now();
    (0..20).for_each(|id| client.send(METADATA, id));
    (0..20).for_each(|id| client.expect_answer(id));
    let elapsed = started.elapsed();
    assert!(elapsed >= 2 * latency && elapsed < 8 * latency, "{elapsed:?}");
}

#[test]
fn a_slow_line_passes_bytes_in_its_rhythm() {
    let (_broker, proxy, mut client) = proxied();
    let every = Duration::from_millis(20);
    proxy.drip(Some(Drip { bytes: 4, every }));
    let started = Instant::now();
    client.send(METADATA, 1);
    client.expect_answer(1);
    // 12 bytes there and 15 back: two pauses between three pieces, three between four.
    assert!(started.elapsed() >= 5 * every, "{:?}", started.elapsed());
}

#[test]
fn what_is_stalled_waits_and_is_not_lost() {
    let (broker, proxy, mut client) = proxied();
    proxy.stall(Way::ToBroker);
    client.send(METADATA, 1);
    broker.expect_nothing();
    proxy.heal();
    broker.expect(METADATA, 1);
    client.expect_answer(1);
    proxy.stall(Way::ToClient);
    client.send(METADATA, 2);
    broker.expect(METADATA, 2);
    client.expect_nothing();
    proxy.heal();
    client.expect_answer(2);
    proxy.freeze();
    client.send(METADATA, 3);
    client.expect_nothing();
    broker.expect_nothing();
    proxy.heal();
    client.expect_answer(3);
}

#[test]
fn a_cut_ends_connections_and_new_ones_are_taken_or_refused() {
    let (broker, proxy, mut client) = proxied();
    client.send(METADATA, 1);
    client.expect_answer(1);
    proxy.disconnect(Cut::Close);
    client.expect_end();
    let mut client = Client::connect(&proxy);
    client.send(METADATA, 2);
    client.expect_answer(2);
    proxy.cut();
    let error = client.0.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    wait::is_true("being refused", LIMIT, || {
        let refused = TcpStream::connect(proxy.address).map_err(|error| error.kind());
        matches!(refused, Err(ErrorKind::ConnectionRefused))
    });
    proxy.heal();
    Client::connect(&proxy).send(METADATA, 3);
    for id in 1..=3 {
        broker.expect(METADATA, id);
    }
}

#[test]
fn a_request_is_kept_its_connection_cut_and_it_is_delivered_late() {
    let (broker, proxy, mut client) = proxied();
    let caught = proxy.trap(Api::EndTxn, Trap::KeepAndCut);
    client.send(METADATA, 1);
    client.expect_answer(1);
    broker.expect(METADATA, 1);
    client.send(END_TXN, 2);
    caught.wait(LIMIT);
    client.expect_end();
    let mut again = Client::connect(&proxy);
    again.send(END_TXN, 3);
    again.expect_answer(3);
    broker.expect(END_TXN, 3);
    assert_eq!(caught.deliver().error_code(), 47);
    broker.expect(END_TXN, 2);
}

#[test]
fn a_request_is_kept_its_connection_stays_silent_and_it_is_delivered_late() {
    let (broker, proxy, mut client) = proxied();
    let caught = proxy.trap(Api::EndTxn, Trap::KeepSilent);
    client.send(END_TXN, 1);
    client.send(METADATA, 2);
    caught.wait(LIMIT);
    client.expect_nothing();
    let mut other = Client::connect(&proxy);
    other.send(END_TXN, 3);
    other.expect_answer(3);
    broker.expect(END_TXN, 3);
    assert_eq!(caught.deliver().error_code(), 47);
    broker.expect(END_TXN, 1);
    client.expect_nothing();
    drop(caught);
    client.expect_end();
}

#[test]
fn kept_requests_wait_with_all_behind_them_until_they_are_released() {
    let (broker, proxy, mut client) = proxied();
    let caught = proxy.trap(Api::EndTxn, Trap::Keep);
    client.send(END_TXN, 1);
    client.send(METADATA, 2);
    caught.wait(LIMIT);
    broker.expect_nothing();
    let mut other = Client::connect(&proxy);
    other.send(METADATA, 3);
    broker.expect(METADATA, 3);
    other.send(END_TXN, 4);
    broker.expect_nothing();
    caught.let_go();
    client.expect_answer(1);
    client.expect_answer(2);
    other.expect_answer(3);
    other.expect_answer(4);
    other.send(END_TXN, 5);
    wait::is_true("being caught", LIMIT, || caught.count() == 3);
    other.expect_nothing();
    caught.release();
    other.expect_answer(5);
    other.send(END_TXN, 6);
    other.expect_answer(6);
    assert_eq!(caught.count(), 3);
}

#[test]
fn an_answer_is_kept_back_or_cut_off_and_the_request_has_arrived() {
    let (broker, proxy, mut client) = proxied();
    let muted = proxy.trap(Api::EndTxn, Trap::Mute);
    client.send(END_TXN, 1);
    broker.expect(END_TXN, 1);
    client.expect_nothing();
    drop(muted);
    let mut client = Client::connect(&proxy);
    let cut = proxy.trap(Api::EndTxn, Trap::CutAnswer);
    client.send(END_TXN, 2);
    broker.expect(END_TXN, 2);
    client.expect_end();
    assert_eq!(cut.count(), 1);
}

#[test]
fn connections_end_with_the_proxy() {
    let (_broker, proxy, mut client) = proxied();
    client.send(METADATA, 1);
    client.expect_answer(1);
    assert_eq!(proxy.connections(), 1);
    let address = proxy.address;
    drop(proxy);
    client.expect_end();
    assert!(TcpStream::connect(address).is_err());
}
