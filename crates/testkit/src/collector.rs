//! A collector of traces in the test's own process: OTLP over HTTP as JSON, a thread for each connection.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It takes all spans.
    All,
    /// It answers with this status.
    Status(u16),
    /// It reads and never answers.
    NoAnswer,
}

/// A span as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentSpan {
    /// `service.name` of who sent it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace.
    pub trace_id: String,
    /// Itself.
    pub span_id: String,
    /// The span above it; empty for none.
    pub parent_id: String,
    /// What it is linked to: trace and span.
    pub links: Vec<(String, String)>,
    /// Its attributes, numbers as texts.
    pub attributes: BTreeMap<String, String>,
    /// Whether it failed.
    pub is_error: bool,
}

impl SentSpan {
    /// An attribute; empty for none.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

/// What has come.
#[derive(Default)]
struct Come {
    spans: Vec<SentSpan>,
    /// Heads of all requests.
    heads: Vec<String>,
}

/// The collector; its threads end with the test process.
pub struct Collector {
    address: String,
    come: Arc<Mutex<Come>>,
}

impl Collector {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// Panics when there is no free port.
    pub fn start(takes: Takes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let come = Arc::<Mutex<Come>>::default();
        let noted = Arc::clone(&come);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                // A client that breaks off is not the collector's fault.
                thread::spawn(move || serve(&stream, takes, &noted).is_ok());
            }
        });
        Self { address, come }
    }

    /// What programs are told of it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    ///
    /// # Panics
    ///
    /// Panics when what came is no OTLP.
    pub fn spans(&self) -> Vec<SentSpan> {
        self.come.lock().expect("what came is OTLP").spans.clone()
    }

    /// Heads of all requests so far.
    ///
    /// # Panics
    ///
    /// As [`Self::spans`].
    pub fn heads(&self) -> Vec<String> {
        self.come.lock().expect("what came is OTLP").heads.clone()
    }
}

/// The spans that hang together with a span, itself among them, by parents and links.
pub fn connected<'a>(spans: &'a [SentSpan], with: &SentSpan) -> Vec<&'a SentSpan> {
    let mut reached = BTreeSet::from([with.span_id.as_str()]);
    loop {
        let before = reached.len();
        for span in spans {
            let others = span.links.iter().map(|(_, id)| id.as_str());
            let ends: Vec<&str> =
                others.chain([span.parent_id.as_str()]).filter(|id| !id.is_empty()).collect();
            if ends.iter().any(|id| reached.contains(id)) {
                reached.insert(&span.span_id);
            }
            if reached.contains(span.span_id.as_str()) {
                reached.extend(ends);
            }
        }
        if reached.len() == before {
            return spans.iter().filter(|it| reached.contains(it.span_id.as_str())).collect();
        }
    }
}

fn serve(stream: &TcpStream, takes: Takes, noted: &Mutex<Come>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        {
            let mut come = noted.lock().expect("what came is OTLP");
            if takes == Takes::All {
                let request = serde_json::from_slice(&body).expect("JSON");
                come.spans.extend(read(&request));
            }
            come.heads.push(head);
        }
        let answer = match takes {
            Takes::All => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
            Takes::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n"),
            Takes::NoAnswer => {
                let _is_over = reader.read(&mut [0; 1]);
                return Ok(());
            }
        };
        (&*stream).write_all(answer.as_bytes())?;
    }
}

/// Reads a request.
fn read(request: &Value) -> Vec<SentSpan> {
    let mut spans = Vec::new();
    for of_resource in list(&request["resourceSpans"]) {
        let of_whom = attributes(&of_resource["resource"]);
        let service = of_whom.get("service.name").expect("a service has a name");
        for scoped in list(&of_resource["scopeSpans"]) {
            spans.extend(list(&scoped["spans"]).iter().map(|span| span_of(service, span)));
        }
    }
    spans
}

fn span_of(service: &str, span: &Value) -> SentSpan {
    let id = |of: &Value, name: &str, digits: usize| {
        let id = of[name].as_str().expect("an id").to_owned();
        assert!(id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {id}");
        id
    };
    let time = |name: &str| span[name].as_str().expect("a time").parse::<u64>().expect("a number");
    assert!(0 < time("startTimeUnixNano"), "{span}");
    assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    assert!((1..=5).contains(&span["kind"].as_u64().expect("a kind")), "{span}");
    let link = |link: &Value| (id(link, "traceId", 32), id(link, "spanId", 16));
    SentSpan {
        service: service.to_owned(),
        name: span["name"].as_str().expect("a name").to_owned(),
        trace_id: id(span, "traceId", 32),
        span_id: id(span, "spanId", 16),
        parent_id: span["parentSpanId"].as_str().unwrap_or_default().to_owned(),
        links: list(&span["links"]).iter().map(link).collect(),
        attributes: attributes(span),
        is_error: span["status"]["code"] == 2,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let pair = |pair: &Value| {
        let value = &pair["value"];
        let text = value["stringValue"].as_str().or_else(|| value["intValue"].as_str());
        let key = pair["key"].as_str().expect("a key").to_owned();
        (key, text.expect("a text, or a number as one").to_owned())
    };
    list(&of["attributes"]).iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(span_id: &str, parent_id: &str, link: Option<&str>) -> SentSpan {
        SentSpan {
            service: String::new(),
            name: String::new(),
            trace_id: "t".to_owned(),
            span_id: span_id.to_owned(),
            parent_id: parent_id.to_owned(),
            links: link.map(|id| ("t".to_owned(), id.to_owned())).into_iter().collect(),
            attributes: BTreeMap::new(),
            is_error: false,
        }
    }

    #[test]
    fn spans_hang_together_by_parents_and_links_and_not_by_their_trace_alone() {
        let spans = [
            span("c", "", Some("b")),
            span("a", "caller", None),
            span("b", "a", None),
            span("d", "e", None),
        ];
        let ids = |with: usize| -> Vec<&str> {
            connected(&spans, &spans[with]).iter().map(|span| span.span_id.as_str()).collect()
        };
        assert_eq!((ids(1), ids(3)), (vec!["c", "a", "b"], vec!["d"]));
    }
}
