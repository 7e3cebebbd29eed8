//! What an answer of the registry means.

/// Why a registry did not do what it was asked. Closed: callers match on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The registry is not there, not well, does not let us in, or something else answered
    /// in its place. Says nothing about the record or schema; another try may succeed.
    #[error("the schema registry is unavailable: {detail}")]
    Away {
        /// Of several addresses, the cause that tells most.
        cause: AwayCause,
        /// What happened, with the address.
        detail: String,
    },
    /// The registry is well and does not have it.
    #[error("not in the schema registry: {detail}")]
    NotFound {
        /// What was not found.
        detail: String,
    },
    /// The schema breaks the compatibility rule of its subject.
    #[error("incompatible with the registered schema: {detail}")]
    Incompatible {
        /// The registry's words.
        detail: String,
    },
    /// The registry refuses the schema itself.
    #[error("the schema is refused: {detail}")]
    Rejected {
        /// The registry's words.
        detail: String,
    },
}

/// What keeps a registry from being used. Ordered by how much it tells: of several addresses the
/// last in this order has the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AwayCause {
    /// Nobody listens there, or the name does not resolve.
    Unreachable,
    /// No answer in time.
    Silent,
    /// The connection ended before the answer did, or the request was not understood: 400.
    BrokenOff,
    /// 408, 429 or 5xx.
    Failing,
    /// Something answers that is not a registry, or not to this question.
    NotARegistry,
    /// 404 or 405 that is not the registry's: it stands under another path.
    PathMissing,
    /// A redirect.
    Redirects,
    /// An answer above [`RegistrySettings::answer_bytes_max`].
    ///
    /// [`RegistrySettings::answer_bytes_max`]: super::RegistrySettings::answer_bytes_max
    TooLarge,
    /// References of a schema that are too many or nest too deep.
    TooManyReferences,
    /// The address says http, the port speaks TLS.
    SpeaksTls,
    /// The address says https, the port speaks http.
    SpeaksNoTls,
    /// TLS fails, and not because of the certificate.
    Handshake,
    /// Its certificate is signed by a stranger.
    UntrustedCertificate,
    /// Its certificate is for another name.
    CertificateOfAnother,
    /// Its certificate is out of date.
    CertificateOutOfDate,
    /// 401.
    NotLoggedIn,
    /// 403.
    NotAllowed,
}

impl AwayCause {
    /// The safe next step.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "is it running there? give its address with --schema-registry-url or SCHEMA_REGISTRY_URL"
            }
            Self::Silent => {
                "check its load and any proxy in front of it, or choose another with \
                 --schema-registry-url or SCHEMA_REGISTRY_URL"
            }
            Self::BrokenOff => {
                "is the server there a registry? give its address with --schema-registry-url or \
                 SCHEMA_REGISTRY_URL"
            }
            Self::Failing => "check its log: it answers, but with an internal error",
            Self::NotARegistry => {
                "something else may listen there, or the address lacks its path (Apicurio: \
                 /apis/ccompat/v7); give the address with --schema-registry-url or SCHEMA_REGISTRY_URL"
            }
            Self::PathMissing => {
                "the path of the address is missing or wrong (Apicurio: /apis/ccompat/v7); give \
                 the address with --schema-registry-url or SCHEMA_REGISTRY_URL"
            }
            Self::Redirects => {
                "redirects are not followed: give the target's address with --schema-registry-url \
                 or SCHEMA_REGISTRY_URL"
            }
            Self::TooLarge => "no registry needs an answer of this size: check what listens there",
            Self::TooManyReferences => "check the references of this schema in the registry",
            Self::SpeaksTls => {
                "the port speaks TLS: begin the address with https:// in --schema-registry-url or \
                 SCHEMA_REGISTRY_URL"
            }
            Self::SpeaksNoTls => {
                "the port speaks no TLS: begin the address with http:// in --schema-registry-url or \
                 SCHEMA_REGISTRY_URL, or use the port that does"
            }
            Self::Handshake => {
                "does the port speak TLS 1.2 or later? give the address with \
                 --schema-registry-url or SCHEMA_REGISTRY_URL"
            }
            Self::UntrustedCertificate => {
                "SCHEMA_REGISTRY_CA_LOCATION (--schema-registry-ca-location) names the PEM file of \
                 the authority to trust, with those above it up to the root"
            }
            Self::CertificateOfAnother => {
                "address the registry by the name in its certificate, or have a certificate issued for this name"
            }
            Self::CertificateOutOfDate => {
                "have its certificate renewed, or correct the clock of this machine"
            }
            Self::NotLoggedIn => {
                "set the login with SCHEMA_REGISTRY_BASIC_AUTH or SCHEMA_REGISTRY_TOKEN; if one \
                 is set, the registry does not accept it"
            }
            Self::NotAllowed => {
                "let this login read the subjects (and write them without --no-register), or give \
                 another with SCHEMA_REGISTRY_BASIC_AUTH or SCHEMA_REGISTRY_TOKEN"
            }
        }
    }

    /// Whether it may pass without anybody's help.
    const fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::Silent | Self::BrokenOff | Self::Failing)
    }
}

impl RegistryError {
    /// Whether the surroundings are to blame: pause and try again.
    pub const fn is_away(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::NotFound { .. } | Self::Incompatible { .. } | Self::Rejected { .. } => false,
        }
    }

    /// The safe next step of a program that needs its schemas at the start.
    pub const fn start_hint(&self) -> &'static str {
        match self {
            Self::Away { cause, .. } => cause.hint(),
            Self::NotFound { .. } => {
                "start once without --no-register, or have the schema registered"
            }
            Self::Incompatible { .. } => {
                "the subject holds another schema: use a separate topic for this program"
            }
            Self::Rejected { .. } => {
                "see the registry's message: its settings forbid this schema or any schema"
            }
        }
    }
}

/// An outage in one line, with the next step where it does not pass by itself.
pub(crate) fn reason(cause: AwayCause, detail: &str) -> String {
    if cause.may_pass() { detail.to_owned() } else { format!("{detail}; {}", cause.hint()) }
}
