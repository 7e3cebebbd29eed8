//! What holds for a whole process, and so needs one of its own.

mod spans;
