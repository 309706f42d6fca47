//! Statements as types. No value of a template reaches SQL as text: identifiers and literals are quoted in
//! [`text`], and nowhere else.

mod column;
mod copy;
mod job;
mod text;

pub use column::{Column, ColumnType, CreateTable};
pub use copy::{Compression, Copy, Encoding, Format, Options, S3Location};
pub use job::{CopyJob, JobName, LONGEST_BASE};
pub use text::{Identifier, Literal, RoleArn, TableName};
