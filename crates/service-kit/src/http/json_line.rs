//! An answer in JSON that ends its line: axum's `Json` does not, and people read these in a terminal.

use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer with this as JSON, and a line end.
#[derive(Debug, Clone, Copy)]
pub struct JsonLine<T>(pub T);

impl<T: Serialize> IntoResponse for JsonLine<T> {
    fn into_response(self) -> Response {
        let text = serde_json::to_string(&self.0).unwrap_or_else(|error| format!("\"{error}\""));
        let json = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, json)], text + "\n").into_response()
    }
}
