//! The part of the Redis protocol (RESP) that a login needs: commands, and replies of one line.
//!
//! Source: "Redis serialization protocol specification". `AUTH` and `PING` have a simple string or
//! an error as reply. A reply of another kind comes from something else than Redis or Valkey.

/// The longest line of a reply, in bytes. Error lines have some hundred bytes.
const LONGEST: usize = 4096;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+…`.
    Simple(String),
    /// `-…`: a word in capitals, then a text.
    Error(String),
}

/// The bytes are not a reply to a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotRedis;

/// Returns the first reply and its number of bytes; `None` until it is complete.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, NotRedis> {
    let kind: fn(String) -> Reply = match bytes.first() {
        None => return Ok(None),
        Some(b'+') => Reply::Simple,
        Some(b'-') => Reply::Error,
        Some(_) => return Err(NotRedis),
    };
    let Some(end) = bytes.iter().take(LONGEST).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST { Ok(None) } else { Err(NotRedis) };
    };
    let line = bytes.get(1..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(NotRedis)?;
    if line.iter().any(|byte| byte.is_ascii_control()) {
        return Err(NotRedis);
    }
    Ok(Some((kind(String::from_utf8_lossy(line).into_owned()), end + 1)))
}

/// Appends a command: an array of strings, each with its length, so that a word may have any byte.
pub(crate) fn write(words: &[&str], to: &mut Vec<u8>) {
    to.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        to.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        to.extend_from_slice(word.as_bytes());
        to.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn replies_are_read_one_after_the_other() {
        let bytes = b"+OK\r\n-NOPERM User x has no permissions to run the 'ping' command\r\n";
        let (first, taken) = read(bytes).unwrap().unwrap();
        assert_eq!((first, taken), (Reply::Simple("OK".into()), 5));
        let (second, taken) = read(&bytes[5..]).unwrap().unwrap();
        assert!(
            matches!(second, Reply::Error(text) if text.starts_with("NOPERM ")) && taken == bytes.len() - 5
        );
    }

    #[test]
    fn other_replies_are_rejected_at_once() {
        for other in ["HTTP/1.1 400 Bad Request\r\n", "$3\r\nabc\r\n", "+OK\n", "+a\rb\r\n", "\r\n"] {
            assert_eq!(read(other.as_bytes()), Err(NotRedis), "{other:?}");
        }
        let endless = vec![b'+'; LONGEST];
        assert_eq!((read(&endless[..LONGEST - 1]), read(&endless)), (Ok(None), Err(NotRedis)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some((_, taken))) = read(&bytes) {
                prop_assert!(taken <= bytes.len());
            }
        }

        #[test]
        fn reply_is_complete_with_its_last_byte(text in "[ -~]{0,80}", error: bool) {
            let line = format!("{}{text}\r\n", if error { '-' } else { '+' });
            for cut in 0..line.len() {
                prop_assert_eq!(read(&line.as_bytes()[..cut]), Ok(None));
            }
            let reply = if error { Reply::Error(text) } else { Reply::Simple(text) };
            prop_assert_eq!(read(line.as_bytes()), Ok(Some((reply, line.len()))));
        }

        #[test]
        fn command_has_the_length_of_every_word(words in proptest::collection::vec(".{0,20}", 1..4)) {
            let mut bytes = Vec::new();
            let borrowed: Vec<&str> = words.iter().map(String::as_str).collect();
            write(&borrowed, &mut bytes);
            let mut rest = std::str::from_utf8(&bytes).unwrap().strip_prefix(&format!("*{}\r\n", words.len())).unwrap();
            for word in &words {
                let head = format!("${}\r\n", word.len());
                rest = rest.strip_prefix(&head).unwrap().strip_prefix(word.as_str()).unwrap().strip_prefix("\r\n").unwrap();
            }
            prop_assert!(rest.is_empty());
        }
    }
}
