//! Create, Update, Delete, replacement, rollback and duplicates.

use custom_resource::{Attributes, CREATE_FAILED, Failure};
use serde_json::json;

use crate::cases;
use crate::support::case::case;
use crate::support::events::{ID_A, ID_B, create, delete, done, failed, masked, success, update, without};
use crate::support::thing::Does;
use crate::support::{Bench, Setup};

fn fails(_: &str) -> Does {
    Does::Fails(Failure::new("no room on the shelf"))
}

fn fails_halfway(method: &str) -> Does {
    match method {
        "delete" => Does::Well,
        _ => Does::Fails(Failure::new("the shelf broke").with_leftovers()),
    }
}

fn attributes_of(size: usize) -> Attributes {
    Attributes::none().with("Big", "x".repeat(size))
}

/// Returns the size of the attribute `Big` whose response is exactly as long as CloudFormation accepts.
fn largest_attribute() -> usize {
    4096 - success(ID_A, json!({"Big": ""})).to_string().len()
}

cases! {
    create_returns_an_id_of_owner_and_identity:
        case(create(json!({"Name": "a"})))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Name": "a"})));

    update_in_place_keeps_the_id_and_returns_all_attributes:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "a", "Flag": "true"})))
            .calls(&["update a from Flag false to Flag true"])
            .answers(success(ID_A, json!({"Name": "a"})));

    update_with_the_same_identity_is_in_place:
        case(update(ID_A, json!({"Name": "a", "Flag": true}), json!({"Name": "a", "Flag": "true"})))
            .calls(&["update a from Flag true to Flag true"])
            .answers(success(ID_A, json!({"Name": "a"})));

    delete_returns_its_id_and_no_attributes:
        case(delete(ID_A, json!({"Name": "a"})))
            .calls(&["delete a"])
            .answers(done(ID_A));

    response_to_a_delete_has_no_no_echo:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(|_| Does::Ready(Attributes::none().with("Name", "a").no_echo()))
            .calls(&["delete a"])
            .answers(done(ID_A));

    masked_attributes_set_no_echo:
        case(create(json!({"Name": "a"})))
            .does(|_| Does::Ready(Attributes::none().with("Arn", "arn:x").no_echo()))
            .calls(&["create a"])
            .answers(masked(ID_A, json!({"Arn": "arn:x"})));

    changed_identity_is_a_replacement_with_a_new_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .calls(&["replace a by b"])
            .answers(success(ID_B, json!({"Name": "b"})));

    old_resource_of_a_replacement_is_deleted_by_its_old_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .then(delete(ID_A, json!({"Name": "a"})))
            .calls(&["replace a by b", "delete a"])
            .answers(success(ID_B, json!({"Name": "b"})))
            .answers(done(ID_A));

    failed_replacement_keeps_the_old_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .does(fails)
            .calls(&["replace a by b"])
            .answers(failed(ID_A, "no room on the shelf"));

    replacement_that_failed_halfway_keeps_the_old_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .does(fails_halfway)
            .calls(&["replace a by b"])
            .answers(failed(ID_A, "the shelf broke"));

    update_of_a_foreign_id_creates_the_resource:
        case(update("made-up-by-something-else", json!({"Name": "a"}), json!({"Name": "a"})))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Name": "a"})));

    update_without_an_id_creates_the_resource:
        case(without(update(ID_A, json!({"Name": "a"}), json!({"Name": "a"})), "PhysicalResourceId"))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Name": "a"})));

    delete_without_an_id_deletes_nothing:
        case(without(delete(ID_A, json!({"Name": "a"})), "PhysicalResourceId"))
            .answers(done(CREATE_FAILED));

    failed_create_returns_the_marker_whose_delete_succeeds:
        case(create(json!({"Name": "a"})))
            .then(delete(CREATE_FAILED, json!({"Name": "a"})))
            .does(fails)
            .calls(&["create a"])
            .answers(failed(CREATE_FAILED, "no room on the shelf"))
            .answers(done(CREATE_FAILED));

    failed_create_with_leftovers_returns_its_id:
        case(create(json!({"Name": "a"})))
            .then(delete(ID_A, json!({"Name": "a"})))
            .does(fails_halfway)
            .calls(&["create a", "delete a"])
            .answers(failed(ID_A, "the shelf broke"))
            .answers(done(ID_A));

    delete_of_an_id_made_up_by_cloudformation_succeeds:
        case(delete("demo-Thing-1ABCDEFGHIJKL", json!({"Name": "a"})))
            .answers(done("demo-Thing-1ABCDEFGHIJKL"));

    delete_of_an_id_of_another_kind_succeeds:
        case(delete("elsewhere:e48ac103:a", json!({"Name": "a"})))
            .answers(done("elsewhere:e48ac103:a"));

    delete_of_the_marker_succeeds_with_invalid_properties:
        case(delete(CREATE_FAILED, json!({"Nmae": ["?"]})))
            .answers(done(CREATE_FAILED));

    repeated_delete_succeeds_again:
        case(delete(ID_A, json!({"Name": "a"})))
            .then(delete(ID_A, json!({"Name": "a"})))
            .calls(&["delete a", "delete a"])
            .answers_times(2, done(ID_A));

    failed_delete_keeps_its_id:
        case(delete(ID_A, json!({"Name": "a"})))
            .does(fails)
            .calls(&["delete a"])
            .answers(failed(ID_A, "no room on the shelf"));

    failed_update_keeps_its_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "a", "Flag": true})))
            .does(fails)
            .calls(&["update a from Flag false to Flag true"])
            .answers(failed(ID_A, "no room on the shelf"));

    rollback_is_an_update_with_old_and_new_swapped:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "a", "Flag": "true"})))
            .then(update(ID_A, json!({"Name": "a", "Flag": "true"}), json!({"Name": "a"})))
            .calls(&["update a from Flag false to Flag true", "update a from Flag true to Flag false"])
            .answers_times(2, success(ID_A, json!({"Name": "a"})));

    rollback_of_invalid_properties_succeeds:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "a", "Flag": "perhaps"})))
            .then(update(ID_A, json!({"Name": "a", "Flag": "perhaps"}), json!({"Name": "a"})))
            .calls(&["update a from invalid properties to Flag false"])
            .answers(failed(ID_A, "property `Flag`: expected true or false, found the string \"perhaps\""))
            .answers(success(ID_A, json!({"Name": "a"})));

    create_with_an_invalid_identity_fails_with_the_marker:
        case(create(json!({"Name": "!"})))
            .answers(failed(CREATE_FAILED, "`Name`: expected a name, found \"!\""));

    update_to_an_invalid_identity_keeps_the_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "!"})))
            .answers(failed(ID_A, "`Name`: expected a name, found \"!\""));

    update_to_an_invalid_identity_may_name_another_problem:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "!", "Flag": "true"})))
            .answers(failed(ID_A, "`Flag` cannot change"));

    repeated_event_has_the_same_response:
        case(create(json!({"Name": "a"})))
            .then(create(json!({"Name": "a"})))
            .calls(&["create a", "create a"])
            .answers_times(2, success(ID_A, json!({"Name": "a"})));

    duplicate_events_at_once_have_the_same_response:
        case(create(json!({"Name": "a"})))
            .then(create(json!({"Name": "a"})))
            .at_once()
            .calls(&["create a", "create a"])
            .answers_times(2, success(ID_A, json!({"Name": "a"})));

    failing_duplicates_at_once_have_the_same_response:
        case(create(json!({"Name": "a"})))
            .then(create(json!({"Name": "a"})))
            .does(fails)
            .at_once()
            .calls(&["create a", "create a"])
            .answers_times(2, failed(CREATE_FAILED, "no room on the shelf"));

    reason_has_each_cause_once:
        case(create(json!({"Name": "a"})))
            .does(|_| {
                let cause = Failure::caused_by("PutItem", std::io::Error::other("connection refused"));
                Does::Fails(Failure::caused_by("the shelf cannot be reached", cause))
            })
            .calls(&["create a"])
            .answers(failed(CREATE_FAILED, "the shelf cannot be reached: PutItem: connection refused"));

    failure_without_a_sentence_has_a_reason:
        case(create(json!({"Name": "a"})))
            .does(|_| Does::Fails(Failure::new("")))
            .calls(&["create a"])
            .answers(failed(CREATE_FAILED, "the provider gave no reason"));

    attributes_that_just_fit_are_returned:
        case(create(json!({"Name": "a"})))
            .does(|_| Does::Ready(attributes_of(largest_attribute())))
            .calls(&["create a"])
            .answers(success(ID_A, json!({"Big": "x".repeat(largest_attribute())})));

    attributes_of_one_byte_too_many_fail_with_the_real_id:
        case(create(json!({"Name": "a"})))
            .does(|_| Does::Ready(attributes_of(largest_attribute() + 1)))
            .calls(&["create a"])
            .answers(failed(ID_A, "the attributes of this resource need a response of 4097 bytes, and CloudFormation accepts at \
                                   most 4096; return fewer or shorter attributes"));

    attributes_too_long_after_a_replacement_keep_the_old_id:
        case(update(ID_A, json!({"Name": "a"}), json!({"Name": "b"})))
            .does(|_| Does::Ready(attributes_of(largest_attribute() + 1)))
            .calls(&["replace a by b"])
            .answers(failed(ID_A, "the attributes of this resource need a response of 4097 bytes, and CloudFormation accepts at \
                                   most 4096; return fewer or shorter attributes"));
}

#[tokio::test]
async fn reason_of_100_kilobytes_is_cut_between_characters() {
    for unit in ["a", "é", "漢", "🦀", "\"", "\n", "\u{7}", "a🦀\\"] {
        let reason = unit.repeat(100 * 1024 / unit.len());
        let given = reason.clone();
        let bench = Bench::new(Setup {
            does: Box::new(move |_| Does::Fails(Failure::new(given.clone()))),
            ..Setup::default()
        })
        .await;
        bench.deliver(&create(json!({"Name": "a"})), std::time::Duration::from_secs(60)).await.unwrap();
        // The longest beginning of the reason that fits, found by trying.
        let ends: Vec<usize> = (0..reason.len()).filter(|at| reason.is_char_boundary(*at)).collect();
        let cut = |at: usize| failed(CREATE_FAILED, &format!("{} … (cut)", &reason[..at]));
        let fitting = ends.partition_point(|at| cut(*at).to_string().len() <= 4096);
        let expected = cut(ends[fitting - 1]);
        assert_eq!(bench.server.bodies(), [expected], "{unit:?}");
    }
}

#[tokio::test]
async fn identity_of_escaped_characters_leaves_room_for_the_response() {
    // 1000 bytes in memory are 6000 in JSON.
    let name = "\u{1}".repeat(1000);
    let bench = Bench::new(Setup {
        does: Box::new(|_| Does::Fails(Failure::new("it broke").with_leftovers())),
        ..Setup::default()
    })
    .await;
    bench.deliver(&create(json!({"Name": name})), std::time::Duration::from_secs(60)).await.unwrap();
    let bodies = bench.server.bodies();
    assert_eq!(bodies.len(), 1);
    let id = bodies[0]["PhysicalResourceId"].as_str().unwrap();
    assert!(id.starts_with("conformance:e48ac103:sha256-") && id.len() <= 1024, "{id}");
    assert_eq!(bodies[0], failed(id, "it broke"));
}

#[tokio::test]
async fn duplicate_creates_at_once_leave_one_resource() {
    let bench = Bench::new(Setup::default()).await;
    let event = create(json!({"Name": "a"}));
    let time = std::time::Duration::from_secs(60);
    let (first, second) = tokio::join!(bench.deliver(&event, time), bench.deliver(&event, time));
    first.and(second).unwrap();
    assert_eq!(bench.thing.made(), 1);
    assert_eq!(bench.server.bodies(), vec![success(ID_A, json!({"Name": "a"})); 2]);
}
