//! Statements from hostile values.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde::de::IgnoredAny;

use crate::sql::{CompUpdate, Compression, Encoding, Format, Options};
use crate::sql_builder::{Given, build, check, plain};
use crate::tokenizer::{Backslash, Token, tokens};

/// Values that break statements built as text.
const HOSTILE: [&str; 24] = [
    "'",
    "''",
    "\"",
    "\"\"",
    "\\",
    "\\'",
    "'\\",
    "\\\\'",
    ";",
    "; DROP TABLE orders; --",
    "--",
    "/*",
    "*/",
    "$$",
    "$1",
    ":name",
    "?",
    "\0",
    "\n",
    "\u{7f}",
    "🦀",
    "имя",
    "e\u{301}",
    "\u{202e}",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => proptest::sample::select(HOSTILE.as_slice()).prop_map(str::to_owned),
        2 => "[a-z_]{1,12}".prop_map(|text| text),
        1 => any::<char>().prop_map(String::from),
        1 => "\\PC{0,40}".prop_map(|text| text),
    ];
    prop_oneof![
        8 => vec(piece, 0..6).prop_map(|pieces| pieces.concat()),
        1 => Just("x".repeat(300)),
        1 => Just("'".repeat(300)),
        1 => Just("é🦀".repeat(300)),
    ]
}

/// Mostly valid values, so that the checks reach the rest of the statement.
fn mostly(fine: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(fine.to_owned()), 1 => hostile()]
}

fn character() -> impl Strategy<Value = char> {
    prop_oneof![proptest::sample::select(vec!['"', '\'', '\\', ';', '%', '\0', 'é']), any::<char>()]
}

fn format() -> impl Strategy<Value = Format> {
    use Format::{Avro, Csv, Delimited, FixedWidth, Json, Orc, Parquet};
    proptest::sample::select(vec![Csv, Delimited, FixedWidth, Json, Avro, Parquet, Orc])
}

prop_compose! {
    fn texts()(
        delimiter in option::weighted(0.2, prop_oneof![hostile(), Just("\\t".to_owned()), "\\\\[0-7]{3}".prop_map(|text| text)]),
        quote in option::weighted(0.2, character()),
        null_as in option::weighted(0.3, hostile()),
        date_format in option::weighted(0.3, hostile()),
        time_format in option::weighted(0.3, hostile()),
        accept_inv_chars in option::weighted(0.2, character()),
        json_paths in option::weighted(0.2, prop_oneof![
            hostile(), hostile().prop_map(|text| format!("s3://{text}")), Just("noshred".to_owned()), Just("auto ignorecase".to_owned())
        ]),
        ignore_header in option::of(any::<u32>()),
    ) -> Options {
        Options { delimiter, quote, null_as, date_format, time_format, accept_inv_chars, json_paths, ignore_header, ..Options::default() }
    }
}

prop_compose! {
    fn options()(
        texts in texts(),
        flags in vec(proptest::bool::weighted(0.15), 12),
        compression in option::weighted(0.3, proptest::sample::select(vec![
            Compression::Gzip, Compression::Bzip2, Compression::Lzop, Compression::Zstd
        ])),
        encoding in option::weighted(0.2, proptest::sample::select(vec![
            Encoding::Utf8, Encoding::Utf16, Encoding::Utf16le, Encoding::Utf16be, Encoding::Iso88591
        ])),
        comp_update in option::weighted(0.3, proptest::sample::select(vec![
            CompUpdate::Preset, CompUpdate::On, CompUpdate::Off
        ])),
        comp_rows in option::weighted(0.2, any::<u32>()),
        fixed_width in option::weighted(0.3, hostile()),
        stat_update in option::weighted(0.3, any::<bool>()),
        max_error in proptest::bool::weighted(0.03),
        ignore_all_errors in proptest::bool::weighted(0.03),
        manifest in proptest::bool::weighted(0.03),
    ) -> Options {
        Options {
            blanks_as_null: flags[0], empty_as_null: flags[1], fill_record: flags[2], trim_blanks: flags[3],
            truncate_columns: flags[4], ignore_blank_lines: flags[5], escape: flags[6], remove_quotes: flags[7],
            round_dec: flags[8], explicit_ids: flags[9], accept_any_date: flags[10], serialize_to_json: flags[11],
            compression, encoding, comp_update, comp_rows, fixed_width, stat_update,
            max_error: max_error.then_some(IgnoredAny), ignore_all_errors: ignore_all_errors.then_some(IgnoredAny),
            manifest: manifest.then_some(IgnoredAny),
            ..texts
        }
    }
}

prop_compose! {
    fn given()(
        schema in mostly("public"), table in hostile(), job in mostly("orders"), bucket in mostly("bucket-a"),
        prefix in hostile(), role in mostly("arn:aws:iam::222222222222:role/copy"),
        columns in vec(hostile(), 0..4),
        table_columns in vec((hostile(), mostly("VARCHAR(255)"), any::<bool>()), 1..4),
        format in format(), options in prop_oneof![Just(Options::default()), options()], auto in any::<bool>(),
    ) -> Given {
        Given { schema, table, job, bucket, prefix, role, columns, table_columns, format: Some(format), options, auto }
    }
}

/// Names and options that are mostly accepted, in every format.
fn fine() -> impl Strategy<Value = Given> {
    let name = || prop_oneof!["[ -~]{1,60}", "\\PC{1,30}"].prop_map(|text| text);
    let unlike = |given: Given| {
        let mut seen = std::collections::BTreeSet::new();
        Given {
            columns: given.columns.into_iter().filter(|name| seen.insert(name.to_lowercase())).collect(),
            ..given
        }
    };
    (name(), name(), "[a-z_][a-z0-9_]{0,117}", name(), vec(name(), 0..5), format(), options())
        .prop_map(|(schema, table, job, prefix, columns, format, options)| Given {
            schema,
            table,
            job,
            prefix,
            columns,
            format: Some(format),
            options,
            ..plain()
        })
        .prop_map(unlike)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_values_are_rejected_or_stay_inside_their_literals(given in given()) {
        check(&given);
    }

    #[test]
    fn printable_values_are_rejected_or_stay_inside_their_literals(given in fine()) {
        check(&given);
    }

    #[test]
    fn any_text_in_an_arn_is_rejected_or_stays_in_its_literal(inside in hostile(), at in 0_usize..40) {
        let mut role = plain().role;
        role.insert_str(at.min(role.len()), &inside);
        check(&Given { role, ..plain() });
    }

    #[test]
    fn any_text_in_a_data_type_is_rejected_or_prints_as_a_type(inside in hostile(), at in 0_usize..12) {
        let mut data_type = "DECIMAL(10,2)".to_owned();
        data_type.insert_str(at, &inside);
        check(&Given { table_columns: vec![("a".to_owned(), data_type, true)], ..plain() });
    }
}

/// A change, and the property that is rejected because of it; `None` if the change is accepted.
type Row = (&'static str, fn(&mut Given), Option<&'static str>);

fn prove(rows: &[Row]) {
    for (what, change, rejected) in rows {
        let mut given = plain();
        change(&mut given);
        check(&given);
        let property = build(&given).err().map(|error| error.property().to_owned());
        assert_eq!(property.as_deref(), *rejected, "{what}");
    }
}

#[test]
fn names_are_accepted_as_redshift_accepts_them() {
    prove(&[
        ("quotes", |given| given.table = "a\"b\"\"c'd".to_owned(), None),
        ("backslash", |given| given.table = "a\\b\\".to_owned(), None),
        ("semicolon", |given| given.table = "a; DROP TABLE b".to_owned(), None),
        ("comments", |given| given.table = "a--b/*c*/".to_owned(), None),
        ("emoji", |given| given.table = "🦀".to_owned(), None),
        ("a key word", |given| given.table = "select".to_owned(), None),
        ("127 bytes", |given| given.table = "x".repeat(127), None),
        ("128 bytes", |given| given.table = "x".repeat(128), Some("TableName")),
        ("300 characters", |given| given.table = "x".repeat(300), Some("TableName")),
        ("64 characters of 2 bytes", |given| given.table = "é".repeat(64), Some("TableName")),
        ("NUL", |given| given.table = "a\0b".to_owned(), Some("TableName")),
        ("line break", |given| given.table = "a\nb".to_owned(), Some("TableName")),
        ("empty", |given| given.table.clear(), Some("TableName")),
        ("schema with quotes", |given| given.schema = "\"; --".to_owned(), None),
        ("schema with NUL", |given| given.schema = "\0".to_owned(), Some("SchemaName")),
        ("schema of 300", |given| given.schema = "x".repeat(300), Some("SchemaName")),
        ("columns with quotes", |given| given.columns = vec!["a\"".to_owned(), "') --".to_owned()], None),
        ("column with NUL", |given| given.columns = vec!["\0".to_owned()], Some("Columns")),
        ("column of 300", |given| given.columns = vec!["x".repeat(300)], Some("Columns")),
        ("a column twice", |given| given.columns = vec!["A".to_owned(), "a".to_owned()], Some("Columns")),
        ("table column with quotes", |given| given.table_columns[0].0 = "\" int); --".to_owned(), None),
        ("table column with NUL", |given| given.table_columns[0].0 = "\0".to_owned(), Some("TableColumns")),
        (
            "type with a statement in it",
            |given| given.table_columns[0].1 = "int); DROP TABLE x; --".to_owned(),
            Some("TableColumns"),
        ),
        ("no table column", |given| given.table_columns.clear(), Some("TableColumns")),
        ("job with a hyphen", |given| given.job = "my-job".to_owned(), Some("JobName")),
        ("job with a quote", |given| given.job = "a'b".to_owned(), Some("JobName")),
        ("job with a semicolon", |given| given.job = "a;b".to_owned(), Some("JobName")),
        ("job with a space and a hyphen", |given| given.job = "a -b\0".to_owned(), Some("JobName")),
        ("job with an emoji", |given| given.job = "🦀".to_owned(), Some("JobName")),
        ("job of 118", |given| given.job = "x".repeat(118), None),
        ("job of 119", |given| given.job = "x".repeat(119), Some("JobName")),
        ("job of 300 hyphens", |given| given.job = "-".repeat(300), Some("JobName")),
        ("prefix with everything", |given| given.prefix = "a'b\"c\\d;e--f/*g*/🦀/".to_owned(), None),
        ("prefix with NUL", |given| given.prefix = "a\0".to_owned(), Some("SourcePrefix")),
        ("prefix with a slash in front", |given| given.prefix = "/a".to_owned(), Some("SourcePrefix")),
        ("prefix of 300 quotes", |given| given.prefix = "'".repeat(300), None),
        ("prefix of 1025", |given| given.prefix = "x".repeat(1025), Some("SourcePrefix")),
        ("no prefix", |given| given.prefix.clear(), None),
        ("bucket with a quote", |given| given.bucket = "a'b".to_owned(), Some("SourceBucket")),
        ("bucket with a period", |given| given.bucket = "a.b".to_owned(), Some("SourceBucket")),
        (
            "role with a quote in its partition",
            |given| given.role = "arn:aws' --:iam::222222222222:role/copy".to_owned(),
            Some("CopyRoleArn"),
        ),
        (
            "role with a quote in its name",
            |given| given.role = "arn:aws:iam::222222222222:role/copy' --".to_owned(),
            Some("CopyRoleArn"),
        ),
        ("the default role", |given| given.role = "default".to_owned(), Some("CopyRoleArn")),
    ]);
}

#[test]
fn options_are_accepted_only_with_their_format() {
    // A field that is added has to be added here, and to the table below.
    let Options {
        ignore_header: _,
        delimiter: _,
        quote: _,
        null_as: _,
        date_format: _,
        time_format: _,
        compression: _,
        encoding: _,
        accept_inv_chars: _,
        blanks_as_null: _,
        empty_as_null: _,
        fill_record: _,
        trim_blanks: _,
        truncate_columns: _,
        ignore_blank_lines: _,
        escape: _,
        remove_quotes: _,
        round_dec: _,
        explicit_ids: _,
        json_paths: _,
        comp_update: _,
        stat_update: _,
        max_error: _,
        ignore_all_errors: _,
        manifest: _,
        accept_any_date: _,
        serialize_to_json: _,
        fixed_width: _,
        comp_rows: _,
        no_load: _,
        region: _,
        encrypted: _,
    } = Options::default();

    fn in_format(given: &mut Given, format: Format) -> &mut Options {
        given.format = Some(format);
        &mut given.options
    }
    use Format::{Avro, Csv, Delimited, FixedWidth, Json, Orc, Parquet};
    prove(&[
        ("IgnoreHeader", |g| in_format(g, Csv).ignore_header = Some(u32::MAX), None),
        ("IgnoreHeader", |g| in_format(g, Json).ignore_header = Some(1), Some("Options.IgnoreHeader")),
        ("Delimiter '", |g| in_format(g, Csv).delimiter = Some("'".to_owned()), None),
        ("Delimiter \\t", |g| in_format(g, Delimited).delimiter = Some("\\t".to_owned()), None),
        ("Delimiter \\001", |g| in_format(g, Delimited).delimiter = Some("\\001".to_owned()), None),
        ("Delimiter of several", |g| in_format(g, Delimited).delimiter = Some("|~|".to_owned()), None),
        ("Delimiter backslash", |g| in_format(g, Delimited).delimiter = Some("\\".to_owned()), None),
        ("Delimiter empty", |g| in_format(g, Csv).delimiter = Some(String::new()), Some("Options.Delimiter")),
        ("Delimiter NUL", |g| in_format(g, Csv).delimiter = Some("\0".to_owned()), Some("Options.Delimiter")),
        (
            "Delimiter \\000",
            |g| in_format(g, Csv).delimiter = Some("\\000".to_owned()),
            Some("Options.Delimiter"),
        ),
        (
            "Delimiter line break",
            |g| in_format(g, Csv).delimiter = Some("\n".to_owned()),
            Some("Options.Delimiter"),
        ),
        ("Delimiter", |g| in_format(g, Parquet).delimiter = Some("|".to_owned()), Some("Options.Delimiter")),
        ("Quote '", |g| in_format(g, Csv).quote = Some('\''), None),
        ("Quote \\", |g| in_format(g, Csv).quote = Some('\\'), None),
        ("Quote é", |g| in_format(g, Csv).quote = Some('é'), Some("Options.Quote")),
        ("Quote NUL", |g| in_format(g, Csv).quote = Some('\0'), Some("Options.Quote")),
        ("Quote", |g| in_format(g, Delimited).quote = Some('"'), Some("Options.Quote")),
        ("NullAs \\N", |g| in_format(g, Csv).null_as = Some("\\N".to_owned()), None),
        ("NullAs '", |g| in_format(g, Delimited).null_as = Some("'; --".to_owned()), None),
        ("NullAs", |g| in_format(g, Json).null_as = Some("x".to_owned()), Some("Options.NullAs")),
        ("NullAs empty", |g| in_format(g, Csv).null_as = Some(String::new()), None),
        ("NullAs NUL", |g| in_format(g, Csv).null_as = Some("\0".to_owned()), Some("Options.NullAs")),
        ("NullAs", |g| in_format(g, Orc).null_as = Some("x".to_owned()), Some("Options.NullAs")),
        ("DateFormat", |g| in_format(g, Csv).date_format = Some("YYYY-MM-DD'; --".to_owned()), None),
        (
            "DateFormat NUL",
            |g| in_format(g, Csv).date_format = Some("\0".to_owned()),
            Some("Options.DateFormat"),
        ),
        (
            "DateFormat",
            |g| in_format(g, Parquet).date_format = Some("auto".to_owned()),
            Some("Options.DateFormat"),
        ),
        ("TimeFormat", |g| in_format(g, Avro).time_format = Some("epochsecs".to_owned()), None),
        (
            "TimeFormat NUL",
            |g| in_format(g, Csv).time_format = Some("\0".to_owned()),
            Some("Options.TimeFormat"),
        ),
        (
            "TimeFormat",
            |g| in_format(g, Orc).time_format = Some("auto".to_owned()),
            Some("Options.TimeFormat"),
        ),
        ("Compression", |g| in_format(g, Json).compression = Some(Compression::Bzip2), None),
        (
            "Compression",
            |g| in_format(g, Orc).compression = Some(Compression::Gzip),
            Some("Options.Compression"),
        ),
        ("Encoding", |g| in_format(g, Csv).encoding = Some(Encoding::Utf16le), None),
        ("Encoding", |g| in_format(g, Avro).encoding = Some(Encoding::Utf8), Some("Options.Encoding")),
        ("AcceptInvChars", |g| in_format(g, Csv).accept_inv_chars = Some('\''), None),
        ("AcceptInvChars columnar", |g| in_format(g, Parquet).accept_inv_chars = Some('?'), None),
        (
            "AcceptInvChars NUL",
            |g| in_format(g, Csv).accept_inv_chars = Some('\0'),
            Some("Options.AcceptInvChars"),
        ),
        (
            "AcceptInvChars é",
            |g| in_format(g, Csv).accept_inv_chars = Some('é'),
            Some("Options.AcceptInvChars"),
        ),
        ("BlanksAsNull", |g| in_format(g, Csv).blanks_as_null = true, None),
        ("BlanksAsNull", |g| in_format(g, Orc).blanks_as_null = true, Some("Options.BlanksAsNull")),
        ("EmptyAsNull", |g| in_format(g, Csv).empty_as_null = true, None),
        ("EmptyAsNull", |g| in_format(g, Orc).empty_as_null = true, Some("Options.EmptyAsNull")),
        ("FillRecord", |g| in_format(g, Csv).fill_record = true, None),
        ("FillRecord columnar", |g| in_format(g, Orc).fill_record = true, None),
        ("FillRecord", |g| in_format(g, Json).fill_record = true, Some("Options.FillRecord")),
        ("TrimBlanks", |g| in_format(g, Csv).trim_blanks = true, None),
        ("TrimBlanks", |g| in_format(g, Orc).trim_blanks = true, Some("Options.TrimBlanks")),
        ("TruncateColumns", |g| in_format(g, Csv).truncate_columns = true, None),
        ("TruncateColumns", |g| in_format(g, Orc).truncate_columns = true, Some("Options.TruncateColumns")),
        ("IgnoreBlankLines", |g| in_format(g, Csv).ignore_blank_lines = true, None),
        (
            "IgnoreBlankLines",
            |g| in_format(g, Json).ignore_blank_lines = true,
            Some("Options.IgnoreBlankLines"),
        ),
        ("Escape", |g| in_format(g, Delimited).escape = true, None),
        ("Escape", |g| in_format(g, Csv).escape = true, Some("Options.Escape")),
        ("RemoveQuotes", |g| in_format(g, Delimited).remove_quotes = true, None),
        ("RemoveQuotes", |g| in_format(g, Csv).remove_quotes = true, Some("Options.RemoveQuotes")),
        ("RoundDec", |g| in_format(g, Csv).round_dec = true, None),
        ("RoundDec", |g| in_format(g, Parquet).round_dec = true, Some("Options.RoundDec")),
        ("ExplicitIds", |g| in_format(g, Csv).explicit_ids = true, None),
        ("ExplicitIds columnar", |g| in_format(g, Parquet).explicit_ids = true, None),
        ("JsonPaths", |g| in_format(g, Json).json_paths = Some("s3://b/'; --".to_owned()), None),
        ("JsonPaths noshred", |g| in_format(g, Json).json_paths = Some("noshred".to_owned()), None),
        (
            "JsonPaths noshred",
            |g| in_format(g, Avro).json_paths = Some("noshred".to_owned()),
            Some("Options.JsonPaths"),
        ),
        (
            "JsonPaths",
            |g| in_format(g, Json).json_paths = Some("paths.json".to_owned()),
            Some("Options.JsonPaths"),
        ),
        (
            "JsonPaths NUL",
            |g| in_format(g, Json).json_paths = Some("s3://\0".to_owned()),
            Some("Options.JsonPaths"),
        ),
        ("JsonPaths", |g| in_format(g, Csv).json_paths = Some("auto".to_owned()), Some("Options.JsonPaths")),
        ("CompUpdate", |g| in_format(g, Csv).comp_update = Some(CompUpdate::Off), None),
        ("CompUpdate PRESET", |g| in_format(g, Json).comp_update = Some(CompUpdate::Preset), None),
        ("CompUpdate", |g| in_format(g, Orc).comp_update = Some(CompUpdate::On), Some("Options.CompUpdate")),
        ("CompRows", |g| in_format(g, Csv).comp_rows = Some(1000), None),
        ("CompRows 999", |g| in_format(g, Csv).comp_rows = Some(999), Some("Options.CompRows")),
        ("CompRows", |g| in_format(g, Parquet).comp_rows = Some(1000), Some("Options.CompRows")),
        ("AcceptAnyDate", |g| in_format(g, Csv).accept_any_date = true, None),
        ("AcceptAnyDate", |g| in_format(g, Parquet).accept_any_date = true, Some("Options.AcceptAnyDate")),
        ("SerializeToJson", |g| in_format(g, Parquet).serialize_to_json = true, None),
        ("SerializeToJson", |g| in_format(g, Json).serialize_to_json = true, Some("Options.SerializeToJson")),
        ("FixedWidth", |g| in_format(g, FixedWidth).fixed_width = Some("a':3,b:4".to_owned()), None),
        (
            "FixedWidth missing",
            |g| *in_format(g, FixedWidth) = Options::default(),
            Some("Options.FixedWidth"),
        ),
        (
            "FixedWidth",
            |g| in_format(g, Csv).fixed_width = Some("a:3".to_owned()),
            Some("Options.FixedWidth"),
        ),
        ("NoLoad", |g| in_format(g, Csv).no_load = Some(IgnoredAny), Some("Options.NoLoad")),
        ("Region", |g| in_format(g, Csv).region = Some(IgnoredAny), Some("Options.Region")),
        ("Encrypted", |g| in_format(g, Csv).encrypted = Some(IgnoredAny), Some("Options.Encrypted")),
        ("StatUpdate", |g| in_format(g, Csv).stat_update = Some(true), None),
        ("StatUpdate columnar", |g| in_format(g, Parquet).stat_update = Some(false), None),
        ("MaxError", |g| in_format(g, Csv).max_error = Some(IgnoredAny), Some("Options.MaxError")),
        (
            "IgnoreAllErrors",
            |g| in_format(g, Csv).ignore_all_errors = Some(IgnoredAny),
            Some("Options.IgnoreAllErrors"),
        ),
        ("Manifest", |g| in_format(g, Csv).manifest = Some(IgnoredAny), Some("Options.Manifest")),
    ]);
}

#[test]
fn tokenizer_notices_an_escape_from_a_literal() {
    // An oracle that sees nothing would prove nothing.
    let word = |text: &str| Token::Word(text.to_owned());
    let text = |text: &str| Token::Text(text.to_owned());
    for (sql, backslash, expected) in [
        ("'a''b'", Backslash::Plain, vec![text("a'b")]),
        ("'a'; DROP", Backslash::Plain, vec![text("a"), Token::Symbol(';'), word("DROP")]),
        (r"'a\'; x'", Backslash::Escapes, vec![text("a'; x")]),
        (r"'a\'; x", Backslash::Plain, vec![text("a\\"), Token::Symbol(';'), word("x")]),
        (r"'\\' x", Backslash::Escapes, vec![text("\\"), word("x")]),
        (r"'\t\101\n'", Backslash::Escapes, vec![text("\tA\n")]),
        (r#""a""b" c"#, Backslash::Escapes, vec![Token::Quoted("a\"b".to_owned()), word("c")]),
        (r#""a\" b"#, Backslash::Escapes, vec![Token::Quoted("a\\".to_owned()), word("b")]),
        (
            "a -- b\nc /* d */ 12",
            Backslash::Plain,
            vec![word("a"), Token::Comment, word("c"), Token::Comment, Token::Number("12".to_owned())],
        ),
    ] {
        assert_eq!(tokens(sql, backslash).unwrap(), expected, "{sql}");
    }
    assert!(tokens("'a", Backslash::Plain).is_err());
    assert!(tokens(r"'a\'", Backslash::Escapes).is_err());
    assert!(tokens("\"a", Backslash::Plain).is_err());
}
