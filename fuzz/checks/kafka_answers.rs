//! Arbitrary bytes as the answer of a Kafka broker: read, or refused with a reason, and nothing in it believed that is not there.
//!
//! Used by the fuzz target `kafka_answers` and by the tests of crates/rotation. It stands beside the modules of
//! crates/rotation/src/engines/kafka, whose types it uses.

use super::acls::{Created, Rules};
use super::messages::{self, Altered, Authenticated, Cluster, Described, Handshake, Versions};
use super::scram::{Begun, ITERATIONS, Mechanism, ServerFinal, ServerFirst, Verdict};

/// What the client of the check has sent.
const NONCE: &str = "fuzz";

/// The bytes are the frame of an answer, the body of one, and a message of SCRAM.
pub(crate) fn check_bytes(data: &[u8]) {
    for api in [messages::API_VERSIONS, messages::ALTER_SCRAM] {
        if let Ok((_, body)) = messages::open(api, data) {
            check_body(body);
        }
    }
    check_body(data);
    check_scram(data);
}

/// Every element of a list takes at least so many bytes; more of them than fit would come from a length that was believed.
fn fits(elements: usize, least: usize, body: &[u8]) {
    assert!(elements * least <= body.len(), "{elements} elements of {least} bytes in {}", body.len());
}

fn check_body(body: &[u8]) {
    if let Ok(versions) = Versions::read(body) {
        fits(versions.ranges.len(), 6, body);
        let spoken = versions.ranges.iter().any(|(key, first, last)| *key == 51 && *first <= 0 && *last >= 0);
        assert_eq!(versions.speak(messages::ALTER_SCRAM), spoken);
    }
    if let Ok(handshake) = Handshake::read(body) {
        fits(handshake.mechanisms.len(), 2, body);
    }
    if let Ok(answer) = Authenticated::read(body) {
        fits(answer.message.len() + answer.text.map_or(0, |text| text.len()), 1, body);
    }
    if let Ok(Cluster { controller: Some((host, _)) }) = Cluster::read(body) {
        fits(host.len(), 1, body);
    }
    if let Ok(described) = Described::read(body) {
        fits(described.users.len(), 6, body);
        fits(described.users.iter().map(|(_, _, mechanisms)| mechanisms.len()).sum(), 6, body);
    }
    if let Ok(Altered(users)) = Altered::read(body) {
        fits(users.len(), 5, body);
    }
    if let Ok(found) = Rules::read(body) {
        fits(found.rules.len(), 5, body);
    }
    if let Ok(Created(results)) = Created::read(body) {
        fits(results.len(), 4, body);
    }
}

fn check_scram(message: &[u8]) {
    // Nobody can sign without the credential.
    let first: &[u8] = b"r=fuzzserver,s=c2FsdA==,i=4096";
    let begun = |nonce: &str| Begun::new(Mechanism::Sha256, "user", nonce.to_owned());
    if ServerFinal::read(message).is_ok() {
        let (_, answered) = begun(NONCE).answer("password", first).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(answered.verdict(message), Ok(Verdict::Proven));
    }
    if ServerFirst::read(message).is_ok()
        && let Ok((answer, _)) = begun(NONCE).answer("password", message)
    {
        let text = String::from_utf8_lossy(message);
        let asked = text.split(",i=").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u32>().ok());
        assert!(asked.is_some_and(|asked| ITERATIONS.contains(&asked)), "{text}");
        assert!(text.starts_with("r=fuzz") && answer.starts_with("c=biws,r=fuzz"), "{text}");
    }
}
