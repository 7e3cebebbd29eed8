//! Tests of the codec from outside: one program, so that it is linked once.

mod any_schema;
mod decoding;
mod evolution;
mod fault_injection;
mod hostile_bytes;
mod inventory;
mod misbehaving_registry;
mod real_registry;
mod resolution;
mod resolving;
mod verdicts;
mod writer_schemas;
