//! Requests for what the function's stack does not allow, and response URLs of others.

use custom_resource::{Allowed, AllowedList, CREATE_FAILED, ResponseHosts};
use serde_json::{Value, json};

use crate::cases;
use crate::support::case::{Case, Ends, case};
use crate::support::events::{
    ID_A, ID_B, LOGICAL, STACK, create, delete, done, failed, success, update, with,
};

/// The stack's own resource may name `a`, and so may every resource of the stack `team`.
fn only_a() -> Allowed {
    let lists = [AllowedList::OTHER_RESOURCES, AllowedList::of("ALLOWED_NAMES", "AllowedNames")];
    Allowed::read("thing.yaml", &lists, &|name| match name {
        "ALLOWED_RESOURCES" => Some(format!("{STACK}/{LOGICAL}\nteam/*")),
        "ALLOWED_NAMES" => Some("a".to_owned()),
        _ => None,
    })
}

fn limited(event: Value) -> Case {
    case(event).allowed(only_a())
}

const WHY: &str = "NotAllowed: property `Name`: the function's stack does not allow \"b\", allowed: \"a\"; to allow it, \
                   change the parameter `AllowedNames` of templates/thing.yaml and deploy that stack first";

fn name(name: &str) -> Value {
    json!({"Name": name})
}

const TEAM: &str = "arn:aws:cloudformation:us-east-1:111111111111:stack/team/1";
/// The id of a thing of the stack `team`: the SHA-256 of its stack id, NUL and logical id.
const TEAM_ID_A: &str = "conformance:6797d5ec:a";
const TEAM_ID_B: &str = "conformance:6797d5ec:b";

fn of_team(event: Value) -> Value {
    with(event, "StackId", json!(TEAM))
}

/// Returns the body of a response to a request of the stack `team`.
fn to_team(body: Value) -> Value {
    with(body, "StackId", json!(TEAM))
}

cases! {
    create_of_what_is_allowed_succeeds:
        limited(create(name("a"))).calls(&["create a"]).answers(success(ID_A, name("a")));

    create_of_anything_else_fails_and_its_delete_succeeds:
        limited(create(name("b")))
            .then(delete(CREATE_FAILED, name("b")))
            .answers(failed(CREATE_FAILED, WHY))
            .answers(done(CREATE_FAILED));

    update_to_anything_else_fails_with_the_old_id:
        limited(update(ID_A, name("a"), name("b"))).answers(failed(ID_A, WHY));

    // CloudFormation narrows the function before it deletes what an update replaced.
    own_replaced_resource_is_deleted_after_the_stack_is_narrowed:
        limited(delete(ID_B, name("b"))).calls(&["delete b"]).answers(done(ID_B));

    delete_of_the_resource_of_another_owner_does_nothing:
        limited(delete("conformance:00000000:a", name("a"))).answers(done("conformance:00000000:a"));

    event_of_another_stack_is_rejected:
        limited(with(create(name("a")), "StackId", json!(TEAM.replace("team", "other"))))
            .answers(with(
                failed(CREATE_FAILED, &format!(
                    "NotAllowed: resource `Thing`: the function's stack does not allow \"other/Thing\", allowed: \
                     \"{STACK}/Thing\", \"team/*\"; to allow it, change the parameter `AllowedResources` of \
                     templates/thing.yaml and deploy that stack first"
                )),
                "StackId", json!(TEAM.replace("team", "other")),
            ));

    event_of_another_resource_of_the_stack_is_rejected:
        limited(with(create(name("a")), "LogicalResourceId", json!("Other")))
            .answers(with(
                failed(CREATE_FAILED, &format!(
                    "NotAllowed: resource `Other`: the function's stack does not allow \"demo/Other\", allowed: \
                     \"{STACK}/Thing\", \"team/*\"; to allow it, change the parameter `AllowedResources` of \
                     templates/thing.yaml and deploy that stack first"
                )),
                "LogicalResourceId", json!("Other"),
            ));

    allowed_resource_of_another_stack_is_created_and_deleted:
        limited(of_team(create(name("a"))))
            .then(of_team(delete(TEAM_ID_A, name("a"))))
            .calls(&["create a", "delete a"])
            .answers(to_team(success(TEAM_ID_A, name("a"))))
            .answers(to_team(done(TEAM_ID_A)));

    allowed_resource_of_another_stack_deletes_nothing_else:
        limited(of_team(delete(TEAM_ID_B, name("b")))).answers(to_team(failed(TEAM_ID_B, WHY)));

    event_with_the_response_url_of_another_host_does_nothing:
        limited(create(name("a")))
            .hosts(ResponseHosts::CloudFormation { region: None })
            .ends(Ends::ResponseUrlRejected);

    invalid_event_with_the_response_url_of_another_host_has_no_answer:
        limited(with(create(name("a")), "RequestType", json!("Import")))
            .hosts(ResponseHosts::CloudFormation { region: None })
            .ends(Ends::ResponseUrlRejected);
}
