//! Statements as types. Only the module `text` quotes identifiers and literals: no value of a template
//! reaches SQL unquoted.

mod column;
mod copy;
mod job;
mod text;

pub use column::{Column, ColumnType, CreateTable};
pub use copy::{CompUpdate, Compression, Copy, Encoding, Format, Options, S3Location};
pub use job::{CopyJob, JobName, MAX_BASE_BYTES};
pub use text::{Identifier, Literal, RoleArn, TableName};
