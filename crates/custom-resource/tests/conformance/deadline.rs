//! Panics, hanging providers and close deadlines.

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
    "the function of this custom resource panicked, which is a bug; its log shows the place";
const TOO_LATE: &str = "the function timed out before the work was done, and part of it may be done; \
                        give the function a longer timeout, or repeat the operation";

fn panics(_: &str) -> Does {
    Does::Panics("the password is hunter2")
}

fn hangs(_: &str) -> Does {
    Does::Hangs
}

cases! {
    panic_in_a_create_fails_with_the_real_id:
        case(create(json!({"Name": "a"})))
            .does(panics)
            .calls(&["create a"])
            .answers(failed(ID_A, PANICKED));

    panic_in_an_update_keeps_the_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .does(panics)
            .calls(&["replace a by b"])
            .answers(failed(ID_A, PANICKED));

    panic_in_a_delete_keeps_the_id:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(panics)
            .calls(&["delete a"])
            .answers(failed(ID_A, PANICKED));

    next_request_after_a_panic_succeeds:
        case(create(json!({"Name": "a"})))
            .then(delete(ID_A, json!({"Name": "a"})))
            .does(|method| if method == "create" { panics(method) } else { Does::Well })
            .calls(&["create a", "delete a"])
            .answers(failed(ID_A, PANICKED))
            .answers(done(ID_A));

    hanging_provider_is_cut_off_before_the_deadline:
        case(create(json!({"Name": "a"})))
            .does(hangs)
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["create a"])
            .answers(failed(ID_A, TOO_LATE));

    hanging_delete_fails_with_its_id:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(hangs)
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["delete a"])
            .answers(failed(ID_A, TOO_LATE));

    hanging_provider_leaves_time_for_a_second_put:
        case(create(json!({"Name": "a"})))
            .does(hangs)
            .server(&[Reply::Status(500)])
            .deadline_in(Duration::from_secs(3))
            .within(Duration::from_secs(3))
            .calls(&["create a"])
            .answers_times(2, failed(ID_A, TOO_LATE));

    quick_work_succeeds_a_second_before_the_deadline:
        case(create(json!({"Name": "a"})))
            .deadline_in(Duration::from_secs(1))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Name": "a"})));

    delete_of_the_marker_succeeds_a_second_before_the_deadline:
        case(delete(CREATE_FAILED, json!({"Name": "a"})))
            .deadline_in(Duration::from_secs(1))
            .answers(done(CREATE_FAILED));

    invocation_after_its_deadline_fails:
        case(delete(CREATE_FAILED, json!({"Name": "a"})))
            .deadline_in(Duration::ZERO)
            .ends(Ends::ResponseNotDelivered);

    unresponsive_server_does_not_delay_beyond_the_deadline:
        case(create(json!({"Name": "a"})))
            .server(&[Reply::Never; 10])
            .policy(custom_resource::PutPolicy { attempts: 100, attempt_timeout: Duration::from_millis(600), ..IMPATIENT })
            .deadline_in(Duration::from_secs(1))
            .within(Duration::from_millis(1500))
            .calls(&["create a"])
            .answers_times(2, success(ID_A, json!({"Name": "a"})))
            .ends(Ends::ResponseNotDelivered);
}
