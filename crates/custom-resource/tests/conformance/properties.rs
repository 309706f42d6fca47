//! Properties as CloudFormation sends them, and the errors of wrong ones.

use std::time::Duration;

use custom_resource::CREATE_FAILED;
use serde_json::{Value, json};

use crate::support::events::{ID_A, create, delete, done, failed};
use crate::support::thing::{Kind, Nested, Properties};
use crate::support::{Bench, Setup};

const TIME: Duration = Duration::from_secs(60);

async fn seen(properties: Value) -> Properties {
    let bench = Bench::new(Setup::default()).await;
    bench.deliver(&create(properties), TIME).await.unwrap();
    bench.kept_secrets();
    bench.thing.seen().pop().expect("the provider saw the properties")
}

#[tokio::test]
async fn strings_parse_to_booleans_and_numbers() {
    let expected = Properties {
        name: "12".to_owned(),
        flag: true,
        count: Some(30),
        offset: Some(-7),
        ratio: Some(0.5),
        mark: Some('7'),
        list: vec!["a".to_owned(), "1".to_owned(), "true".to_owned()],
        pair: Some((1, 2)),
        nested: Some(Nested { inner: 7 }),
        kind: Some(Kind::Csv),
        document: Some(json!({"Sid": "x", "Deep": [{"a": "1"}]})),
        secret: Some(1),
    };
    let document = json!({"Sid": "x", "Deep": [{"a": "1"}]});
    let as_strings = json!({"Name": "12", "Flag": "true", "Count": "30", "Offset": "-7", "Ratio": "0.5", "Mark": "7",
        "List": ["a", "1", "true"], "Pair": ["1", "2"], "Nested": {"Inner": "7"}, "Kind": "Csv", "Document": document, "Secret": "1"});
    let native = json!({"Name": 12, "Flag": true, "Count": 30, "Offset": -7, "Ratio": 0.5, "Mark": 7,
        "List": ["a", 1, true], "Pair": [1, 2], "Nested": {"Inner": 7}, "Kind": "Csv", "Document": document, "Secret": 1});
    assert_eq!(seen(as_strings).await, expected);
    assert_eq!(seen(native).await, expected);
}

#[tokio::test]
async fn absent_and_null_properties_have_their_default() {
    let bare = seen(json!({"Name": "a"})).await;
    assert_eq!((bare.flag, bare.count, bare.nested.clone(), bare.list.len()), (false, None, None, 0));
    assert_eq!(seen(json!({"Name": "a", "Count": null, "Nested": null})).await, bare);
}

#[tokio::test]
async fn service_token_and_timeout_never_reach_the_provider() {
    // Every event has both, and the provider has neither: it would reject them as unknown.
    let event = create(json!({"Name": "a"}));
    assert!(event["ResourceProperties"]["ServiceToken"].is_string());
    assert!(event["ResourceProperties"]["ServiceTimeout"].is_string());
    assert_eq!(seen(json!({"Name": "a"})).await.name, "a");
}

#[tokio::test]
async fn wrong_property_is_rejected_with_path_expectation_and_value() {
    let table = [
        (json!({"Name": ["x"]}), "property `Name`: expected a string, found a list"),
        (json!({"Name": {"a": "b"}}), "property `Name`: expected a string, found a map"),
        (json!({"Name": null}), "property `Name`: expected a string, found nothing"),
        (json!({"Flag": "yes"}), "property `Flag`: expected true or false, found the string \"yes\""),
        (json!({"Flag": 1}), "property `Flag`: expected true or false, found 1"),
        (json!({"Flag": ""}), "property `Flag`: expected true or false, found the string \"\""),
        (
            json!({"Count": "many"}),
            "property `Count`: expected a whole number from 0 to 65535, found the string \"many\"",
        ),
        (
            json!({"Count": "65536"}),
            "property `Count`: expected a whole number from 0 to 65535, found the string \"65536\"",
        ),
        (json!({"Count": -1}), "property `Count`: expected a whole number from 0 to 65535, found -1"),
        (
            json!({"Count": "1.5"}),
            "property `Count`: expected a whole number from 0 to 65535, found the string \"1.5\"",
        ),
        (json!({"Count": true}), "property `Count`: expected a whole number from 0 to 65535, found true"),
        (
            json!({"Offset": "99999999999999999999"}),
            "property `Offset`: expected a whole number from -9223372036854775808 to 9223372036854775807, \
             found the string \"99999999999999999999\"",
        ),
        (json!({"Ratio": "half"}), "property `Ratio`: expected a number, found the string \"half\""),
        (json!({"Ratio": "NaN"}), "property `Ratio`: expected a number, found the string \"NaN\""),
        (json!({"Ratio": []}), "property `Ratio`: expected a number, found a list"),
        (json!({"Mark": "||"}), "property `Mark`: expected one character, found the string \"||\""),
        (json!({"Mark": ""}), "property `Mark`: expected one character, found the string \"\""),
        (json!({"List": "a,b"}), "property `List`: expected a list, found the string \"a,b\""),
        (json!({"List": {"0": "a"}}), "property `List`: expected a list, found a map"),
        (json!({"List": ["a", {}]}), "property `List[1]`: expected a string, found a map"),
        (json!({"Pair": ["1", "2", "3"]}), "property `Pair`: expected a list of 2, found a list of 3"),
        (
            json!({"Pair": ["1", "300"]}),
            "property `Pair[1]`: expected a whole number from 0 to 255, found the string \"300\"",
        ),
        (json!({"Nested": "x"}), "property `Nested`: expected a map, found the string \"x\""),
        (json!({"Nested": {}}), "property `Nested`: `Inner` is required and missing"),
        (
            json!({"Nested": {"Inner": "300"}}),
            "property `Nested.Inner`: expected a whole number from 0 to 255, found the string \"300\"",
        ),
        (
            json!({"Nested": {"Inner": "1", "Iner": "2"}}),
            "property `Nested`: `Iner` is unknown, expected one of Inner",
        ),
        (json!({"Kind": "Xml"}), "property `Kind`: expected one of Csv, Json, found \"Xml\""),
        (json!({"Kind": ["Csv"]}), "property `Kind`: expected one of Csv, Json, found a list"),
        (
            json!({"Secret": "hunter2"}),
            "property `Secret`: the value is not of the expected form (it is a secret and not shown)",
        ),
        (
            json!({"Secret": {"Password": "hunter2"}}),
            "property `Secret`: the value is not of the expected form (it is a secret and not shown)",
        ),
        (
            json!({"Nmae": "hunter2"}),
            "property `(the properties as a whole)`: `Nmae` is unknown, expected one of Name, Flag, Count, Offset, Ratio, \
             Mark, List, Pair, Nested, Kind, Document, Secret",
        ),
    ];
    for (wrong, sentence) in table {
        let mut properties = json!({"Name": "a"});
        properties.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let bench = Bench::new(Setup::default()).await;
        bench.deliver(&create(properties), TIME).await.unwrap();
        assert_eq!(bench.server.bodies(), [failed(CREATE_FAILED, sentence)], "{wrong}");
        assert_eq!(bench.thing.calls(), [""; 0], "{wrong}");
        bench.kept_secrets();
    }
}

#[tokio::test]
async fn missing_property_is_named() {
    let bench = Bench::new(Setup::default()).await;
    bench.deliver(&create(json!({"Flag": "true"})), TIME).await.unwrap();
    let sentence = "property `(the properties as a whole)`: `Name` is required and missing";
    assert_eq!(bench.server.bodies(), [failed(CREATE_FAILED, sentence)]);
}

#[tokio::test]
async fn long_value_is_shortened_in_the_response() {
    let bench = Bench::new(Setup::default()).await;
    bench.deliver(&create(json!({"Name": "a", "Flag": "漢".repeat(5000)})), TIME).await.unwrap();
    let sentence =
        format!("property `Flag`: expected true or false, found the string \"{}…\"", "漢".repeat(59));
    assert_eq!(bench.server.bodies(), [failed(CREATE_FAILED, &sentence)]);
}

#[tokio::test]
async fn delete_accepts_properties_of_an_older_version() {
    let bench = Bench::new(Setup::default()).await;
    let event = delete(ID_A, json!({"Name": "a", "Colour": "red", "Nested": {"Inner": "1", "Outer": "2"}}));
    bench.deliver(&event, TIME).await.unwrap();
    assert_eq!(bench.server.bodies(), [done(ID_A)]);
    assert_eq!(bench.thing.calls(), ["delete a"]);
}
