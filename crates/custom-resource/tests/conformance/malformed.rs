//! Events that CloudFormation should never send.

use custom_resource::CREATE_FAILED;
use serde_json::{Value, json};

use crate::cases;
use crate::support::case::{Ends, case};
use crate::support::events::{ID_A, URL_PLACE, create, failed, update, with, without};

fn a() -> Value {
    json!({"Name": "a"})
}

cases! {
    an_event_without_a_response_url_is_an_error_since_nobody_can_be_answered:
        case(without(create(a()), "ResponseURL")).ends(Ends::NotARequest);

    an_event_without_a_request_id_is_an_error_since_no_answer_would_be_accepted:
        case(without(create(a()), "RequestId")).ends(Ends::NotARequest);

    an_event_of_something_else_is_an_error:
        case(json!({"source": "aws.s3", "detail": {}})).ends(Ends::NotARequest);

    an_event_that_is_no_map_is_an_error:
        case(json!("hello")).ends(Ends::NotARequest);

    a_call_of_the_state_machine_without_a_ticket_is_an_error:
        case(json!({"Wait": "check"})).ends(Ends::NotARequest);

    a_call_of_the_state_machine_with_an_unknown_word_is_an_error:
        case(json!({"Wait": "dance", "Ticket": {}})).ends(Ends::NotARequest);

    an_unknown_request_type_is_answered_as_a_failure_that_names_it:
        case(with(create(a()), "RequestType", json!("Import")))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation was not understood: `RequestType`: unknown variant \
                                            `Import`, expected one of `Create`, `Update`, `Delete`"));

    an_unknown_request_type_is_answered_with_the_id_there_is:
        case(with(update(ID_A, a(), a()), "RequestType", json!("Import")))
            .answers(failed(ID_A, "the request of CloudFormation was not understood: `RequestType`: unknown variant \
                                   `Import`, expected one of `Create`, `Update`, `Delete`"));

    an_event_without_a_request_type_is_answered_as_a_failure:
        case(without(create(a()), "RequestType"))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation was not understood: missing field `RequestType`"));

    properties_that_are_no_map_are_refused_without_being_repeated:
        case(with(create(a()), "ResourceProperties", json!("the password is hunter2")))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation was not understood: `ResourceProperties` is not of \
                                            the form that CloudFormation documents"));

    an_event_without_properties_is_judged_by_what_is_required:
        case(without(create(a()), "ResourceProperties"))
            .answers(failed(CREATE_FAILED, "property `(the properties as a whole)`: `Name` is required and missing"));
}

#[test]
fn the_url_place_is_replaced_in_every_event() {
    assert_eq!(create(a())["ResponseURL"], URL_PLACE);
}
