//! What a person or a program sees: the terminal, tables, lines of JSON, and the words for them.

pub(in crate::cli) mod json;
pub(in crate::cli) mod label;
pub(in crate::cli) mod printer;
pub(in crate::cli) mod pulls;
pub(in crate::cli) mod raw;
pub(in crate::cli) mod reader;
pub(in crate::cli) mod screen;
pub(in crate::cli) mod table;
pub(in crate::cli) mod terminal;
pub(in crate::cli) mod time;
pub(in crate::cli) mod told;
