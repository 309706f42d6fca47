//! The examination of an interrupted rotation.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use lambda_kit::moment::Moment;
use rotation::invocation::Invocation;
use rotation::passwords::{Passwords, Strategy};
use rotation::repair::{Finding, Verdict, examine};
use rotation::retry::Retry;
use test_support::rotation::{MemorySecret, MemoryServer, OLD, SECRET, TOKEN};
use tokio::time::Instant;

fn value(password: &str) -> String {
    format!(r#"{{"host":"h","username":"u","password":"{password}"}}"#)
}

async fn examined(secret: &MemorySecret, at_server: &str, quiet_minutes: Option<u32>) -> Finding {
    let rotator = Passwords::new(MemoryServer::new(at_server), Strategy::SingleUser);
    let retry = Retry::until(Instant::now() + Duration::from_secs(20), fastrand::Rng::with_seed(1));
    let now = Moment::BEGINNING.plus(Duration::from_secs(300));
    let at = Invocation { secret_id: SECRET, versions: secret, retry: &retry, now };
    let before = secret.snapshot();
    let found = examine(&rotator, &at, quiet_minutes).await.unwrap();
    assert_eq!(secret.snapshot(), before, "examining changes nothing");
    found
}

#[tokio::test(start_paused = true)]
async fn verdict_follows_the_credential_that_the_server_accepts() {
    for (at_server, pending, verdict) in [
        ("pending", Some(value("pending")), Verdict::Promote),
        ("old", Some(value("pending")), Verdict::Drop),
        ("old", None, Verdict::Drop),
        ("old", Some("spoilt".to_owned()), Verdict::Drop),
        ("before", Some(value("pending")), Verdict::Resume),
        ("foreign", Some(value("pending")), Verdict::Manual),
    ] {
        let secret = MemorySecret::new(&value("old"));
        secret.set("previous", &value("before"));
        if let Some(pending) = &pending {
            if pending == "spoilt" { secret.set(TOKEN, pending) } else { secret.set_signed(TOKEN, pending) }
        }
        let found = examined(&secret, at_server, Some(0)).await;
        assert_eq!(found.verdict, verdict, "{at_server} {pending:?}: {}", found.reason);
        assert_eq!((found.current.as_deref(), found.pending.as_deref()), (Some(OLD), Some(TOKEN)));
    }
}

#[tokio::test(start_paused = true)]
async fn planted_value_is_dropped_and_never_promoted() {
    // The server in memory accepts the password on every host, as the attacker's own would.
    let elsewhere = value("pending").replace("\"h\"", "\"attacker\"");
    for (at_server, planted) in [
        ("old", value("old")),
        ("pending", elsewhere.clone()),
        ("before", value("before")),
        ("old", elsewhere),
    ] {
        let secret = MemorySecret::new(&value("old"));
        secret.set("previous", &value("before"));
        secret.set(TOKEN, &planted);
        let found = examined(&secret, at_server, Some(0)).await;
        let expected = if at_server == "pending" { Verdict::Manual } else { Verdict::Drop };
        assert_eq!(found.verdict, expected, "{at_server} {planted}: {}", found.reason);
        assert!(expected == Verdict::Manual || found.reason.contains("not created by"), "{}", found.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn running_or_ended_rotation_needs_no_repair() {
    let secret = MemorySecret::new(&value("old"));
    // The secret changed at the epoch, five minutes before the examination.
    assert_eq!(examined(&secret, "old", None).await.verdict, Verdict::Wait);
    assert_eq!(examined(&secret, "old", Some(4)).await.verdict, Verdict::Drop);
    secret.unlabel(TOKEN);
    let found = examined(&secret, "old", None).await;
    assert_eq!((found.verdict, found.pending), (Verdict::Nothing, None));
}
