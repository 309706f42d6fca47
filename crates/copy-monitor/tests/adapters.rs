//! The adapters against answers of the services, call by call.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client as Dynamo;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_redshiftdata::Client as Data;
use aws_sdk_redshiftdata::operation::batch_execute_statement::BatchExecuteStatementOutput;
use aws_sdk_redshiftdata::operation::describe_statement::{DescribeStatementError, DescribeStatementOutput};
use aws_sdk_redshiftdata::operation::get_statement_result::GetStatementResultOutput;
use aws_sdk_redshiftdata::types::error::ResourceNotFoundException;
use aws_sdk_redshiftdata::types::{ColumnMetadata, Field, StatusString, SubStatementData};
use aws_sdk_s3::Client as S3;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::EncodingType;
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use copy_monitor::adapters::{Buckets, LedgerTable};
use copy_monitor::ports::{FileEntry, FileState, Ledger, Objects, Statements};
use lambda_kit::moment::Moment;
use warehouse::batch::Progress;
use warehouse::data_api::{Cell, Database, Login};
use warehouse::target::Target;

const NOW: i64 = 1_800_000_000;

fn table(rules: &[&Rule]) -> LedgerTable {
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::Sequential, rules);
    LedgerTable::new(client, "ledger".into(), "main".into(), Duration::from_secs(60), Moment::from_secs(NOW))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn condition_failed() -> ConditionalCheckFailedException {
    let code =
        aws_smithy_types::error::ErrorMetadata::builder().code("ConditionalCheckFailedException").build();
    ConditionalCheckFailedException::builder().meta(code).build()
}

fn entry(key: &str, state: FileState) -> FileEntry {
    FileEntry {
        job: 7,
        key: key.into(),
        etag: format!("etag of {key}"),
        size: Some(5),
        modified: Moment::from_secs(1),
        enqueued: Moment::from_secs(2),
        state,
    }
}

fn item(key: &str) -> HashMap<String, AttributeValue> {
    [
        ("pk", s("F#main#7")),
        ("sk", s(key)),
        ("e", s(&format!("etag of {key}"))),
        ("s", n(5)),
        ("m", n(1_000_000)),
        ("q", n(2_000_000)),
        ("k", n(2)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[tokio::test]
async fn document_is_written_only_over_revision_that_was_read() {
    let absent = mock!(Dynamo::get_item)
        .match_requests(|request| request.consistent_read() == Some(true))
        .then_output(|| GetItemOutput::builder().build());
    let first = mock!(Dynamo::put_item)
        .match_requests(|request| {
            request.condition_expression() == Some("attribute_not_exists(pk)")
                && request.item().unwrap()["r"] == n(1)
        })
        .then_output(|| PutItemOutput::builder().build());
    let read = mock!(Dynamo::get_item)
        .then_output(|| GetItemOutput::builder().item("r", n(1)).item("b", s("{}")).build());
    let overtaken = mock!(Dynamo::put_item)
        .match_requests(|request| {
            request.condition_expression() == Some("r = :r")
                && request.expression_attribute_values().unwrap()[":r"] == n(1)
                && request.item().unwrap()["r"] == n(2)
        })
        .then_error(|| PutItemError::ConditionalCheckFailedException(condition_failed()));
    let table = table(&[&absent, &first, &read, &overtaken]);
    assert_eq!(table.document("target").await.unwrap(), None);
    assert!(table.save("target", 0, "{}").await.unwrap());
    let document = table.document("target").await.unwrap().unwrap();
    assert_eq!((document.revision, document.body.as_str()), (1, "{}"));
    assert!(!table.save("target", 1, "{}").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn loaded_files_are_written_by_25_and_unprocessed_again() {
    let some_left = mock!(Dynamo::batch_write_item)
        .match_requests(|request| request.request_items().unwrap()["ledger"].len() == 25)
        .then_compute_output(|request| {
            let left = request.request_items().unwrap()["ledger"][..2].to_vec();
            BatchWriteItemOutput::builder().unprocessed_items("ledger", left).build()
        });
    let rest = |length: usize| {
        mock!(Dynamo::batch_write_item)
            .match_requests(move |request| request.request_items().unwrap()["ledger"].len() == length)
            .then_output(|| BatchWriteItemOutput::builder().build())
    };
    let (one, two) = (rest(1), rest(2));
    let table = table(&[&some_left, &one, &two]);
    let mut entries: Vec<_> = (0..26).map(|key| entry(&key.to_string(), FileState::Loaded)).collect();
    entries.push(entry("3", FileState::Loaded));
    table.put_loaded(&entries).await.unwrap();
    assert_eq!((some_left.num_calls(), one.num_calls(), two.num_calls()), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn throttled_table_is_named_in_error() {
    let full = mock!(Dynamo::batch_write_item).then_compute_output(|request| {
        let left = request.request_items().unwrap()["ledger"].clone();
        BatchWriteItemOutput::builder().unprocessed_items("ledger", left).build()
    });
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&full]);
    let table = LedgerTable::new(
        client,
        "ledger".into(),
        "main".into(),
        Duration::from_secs(60),
        Moment::from_secs(NOW),
    );
    let error = table.put_loaded(&[entry("k", FileState::Loaded)]).await.unwrap_err().to_string();
    assert!(error.contains("1 items were not written after 8 attempts: the table is throttled"), "{error}");
    assert_eq!(full.num_calls(), 8);
}

#[tokio::test]
async fn file_that_is_not_loaded_replaces_no_later_state() {
    let put = mock!(Dynamo::put_item)
        .match_requests(|request| {
            request.condition_expression() == Some("attribute_not_exists(pk) OR k <= :k")
                && request.expression_attribute_values().unwrap()[":k"] == n(1)
        })
        .then_error(|| PutItemError::ConditionalCheckFailedException(condition_failed()));
    let throttled = mock!(Dynamo::put_item).then_error(|| {
        PutItemError::generic(
            aws_smithy_types::error::ErrorMetadata::builder().code("AccessDeniedException").build(),
        )
    });
    let table = table(&[&put, &throttled]);
    table.put_not_loaded(&entry("k", FileState::Rejected)).await.unwrap();
    let error = table.put_not_loaded(&entry("k", FileState::Rejected)).await.unwrap_err();
    assert!(error.is_access_denied(), "{error}");
}

#[tokio::test]
async fn entries_between_keys_are_one_query_after_a_key() {
    let query = mock!(Dynamo::query)
        .match_requests(|request| {
            let values = request.expression_attribute_values().unwrap();
            request.key_condition_expression() == Some("pk = :p AND sk BETWEEN :a AND :b")
                && (&values[":p"], &values[":a"], &values[":b"]) == (&s("F#main#7"), &s("a"), &s("z"))
                && request.exclusive_start_key().unwrap()["sk"] == s("c")
        })
        .then_output(|| {
            QueryOutput::builder().items(item("d")).items(item("e")).last_evaluated_key("sk", s("e")).build()
        });
    let page = table(&[&query]).entries_between(7, "a", "z", Some("c")).await.unwrap();
    assert_eq!(page.entries, [entry("d", FileState::Loaded), entry("e", FileState::Loaded)]);
    assert_eq!(page.next.as_deref(), Some("e"));
}

#[tokio::test(start_paused = true)]
async fn entries_of_keys_are_read_together_and_unprocessed_keys_again() {
    let left = mock!(Dynamo::batch_get_item)
        .match_requests(|request| request.request_items().unwrap()["ledger"].keys().len() == 3)
        .then_compute_output(move |request| {
            let keys = request.request_items().unwrap()["ledger"].keys()[2..].to_vec();
            let left = KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap();
            BatchGetItemOutput::builder()
                .responses("ledger", vec![item("one")])
                .unprocessed_keys("ledger", left)
                .build()
        });
    let rest = mock!(Dynamo::batch_get_item)
        .match_requests(|request| request.request_items().unwrap()["ledger"].keys().len() == 1)
        .then_output(move || BatchGetItemOutput::builder().responses("ledger", vec![item("three")]).build());
    let keys = ["one", "two", "three"].map(str::to_owned);
    let entries = table(&[&left, &rest]).entries_of(7, &keys).await.unwrap();
    assert_eq!(entries, [entry("one", FileState::Loaded), entry("three", FileState::Loaded)]);
}

#[tokio::test]
async fn listing_has_decoded_keys_and_etags_without_quotes() {
    let list = mock!(S3::list_objects_v2)
        .match_requests(|request| {
            (request.bucket(), request.prefix(), request.start_after(), request.max_keys())
                == (Some("b"), Some("in/"), Some("in/a"), Some(1000))
        })
        .then_output(|| {
            let object = aws_sdk_s3::types::Object::builder()
                .key("in/a+b%2Bc%0A")
                .e_tag("\"x-2\"")
                .size(5)
                .last_modified(aws_smithy_types::DateTime::from_secs(9))
                .build();
            ListObjectsV2Output::builder()
                .contents(object)
                .encoding_type(EncodingType::Url)
                .is_truncated(true)
                .build()
        });
    let plain = mock!(S3::list_objects_v2).then_output(|| {
        let object = aws_sdk_s3::types::Object::builder()
            .key("in/100%+1")
            .last_modified(aws_smithy_types::DateTime::from_secs(9))
            .build();
        ListObjectsV2Output::builder().contents(object).build()
    });
    let buckets = Buckets::new(mock_client!(aws_sdk_s3, RuleMode::Sequential, [&list, &plain]));
    let page = buckets.list("b", "in/", Some("in/a"), 1000).await.unwrap();
    assert!(page.more);
    let object = &page.objects[0];
    assert_eq!((object.key.as_str(), object.etag.as_str(), object.size), ("in/a b+c\n", "x-2", 5));
    assert_eq!(object.modified, Moment::from_secs(9));
    // A stand-in for S3 may not know the encoding.
    let page = buckets.list("b", "in/", None, 1000).await.unwrap();
    assert_eq!((page.objects[0].key.as_str(), page.more), ("in/100%+1", false));
}

fn database(rules: &[&Rule]) -> Database {
    let client = mock_client!(aws_sdk_redshiftdata, RuleMode::Sequential, rules);
    Database::new(client, Target::Workgroup("w".into()), "dev".into(), Login::Secret("arn:secret".into()))
}

#[tokio::test]
async fn batch_has_event_name_token_and_is_read_by_statement() {
    let start = mock!(Data::batch_execute_statement)
        .match_requests(|request| {
            request.with_event() == Some(true)
                && request.statement_name() == Some("sluice-copy-monitor.main.4")
                && request.client_token() == Some("token")
                && request.workgroup_name() == Some("w")
                && request.sqls() == ["SELECT 1".to_owned(), "SELECT 2".to_owned()]
        })
        .then_output(|| BatchExecuteStatementOutput::builder().id("id-1").build());
    let page = mock!(Data::get_statement_result)
        .match_requests(|request| request.id() == Some("id-1:2") && request.next_token() == Some("n"))
        .then_output(|| {
            GetStatementResultOutput::builder()
                .column_metadata(ColumnMetadata::builder().name("Job_ID").build())
                .records(vec![Field::LongValue(3)])
                .next_token("")
                .build()
                .unwrap()
        });
    let database = database(&[&start, &page]);
    let statements = ["SELECT 1".to_owned(), "SELECT 2".to_owned()];
    let id = Statements::start(&database, "sluice-copy-monitor.main.4", "token", &statements).await.unwrap();
    let page = Statements::page(&database, &id, 2, Some("n".into())).await.unwrap();
    assert_eq!((page.position("job_id"), &page.rows[0][0], page.next), (Some(0), &Cell::Integer(3), None));
}

#[tokio::test]
async fn failed_batch_has_error_of_its_statement() {
    let described = |status: StatusString| DescribeStatementOutput::builder().id("id-1").status(status);
    let on_the_way = mock!(Data::describe_statement)
        .then_output(move || described(StatusString::from("A_NEW_ONE")).build().unwrap());
    let failed = mock!(Data::describe_statement).then_output(move || {
        let first = SubStatementData::builder().id("id-1:1").build().unwrap();
        let second =
            SubStatementData::builder().id("id-1:2").error("ERROR: permission denied").build().unwrap();
        described(StatusString::Failed).sub_statements(first).sub_statements(second).build().unwrap()
    });
    let forgotten = mock!(Data::describe_statement).then_error(|| {
        let error = ResourceNotFoundException::builder().resource_id("id-1").message("gone").meta(
            aws_smithy_types::error::ErrorMetadata::builder().code("ResourceNotFoundException").build(),
        );
        DescribeStatementError::ResourceNotFoundException(error.build().unwrap())
    });
    let database = database(&[&on_the_way, &failed, &forgotten]);
    for expected in
        [Progress::OnTheWay, Progress::Failed("ERROR: permission denied".to_owned()), Progress::Forgotten]
    {
        assert_eq!(Statements::progress(&database, "id-1").await.unwrap(), expected);
    }
}
