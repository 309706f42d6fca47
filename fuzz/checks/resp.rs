//! Arbitrary bytes as a server's answer to a login: read without a panic, never past their end, and the same however they arrive.
//!
//! Used by the fuzz target `resp` and by the replay of its corpus. The crate that uses it has crates/rotation/src/engines/resp.rs in a
//! module `resp` at its root.

use crate::resp::{Reply, read};

pub(crate) fn check_bytes(data: &[u8]) {
    let whole = read(data);
    match &whole {
        Ok(Some((reply, taken))) => {
            assert!(*taken <= data.len() && data[..*taken].ends_with(b"\r\n"));
            let (Reply::Simple(text) | Reply::Error(text)) = reply;
            assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
            // What comes after a reply changes nothing of it, and no part of it is one.
            assert_eq!(read(&data[..*taken]), whole);
            assert_eq!(read(&data[..*taken - 1]), Ok(None));
        }
        // Only what may still become a reply is waited for, and never for ever.
        Ok(None) => assert!(
            data.len() < 4096 && matches!(data.first(), None | Some(b'+' | b'-')) && !data.contains(&b'\n')
        ),
        Err(_) => {
            let mut longer = data.to_vec();
            longer.extend_from_slice(b"\r\n+OK\r\n");
            assert_eq!(read(&longer), whole, "refused, and taken once there is more");
        }
    }
}
