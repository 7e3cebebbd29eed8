//! How requests travel: in clear, or over TLS.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use reqwest::{Body, Certificate, Client, Request, Response, redirect};

/// Why no answer came.
pub(super) type Unsent = Box<dyn Error + Send + Sync>;

/// A client of both schemes; cheap to clone, all clones share their connections.
///
/// What TLS needs is made when an https address is first asked: it reads the system's authorities, over a hundred
/// certificates, which takes longer than all else that a program does at its start.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    clear: legacy::Client<HttpConnector, Body>,
    over_tls: Arc<OnceLock<Client>>,
    /// To be trusted in place of the system's, if there are any.
    authorities: Option<Vec<Certificate>>,
    connect_timeout: Duration,
}

impl Transport {
    /// A client that has no connection yet.
    ///
    /// # Errors
    ///
    /// If `ca_pem` is none.
    pub(super) fn new(
        connect_timeout: Duration,
        ca_pem: Option<&str>,
    ) -> Result<Self, reqwest::Error> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_nodelay(true);
        let clear = legacy::Client::builder(TokioExecutor::new()).build(connector);
        let authorities =
            ca_pem.map(|pem| Certificate::from_pem_bundle(pem.as_bytes())).transpose()?;
        Ok(Self { clear, over_tls: Arc::default(), authorities, connect_timeout })
    }

    /// Makes what TLS needs, if that was not done.
    ///
    /// # Errors
    ///
    /// If the system lacks it.
    pub(super) fn over_tls(&self) -> Result<&Client, reqwest::Error> {
        if let Some(client) = self.over_tls.get() {
            return Ok(client);
        }
        let mut client = Client::builder();
        if let Some(authorities) = &self.authorities {
            client = client.tls_certs_only(authorities.iter().cloned());
        }
        let client = client
            .connect_timeout(self.connect_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(self.over_tls.get_or_init(|| client))
    }

    /// Sends a request, and waits for the head of its answer. Redirects are not followed.
    ///
    /// # Errors
    ///
    /// If none comes.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it closes its connection. The request may have been taken by then.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Unsent> {
        if request.url().scheme() == "https" {
            return Ok(self.over_tls()?.execute(request).await?);
        }
        let answer = self.clear.request(request.try_into()?).await?;
        Ok(answer.map(Body::wrap).into())
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, Url};

    use super::*;

    #[tokio::test]
    async fn an_address_in_clear_needs_nothing_of_tls() {
        let transport = Transport::new(Duration::from_secs(1), None).unwrap();
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        transport.send(Request::new(Method::GET, url)).await.unwrap_err();
        assert!(transport.over_tls.get().is_none());
        let url = Url::parse("https://127.0.0.1:1/").unwrap();
        transport.send(Request::new(Method::GET, url)).await.unwrap_err();
        assert!(transport.over_tls.get().is_some());
    }
}
