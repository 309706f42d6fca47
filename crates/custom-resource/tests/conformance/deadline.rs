//! Panics, hanging providers and deadlines that are close.

use std::time::Duration;

use custom_resource::CREATE_FAILED;
use serde_json::json;

use crate::cases;
use crate::support::IMPATIENT;
use crate::support::case::{Ends, case};
use crate::support::events::{ID_A, create, delete, done, failed, success, update};
use crate::support::response_server::Reply;
use crate::support::thing::Does;

const PANICKED: &str =
    "the function of this custom resource panicked; this is a defect in it. Its log says where.";
const TOO_LATE: &str = "the function's time ran out before the work was done. What it did so far may be there; \
                        give the function a longer timeout, or repeat the operation.";

fn panics(_: &str) -> Does {
    Does::Panics("the password is hunter2")
}

fn hangs(_: &str) -> Does {
    Does::Hangs
}

cases! {
    a_panic_in_a_create_is_answered_with_the_real_id_and_without_the_panics_words:
        case(create(json!({"Name": "a"})))
            .does(panics)
            .calls(&["create a"])
            .answers(failed(ID_A, PANICKED));

    a_panic_in_an_update_is_answered_with_the_id_it_had:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .does(panics)
            .calls(&["replace a by b"])
            .answers(failed(ID_A, PANICKED));

    a_panic_in_a_delete_is_answered_and_the_delete_can_be_repeated:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(panics)
            .calls(&["delete a"])
            .answers(failed(ID_A, PANICKED));

    after_a_panic_the_next_request_is_served:
        case(create(json!({"Name": "a"})))
            .then(delete(ID_A, json!({"Name": "a"})))
            .does(|method| if method == "create" { panics(method) } else { Does::Well })
            .calls(&["create a", "delete a"])
            .answers(failed(ID_A, PANICKED))
            .answers(done(ID_A));

    a_provider_that_hangs_is_cut_off_and_answered_before_a_deadline_that_is_a_second_away:
        case(create(json!({"Name": "a"})))
            .does(hangs)
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["create a"])
            .answers(failed(ID_A, TOO_LATE));

    a_delete_that_hangs_is_answered_with_its_id:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(hangs)
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["delete a"])
            .answers(failed(ID_A, TOO_LATE));

    a_hanging_provider_leaves_time_for_a_second_put:
        case(create(json!({"Name": "a"})))
            .does(hangs)
            .server(&[Reply::Status(500)])
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["create a"])
            .answers_times(2, failed(ID_A, TOO_LATE));

    quick_work_is_answered_although_the_deadline_is_a_second_away:
        case(create(json!({"Name": "a"})))
            .deadline_in(Duration::from_secs(1))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Name": "a"})));

    a_delete_of_the_marker_is_answered_although_the_deadline_is_a_second_away:
        case(delete(CREATE_FAILED, json!({"Name": "a"})))
            .deadline_in(Duration::from_secs(1))
            .answers(done(CREATE_FAILED));

    an_invocation_that_came_too_late_asks_lambda_for_another:
        case(delete(CREATE_FAILED, json!({"Name": "a"})))
            .deadline_in(Duration::ZERO)
            .ends(Ends::NotDelivered);

    a_server_that_never_answers_does_not_hold_the_invocation_beyond_its_deadline:
        case(create(json!({"Name": "a"})))
            .server(&[Reply::Never; 10])
            .policy(custom_resource::PutPolicy { attempts: 100, per_attempt: Duration::from_millis(600), ..IMPATIENT })
            .deadline_in(Duration::from_secs(1))
            .within(Duration::from_millis(1500))
            .calls(&["create a"])
            .answers_times(2, success(ID_A, json!({"Name": "a"})))
            .ends(Ends::NotDelivered);
}
