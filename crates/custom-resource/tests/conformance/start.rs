//! A function whose start-up failed still responds. `process.rs` tests it in a real process.

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
    create_after_a_failed_start_fails_with_reason_and_marker:
        case(create(json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(CREATE_FAILED, WHY));

    delete_of_the_marker_after_a_failed_start_succeeds:
        case(create(json!({"Name": "a"})))
            .then(delete(CREATE_FAILED, json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(CREATE_FAILED, WHY))
            .answers(done(CREATE_FAILED));

    update_after_a_failed_start_keeps_its_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .start_failed(broken())
            .answers(failed(ID_A, WHY));

    delete_of_a_resource_after_a_failed_start_fails:
        case(delete(ID_A, json!({"Name": "a"})))
            .start_failed(broken())
            .answers(failed(ID_A, WHY));
}
