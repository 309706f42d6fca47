//! The PUT: when it is sent again, when not, and how the invocation ends.

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

cases! {
    an_answer_is_sent_again_after_500_and_503_and_then_no_more:
        put_to(&[Reply::Status(500), Reply::Status(503)]).answers_times(3, body());

    an_answer_is_sent_again_after_429:
        put_to(&[Reply::Status(429)]).answers_times(2, body());

    // S3 says so when a body came too slowly ("RequestTimeout" of "Error responses", S3 API reference).
    an_answer_is_sent_again_after_400:
        put_to(&[Reply::Status(400)]).answers_times(2, body());

    an_answer_refused_with_403_is_not_sent_again_and_the_invocation_succeeds:
        put_to(&[Reply::Status(403)]).answers(body());

    an_answer_refused_with_404_is_not_sent_again_and_the_invocation_succeeds:
        put_to(&[Reply::Status(404)]).answers(body());

    any_2xx_is_success:
        put_to(&[Reply::Status(204)]).answers(body());

    a_connection_that_breaks_before_the_answer_is_tried_again:
        put_to(&[Reply::HangUp, Reply::HangUp]).answers_times(3, body());

    a_server_that_is_slow_is_waited_for:
        put_to(&[Reply::After(Duration::from_millis(100), 200)]).answers(body());

    a_server_that_does_not_answer_once_is_tried_again:
        put_to(&[Reply::Never]).policy(IMPATIENT).answers_times(2, body());

    a_server_that_never_answers_is_given_up_and_lambda_asked_for_another_invocation:
        put_to(&[Reply::Never; 3])
            .policy(IMPATIENT)
            .answers_times(3, body())
            .ends(Ends::NotDelivered);

    a_server_that_always_fails_is_given_up_after_the_attempts_there_are:
        put_to(&[Reply::Status(500); 10])
            .answers_times(4, body())
            .ends(Ends::NotDelivered);

    no_pause_follows_the_last_attempt:
        put_to(&[Reply::Status(500); 10])
            .policy(PutPolicy { attempts: 1, first_pause: Duration::from_secs(30), ..PATIENT })
            .within(Duration::from_secs(20))
            .answers(body())
            .ends(Ends::NotDelivered);

    what_one_invocation_could_not_deliver_the_next_one_does:
        put_to(&[Reply::Status(503)])
            .then(create(json!({"Name": "a"})))
            .policy(PutPolicy { attempts: 1, ..PATIENT })
            .calls(&["create a", "create a"])
            .answers_times(2, body())
            .ends_in(&[Ends::NotDelivered, Ends::Succeeds]);

    nobody_listens_behind_the_url:
        case(with(create(json!({"Name": "a"})), "ResponseURL", json!("http://127.0.0.1:1/bearer%2Bx")))
            .calls(&["create a"])
            .ends(Ends::NotDelivered);

    a_url_that_is_none_ends_the_invocation_since_no_retry_could_help:
        case(with(create(json!({"Name": "a"})), "ResponseURL", json!("not a url, but bearer%2Bx")))
            .calls(&["create a"]);

    a_failure_is_sent_again_just_as_a_success_is:
        case(create(json!({"Name": "!"})))
            .server(&[Reply::Status(500)])
            .answers_times(2, crate::support::events::failed(CREATE_FAILED, "`Name`: expected a name, found \"!\""));
}
