//! From the Engine to records: a `request` is one question and its answer, `collection` reads, follows and reads again, `source`
//! says what an Engine keeps of a container. `lag` tells whether a follow keeps up, `batching` how reads are grouped, and
//! `order` what of an answer is not to be believed.

pub(in crate::logs) mod batching;
pub(in crate::logs) mod collection;
pub(in crate::logs) mod lag;
mod order;
pub(in crate::logs) mod request;
pub(in crate::logs) mod source;
