//! The PUT: its retries, and the end of the invocation.

use std::time::Duration;

use custom_resource::{CREATE_FAILED, PutPolicy};
use serde_json::json;

use crate::cases;
use crate::support::case::{Ends, case};
use crate::support::events::{ID_A, create, success, with};
use crate::support::response_server::Reply;
use crate::support::{IMPATIENT, PATIENT};

fn put_to(replies: &[Reply]) -> crate::support::case::Case {
    case(create(json!({"Name": "a"}))).server(replies).calls(&["create a"])
}

fn body() -> serde_json::Value {
    success(ID_A, json!({"Name": "a"}))
}

#[tokio::test]
async fn endless_body_of_an_answer_is_not_read() {
    for (status, times) in [(200, 1), (500, 2)] {
        let case = put_to(&[Reply::Endless(status)]).within(Duration::from_secs(5));
        case.answers_times(times, body()).holds().await;
    }
}

cases! {
    response_is_sent_again_after_500_and_503:
        put_to(&[Reply::Status(500), Reply::Status(503)]).answers_times(3, body());

    response_is_sent_again_after_429:
        put_to(&[Reply::Status(429)]).answers_times(2, body());

    // S3 returns it for a body that was too slow ("RequestTimeout" of "Error responses", S3 API
    // reference).
    response_is_sent_again_after_400:
        put_to(&[Reply::Status(400)]).answers_times(2, body());

    response_rejected_with_403_is_final:
        put_to(&[Reply::Status(403)]).answers(body());

    response_rejected_with_404_is_final:
        put_to(&[Reply::Status(404)]).answers(body());

    any_2xx_is_success:
        put_to(&[Reply::Status(204)]).answers(body());

    broken_connection_is_retried:
        put_to(&[Reply::HangUp, Reply::HangUp]).answers_times(3, body());

    slow_server_is_waited_for:
        put_to(&[Reply::After(Duration::from_millis(100), 200)]).answers(body());

    server_that_does_not_respond_once_is_retried:
        put_to(&[Reply::Never]).policy(IMPATIENT).answers_times(2, body());

    server_that_never_responds_fails_the_invocation:
        put_to(&[Reply::Never; 3])
            .policy(IMPATIENT)
            .answers_times(3, body())
            .ends(Ends::ResponseNotDelivered);

    server_that_always_fails_gets_all_attempts:
        put_to(&[Reply::Status(500); 10])
            .answers_times(4, body())
            .ends(Ends::ResponseNotDelivered);

    no_pause_follows_the_last_attempt:
        put_to(&[Reply::Status(500); 10])
            .policy(PutPolicy { attempts: 1, first_pause: Duration::from_secs(30), ..PATIENT })
            .within(Duration::from_secs(20))
            .answers(body())
            .ends(Ends::ResponseNotDelivered);

    next_invocation_delivers_the_response:
        put_to(&[Reply::Status(503)])
            .then(create(json!({"Name": "a"})))
            .policy(PutPolicy { attempts: 1, ..PATIENT })
            .calls(&["create a", "create a"])
            .answers_times(2, body())
            .ends_in(&[Ends::ResponseNotDelivered, Ends::Succeeds]);

    refused_connection_fails_the_invocation:
        case(with(create(json!({"Name": "a"})), "ResponseURL", json!("http://127.0.0.1:1/bearer%2Bx")))
            .calls(&["create a"])
            .ends(Ends::ResponseNotDelivered);

    invalid_url_fails_the_invocation:
        case(with(create(json!({"Name": "a"})), "ResponseURL", json!("not a url, but bearer%2Bx")))
            .ends(Ends::ResponseUrlRejected);

    failure_is_sent_again_as_a_success_is:
        case(create(json!({"Name": "!"})))
            .server(&[Reply::Status(500)])
            .answers_times(2, crate::support::events::failed(CREATE_FAILED, "`Name`: expected a name, found \"!\""));
}
