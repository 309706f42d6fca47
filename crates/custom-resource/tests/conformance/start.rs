//! A function that could not start still answers. The same through a real process: `process.rs`.

use custom_resource::{CREATE_FAILED, Failure};
use serde_json::json;

use crate::cases;
use crate::support::case::case;
use crate::support::events::{ID_A, create, delete, done, failed, update};

const WHY: &str = "the function of this custom resource could not start: the environment variable SHELF is required and missing";

fn broken() -> Failure {
    Failure::new("the environment variable SHELF is required and missing")
}

cases! {
    a_create_is_refused_with_the_reason_of_the_start_and_the_marker:
        case(create(json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(CREATE_FAILED, WHY));

    the_delete_of_the_marker_succeeds_so_that_the_stack_can_roll_back:
        case(create(json!({"Name": "a"})))
            .then(delete(CREATE_FAILED, json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(CREATE_FAILED, WHY))
            .answers(done(CREATE_FAILED));

    an_update_is_refused_with_the_id_it_had:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .start_failed(broken())
            .answers(failed(ID_A, WHY));

    a_delete_of_a_real_resource_fails_rather_than_leave_it_behind_unseen:
        case(delete(ID_A, json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(ID_A, WHY));
}
