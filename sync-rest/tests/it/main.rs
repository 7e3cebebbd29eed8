//! The real program with real sockets and files: what clients see while its services are well,
//! slow, full and away. What all three flows promise stands in `conformance`.

mod rig;
mod startup;
mod tracing;
mod flow;
mod status;
mod avro;
mod trouble;
mod unfinished;
mod replicas;
mod abuse;
mod conformance;
