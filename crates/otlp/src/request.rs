//! The body of a request: spans in the JSON form of OTLP 1.

use serde_json::{Value as Json, json};
use service_kit::http::trace::TraceContext;
use service_kit::program::Program;
use service_kit::spans::{Span, Value};

/// What `status.code` says of a span that failed.
const STATUS_ERROR: u8 = 2;

/// Whose spans these are, as every request says it.
pub(crate) fn resource(program: &Program, service_name: Option<&str>) -> Json {
    let instance = TraceContext::root().trace_id().to_string(); // at random
    let attributes = [
        ("service.name", service_name.unwrap_or(program.name)),
        ("service.version", program.version),
        ("service.instance.id", &instance),
        ("telemetry.sdk.name", "relane"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", program.version),
    ];
    json!({ "attributes": attributes.map(|(key, text)| attribute(key, json!({"stringValue": text}))) })
}

/// The body of a request.
pub(crate) fn body(resource: &Json, program: &Program, spans: &[Span]) -> Vec<u8> {
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let scope = json!({"name": "relane", "version": program.version});
    let scoped = json!([{"scope": scope, "spans": spans}]);
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": scoped}]})
        .to_string()
        .into_bytes()
}

/// How many spans an answer says were refused.
pub(crate) fn rejected(answer: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(answer).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    // Numbers of 64 bits are texts in this form, and some collectors write them as numbers.
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

fn attribute(key: &str, value: Json) -> Json {
    json!({"key": key, "value": value})
}

fn span(span: &Span) -> Json {
    let Span { name, kind, context, links, started_ns, ended_ns, attributes, error } = span;
    let attributes = attributes.iter().map(|(key, value)| {
        let value = match value {
            Value::Text(text) => json!({"stringValue": text}),
            Value::Number(number) => json!({"intValue": number.to_string()}),
        };
        attribute(key, value)
    });
    let mut told = place(context);
    told["name"] = json!(name);
    told["kind"] = json!(*kind as u8);
    told["startTimeUnixNano"] = json!(started_ns.to_string());
    told["endTimeUnixNano"] = json!(ended_ns.to_string());
    told["attributes"] = attributes.collect();
    if let Some(parent) = context.parent_span_id() {
        told["parentSpanId"] = json!(parent.to_string());
    }
    if !links.is_empty() {
        told["links"] = links.iter().map(place).collect();
    }
    if let Some(error) = error {
        told["status"] = json!({"code": STATUS_ERROR, "message": error});
    }
    told
}

/// Which span of which trace.
fn place(context: &TraceContext) -> Json {
    let (trace_id, span_id) = (context.trace_id().to_string(), context.span_id().to_string());
    let mut told = json!({"traceId": trace_id, "spanId": span_id});
    if let Some(state) = context.tracestate() {
        told["traceState"] = json!(state);
    }
    told
}

#[cfg(test)]
mod tests {
    use service_kit::spans::Kind;

    use super::*;

    const PROGRAM: Program = Program::new("test", "0123456789ab");

    #[test]
    fn a_request_says_whose_spans_it_has_and_each_spans_place_time_attributes_and_end() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let carried = TraceContext::parse(parent, Some("a=1")).unwrap();
        let context = carried.child();
        let mut span = Span::begun_at(5, Kind::Consumer, context.clone(), "process t".to_owned())
            .with("messaging.system", "kafka")
            .with("messaging.kafka.offset", 7)
            .linked_to(carried);
        span.fail("simulated", "on request");
        let told = body(&resource(&PROGRAM, None), &PROGRAM, &[span]);
        let told: Json = serde_json::from_slice(&told).unwrap();
        let of_resource = &told["resourceSpans"][0];
        let name = json!({"key": "service.name", "value": {"stringValue": "test"}});
        assert_eq!(of_resource["resource"]["attributes"][0], name);
        let expected = json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": context.span_id().to_string(),
            "traceState": "a=1",
            "name": "process t",
            "kind": 5,
            "startTimeUnixNano": "5",
            "endTimeUnixNano": "5",
            "attributes": [
                {"key": "messaging.system", "value": {"stringValue": "kafka"}},
                {"key": "messaging.kafka.offset", "value": {"intValue": "7"}},
                {"key": "error.type", "value": {"stringValue": "simulated"}},
            ],
            "parentSpanId": "b7ad6b7169203331",
            "links": [{
                "traceId": "0af7651916cd43dd8448eb211c80319c",
                "spanId": "b7ad6b7169203331",
                "traceState": "a=1",
            }],
            "status": {"code": 2, "message": "on request"},
        });
        assert_eq!(of_resource["scopeSpans"][0]["spans"][0], expected);
    }

    #[test]
    fn an_answer_says_how_many_spans_were_refused_or_nothing_of_it() {
        for (answer, count) in [
            (&b""[..], 0),
            (b"{}", 0),
            (b"<html>", 0),
            (br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"x"}}"#, 3),
            (br#"{"partialSuccess":{"rejectedSpans":3}}"#, 3),
        ] {
            assert_eq!(rejected(answer), count);
        }
    }
}
