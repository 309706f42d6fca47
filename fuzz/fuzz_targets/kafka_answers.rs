//! Arbitrary bytes as the answer of a Kafka broker.
//!
//! The modules of crates/rotation are compiled from their files, without the AWS SDK that the rest of the crate needs.
#![no_main]
#![allow(dead_code)]

#[path = "../../crates/rotation/src/engines/kafka"]
mod kafka {
    mod acls;
    #[path = "../../../../../fuzz/checks/kafka_answers.rs"]
    pub(crate) mod check;
    mod messages;
    mod scram;
    mod wire;
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| kafka::check::check_bytes(data));
