//! The files that others run the pipeline with: dashboards, alerts, manifests, the compose file.

mod compose;
mod dashboards;
mod files;
mod habits;
mod manifests;
mod queries;
mod rendered;
mod running;
mod schemas;
