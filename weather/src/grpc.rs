//! Between the API and the publisher: one call for each report.

use std::sync::Arc;
use std::time::Instant;

use service_kit::clock::now_ms;
use service_kit::http::trace::{TRACEPARENT, TRACESTATE, TraceContext};
use service_kit::http::{REQUEST_ID_HEADER, RequestContext};
use service_kit::spans::{Kind, Span};
use service_kit::unavailable::{Reporter, Thing, of_process};
use tokio::sync::Semaphore;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use self::proto::publisher_client::PublisherClient;
use self::proto::publisher_server::{Publisher, PublisherServer};
use self::proto::{PublishReply, PublishRequest};
use crate::limits::{
    BODY_BYTES_MAX, CALL_ALIVE_EVERY, CALL_ALIVE_MAX, CALL_CONNECT_MAX, CALL_MAX, PUBLISHING_MAX,
};
use crate::publish::{Publishing, Unconfirmed};
use crate::record::WeatherReport;
use crate::report::{Report, check_message_id};

#[expect(unreachable_pub, reason = "it is made of the proto")]
pub(crate) mod proto {
    tonic::include_proto!("weather.v1");
}

/// Names the brokers that have not confirmed a report.
const UNAVAILABLE: &str = "x-unavailable";

/// What the API asks.
const PUBLISHER: Thing = Thing { label: "publisher", name: "the publisher" };

/// The publisher's side.
pub(crate) struct Served {
    publishing: Publishing,
    /// For reports that are being published.
    room: Arc<Semaphore>,
}

/// Serves what publishes.
pub(crate) fn serve(publishing: Publishing) -> PublisherServer<Served> {
    let served = Served { publishing, room: Arc::new(Semaphore::new(PUBLISHING_MAX)) };
    PublisherServer::new(served).max_decoding_message_size(BODY_BYTES_MAX)
}

#[tonic::async_trait]
impl Publisher for Served {
    async fn publish(
        &self,
        request: Request<PublishRequest>,
    ) -> Result<Response<PublishReply>, Status> {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let text = format!("{PUBLISHING_MAX} reports are being published; come again");
            return Err(Status::resource_exhausted(text));
        };
        let headers = request.metadata().clone().into_headers();
        let context = RequestContext::read(&headers, Instant::now())
            .map_err(|problem| Status::invalid_argument(problem.detail()))?;
        let PublishRequest { message_id, description, country, weather } = request.into_inner();
        let report = check_message_id(&message_id)
            .and_then(|()| Report::check(&description, &country, &weather))
            .map_err(|rule| Status::invalid_argument(rule.to_string()))?;
        let record = WeatherReport::new(&report, &message_id, now_ms());
        let publishing = self.publishing.clone();
        // In a task of its own: what a client that goes away has begun, ends.
        let published = tokio::spawn(async move {
            let _room = room;
            let span = call_span(Kind::Server, &context.trace);
            let published = publishing.publish(&record, &context).await;
            if let Some(span) = span {
                span.end_with(published.is_err().then_some("unavailable"));
            }
            published
        });
        match published.await {
            Ok(Ok(())) => Ok(Response::new(PublishReply { message_id })),
            Ok(Err(unconfirmed)) => Err(unavailable(&unconfirmed)),
            Err(_panic) => Err(Status::internal("the publisher failed; its log has the reason")),
        }
    }
}

fn unavailable(unconfirmed: &Unconfirmed) -> Status {
    let mut metadata = MetadataMap::new();
    if let Ok(names) = MetadataValue::try_from(unconfirmed.names().join(",")) {
        metadata.insert(UNAVAILABLE, names);
    }
    Status::with_metadata(Code::Unavailable, unconfirmed.detail(), metadata)
}

/// The span of a call; `None` while spans of its trace are not recorded.
fn call_span(kind: Kind, context: &TraceContext) -> Option<Span> {
    let span = Span::begin(kind, context, || "weather.v1.Publisher/Publish".to_owned())?;
    let service = span.with("rpc.system", "grpc").with("rpc.service", "weather.v1.Publisher");
    Some(service.with("rpc.method", "Publish"))
}

/// The API's side.
#[derive(Debug)]
pub(crate) struct Client {
    client: PublisherClient<Channel>,
    address: String,
    reporter: Reporter,
}

/// Why a report is not known to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The publisher says which brokers have not confirmed it.
    Unconfirmed {
        /// `kafka`, `rabbitmq` or both.
        names: Vec<String>,
        /// In words.
        detail: String,
    },
    /// The publisher refuses it.
    Refused(String),
    /// The publisher has too much to do; nothing was sent.
    Busy(String),
    /// The publisher did not answer.
    NoAnswer(String),
}

impl Client {
    /// One that connects when it is first used.
    ///
    /// # Errors
    ///
    /// If `url` is no address.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| error.to_string())?;
        let channel = endpoint
            .connect_timeout(CALL_CONNECT_MAX)
            .timeout(CALL_MAX)
            .http2_keep_alive_interval(CALL_ALIVE_EVERY)
            .keep_alive_timeout(CALL_ALIVE_MAX)
            .keep_alive_while_idle(true)
            .connect_lazy();
        let client = PublisherClient::new(channel).max_decoding_message_size(BODY_BYTES_MAX);
        let reporter = of_process().reporter(PUBLISHER, "publisher");
        Ok(Self { client, address: url.to_owned(), reporter })
    }

    /// Has a report published.
    ///
    /// # Errors
    ///
    /// Says who did not confirm it.
    pub(crate) async fn publish(
        &self,
        record: &WeatherReport,
        context: &RequestContext,
    ) -> Result<(), CallError> {
        let mut request = Request::new(PublishRequest {
            message_id: record.message_id.clone(),
            description: record.description.clone(),
            country: record.country.clone(),
            weather: record.weather.clone(),
        });
        request.set_timeout(CALL_MAX);
        let trace = context.trace.child();
        let texts = [
            (REQUEST_ID_HEADER, Some(context.request_id.as_str())),
            (TRACEPARENT, Some(&*trace.traceparent())),
            (TRACESTATE, trace.tracestate()),
        ]
        .map(|(name, value)| (name, value.and_then(|value| MetadataValue::try_from(value).ok())));
        for (name, value) in texts {
            if let Some(value) = value {
                request.metadata_mut().insert(name, value);
            }
        }
        let span = call_span(Kind::Client, &trace);
        // A clone shares the connection.
        let answer = self.client.clone().publish(request).await;
        if let Some(span) = span {
            span.end_with(answer.is_err().then_some("unavailable"));
        }
        match answer {
            Ok(_) => {
                self.reporter.available();
                Ok(())
            }
            Err(status) => Err(self.error(&status)),
        }
    }

    fn error(&self, status: &Status) -> CallError {
        let detail = status.message().to_owned();
        let named = status.metadata().get(UNAVAILABLE).and_then(|names| names.to_str().ok());
        let error = match (status.code(), named) {
            (Code::Unavailable, Some(names)) => {
                let names = names.split(',').map(str::to_owned).collect();
                CallError::Unconfirmed { names, detail }
            }
            (Code::InvalidArgument, _) => CallError::Refused(detail),
            (Code::ResourceExhausted, _) => CallError::Busy(detail),
            (code, _) => {
                let why = format!("the publisher at {} did not answer: {code:?}", self.address);
                self.reporter.unavailable(&why);
                return CallError::NoAnswer(why);
            }
        };
        self.reporter.available();
        error
    }
}
