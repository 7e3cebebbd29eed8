//! Runs the program, and computes what it must tell from the seed alone.

mod ends_early;
mod expected;
mod program;
mod tells_the_story;
mod terminal;
