//! The Data API driver against answers of the service, call by call.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use aws_sdk_redshiftdata::Client;
use aws_sdk_redshiftdata::operation::cancel_statement::CancelStatementOutput;
use aws_sdk_redshiftdata::operation::describe_statement::{DescribeStatementError, DescribeStatementOutput};
use aws_sdk_redshiftdata::operation::execute_statement::{ExecuteStatementError, ExecuteStatementOutput};
use aws_sdk_redshiftdata::operation::get_statement_result::GetStatementResultOutput;
use aws_sdk_redshiftdata::types::error::ActiveStatementsExceededException;
use aws_sdk_redshiftdata::types::{Field, StatusString};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use tokio::time::Instant;
use warehouse::data_api::{Cell, Database, Login, SqlRunError, Token};
use warehouse::target::Target;

fn database(rules: &[&Rule]) -> Database {
    let client = mock_client!(aws_sdk_redshiftdata, RuleMode::MatchAny, rules);
    let login = Login::Secret("arn:secret".into());
    Database::new(client, Target::Cluster("main".into()), "dev".into(), login)
}

fn started() -> Rule {
    mock!(Client::execute_statement)
        .match_requests(|request| {
            request.cluster_identifier() == Some("main")
                && request.database() == Some("dev")
                && request.secret_arn() == Some("arn:secret")
                && request.db_user().is_none()
        })
        .then_output(|| ExecuteStatementOutput::builder().id("statement-1").build())
}

fn status(status: StatusString, error: Option<&'static str>, rows: bool) -> Rule {
    mock!(Client::describe_statement)
        .match_requests(|request| request.id() == Some("statement-1"))
        .then_output(move || {
            DescribeStatementOutput::builder()
                .id("statement-1")
                .status(status.clone())
                .set_error(error.map(str::to_owned))
                .has_result_set(rows)
                .build()
                .unwrap()
        })
}

async fn run(database: &Database) -> Result<Vec<Vec<Cell>>, SqlRunError> {
    database.run("SELECT 1", Token::Fresh, Instant::now() + Duration::from_secs(30)).await
}

#[tokio::test(start_paused = true)]
async fn rows_of_all_pages_are_typed_and_without_padding() {
    let first = mock!(Client::get_statement_result)
        .match_requests(|request| request.next_token().is_none())
        .then_output(|| {
            let row = vec![
                Field::LongValue(7),
                Field::StringValue("padded   ".into()),
                Field::BooleanValue(true),
                Field::IsNull(true),
                Field::DoubleValue(0.5),
            ];
            GetStatementResultOutput::builder().records(row).next_token("more").build().unwrap()
        });
    let second = mock!(Client::get_statement_result)
        .match_requests(|request| request.next_token() == Some("more"))
        .then_output(|| {
            GetStatementResultOutput::builder().records(vec![Field::LongValue(8)]).build().unwrap()
        });
    let (execute, finished) = (started(), status(StatusString::Finished, None, true));
    let rows = run(&database(&[&execute, &finished, &first, &second])).await.unwrap();
    let expected = vec![
        vec![
            Cell::Integer(7),
            Cell::Text("padded".into()),
            Cell::Boolean(true),
            Cell::Null,
            Cell::Float(0.5),
        ],
        vec![Cell::Integer(8)],
    ];
    assert_eq!(rows, expected);
}

#[tokio::test(start_paused = true)]
async fn failed_statement_has_the_message_of_redshift() {
    let (execute, failed) =
        (started(), status(StatusString::Failed, Some("ERROR: relation does not exist"), false));
    let error = run(&database(&[&execute, &failed])).await.unwrap_err();
    assert_eq!(error.database_message(), Some("ERROR: relation does not exist"));
    assert_eq!(error.to_string(), "Redshift rejected the statement: ERROR: relation does not exist");
}

#[tokio::test(start_paused = true)]
async fn slow_statement_is_cancelled_before_the_deadline() {
    let (execute, running) = (started(), status(StatusString::Started, None, false));
    let cancel = mock!(Client::cancel_statement)
        .match_requests(|request| request.id() == Some("statement-1"))
        .then_output(|| CancelStatementOutput::builder().status(true).build());
    let began = Instant::now();
    let error = run(&database(&[&execute, &running, &cancel])).await.unwrap_err();
    assert!(matches!(error, SqlRunError::TooSlow(30)), "{error}");
    assert_eq!(began.elapsed().as_secs(), 30);
    assert_eq!(cancel.num_calls(), 1);
    assert!(running.num_calls() < 30, "{} looks in 30 s", running.num_calls());
}

#[tokio::test(start_paused = true)]
async fn unknown_state_is_not_a_success() {
    let (execute, odd) = (started(), status(StatusString::from("REHEATING"), None, false));
    let cancel =
        mock!(Client::cancel_statement).then_output(|| CancelStatementOutput::builder().status(true).build());
    let error = run(&database(&[&execute, &odd, &cancel])).await.unwrap_err();
    assert!(matches!(error, SqlRunError::TooSlow(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn denied_call_names_the_action_and_the_code() {
    let full = mock!(Client::execute_statement).then_error(|| {
        let inner = ActiveStatementsExceededException::builder()
            .message("500 statements are active")
            .meta(
                aws_sdk_redshiftdata::error::ErrorMetadata::builder()
                    .code("ActiveStatementsExceededException")
                    .message("500 statements are active")
                    .build(),
            )
            .build();
        ExecuteStatementError::ActiveStatementsExceededException(inner)
    });
    let error = run(&database(&[&full])).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "redshift-data:ExecuteStatement: ActiveStatementsExceededException: 500 statements are active"
    );
}

#[tokio::test(start_paused = true)]
async fn token_depends_on_request_and_statement() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let taken = std::sync::Arc::clone(&seen);
    let execute = mock!(Client::execute_statement)
        .match_requests(move |request| {
            taken.lock().unwrap().push(request.client_token().map(str::to_owned));
            true
        })
        .then_output(|| ExecuteStatementOutput::builder().id("statement-1").build());
    let finished = status(StatusString::Finished, None, false);
    let database = database(&[&execute, &finished]);
    let until = Instant::now() + Duration::from_secs(30);
    for (sql, request) in [("CREATE", "r1"), ("CREATE", "r1"), ("DROP", "r1"), ("CREATE", "r2")] {
        database.run(sql, Token::OncePer(request), until).await.unwrap();
    }
    let tokens: Vec<String> = seen.lock().unwrap().iter().flatten().cloned().collect();
    assert_eq!(tokens.len(), 4);
    assert_eq!(tokens[0], tokens[1]);
    assert!(tokens[0] != tokens[2] && tokens[0] != tokens[3] && tokens[2] != tokens[3]);
    assert!(tokens.iter().all(|token| (1..=64).contains(&token.len())));
}

fn throttled() -> aws_sdk_redshiftdata::error::ErrorMetadata {
    aws_sdk_redshiftdata::error::ErrorMetadata::builder()
        .code("ThrottlingException")
        .message("Rate exceeded")
        .build()
}

#[tokio::test(start_paused = true)]
async fn throttled_description_is_repeated_until_the_end() {
    let execute = started();
    let describe = mock!(Client::describe_statement)
        .sequence()
        .error(|| DescribeStatementError::generic(throttled()))
        .times(9)
        .output(|| {
            let output = DescribeStatementOutput::builder().id("statement-1").status(StatusString::Finished);
            output.build().unwrap()
        })
        .build();
    let rows = run(&database(&[&execute, &describe])).await;
    assert_eq!(rows.unwrap(), Vec::<Vec<Cell>>::new());
    assert_eq!((execute.num_calls(), describe.num_calls()), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn statement_that_stays_throttled_has_an_unknown_outcome() {
    let execute = started();
    let describe =
        mock!(Client::describe_statement).then_error(|| DescribeStatementError::generic(throttled()));
    let cancel =
        mock!(Client::cancel_statement).then_output(|| CancelStatementOutput::builder().status(true).build());
    let began = Instant::now();
    let error = run(&database(&[&execute, &describe, &cancel])).await.unwrap_err();
    assert!(matches!(error, SqlRunError::Unknown(_)) && error.may_have_effect(), "{error:?}");
    assert_eq!(
        lambda_kit::error::chain(&error),
        "the statement was sent and its outcome is unknown: redshift-data:DescribeStatement: \
         ThrottlingException: Rate exceeded"
    );
    assert_eq!((execute.num_calls(), cancel.num_calls()), (1, 1));
    // The SDK's own retries of the last call come on top.
    assert!((30..40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn throttled_start_is_repeated_with_the_same_token() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let taken = std::sync::Arc::clone(&seen);
    let execute = mock!(Client::execute_statement)
        .match_requests(move |request| {
            taken.lock().unwrap().push(request.client_token().unwrap_or_default().to_owned());
            true
        })
        .sequence()
        .error(|| ExecuteStatementError::generic(throttled()))
        .times(3)
        .output(|| ExecuteStatementOutput::builder().id("statement-1").build())
        .build();
    let finished = status(StatusString::Finished, None, false);
    let database = database(&[&execute, &finished]);
    let until = Instant::now() + Duration::from_secs(30);
    database.run("COPY JOB DROP x", Token::OncePer("r1"), until).await.unwrap();
    let tokens: std::collections::BTreeSet<String> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!((execute.num_calls(), tokens.len()), (4, 1), "{tokens:?}");
}
