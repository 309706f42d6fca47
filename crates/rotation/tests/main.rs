//! Tests of the four steps of a rotation, in memory.

mod api_key;
mod machine;
mod msk;
mod planted;
mod repair;
mod run;
