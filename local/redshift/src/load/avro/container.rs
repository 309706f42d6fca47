//! The parts of an Avro file, before its records are read.

use std::fmt::Display;

use crate::sql::SqlError;

/// [D: Data format parameters, AVRO] "The maximum size of the Avro file header … is 1 MB".
const MAX_HEADER: usize = 1 << 20;

/// [D: the same] "The maximum size of a single Avro data block is 4 MB".
const MAX_BLOCK: usize = 4 << 20;

/// [D: the same] the codecs that COPY accepts.
const CODECS: [&[u8]; 3] = [b"null", b"deflate", b"snappy"];

/// An error of the whole file. [K] the beginning of Redshift's sentence.
pub(super) fn unreadable(why: impl Display) -> SqlError {
    SqlError::new(format!("Cannot init avro reader from s3 file {why}"))
}

/// Checks the magic number, the codec and the documented sizes.
pub(super) fn check(bytes: &[u8]) -> Result<(), SqlError> {
    let cut = || unreadable("the file ends within its header");
    let mut rest = bytes
        .strip_prefix(b"Obj\x01")
        .ok_or_else(|| unreadable("Incorrect Avro container file magic number"))?;
    let mut codec: &[u8] = b"null";
    loop {
        let mut count = long(&mut rest).ok_or_else(cut)?;
        if count == 0 {
            break;
        }
        if count < 0 {
            count = count.checked_neg().ok_or_else(cut)?;
            long(&mut rest).ok_or_else(cut)?;
        }
        for _ in 0..count {
            let name = part(&mut rest).ok_or_else(cut)?;
            let value = part(&mut rest).ok_or_else(cut)?;
            if name == b"avro.codec" {
                codec = value;
            }
        }
    }
    if bytes.len() - rest.len() > MAX_HEADER {
        return Err(unreadable(format!("the header is longer than {MAX_HEADER} bytes")));
    }
    if !CODECS.contains(&codec) {
        let codec = String::from_utf8_lossy(codec);
        return Err(unreadable(format!("the codec is {codec:?}; COPY takes null, deflate and snappy")));
    }
    let Some((_marker, mut rest)) = rest.split_at_checked(16) else { return Err(cut()) };
    while !rest.is_empty() {
        // What is wrong beyond the sizes is an error of a record.
        let (Some(_count), Some(block)) = (long(&mut rest), part(&mut rest)) else { return Ok(()) };
        if block.len() > MAX_BLOCK {
            return Err(SqlError::new(format!(
                "an Avro data block has {} bytes; the maximum is {MAX_BLOCK}",
                block.len()
            )));
        }
        rest = rest.get(16..).unwrap_or_default();
    }
    Ok(())
}

/// A variable-length, zig-zag coded number.
fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut number: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
        }
    }
    None
}

/// Bytes after their length.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(long(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}
