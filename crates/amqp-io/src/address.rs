//! Where RabbitMQ is, as flags name it, and what to do when it cannot be used.

use lapin::uri::AMQPUri;
use service_kit::exit::AppError;
use service_kit::secret::check_address;

use crate::link::ConnectError;

/// Reads the address of `--rabbitmq-url`. It is not repeated where it is wrong, and neither is what the library says of
/// it: parts of it may be a password.
///
/// # Errors
///
/// If it is not an AMQP address.
pub fn uri(url: &str) -> Result<AMQPUri, AppError> {
    let wrong = |detail: &str| {
        AppError::usage(format!("--rabbitmq-url (RABBITMQ_URL) is not an AMQP address: {detail}"))
            .hint("write amqp://USER:PASSWORD@HOST:5672/%2f, user and password percent-encoded")
    };
    check_address(url, &["amqp", "amqps"]).map_err(|fault| wrong(&fault.to_string()))?;
    url.parse().map_err(|_: String| wrong("its virtual host or its parameters cannot be read"))
}

/// What a program says when it cannot connect; `names_flag` is the flag that names its queues.
pub fn cannot_connect(error: &ConnectError, names_flag: &str) -> AppError {
    let hint = if error.detail.contains("PRECONDITION") {
        format!(
            "a queue or exchange of this name has other settings: choose another {names_flag}, or delete the \
             queue if nobody else uses it, with rabbitmqctl delete_queue NAME --if-empty --if-unused"
        )
    } else {
        "start RabbitMQ (`cargo run --bin stack -- up`), or choose another one with --rabbitmq-url"
            .to_owned()
    };
    AppError::failed(error.to_string()).hint(hint)
}
