//! What a broker's certificate is like. librdkafka's own error does not tell an unknown authority,
//! another host name and an expired certificate apart, nor whether a listener that hangs up speaks
//! TLS; its verification callback does.

use std::ffi::c_void;
use std::os::raw::{c_char, c_int};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::bindings as sys;
use rdkafka::client::Client;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::types::RDKafkaType;

/// One look at whether the callback was called.
const SLICE: Duration = Duration::from_millis(20);

/// No certificate was shown yet.
const UNSEEN: i32 = -1;
/// OpenSSL found no fault; it counts them from 1.
const NO_FAULT: i32 = 0;

/// Keeps the first fault that OpenSSL finds in a broker's certificate.
struct Witness(AtomicI32);

impl ClientContext for Witness {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
}

/// Connects once more and returns OpenSSL's number of what is wrong with a broker's certificate;
/// `None` if nothing was found within `limit`.
pub(crate) fn certificate_fault(config: &ClientConfig, limit: Duration) -> Option<i32> {
    look(config.clone(), limit, |seen| seen > NO_FAULT)
}

/// Whether a broker shows a certificate, trusted or not, to a client that speaks TLS.
pub(crate) fn speaks_tls(config: &ClientConfig, limit: Duration) -> bool {
    let mut config = config.clone();
    config.set("security.protocol", "ssl");
    look(config, limit, |seen| seen > UNSEEN).is_some()
}

/// Connects until what was seen is enough, and returns that.
fn look(mut config: ClientConfig, limit: Duration, is_enough: impl Fn(i32) -> bool) -> Option<i32> {
    config.set_log_level(RDKafkaLogLevel::Emerg);
    let native = config.create_native_config().ok()?;
    // SAFETY: the configuration is live and owned here; the callback is a function of this module.
    let set = unsafe { sys::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(verify)) };
    if set != sys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return None;
    }
    let witness = Witness(AtomicI32::new(UNSEEN));
    let client = Client::new(&config, native, RDKafkaType::RD_KAFKA_PRODUCER, witness).ok()?;
    let give_up_at = Instant::now() + limit;
    loop {
        client.fetch_cluster_id(SLICE);
        let seen = client.context().0.load(Ordering::Acquire);
        if is_enough(seen) || Instant::now() >= give_up_at {
            return is_enough(seen).then_some(seen);
        }
    }
}

/// Called by librdkafka's broker threads for each certificate of a chain; trusts what OpenSSL
/// trusts and notes the first fault.
///
/// # Safety
///
/// librdkafka passes the opaque pointer that [`Client::new`] has set, and a valid error number.
unsafe extern "C" fn verify(
    _client: *mut sys::rd_kafka_t,
    _broker_name: *const c_char,
    _broker_id: i32,
    x509_error: *mut c_int,
    _depth: c_int,
    _certificate: *const c_char,
    _certificate_bytes: usize,
    _message: *mut c_char,
    _message_bytes: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: the opaque pointer is the client's context, which the client keeps alive until its
    // threads have ended; it is only read, and atomically written through.
    let (witness, fault) = unsafe { (&*opaque.cast::<Witness>(), *x509_error) };
    // The first fault stays; the certificates of a chain are shown one by one.
    let keep = |seen| (seen <= NO_FAULT).then_some(fault);
    let _is_kept = witness.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, keep);
    c_int::from(fault == NO_FAULT)
}
