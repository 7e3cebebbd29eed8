//! A client of the order API: one request for each order, and what its answer says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde_json::Value;

use crate::asked::Asked;
use crate::book::Answer;
use crate::generator::{Answered, Poisoned, Target};
use crate::poison::Poison;

/// Longest wait for an answer: longer than any of the services takes for one.
pub const ANSWER_MAX: Duration = Duration::from_secs(12);
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Connections that are kept for the next request.
const IDLE_MAX: usize = 512;
/// What no problem's type says begins with.
const PROBLEM_PREFIX: &str = "urn:orders:problem:";

/// Makes the client that all of the lab's requests go through.
///
/// # Errors
///
/// Fails if the TLS library does.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_MAX)
        .timeout(ANSWER_MAX)
        .pool_max_idle_per_host(IDLE_MAX)
        .tcp_nodelay(true)
        .build()
}

/// Places orders, at each instance of the order service in turn.
#[derive(Debug)]
pub struct OrderClient {
    http: reqwest::Client,
    urls: Vec<Url>,
    next: AtomicUsize,
    /// Whether an acceptance says that the customer was told.
    is_told_by_answer: bool,
    poison: Poison,
}

impl OrderClient {
    /// Makes one for the order services at these base addresses.
    ///
    /// # Errors
    ///
    /// Fails with the address that is none.
    pub fn new(
        http: reqwest::Client,
        bases: &[String],
        is_told_by_answer: bool,
        poison: Poison,
    ) -> Result<Self, String> {
        let url = |base: &String| {
            let url = Url::parse(base).and_then(|base| base.join("/order"));
            url.map_err(|error| format!("{base} is not the address of a service: {error}"))
        };
        let urls = bases.iter().map(url).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { http, urls, next: AtomicUsize::new(0), is_told_by_answer, poison })
    }

    fn post(&self, body: String) -> reqwest::RequestBuilder {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let request = self.http.post(self.urls[turn % self.urls.len()].clone());
        request.header("content-type", "application/json").body(body)
    }
}

impl Target for OrderClient {
    async fn place(&self, order: &Asked) -> Answered {
        let request = self.post(order.body.clone()).header("idempotency-key", &order.key);
        let answered = match request.send().await {
            Ok(response) => {
                let status = response.status();
                response.text().await.map(|body| (status, body))
            }
            Err(error) => Err(error),
        };
        match answered {
            Ok((status, body)) => answer_of(status, &body, self.is_told_by_answer),
            Err(error) => unanswered(error.is_connect(), error.is_timeout()),
        }
    }

    async fn poison(&self) -> Poisoned {
        match &self.poison {
            Poison::OverHttp(body) => match self.post(body.clone()).send().await {
                Ok(response) if response.status().is_success() => Poisoned::Put,
                Ok(_) => Poisoned::TurnedAway,
                Err(error) if error.is_connect() => Poisoned::NotSent,
                Err(_) => Poisoned::Unknown,
            },
            behind => behind.put().await,
        }
    }
}

/// What an answer says.
fn answer_of(status: StatusCode, body: &str, is_told_by_answer: bool) -> Answered {
    if status == StatusCode::OK || status == StatusCode::ACCEPTED {
        let is_outcome = is_told_by_answer && status == StatusCode::OK;
        return Answered { answer: Answer::Accepted, is_outcome, failure: None };
    }
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let kind = problem["type"].as_str().and_then(|kind| kind.strip_prefix(PROBLEM_PREFIX));
    let Some(kind) = kind else {
        // Somebody between has answered. Only a request that is at fault has surely not been passed on.
        let answer = if status.is_client_error() { Answer::Failed } else { Answer::Unknown };
        let failure = Some(format!("{} of no known type", status.as_u16()));
        return Answered { answer, is_outcome: false, failure };
    };
    let failure = Some(format!("{} {kind}", status.as_u16()));
    if status == StatusCode::CONFLICT && kind != "in-progress" {
        return Answered { answer: Answer::Refused, is_outcome: true, failure };
    }
    let is_unknown = problem["outcome"] == "unknown";
    let answer = if is_unknown { Answer::Unknown } else { Answer::Failed };
    Answered { answer, is_outcome: false, failure }
}

/// What the lack of an answer says: without a connection nothing was sent.
fn unanswered(is_connect: bool, is_timeout: bool) -> Answered {
    let (answer, words) = match (is_connect, is_timeout) {
        (true, _) => (Answer::Failed, "no connection"),
        (false, true) => (Answer::Unknown, "no answer in time"),
        (false, false) => (Answer::Unknown, "connection broken"),
    };
    Answered { answer, is_outcome: false, failure: Some(words.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_as_the_api_means_them() {
        let problem =
            |kind: &str, more: &str| format!(r#"{{"type":"urn:orders:problem:{kind}"{more}}}"#);
        let unknown = r#","outcome":"unknown""#;
        for (status, body, answer, is_outcome) in [
            (200, String::new(), Answer::Accepted, true),
            (202, String::new(), Answer::Accepted, false),
            (409, problem("out-of-stock", ""), Answer::Refused, true),
            (409, problem("in-progress", ""), Answer::Failed, false),
            (503, problem("downstream-away", ""), Answer::Failed, false),
            (504, problem("deadline-exceeded", unknown), Answer::Unknown, false),
            (413, "<html>".to_owned(), Answer::Failed, false),
            (409, "<html>".to_owned(), Answer::Failed, false),
            (500, String::new(), Answer::Unknown, false),
            (502, "<html>".to_owned(), Answer::Unknown, false),
            (504, "{}".to_owned(), Answer::Unknown, false),
            (302, String::new(), Answer::Unknown, false),
        ] {
            let found = answer_of(StatusCode::from_u16(status).unwrap(), &body, true);
            assert_eq!((found.answer, found.is_outcome), (answer, is_outcome), "{status} {body}");
            assert_eq!(found.failure.is_none(), answer == Answer::Accepted);
        }
        assert!(!answer_of(StatusCode::OK, "", false).is_outcome);
    }

    #[test]
    fn only_a_connection_that_never_was_has_surely_done_nothing() {
        assert_eq!(unanswered(true, true).answer, Answer::Failed);
        assert_eq!(unanswered(false, true).answer, Answer::Unknown);
        assert_eq!(unanswered(false, false).answer, Answer::Unknown);
    }
}
