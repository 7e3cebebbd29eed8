//! Why no answer came over HTTP.

use std::error::Error;
use std::io;

use rustls::{CertificateError, Error as TlsError};

use super::error::{AwayCause, RegistryError};

/// An HTTP failure without its address: the caller names it without the password.
pub(super) fn unreachable_because(error: &reqwest::Error) -> RegistryError {
    let tls = tls_error(error);
    let (cause, what) = if error.is_timeout() {
        (AwayCause::Silent, "did not answer in time")
    } else if let Some(tls) = tls {
        (cause_of(tls), "refused or failed to connect")
    } else if error.is_connect() {
        (AwayCause::Unreachable, "refused or failed to connect")
    } else {
        (AwayCause::BrokenOff, "broke off the answer")
    };
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    RegistryError::Away { cause, detail: format!("{what} ({root})") }
}

/// Whether the other side speaks TLS, by the failure of a handshake: it has shown a certificate,
/// or spoken an alert.
pub(super) fn speaks_tls(error: &reqwest::Error) -> bool {
    tls_error(error).is_some_and(|tls| {
        matches!(
            tls,
            TlsError::InvalidCertificate(_)
                | TlsError::AlertReceived(_)
                | TlsError::PeerIncompatible(_)
                | TlsError::PeerMisbehaved(_)
        )
    })
}

fn cause_of(error: &TlsError) -> AwayCause {
    use CertificateError as C;
    match error {
        TlsError::InvalidCertificate(certificate) => match certificate {
            C::Expired
            | C::ExpiredContext { .. }
            | C::NotValidYet
            | C::NotValidYetContext { .. } => AwayCause::CertificateOutOfDate,
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                AwayCause::CertificateOfAnother
            }
            _ => AwayCause::UntrustedCertificate,
        },
        _ => AwayCause::Handshake,
    }
}

/// The failure of TLS among the causes of an error. Layers in between wrap it in [`io::Error`],
/// whose `source` passes over what it wraps.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<TlsError>() {
            return Some(tls);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
