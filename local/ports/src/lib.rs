//! Free ports for the servers of the local cloud and of tests.
//!
//! A server binds its port some time after the port was chosen. So that no other test chooses the
//! same port in between, each of the tests that nextest runs at the same time has a range of its
//! own, by its slot; a process returns no port twice before it has returned every other port of its
//! range.
//!
//! The ports are below the range from which Linux takes the local ports of connections (32768 and
//! above), so that a server that is stopped and started again finds its port free.

use std::{
    env, io,
    net::TcpListener,
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// The variable in which nextest passes a test its slot, a number that no test that runs at the
/// same time has.
const SLOT: &str = "NEXTEST_TEST_GLOBAL_SLOT";
/// The ports of all slots.
const SLOT_PORTS: Range<u16> = 20_000..28_000;
/// The ports of one slot.
const PER_SLOT: u16 = 200;
/// The ports of processes that nextest did not start.
const OTHER_PORTS: Range<u16> = 28_000..32_000;

/// Every port of this process's range is in use.
#[derive(Debug, thiserror::Error)]
#[error("no free port from {} to {} on 127.0.0.1; stop servers that listen there", range.start, range.end - 1)]
pub struct NoFreePort {
    range: Range<u16>,
    source: io::Error,
}

/// Returns a port of 127.0.0.1 on which no server listens.
///
/// # Errors
/// Every port of this process's range is in use.
pub fn free_port() -> Result<u16, NoFreePort> {
    let range = range(env::var(SLOT).ok().as_deref());
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in range.clone() {
        let port = port(&range, count());
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(NoFreePort { range, source: last })
}

/// The range of a slot; `None` is the range outside of nextest. More slots than ranges share them.
fn range(slot: Option<&str>) -> Range<u16> {
    let Some(slot) = slot.and_then(|text| text.parse::<u64>().ok()) else { return OTHER_PORTS };
    let slots = (SLOT_PORTS.end - SLOT_PORTS.start) / PER_SLOT;
    let index = u16::try_from(slot % u64::from(slots)).unwrap_or_default();
    let start = SLOT_PORTS.start + index * PER_SLOT;
    start..start + PER_SLOT
}

/// Returns the number of ports that this process has tried. It begins at a random number, because a
/// test and the servers that it starts share a slot.
fn count() -> u32 {
    static COUNT: OnceLock<AtomicU32> = OnceLock::new();
    COUNT.get_or_init(|| AtomicU32::new(fastrand::u32(..))).fetch_add(1, Ordering::Relaxed)
}

/// The port of a range for a count: one after another, then again from the first.
fn port(range: &Range<u16>, count: u32) -> u16 {
    let length = u32::from(range.end - range.start);
    range.start + u16::try_from(count % length).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn slots_have_ranges_without_common_ports() {
        let ranges: Vec<_> = (0..40).map(|slot| range(Some(&slot.to_string()))).collect();
        let ports: BTreeSet<u16> = ranges.iter().cloned().flatten().collect();
        assert_eq!(ports.len(), 40 * usize::from(PER_SLOT));
        assert!(ports.iter().all(|port| SLOT_PORTS.contains(port) && !OTHER_PORTS.contains(port)));
        assert_eq!(range(Some("40")), ranges[0]);
    }

    #[test]
    fn process_without_slot_has_a_range_of_its_own() {
        for slot in [None, Some(""), Some("none")] {
            assert_eq!(range(slot), OTHER_PORTS);
        }
    }

    #[test]
    fn ports_are_not_repeated_before_the_range_is_used_up() {
        let range = range(Some("39"));
        let ports: BTreeSet<u16> = (7..7 + u32::from(PER_SLOT)).map(|count| port(&range, count)).collect();
        assert_eq!(ports.len(), usize::from(PER_SLOT));
        assert!(ports.iter().all(|port| range.contains(port)));
    }

    #[test]
    fn port_in_use_is_not_returned() {
        let taken: Vec<_> = (0..3)
            .map(|_| {
                let port = free_port().unwrap();
                (port, TcpListener::bind(("127.0.0.1", port)).unwrap())
            })
            .collect();
        for _ in 0..2 * PER_SLOT {
            let port = free_port().unwrap();
            assert!(taken.iter().all(|(other, _)| *other != port));
        }
    }
}
