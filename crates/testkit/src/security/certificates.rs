//! An authority of the test's own and the certificates that it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Signs certificates; its files lie in one directory.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    file: PathBuf,
}

/// How long a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Until long after the test.
    Good,
    /// It was, years ago.
    Expired,
}

/// A certificate with its key, as files and as bytes.
#[derive(Debug)]
pub struct Identity {
    /// PEM file of the certificate.
    pub certificate: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
    /// PEM file of both, as Kafka's keystores want it.
    pub keystore: PathBuf,
    pub(super) certificate_der: CertificateDer<'static>,
    pub(super) key_der: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes an authority whose files, `NAME.pem` and those of its certificates, lie in `dir`.
    ///
    /// # Panics
    ///
    /// Panics when a file cannot be written.
    pub fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let file = dir.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).expect("a file");
        Self { issuer, dir: dir.to_owned(), file }
    }

    /// PEM file of the authority's own certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The path of [`Self::file`] as text.
    ///
    /// # Panics
    ///
    /// Panics for a path that is not UTF-8.
    pub fn location(&self) -> &str {
        self.file.to_str().expect("paths of tests are UTF-8")
    }

    /// Signs a certificate for `name`, which is also Kafka's principal `User:CN=NAME`, and for the
    /// host names and addresses `hosts`.
    ///
    /// # Panics
    ///
    /// Panics when a file cannot be written.
    pub fn issue(&self, name: &str, hosts: &[&str], validity: Validity) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names of hosts");
        params.distinguished_name = common_name(name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match validity {
            Validity::Good => date_time_ymd(2100, 1, 1),
            Validity::Expired => date_time_ymd(2020, 2, 1),
        };
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let write = |suffix: &str, text: String| {
            let path = self.dir.join(format!("{name}{suffix}"));
            std::fs::write(&path, text).expect("a file");
            path
        };
        Identity {
            certificate: write(".crt", certificate.pem()),
            key: write(".key", key.serialize_pem()),
            keystore: write(".keystore", key.serialize_pem() + &certificate.pem()),
            certificate_der: certificate.der().clone(),
            key_der: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        }
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
