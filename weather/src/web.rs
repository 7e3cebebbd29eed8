//! `POST /input` and `POST /weather`, of the API and of the publisher.

use std::sync::Arc;

use serde_json::json;
use service_kit::http::{
    Bytes, Endpoint, Extension, HeaderMap, IntoResponse as _, JsonLine, Problem, RequestContext,
    Response, Routes, State, StatusCode,
};

use crate::grpc::{CallError, Client};
use crate::limits::{BODY_BYTES_MAX, RETRY_AFTER};
use crate::metrics::{self, Came};
use crate::publish::Publishing;
use crate::request::{Sent, read};

/// What a report is answered: both brokers have confirmed it, or why not.
const ANSWERS: &[StatusCode] =
    &[StatusCode::ACCEPTED, StatusCode::UNSUPPORTED_MEDIA_TYPE, StatusCode::UNPROCESSABLE_ENTITY];

/// What stands behind a front.
pub(crate) enum Behind {
    /// The publisher, over gRPC.
    Publisher(Client),
    /// Both brokers.
    Brokers(Publishing),
}

/// A front.
pub(crate) struct Front {
    /// Label of metrics.
    name: &'static str,
    behind: Behind,
}

impl Front {
    /// A front before this.
    pub(crate) fn new(name: &'static str, behind: Behind) -> Self {
        metrics::begin_front(name);
        Self { name, behind }
    }

    /// Its paths.
    pub(crate) fn routes(self) -> Routes {
        let at = |path| Endpoint::at(path).taking(BODY_BYTES_MAX).answering(ANSWERS).post(take);
        Routes::new([at("/input"), at("/weather")]).with_state(Arc::new(self))
    }

    async fn publish(&self, sent: &Sent, context: &RequestContext) -> Result<(), Problem> {
        match &self.behind {
            Behind::Brokers(publishing) => {
                publishing.publish(&sent.record, context).await.map_err(|unconfirmed| {
                    let names = unconfirmed.names().into_iter().map(str::to_owned).collect();
                    unavailable(names, unconfirmed.detail())
                })
            }
            Behind::Publisher(client) => {
                client.publish(&sent.record, context).await.map_err(|error| match error {
                    CallError::Unconfirmed { names, detail } => unavailable(names, detail),
                    CallError::NoAnswer(detail) => {
                        unavailable(vec!["publisher".to_owned()], detail)
                    }
                    CallError::Busy(detail) => {
                        let status = StatusCode::SERVICE_UNAVAILABLE;
                        Problem::new(status, "busy", "The publisher has too much to do", detail)
                            .retry_after(RETRY_AFTER)
                    }
                    CallError::Refused(detail) => Problem::new(
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "invalid-report",
                        "The report is not valid",
                        detail,
                    ),
                })
            }
        }
    }
}

/// Somebody did not confirm the report.
fn unavailable(names: Vec<String>, detail: String) -> Problem {
    tracing::warn!(unavailable = names.join(","), detail, "a report was not published");
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let detail = format!("{detail}; send the report again with the same Idempotency-Key");
    Problem::new(status, "not-published", "The report was not confirmed", detail)
        .with("unavailable", names)
        .retry_after(RETRY_AFTER)
}

async fn take(
    State(front): State<Arc<Front>>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let sent = read(&headers, &body).inspect_err(|_| metrics::came(front.name, Came::Refused))?;
    let published = front.publish(&sent, &context).await;
    metrics::came(
        front.name,
        match &published {
            Ok(()) => Came::Published,
            Err(problem) if problem.status().is_client_error() => Came::Refused,
            Err(_) => Came::Unconfirmed,
        },
    );
    let Sent { record, key } = sent;
    // Also where the client sent no key: it can come again with this one.
    published.map_err(|problem| {
        problem.with("message_id", record.message_id.clone()).with("idempotency_key", key)
    })?;
    let answer = json!({"status": "published", "message_id": record.message_id});
    Ok((StatusCode::ACCEPTED, JsonLine(answer)).into_response())
}
