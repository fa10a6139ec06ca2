//! Job files.
#![allow(missing_docs, dead_code)]
mod hcl;
mod hints;
pub mod interpolate;
mod json;
mod model;
mod names;
mod position;
mod problem;
mod scan;
mod shape;
mod tree;
