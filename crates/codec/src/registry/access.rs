//! How this client is let in, and whom it trusts: logins and certificates. Secrets come from the
//! environment or from files.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use reqwest::Certificate;
use reqwest::header::HeaderValue;

use super::address::BadRegistryUrl;
use super::settings::RegistrySettings;

/// Largest file that is read for a secret or for certificates; anything larger is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Variable with `user:password`; with `_FILE` at its end it names a file with it.
const BASIC_AUTH_VARIABLE: &str = "SCHEMA_REGISTRY_BASIC_AUTH";
/// Variable with a bearer token; likewise.
const TOKEN_VARIABLE: &str = "SCHEMA_REGISTRY_TOKEN";

/// What is sent with each request. It never follows a redirect: none is followed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Basic { user: String, password: Option<String> },
    Bearer(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { .. } => f.write_str("Basic"),
            Self::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

impl Login {
    /// The value of `Authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        let text = match self {
            Self::Basic { user, password } => {
                let login = format!("{user}:{}", password.as_deref().unwrap_or_default());
                format!("Basic {}", openssl::base64::encode_block(login.as_bytes()))
            }
            Self::Bearer(token) => format!("Bearer {token}"),
        };
        let mut value = HeaderValue::try_from(text).expect("a token is checked, base64 is ASCII");
        value.set_sensitive(true);
        value
    }
}

/// An address, login or certificate of the settings that cannot be used; the user's to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadRegistryAccess {
    /// An address cannot be used.
    #[error(transparent)]
    Url(#[from] BadRegistryUrl),
    /// A file cannot be read, or holds nothing that can be used.
    #[error("{setting} {file} cannot be used: {source}", file = .file.display())]
    File {
        /// The setting that names it.
        setting: String,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A file that holds a secret is not there. It is not named: it may be the secret itself, in the
    /// wrong variable.
    #[error("{setting} cannot be used: {source}")]
    SecretFile {
        /// The variable that names it.
        setting: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Two settings give a login.
    #[error("{0} and {1} both give a login for the schema registry; unset one of them")]
    TwoLogins(String, String),
    /// The value has not the form that it must have. It is not repeated: it is a secret.
    #[error("{variable} is not {form}")]
    Form {
        /// The variable, or the one that names the file.
        variable: String,
        /// The form.
        form: &'static str,
    },
}

impl RegistrySettings {
    /// What every program does: addresses, the authority to trust, and the login of the environment.
    ///
    /// # Errors
    ///
    /// As [`Self::new`], [`Self::with_ca_file`] and [`Self::with_credentials_from_env`].
    pub fn from_program(urls: &str, ca_file: Option<&Path>) -> Result<Self, BadRegistryAccess> {
        Self::new(urls)?.with_ca_file(ca_file)?.with_credentials_from_env()
    }

    /// Trusts the authorities of this PEM file and no others; `None` trusts those of the system.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or holds no certificate.
    pub fn with_ca_file(mut self, file: Option<&Path>) -> Result<Self, BadRegistryAccess> {
        let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else {
            return Ok(self);
        };
        let bad = |source| BadRegistryAccess::File {
            setting: "SCHEMA_REGISTRY_CA_LOCATION (--schema-registry-ca-location)".to_owned(),
            file: file.to_owned(),
            source,
        };
        let pem = read(file).map_err(bad)?;
        let certificates = Certificate::from_pem_bundle(pem.as_bytes());
        match certificates.map(|list| list.len()) {
            Ok(count) if count > 0 => self.ca_pem = Some(pem),
            _ => return Err(bad(io::Error::other("it holds no PEM certificate"))),
        }
        Ok(self)
    }

    /// Takes a login from the environment: `SCHEMA_REGISTRY_BASIC_AUTH` (`user:password`) or
    /// `SCHEMA_REGISTRY_TOKEN` (bearer), or the first line of the file that the variable with
    /// `_FILE` at its end names. An empty variable counts as unset. An address with a user of its
    /// own keeps that.
    ///
    /// # Errors
    ///
    /// Fails if there are two logins, if a file cannot be read, or if a value has a wrong form.
    pub fn with_credentials_from_env(self) -> Result<Self, BadRegistryAccess> {
        self.read_credentials(|name| std::env::var(name).ok())
    }

    /// Like [`Self::with_credentials_from_env`], from any source of variables.
    ///
    /// # Errors
    ///
    /// See there.
    pub fn read_credentials(
        mut self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadRegistryAccess> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut found = Vec::new();
        for (name, parse) in [(BASIC_AUTH_VARIABLE, basic as Parse), (TOKEN_VARIABLE, bearer)] {
            if let Some(text) = set(name) {
                found.push((name.to_owned(), text, parse));
            }
            let file_variable = format!("{name}_FILE");
            if let Some(file) = set(&file_variable) {
                let text = first_line(&file_variable, Path::new(&file))?;
                found.push((file_variable, text, parse));
            }
        }
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some((first, ..)), Some((second, ..))) => {
                Err(BadRegistryAccess::TwoLogins(first, second))
            }
            (Some((variable, text, parse)), None) => {
                let login = parse(&text);
                self.login =
                    Some(login.map_err(|form| BadRegistryAccess::Form { variable, form })?);
                Ok(self)
            }
            (None, _) => Ok(self),
        }
    }
}

type Parse = fn(&str) -> Result<Login, &'static str>;

fn basic(text: &str) -> Result<Login, &'static str> {
    let (user, password) = text.split_once(':').ok_or("user:password")?;
    Ok(Login::Basic { user: user.to_owned(), password: Some(password.to_owned()) })
}

fn bearer(text: &str) -> Result<Login, &'static str> {
    // What a header takes, and RFC 6750 allows.
    let is_token = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(Login::Bearer(text.to_owned())) } else { Err("a token without blanks") }
}

fn first_line(setting: &str, file: &Path) -> Result<String, BadRegistryAccess> {
    let bad =
        |source| BadRegistryAccess::File { setting: setting.to_owned(), file: file.into(), source };
    let text = read(file).map_err(|source| match std::fs::symlink_metadata(file) {
        Ok(_) => bad(source),
        Err(_) => BadRegistryAccess::SecretFile { setting: setting.to_owned(), source },
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(bad(io::Error::other("its first line is empty"))),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<RegistrySettings, BadRegistryAccess> {
        let settings = RegistrySettings::new("https://a:1").expect("an address");
        settings.read_credentials(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_login_is_basic_or_bearer_from_a_variable_or_a_file() {
        let file = std::env::temp_dir().join(format!("registry-secret-{}", std::process::id()));
        std::fs::write(&file, "me:pass:word\n").unwrap();
        let path = file.to_str().unwrap();
        let basic = Login::Basic { user: "me".into(), password: Some("pass:word".into()) };
        let bearer = Login::Bearer("me:pass:word".into());
        for (variables, login) in [
            (vec![], None),
            (vec![("SCHEMA_REGISTRY_TOKEN", "")], None),
            (vec![("SCHEMA_REGISTRY_BASIC_AUTH", "me:pass:word")], Some(&basic)),
            (vec![("SCHEMA_REGISTRY_BASIC_AUTH_FILE", path)], Some(&basic)),
            (vec![("SCHEMA_REGISTRY_TOKEN", "me:pass:word")], Some(&bearer)),
            (vec![("SCHEMA_REGISTRY_TOKEN_FILE", path)], Some(&bearer)),
        ] {
            let settings = with(&variables).unwrap();
            assert_eq!(settings.login.as_ref(), login, "{variables:?}");
            assert!(!format!("{settings:?}").contains("word"), "{settings:?}");
        }
        std::fs::remove_file(&file).unwrap();
        let error = with(&[("SCHEMA_REGISTRY_TOKEN_FILE", path)]).unwrap_err().to_string();
        assert!(error.contains("SCHEMA_REGISTRY_TOKEN_FILE cannot be used"), "{error}");
        assert!(!error.contains(path), "it may be the secret itself: {error}");
    }

    #[test]
    fn two_logins_or_a_login_of_a_wrong_form_are_refused_and_not_repeated() {
        let basic = ("SCHEMA_REGISTRY_BASIC_AUTH", "me:hunter2");
        for (variables, part) in [
            (vec![basic, ("SCHEMA_REGISTRY_TOKEN", "hunter2")], "SCHEMA_REGISTRY_TOKEN both"),
            (vec![("SCHEMA_REGISTRY_BASIC_AUTH", "hunter2")], "is not user:password"),
            (vec![("SCHEMA_REGISTRY_TOKEN", "hunter2\r\nX: y")], "without blanks"),
        ] {
            let error = with(&variables).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let file = std::env::temp_dir().join(format!("registry-ca-{}", std::process::id()));
        std::fs::write(&file, "not a certificate").unwrap();
        let settings = RegistrySettings::new("https://a:1").unwrap();
        let error = settings.with_ca_file(Some(&file)).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert!(error.contains("SCHEMA_REGISTRY_CA_LOCATION"), "{error}");
        assert!(error.contains(file.to_str().unwrap()), "{error}");
    }
}
