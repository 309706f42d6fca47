//! Events that CloudFormation never sends.

use custom_resource::CREATE_FAILED;
use serde_json::{Value, json};

use crate::cases;
use crate::support::case::{Ends, case};
use crate::support::events::{ID_A, URL_PLACE, create, failed, update, with, without};

fn a() -> Value {
    json!({"Name": "a"})
}

cases! {
    event_without_a_response_url_is_an_error:
        case(without(create(a()), "ResponseURL")).ends(Ends::InvalidRequest);

    event_without_a_request_id_is_an_error:
        case(without(create(a()), "RequestId")).ends(Ends::InvalidRequest);

    event_of_another_source_is_an_error:
        case(json!({"source": "aws.s3", "detail": {}})).ends(Ends::InvalidRequest);

    event_that_is_no_map_is_an_error:
        case(json!("hello")).ends(Ends::InvalidRequest);

    wait_call_without_a_ticket_is_an_error:
        case(json!({"Wait": "check"})).ends(Ends::InvalidRequest);

    unknown_wait_call_is_an_error:
        case(json!({"Wait": "dance", "Ticket": {}})).ends(Ends::InvalidRequest);

    unknown_request_type_is_a_failure_that_names_it:
        case(with(create(a()), "RequestType", json!("Import")))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation is invalid: `RequestType`: unknown variant \
                                            `Import`, expected one of `Create`, `Update`, `Delete`"));

    unknown_request_type_keeps_the_id:
        case(with(update(ID_A, a(), a()), "RequestType", json!("Import")))
            .answers(failed(ID_A, "the request of CloudFormation is invalid: `RequestType`: unknown variant \
                                   `Import`, expected one of `Create`, `Update`, `Delete`"));

    event_without_a_request_type_is_a_failure:
        case(without(create(a()), "RequestType"))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation is invalid: missing field `RequestType`"));

    properties_that_are_no_map_are_rejected_without_their_value:
        case(with(create(a()), "ResourceProperties", json!("the password is hunter2")))
            .answers(failed(CREATE_FAILED, "the request of CloudFormation is invalid: `ResourceProperties` is not of \
                                            the form that CloudFormation documents"));

    event_without_properties_lacks_the_required_ones:
        case(without(create(a()), "ResourceProperties"))
            .answers(failed(CREATE_FAILED, "property `(the properties as a whole)`: `Name` is required and missing"));
}

#[test]
fn url_placeholder_is_in_every_event() {
    assert_eq!(create(a())["ResponseURL"], URL_PLACE);
}
