//! The adapters against answers of the services, call by call.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client as Dynamo;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemError, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
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
use copy_monitor::adapters::{Buckets, Table};
use copy_monitor::moment::Moment;
use copy_monitor::ports::{Claimed, FileEntry, FileState, Ledger, Objects, Statements};
use warehouse::batch::Progress;
use warehouse::data_api::{Cell, Database, Login};
use warehouse::target::Target;

const NOW: i64 = 1_800_000_000;

fn table(rules: &[&Rule]) -> Table {
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::Sequential, rules);
    Table::new(client, "ledger".into(), "main".into(), Duration::from_secs(60), Moment::from_secs(NOW))
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn refused(item: Option<HashMap<String, AttributeValue>>) -> ConditionalCheckFailedException {
    let code =
        aws_smithy_types::error::ErrorMetadata::builder().code("ConditionalCheckFailedException").build();
    ConditionalCheckFailedException::builder().set_item(item).meta(code).build()
}

fn entry(key: &str, state: FileState) -> FileEntry {
    FileEntry {
        job: 7,
        key: key.into(),
        etag: format!("etag of {key}"),
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
        ("m", n(1_000_000)),
        ("q", n(2_000_000)),
        ("k", n(2)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[tokio::test]
async fn a_finding_is_claimed_under_a_condition_and_a_refusal_says_whether_it_was_told() {
    let claim = mock!(Dynamo::update_item)
        .match_requests(|request| {
            let values = request.expression_attribute_values().unwrap();
            request.key().unwrap()["pk"] == s("N#main#f1")
                && request.condition_expression()
                    == Some("attribute_not_exists(t) AND (attribute_not_exists(u) OR u <= :n OR h = :h)")
                && values[":h"] == s("me")
                && values[":n"] == n(NOW * 1_000_000)
                && values[":u"] == n((NOW + 9) * 1_000_000)
                && values[":x"] == n(NOW + 60)
        })
        .then_output(|| UpdateItemOutput::builder().build());
    let told = mock!(Dynamo::update_item).then_error(|| {
        UpdateItemError::ConditionalCheckFailedException(refused(Some(HashMap::from([(
            "t".to_owned(),
            n(1),
        )]))))
    });
    let held = mock!(Dynamo::update_item).then_error(|| {
        UpdateItemError::ConditionalCheckFailedException(refused(Some(HashMap::from([(
            "h".to_owned(),
            s("other"),
        )]))))
    });
    let table = table(&[&claim, &told, &held]);
    let now = Moment::from_secs(NOW);
    for expected in [Claimed::Yes, Claimed::Told, Claimed::ByAnother] {
        let claimed = table.claim("f1", "me", now, now.plus(Duration::from_secs(9))).await.unwrap();
        assert_eq!(claimed, expected);
    }
}

#[tokio::test]
async fn a_document_is_written_only_over_the_revision_that_was_read() {
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
        .then_error(|| PutItemError::ConditionalCheckFailedException(refused(None)));
    let table = table(&[&absent, &first, &read, &overtaken]);
    assert_eq!(table.document("target").await.unwrap(), None);
    assert!(table.save("target", 0, "{}").await.unwrap());
    let document = table.document("target").await.unwrap().unwrap();
    assert_eq!((document.revision, document.body.as_str()), (1, "{}"));
    assert!(!table.save("target", 1, "{}").await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn loaded_files_are_written_by_25_each_once_and_again_where_dynamodb_left_some() {
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
async fn a_table_that_stays_throttled_is_an_error_that_says_so() {
    let full = mock!(Dynamo::batch_write_item).then_compute_output(|request| {
        let left = request.request_items().unwrap()["ledger"].clone();
        BatchWriteItemOutput::builder().unprocessed_items("ledger", left).build()
    });
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&full]);
    let table =
        Table::new(client, "ledger".into(), "main".into(), Duration::from_secs(60), Moment::from_secs(NOW));
    let error = table.put_loaded(&[entry("k", FileState::Loaded)]).await.unwrap_err().to_string();
    assert!(error.contains("1 items were not written after 8 attempts: the table is throttled"), "{error}");
    assert_eq!(full.num_calls(), 8);
}

#[tokio::test]
async fn an_unloaded_file_does_not_replace_what_the_ledger_knows_better() {
    let put = mock!(Dynamo::put_item)
        .match_requests(|request| {
            request.condition_expression() == Some("attribute_not_exists(pk) OR k <= :k")
                && request.expression_attribute_values().unwrap()[":k"] == n(1)
        })
        .then_error(|| PutItemError::ConditionalCheckFailedException(refused(None)));
    let throttled = mock!(Dynamo::put_item).then_error(|| {
        PutItemError::generic(
            aws_smithy_types::error::ErrorMetadata::builder().code("AccessDeniedException").build(),
        )
    });
    let table = table(&[&put, &throttled]);
    table.put_unloaded(&entry("k", FileState::Failed)).await.unwrap();
    let error = table.put_unloaded(&entry("k", FileState::Failed)).await.unwrap_err();
    assert!(error.is_refusal(), "{error}");
}

#[tokio::test]
async fn entries_between_two_keys_are_one_query_that_goes_on_after_a_key() {
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
    let (entries, next) = table(&[&query]).entries(7, "a", "z", Some("c")).await.unwrap();
    assert_eq!(entries, [entry("d", FileState::Loaded), entry("e", FileState::Loaded)]);
    assert_eq!(next.as_deref(), Some("e"));
}

#[tokio::test(start_paused = true)]
async fn told_findings_are_read_together_and_again_where_dynamodb_left_some() {
    let told =
        |id: &str| HashMap::from([("pk".to_owned(), s(&format!("N#main#{id}"))), ("t".to_owned(), n(1))]);
    let left = mock!(Dynamo::batch_get_item)
        .match_requests(|request| request.request_items().unwrap()["ledger"].keys().len() == 3)
        .then_compute_output(move |request| {
            let keys = request.request_items().unwrap()["ledger"].keys()[2..].to_vec();
            let left = KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap();
            BatchGetItemOutput::builder()
                .responses("ledger", vec![told("one"), HashMap::from([("pk".to_owned(), s("N#main#two"))])])
                .unprocessed_keys("ledger", left)
                .build()
        });
    let rest = mock!(Dynamo::batch_get_item)
        .then_output(move || BatchGetItemOutput::builder().responses("ledger", vec![told("three")]).build());
    let ids = ["one", "two", "three"].map(str::to_owned);
    let told = table(&[&left, &rest]).told_among(&ids).await.unwrap();
    assert_eq!(told, ["one".to_owned(), "three".to_owned()].into());
}

#[tokio::test]
async fn only_the_holder_gives_a_finding_back_and_a_note_is_kept() {
    let release = mock!(Dynamo::delete_item)
        .match_requests(|request| {
            request.condition_expression() == Some("attribute_not_exists(t) AND h = :h")
        })
        .then_output(|| DeleteItemOutput::builder().build());
    let taken = mock!(Dynamo::delete_item)
        .then_error(|| DeleteItemError::ConditionalCheckFailedException(refused(None)));
    let told = mock!(Dynamo::update_item)
        .match_requests(|request| request.update_expression() == Some("SET t = if_not_exists(t, :t), x = :x"))
        .then_output(|| UpdateItemOutput::builder().build());
    let table = table(&[&release, &taken, &told]);
    table.release("f1", "me").await.unwrap();
    table.release("f1", "me").await.unwrap();
    table.told("f1", Moment::from_secs(NOW)).await.unwrap();
    assert_eq!(told.num_calls(), 1);
}

#[tokio::test]
async fn keys_of_a_listing_are_decoded_and_etags_lose_their_quotes() {
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
    let (objects, more) = buckets.list("b", "in/", Some("in/a"), 1000).await.unwrap();
    assert!(more);
    let object = &objects[0];
    assert_eq!((object.key.as_str(), object.etag.as_str(), object.size), ("in/a b+c\n", "x-2", 5));
    assert_eq!(object.modified, Moment::from_secs(9));
    // A stand-in for S3 may not know the encoding.
    let (objects, more) = buckets.list("b", "in/", None, 1000).await.unwrap();
    assert_eq!((objects[0].key.as_str(), more), ("in/100%+1", false));
}

fn database(rules: &[&Rule]) -> Database {
    let client = mock_client!(aws_sdk_redshiftdata, RuleMode::Sequential, rules);
    Database::new(client, Target::Workgroup("w".into()), "dev".into(), Login::Secret("arn:secret".into()))
}

#[tokio::test]
async fn a_batch_is_started_with_an_event_a_name_and_a_token_and_read_by_statement() {
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
async fn what_became_of_a_batch_is_told_with_the_text_of_the_statement_that_failed() {
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
