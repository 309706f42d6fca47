//! Decoding of an object's bytes to text: compression, then encoding.

use std::io::Read;

use crate::sql::{Compression, CopyOptions, SqlError};

/// Decompresses and decodes an object. Bytes that are not UTF-8 become
/// U+FFFD, which `ACCEPTINVCHARS` replaces and every other load rejects.
pub(super) fn text(bytes: &[u8], options: &CopyOptions) -> Result<String, SqlError> {
    let unpacked = unpack(bytes, options.compression)?;
    match options.encoding.replace('-', "").as_str() {
        "utf8" => {
            let text = String::from_utf8_lossy(&unpacked).into_owned();
            // [D: COPY, data conversion] a byte order mark is skipped.
            Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
        }
        "utf16" | "utf16le" | "utf16be" => utf16(&unpacked, &options.encoding),
        "iso88591" => Ok(unpacked.iter().map(|byte| char::from(*byte)).collect()),
        other => Err(SqlError::new(format!("invalid encoding \"{other}\" specified"))),
    }
}

fn unpack(bytes: &[u8], compression: Compression) -> Result<Vec<u8>, SqlError> {
    let mut unpacked = Vec::new();
    let result = match compression {
        Compression::None => return Ok(bytes.to_vec()),
        Compression::Gzip => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut unpacked),
        Compression::Bzip2 => bzip2::read::MultiBzDecoder::new(bytes).read_to_end(&mut unpacked),
        Compression::Zstd => {
            zstd::stream::read::Decoder::new(bytes).and_then(|mut decoder| decoder.read_to_end(&mut unpacked))
        }
        Compression::Lzop => return Err(SqlError::not_imitated("COPY of LZOP files")),
    };
    result
        .map(|_| unpacked)
        .map_err(|error| SqlError::new(format!("the file cannot be decompressed: {error}")))
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
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect())
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
    fn utf16_is_read_by_its_mark() {
        let options = CopyOptions { encoding: "utf16".into(), ..CopyOptions::default() };
        assert_eq!(text(&[0xfe, 0xff, 0, b'a'], &options).expect("valid"), "a");
        assert_eq!(text(&[0xff, 0xfe, b'a', 0], &options).expect("valid"), "a");
        assert!(text(b"a", &options).is_err());
    }
}
