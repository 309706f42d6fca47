//! Decoding of an object's bytes to text: compression, then encoding.

use std::io::Read;

use crate::sql::{Compression, CopyOptions, SqlError};

/// Stands for one byte that is not text. The character itself is invalid on Redshift, too [D:
/// Multibyte character load errors].
pub(super) const INVALID: char = '\u{fdd0}';

/// Maximum of an object's text in bytes, so that one file cannot take the memory of every warehouse.
/// Redshift has no such limit.
const MAX_TEXT: u64 = 1 << 30;

/// Decompresses and decodes an object. Each byte that is not UTF-8 becomes [`INVALID`], which
/// `ACCEPTINVCHARS` replaces and every other load rejects.
pub(super) fn text(bytes: &[u8], options: &CopyOptions) -> Result<String, SqlError> {
    let unpacked = unpack(bytes, options.compression)?;
    match options.encoding.replace('-', "").as_str() {
        "utf8" => {
            // [D: COPY, data conversion] a byte order mark is skipped.
            let body = unpacked.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&unpacked);
            Ok(utf8(body))
        }
        "utf16" | "utf16le" | "utf16be" => utf16(&unpacked, &options.encoding),
        "iso88591" => Ok(unpacked.iter().map(|byte| char::from(*byte)).collect()),
        other => Err(SqlError::new(format!("invalid encoding \"{other}\" specified"))),
    }
}

/// Text with one [`INVALID`] for each byte that is not UTF-8 or is of a character that Redshift
/// does not take: U+FDD0 to U+FDEF, U+FFFE and U+FFFF [D: Multibyte character load errors].
pub(super) fn utf8(bytes: &[u8]) -> String {
    let unsupported = |c: char| matches!(c, '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}');
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(unsupported) {
            match part.char_indices().next_back().filter(|(_, c)| unsupported(*c)) {
                Some((at, c)) => {
                    text.push_str(&part[..at]);
                    text.extend(std::iter::repeat_n(INVALID, c.len_utf8()));
                }
                None => text.push_str(part),
            }
        }
        text.extend(std::iter::repeat_n(INVALID, chunk.invalid().len()));
    }
    text
}

pub(super) fn unpack(bytes: &[u8], compression: Compression) -> Result<Vec<u8>, SqlError> {
    match compression {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Gzip => limited(flate2::read::MultiGzDecoder::new(bytes), MAX_TEXT),
        Compression::Bzip2 => limited(bzip2::read::MultiBzDecoder::new(bytes), MAX_TEXT),
        Compression::Zstd => {
            limited(zstd::stream::read::Decoder::new(bytes).map_err(|error| broken(&error))?, MAX_TEXT)
        }
        Compression::Lzop => Err(SqlError::not_imitated("COPY of LZOP files")),
    }
}

fn broken(error: &std::io::Error) -> SqlError {
    SqlError::new(format!("the file cannot be decompressed: {error}"))
}

/// Reads what a decoder writes, up to `limit` bytes.
fn limited(decoder: impl Read, limit: u64) -> Result<Vec<u8>, SqlError> {
    let mut unpacked = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut unpacked).map_err(|error| broken(&error))?;
    if unpacked.len() as u64 > limit {
        return Err(SqlError::not_imitated(format!("COPY of files that unpack to more than {limit} bytes")));
    }
    Ok(unpacked)
}

fn utf16(bytes: &[u8], encoding: &str) -> Result<String, SqlError> {
    let (big, body) = match (bytes, encoding) {
        ([0xfe, 0xff, body @ ..], _) => (true, body),
        ([0xff, 0xfe, body @ ..], _) => (false, body),
        // Without a mark the encoding's name decides; plain UTF16 requires one [D: COPY ENCODING].
        (body, "utf16be") => (true, body),
        (body, "utf16le") => (false, body),
        _ => return Err(SqlError::new("ENCODING UTF16 needs a byte order mark in the file")),
    };
    let units = body.chunks_exact(2).map(|pair| match big {
        true => u16::from_be_bytes([pair[0], pair[1]]),
        false => u16::from_le_bytes([pair[0], pair[1]]),
    });
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(INVALID)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn each_compression_is_undone() {
        let text_in = "id,name\n1,a\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text_in.as_bytes()).expect("memory");
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(text_in.as_bytes()).expect("memory");
        let packed = [
            (Compression::Gzip, gzip.finish().expect("memory")),
            (Compression::Bzip2, bzip2.finish().expect("memory")),
            (Compression::Zstd, zstd::encode_all(text_in.as_bytes(), 1).expect("memory")),
        ];
        for (compression, bytes) in packed {
            let options = CopyOptions { compression, ..CopyOptions::default() };
            assert_eq!(text(&bytes, &options).expect("valid"), text_in);
            assert!(text(b"plain", &options).is_err());
        }
    }

    #[test]
    fn each_invalid_byte_has_one_mark() {
        let options = CopyOptions::default();
        let mark = |count| INVALID.to_string().repeat(count);
        for (bytes, decoded) in [
            (&b"a\xff\xfeb"[..], format!("a{}b", mark(2))),
            (&b"\xe2\x82"[..], mark(2)),
            ("x\u{fdd1}y".as_bytes(), format!("x{}y", mark(3))),
            ("\u{feff}\u{fffd}é\u{1f600}".as_bytes(), "\u{fffd}é\u{1f600}".to_owned()),
        ] {
            assert_eq!(text(bytes, &options).expect("valid"), decoded);
        }
    }

    #[test]
    fn a_file_that_unpacks_to_more_than_the_limit_is_refused() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&[b'a'; 1000]).expect("memory");
        let packed = gzip.finish().expect("memory");
        let unpacked = |limit| limited(flate2::read::MultiGzDecoder::new(&packed[..]), limit);
        assert_eq!(unpacked(1000).expect("at the limit").len(), 1000);
        assert!(unpacked(999).expect_err("beyond").message.contains("more than 999 bytes"));
    }

    #[test]
    fn utf16_is_read_by_its_mark() {
        let options = CopyOptions { encoding: "utf16".into(), ..CopyOptions::default() };
        assert_eq!(text(&[0xfe, 0xff, 0, b'a'], &options).expect("valid"), "a");
        assert_eq!(text(&[0xff, 0xfe, b'a', 0], &options).expect("valid"), "a");
        assert!(text(b"a", &options).is_err());
    }
}
