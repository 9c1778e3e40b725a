//! What is asked of every reader of bytes that others send us: one function per reader.
//!
//! Each takes any bytes, has the product read them, and panics if the product did or if
//! what it made of them breaks a rule; the answer is a word for what became of the input.
//! The targets of cargo-fuzz call these with what libFuzzer finds, and `tests/fuzz` with
//! mutations of `seeds`, so they depend on public items of the product only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken rule is told by panicking"
)]

pub mod catalog;
pub mod event;
pub mod page_token;
pub mod panel;
pub mod signature;

/// The first line, and the rest.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, b""),
    }
}
