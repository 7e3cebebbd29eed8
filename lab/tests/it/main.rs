//! The report against a golden file, the comparison of two results, and a comparison of all three paradigms on real
//! servers.

mod commands;
mod elsewhere;
mod golden;
mod locust;
mod published;
mod sample;
mod smoke;
mod stopped;
