//! The primitive types of Kafka's protocol.
//!
//! Source: "Protocol Primitive Types" of the Apache Kafka protocol guide. A message of a flexible
//! version has compact lengths (one more than the length, as a varint; 0 is null) and tagged fields
//! at the end of every structure; one of an older version has neither.

use secrecy::zeroize::Zeroizing;

/// A message that violates the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// It ends too early.
    #[error("it ends within `{0}`")]
    Truncated(&'static str),
    /// A length or a value is impossible.
    #[error("`{0}` is invalid")]
    Malformed(&'static str),
}

/// A message that is written. It may contain a salted password, so it is wiped after use.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// Creates an empty message.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes.
    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    fn put(mut self, bytes: &[u8]) -> Self {
        // A vector that grows leaves a copy of its old bytes in memory.
        if self.0.capacity() - self.0.len() < bytes.len() {
            let mut larger =
                Zeroizing::new(Vec::with_capacity((2 * self.0.capacity()).max(256) + bytes.len()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        self
    }

    /// Writes an INT8.
    pub(crate) fn int8(self, value: i8) -> Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes an INT16.
    pub(crate) fn int16(self, value: i16) -> Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes an INT32.
    pub(crate) fn int32(self, value: i32) -> Self {
        self.put(&value.to_be_bytes())
    }

    /// Writes a BOOLEAN.
    pub(crate) fn boolean(self, value: bool) -> Self {
        self.put(&[u8::from(value)])
    }

    /// Writes an UNSIGNED_VARINT.
    pub(crate) fn varint(self, value: u32) -> Self {
        let mut writer = self;
        let mut rest = value;
        while rest >= 0x80 {
            writer = writer.put(&[(rest & 0x7f) as u8 | 0x80]);
            rest >>= 7;
        }
        writer.put(&[(rest & 0x7f) as u8])
    }

    /// Writes a STRING. Longer names are rejected when a secret is read.
    pub(crate) fn string(self, text: &str) -> Self {
        let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
        self.int16(length).put(text.as_bytes())
    }

    /// Writes BYTES.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.int32(length).put(bytes)
    }

    /// Writes a COMPACT_STRING.
    pub(crate) fn compact_string(self, text: &str) -> Self {
        self.compact_bytes(text.as_bytes())
    }

    /// Writes a COMPACT_NULLABLE_STRING that is null.
    pub(crate) fn compact_null(self) -> Self {
        self.varint(0)
    }

    /// Writes COMPACT_BYTES.
    pub(crate) fn compact_bytes(self, bytes: &[u8]) -> Self {
        self.compact_array(bytes.len()).put(bytes)
    }

    /// Writes the length of a COMPACT_ARRAY, whose elements follow.
    pub(crate) fn compact_array(self, length: usize) -> Self {
        self.varint(u32::try_from(length).unwrap_or(u32::MAX - 1).saturating_add(1))
    }

    /// Writes that there are no tagged fields.
    pub(crate) fn no_tags(self) -> Self {
        self.varint(0)
    }
}

/// A message that is read. No length in it is trusted beyond the existing bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the beginning.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes that are not read yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated(what))?;
        self.0 = rest;
        Ok(*taken)
    }

    /// Reads an INT8.
    ///
    /// # Errors
    /// The message ends here. All methods have this error.
    pub(crate) fn int8(&mut self, what: &'static str) -> Result<i8, WireError> {
        self.fixed(what).map(i8::from_be_bytes)
    }

    /// Reads an INT16.
    pub(crate) fn int16(&mut self, what: &'static str) -> Result<i16, WireError> {
        self.fixed(what).map(i16::from_be_bytes)
    }

    /// Reads an INT32.
    pub(crate) fn int32(&mut self, what: &'static str) -> Result<i32, WireError> {
        self.fixed(what).map(i32::from_be_bytes)
    }

    /// Reads an UNSIGNED_VARINT of 32 bits: five bytes at most.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u32, WireError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed(what)?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Malformed(what))
    }

    fn text(bytes: &'a [u8], what: &'static str) -> Result<&'a str, WireError> {
        std::str::from_utf8(bytes).map_err(|_| WireError::Malformed(what))
    }

    /// Reads a NULLABLE_STRING.
    pub(crate) fn nullable_string(&mut self, what: &'static str) -> Result<Option<&'a str>, WireError> {
        match self.int16(what)? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| WireError::Malformed(what))?;
                Self::text(self.take(length, what)?, what).map(Some)
            }
        }
    }

    /// Reads a STRING.
    pub(crate) fn string(&mut self, what: &'static str) -> Result<&'a str, WireError> {
        self.nullable_string(what)?.ok_or(WireError::Malformed(what))
    }

    /// Reads BYTES.
    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.int32(what)?).map_err(|_| WireError::Malformed(what))?;
        self.take(length, what)
    }

    /// Reads a COMPACT_NULLABLE_STRING.
    pub(crate) fn compact_nullable_string(
        &mut self,
        what: &'static str,
    ) -> Result<Option<&'a str>, WireError> {
        match self.varint(what)? {
            0 => Ok(None),
            length => {
                let length = usize::try_from(length - 1).map_err(|_| WireError::Malformed(what))?;
                Self::text(self.take(length, what)?, what).map(Some)
            }
        }
    }

    /// Reads a COMPACT_STRING.
    pub(crate) fn compact_string(&mut self, what: &'static str) -> Result<&'a str, WireError> {
        self.compact_nullable_string(what)?.ok_or(WireError::Malformed(what))
    }

    /// Reads the elements of an ARRAY; null is an empty one.
    pub(crate) fn array<T>(
        &mut self,
        what: &'static str,
        element: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.int32(what)?;
        self.elements(u32::try_from(length).unwrap_or_default(), element)
    }

    /// Reads the elements of a COMPACT_ARRAY; null is an empty one.
    pub(crate) fn compact_array<T>(
        &mut self,
        what: &'static str,
        element: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let length = self.varint(what)?.saturating_sub(1);
        self.elements(length, element)
    }

    /// The vector grows with the existing bytes: every element has at least one.
    fn elements<T>(
        &mut self,
        length: u32,
        mut element: impl FnMut(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        (0..length).map(|_| element(self)).collect()
    }

    /// Skips the tagged fields at the end of a message. Tansu 0.6 omits even their number if there
    /// are none.
    pub(crate) fn finish(mut self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { self.skip_tags() }
    }

    /// Skips tagged fields.
    pub(crate) fn skip_tags(&mut self) -> Result<(), WireError> {
        const WHAT: &str = "tagged fields";
        for _ in 0..self.varint(WHAT)? {
            let _tag = self.varint(WHAT)?;
            let length = usize::try_from(self.varint(WHAT)?).map_err(|_| WireError::Malformed(WHAT))?;
            self.take(length, WHAT)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_values_are_read(int in any::<i32>(), varint in any::<u32>(), text in "\\PC{0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let written = Writer::new().int32(int).varint(varint).string(&text).compact_string(&text).bytes(&bytes).compact_bytes(&bytes).compact_null().no_tags();
            let written = written.into_bytes();
            let mut reader = Reader::new(&written);
            prop_assert_eq!(reader.int32("a"), Ok(int));
            prop_assert_eq!(reader.varint("b"), Ok(varint));
            prop_assert_eq!(reader.string("c"), Ok(text.as_str()));
            prop_assert_eq!(reader.compact_string("d"), Ok(text.as_str()));
            prop_assert_eq!(reader.bytes("e"), Ok(bytes.as_slice()));
            let octets = reader.compact_array("f", |reader| reader.int8("octet"));
            prop_assert_eq!(octets, Ok(bytes.iter().map(|byte| *byte as i8).collect()));
            prop_assert_eq!(reader.compact_nullable_string("g"), Ok(None));
            prop_assert_eq!((reader.skip_tags(), reader.rest()), (Ok(()), &[][..]));
        }
    }

    #[test]
    fn impossible_length_is_rejected_without_memory() {
        let huge = [0x7f, 0xff, 0xff, 0xff, 0];
        assert_eq!(Reader::new(&huge).bytes("b"), Err(WireError::Truncated("b")));
        assert_eq!(Reader::new(&huge).array("a", |r| r.int16("x")), Err(WireError::Truncated("x")));
        let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 1];
        assert_eq!(
            Reader::new(&compact).compact_array("a", |r| r.int16("x")),
            Err(WireError::Truncated("x"))
        );
        assert_eq!(Reader::new(&compact).compact_string("s"), Err(WireError::Truncated("s")));
        assert_eq!(Reader::new(&[0xff; 6]).varint("v"), Err(WireError::Malformed("v")));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint("v"), Err(WireError::Malformed("v")));
        assert_eq!(Reader::new(&[0xff, 0xfe, 0]).string("s"), Err(WireError::Malformed("s")));
        assert_eq!(Reader::new(&[0, 2, 0xc3, 0x28]).string("s"), Err(WireError::Malformed("s")));
    }
}
