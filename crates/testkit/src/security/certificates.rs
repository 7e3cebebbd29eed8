//! An authority of the test's own and the certificates that it signs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name};

/// X.509 version 3, as its field says it.
const VERSION_3: i32 = 2;

/// Bits of a serial number: few enough that it is positive in the 20 bytes that it may have.
const SERIAL_BITS: i32 = 127;

/// Signs certificates; its files lie in one directory.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
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
    /// It will be, years from now.
    Later,
}

/// A certificate with its key, as files and as values.
#[derive(Debug)]
pub struct Identity {
    /// PEM file of the certificate.
    pub certificate: PathBuf,
    /// PEM file of the key.
    pub key: PathBuf,
    /// PEM file of both, as Kafka's keystores want it.
    pub keystore: PathBuf,
    pub(super) x509: X509,
    pub(super) private_key: PKey<Private>,
}

impl Authority {
    /// Makes an authority whose files, `NAME.pem` and those of its certificates, lie in `dir`.
    ///
    /// # Panics
    ///
    /// Panics when a file cannot be written.
    pub fn new(dir: &Path, name: &str) -> Self {
        let key = new_key().expect("a key");
        let certificate = own_certificate(name, &key).expect("a certificate");
        let file = dir.join(format!("{name}.pem"));
        std::fs::write(&file, certificate.to_pem().expect("PEM")).expect("a file");
        Self { certificate, key, dir: dir.to_owned(), file }
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
        let private_key = new_key().expect("a key");
        let x509 = self.sign(name, hosts, validity, &private_key).expect("a certificate");
        let certificate = x509.to_pem().expect("PEM");
        let key = private_key.private_key_to_pem_pkcs8().expect("PEM");
        let write = |suffix: &str, text: &[u8]| {
            let path = self.dir.join(format!("{name}{suffix}"));
            std::fs::write(&path, text).expect("a file");
            path
        };
        Identity {
            certificate: write(".crt", &certificate),
            key: write(".key", &key),
            keystore: write(".keystore", &[&key[..], &certificate].concat()),
            x509,
            private_key,
        }
    }

    fn sign(
        &self,
        name: &str,
        hosts: &[&str],
        validity: Validity,
        key: &PKey<Private>,
    ) -> Result<X509, ErrorStack> {
        let mut certificate = begun(name, key, validity)?;
        certificate.set_issuer_name(self.certificate.subject_name())?;
        if !hosts.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for host in hosts {
                match host.parse::<IpAddr>() {
                    Ok(_) => names.ip(host),
                    Err(_) => names.dns(host),
                };
            }
            let context = certificate.x509v3_context(Some(&self.certificate), None);
            let names = names.build(&context)?;
            certificate.append_extension(names)?;
        }
        certificate.sign(&self.key, MessageDigest::sha256())?;
        Ok(certificate.build())
    }
}

fn own_certificate(name: &str, key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let mut certificate = begun(name, key, Validity::Good)?;
    let issuer = common_name(name)?;
    certificate.set_issuer_name(&issuer)?;
    certificate.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    certificate.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}

/// What every certificate has.
fn begun(name: &str, key: &PKey<Private>, validity: Validity) -> Result<X509Builder, ErrorStack> {
    let mut certificate = X509::builder()?;
    certificate.set_version(VERSION_3)?;
    let mut serial = BigNum::new()?;
    serial.rand(SERIAL_BITS, MsbOption::MAYBE_ZERO, false)?;
    let (serial, subject) = (serial.to_asn1_integer()?, common_name(name)?);
    certificate.set_serial_number(&serial)?;
    certificate.set_subject_name(&subject)?;
    certificate.set_pubkey(key)?;
    let (begin, end) = match validity {
        Validity::Good => ("20200101000000Z", "21000101000000Z"),
        Validity::Expired => ("20200101000000Z", "20200201000000Z"),
        Validity::Later => ("20900101000000Z", "21000101000000Z"),
    };
    let (begin, end) = (Asn1Time::from_str_x509(begin)?, Asn1Time::from_str_x509(end)?);
    certificate.set_not_before(&begin)?;
    certificate.set_not_after(&end)?;
    Ok(certificate)
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    PKey::from_ec_key(EcKey::generate(&curve)?)
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let mut names = X509Name::builder()?;
    names.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(names.build())
}
