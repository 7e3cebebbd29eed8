//! What every program of the workspace needs besides its own work: settings, exit codes,
//! logs, metrics, health, HTTP serving, and an orderly stop.
//!
//! ```text
//! flags > environment > config/<program>.toml      settings
//! version, flags, unknown variables                 program
//! error → "program: error: …", "hint: …", code      exit
//! results on stdout, lines on stderr                output
//! lines that fit a terminal, tables                 fold, table
//! passwords, addresses with a login                 secret
//! logs on stderr                                    telemetry
//! a view at the foot of a terminal                  live
//! counters and histograms                           metrics_recorder ─┐
//! named conditions, heartbeats                      health ───────────┤ /metrics /livez /readyz
//! what is unavailable, since when and why           unavailable ──────┤
//!                                                   admin_http ◄──────┘
//! SIGTERM, ctrl-C                                   shutdown
//! a JSON object's members as they are written       json_members
//! a public API: limits, deadlines, problems         http
//! what was done for a request or message            spans
//! ```
//!
//! The crate knows nothing of orders, Kafka or what an API says, and depends on none of the other crates
//! of the workspace.

pub mod clock;
pub mod settings;
pub mod args;
pub mod units;
pub mod json_members;
pub mod exit;
pub mod flag_file;
pub mod fold;
pub mod table;
pub mod output;
pub mod secret;
pub mod environment;
pub mod program;
pub mod terminal;
pub mod live;
pub mod telemetry;
pub mod metrics_recorder;
pub mod health;
pub mod unavailable;
pub mod admin_http;
pub mod shutdown;
pub mod open_files;
pub mod http;
pub mod spans;
