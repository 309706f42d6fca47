//! Properties into a statement, and the statement into tokens: what was given must be there, whole, and nothing else.
//!
//! Used by the fuzz target `sql_builder`, by the replay of its corpus and by the property tests of crates/warehouse. The crate that
//! uses it has the modules `sql` and `value` of crates/warehouse at its root, and `tokenizer` beside this one.
//!
//! The rules of what Redshift accepts are written here a second time, from its documentation: an oracle that asked
//! the builder would agree with its mistakes.

use std::collections::BTreeSet;

use crate::sql::{
    Column, ColumnType, CompUpdate, Compression, Copy, CopyJob, CreateTable, Encoding, Format, Identifier,
    JobName, Options, RoleArn, S3Location, TableName,
};
use crate::tokenizer::{Backslash, Token, tokens};
use crate::value::InvalidValue;

/// Everything that a template can say about a job and its table.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub schema: String,
    pub table: String,
    pub job: String,
    pub bucket: String,
    pub prefix: String,
    pub role: String,
    /// The column list of the COPY.
    pub columns: Vec<String>,
    /// Name, type, nullable.
    pub table_columns: Vec<(String, String, bool)>,
    pub format: Option<Format>,
    pub options: Options,
    pub auto: bool,
}

impl Given {
    pub fn format(&self) -> Format {
        self.format.unwrap_or(Format::Csv)
    }
}

/// A job that Redshift accepts, to change one thing of.
pub fn plain() -> Given {
    Given {
        schema: "public".to_owned(),
        table: "orders".to_owned(),
        job: "orders".to_owned(),
        bucket: "bucket-a".to_owned(),
        prefix: "in/".to_owned(),
        role: "arn:aws:iam::222222222222:role/copy".to_owned(),
        table_columns: vec![("id".to_owned(), "INTEGER".to_owned(), false)],
        auto: true,
        ..Given::default()
    }
}

/// The statements of a job.
pub struct Built {
    pub create_table: String,
    pub job: CopyJob,
}

/// Builds the statements as the function of `Custom::CopyJob` does.
pub fn build(given: &Given) -> Result<Built, InvalidValue> {
    let table = TableName {
        schema: Identifier::new("SchemaName", &given.schema)?,
        table: Identifier::new("TableName", &given.table)?,
    };
    let columns: Result<Vec<_>, _> =
        given.columns.iter().map(|name| Identifier::new("Columns", name)).collect();
    let table_columns: Result<Vec<_>, InvalidValue> = given
        .table_columns
        .iter()
        .map(|(name, data_type, nullable)| {
            Ok(Column {
                name: Identifier::new("TableColumns", name)?,
                data_type: ColumnType::new("TableColumns", data_type)?,
                nullable: *nullable,
            })
        })
        .collect();
    let create_table = CreateTable::new(table.clone(), table_columns?)?.to_string();
    let copy = Copy::new(
        table,
        columns?,
        S3Location::new(&given.bucket, &given.prefix)?,
        RoleArn::new("CopyRoleArn", &given.role)?,
        given.format(),
        &given.options,
    )?;
    let name = JobName::new("JobName", &given.job, "0a1b2c3d", &copy)?;
    Ok(Built { create_table, job: CopyJob { name, copy } })
}

/// Checks everything that must hold whatever was given.
pub fn check(given: &Given) {
    let wrong = at_fault(given);
    match build(given) {
        Err(error) => {
            assert!(
                wrong.contains(error.property()),
                "refused for {error}, and what is at fault is {wrong:?}: {given:?}"
            );
            let text = error.to_string();
            assert!(text.starts_with(&format!("`{}`: ", error.property())), "{text}");
            assert!(text.chars().count() < 600, "too long for a stack event: {text}");
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        Ok(built) => {
            assert!(wrong.is_empty(), "accepted, although {wrong:?} is at fault: {given:?}");
            check_statements(given, &built);
        }
    }
}

/// The properties that Redshift, S3 or IAM would not take.
fn at_fault(given: &Given) -> BTreeSet<String> {
    let mut wrong = BTreeSet::new();
    let mut unless = |fine: bool, property: &str| {
        if !fine {
            wrong.insert(property.to_owned());
        }
    };
    unless(is_name(&given.schema), "SchemaName");
    unless(is_name(&given.table), "TableName");
    unless(given.columns.iter().all(|name| is_name(name)) && all_differ(&given.columns), "Columns");
    let names: Vec<String> = given.table_columns.iter().map(|(name, ..)| name.clone()).collect();
    let types_fine = given.table_columns.iter().all(|(_, data_type, _)| is_type(data_type));
    unless(
        !names.is_empty() && names.iter().all(|name| is_name(name)) && all_differ(&names) && types_fine,
        "TableColumns",
    );
    unless(is_bucket(&given.bucket), "SourceBucket");
    unless(
        given.prefix.len() <= 1024 && !given.prefix.contains('\0') && !given.prefix.starts_with('/'),
        "SourcePrefix",
    );
    unless(is_role(&given.role), "CopyRoleArn");
    let job_fine = given.job.len() <= 118
        && given.job.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && given.job.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    unless(job_fine, "JobName");
    // A job would load its own mapping.
    let job = format!("s3://{}/{}", given.bucket, given.prefix);
    unless(!given.options.json_paths.as_deref().unwrap_or_default().starts_with(&job), "Options.JsonPaths");
    for option in options_at_fault(given.format(), &given.options) {
        wrong.insert(format!("Options.{option}"));
    }
    wrong
}

/// 1 to 127 bytes, printable.
fn is_name(name: &str) -> bool {
    (1..=127).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn all_differ(names: &[String]) -> bool {
    let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    folded.len() == names.len()
}

fn is_bucket(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|c| letter(c) || c == '-')
        && name.starts_with(letter)
        && name.ends_with(letter)
}

fn is_role(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", partition, "iam", "", account, role] = parts.as_slice() else { return false };
    let name = role.strip_prefix("role/").unwrap_or_default();
    partition.starts_with("aws")
        && partition.chars().all(|c| c.is_ascii_lowercase() || c == '-')
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && (1..=576).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-/".contains(c))
}

/// A type name of one or more words and at most two numbers. Which names there are is the builder's to know; that nothing
/// else gets through is checked on the tokens.
fn is_type(text: &str) -> bool {
    ColumnType::new("TableColumns", text).is_ok()
}

/// Which formats take an option. Source: "COPY parameter reference" with "COPY from columnar data formats".
fn options_at_fault(format: Format, options: &Options) -> Vec<&'static str> {
    use Format::{Avro, Csv, Delimited, FixedWidth, Json, Orc, Parquet};
    let row = [Csv, Delimited, FixedWidth, Json, Avro];
    let all = [Csv, Delimited, FixedWidth, Json, Avro, Parquet, Orc];
    let text = [Csv, Delimited];
    let lines = [Csv, Delimited, FixedWidth];
    let holds_nul = |value: &Option<String>| value.as_deref().is_some_and(|text| text.contains('\0'));
    let json_paths = options.json_paths.as_deref().unwrap_or("auto");
    // Name, given, formats that take it, the value is wrong.
    let table: [(&str, bool, &[Format], bool); 26] = [
        ("IgnoreHeader", options.ignore_header.is_some(), &lines, false),
        (
            "Delimiter",
            options.delimiter.is_some(),
            &text,
            holds_nul(&options.delimiter)
                || options.delimiter.as_deref() == Some("")
                || options
                    .delimiter
                    .as_deref()
                    .is_some_and(|text| meant_by(text).contains(['\0', '\n', '\r'])),
        ),
        ("Quote", options.quote.is_some(), &[Csv], options.quote.is_some_and(|c| !c.is_ascii() || c == '\0')),
        (
            "NullAs",
            options.null_as.is_some(),
            &[Csv, Delimited, FixedWidth, Avro],
            holds_nul(&options.null_as),
        ),
        ("DateFormat", options.date_format.is_some(), &row, holds_nul(&options.date_format)),
        ("TimeFormat", options.time_format.is_some(), &row, holds_nul(&options.time_format)),
        ("Compression", options.compression.is_some(), &row, false),
        ("Encoding", options.encoding.is_some(), &[Csv, Delimited, FixedWidth, Json], false),
        (
            "AcceptInvChars",
            options.accept_inv_chars.is_some(),
            &all,
            options.accept_inv_chars.is_some_and(|c| !c.is_ascii() || c == '\0'),
        ),
        ("BlanksAsNull", options.blanks_as_null, &row, false),
        ("EmptyAsNull", options.empty_as_null, &row, false),
        ("FillRecord", options.fill_record, &[Csv, Delimited, FixedWidth, Avro, Parquet, Orc], false),
        ("TrimBlanks", options.trim_blanks, &row, false),
        ("TruncateColumns", options.truncate_columns, &row, false),
        ("IgnoreBlankLines", options.ignore_blank_lines, &lines, false),
        ("Escape", options.escape, &[Delimited], false),
        ("RemoveQuotes", options.remove_quotes, &[Delimited], false),
        ("RoundDec", options.round_dec, &row, false),
        ("ExplicitIds", options.explicit_ids, &all, false),
        (
            "JsonPaths",
            options.json_paths.is_some(),
            &[Json, Avro],
            holds_nul(&options.json_paths)
                || !(["auto", "auto ignorecase"].contains(&json_paths)
                    || json_paths == "noshred" && format == Json
                    || json_paths.starts_with("s3://")),
        ),
        ("AcceptAnyDate", options.accept_any_date, &row, false),
        ("SerializeToJson", options.serialize_to_json, &[Parquet, Orc], false),
        (
            "FixedWidth",
            options.fixed_width.is_some() || format == FixedWidth,
            &[FixedWidth],
            holds_nul(&options.fixed_width)
                || options.fixed_width.as_deref().unwrap_or_default().trim().is_empty(),
        ),
        ("CompUpdate", options.comp_update.is_some(), &row, false),
        (
            "CompRows",
            options.comp_rows.is_some(),
            &row,
            options.comp_rows.is_some_and(|rows| !(1000..=i32::MAX.unsigned_abs()).contains(&rows)),
        ),
        ("StatUpdate", options.stat_update.is_some(), &all, false),
    ];
    let never = [
        ("MaxError", options.max_error.is_some()),
        ("IgnoreAllErrors", options.ignore_all_errors.is_some()),
        ("Manifest", options.manifest.is_some()),
        ("NoLoad", options.no_load.is_some()),
        ("Region", options.region.is_some()),
        ("Encrypted", options.encrypted.is_some()),
    ];
    table
        .into_iter()
        .filter(|(_, given, formats, wrong)| *given && (*wrong || !formats.contains(&format)))
        .map(|(name, ..)| name)
        .chain(never.into_iter().filter(|(_, given)| *given).map(|(name, _)| name))
        .collect()
}

fn check_statements(given: &Given, built: &Built) {
    let name = built.job.name.as_str();
    let suffix = name.strip_prefix(&format!("{}_", given.job)).unwrap_or_default();
    assert!(suffix.len() == 8 && suffix.chars().all(|c| c.is_ascii_hexdigit()), "{name}");

    let copy = copy_tokens(given, &given.prefix);
    let mut create = copy.clone();
    words(&mut create, &["JOB", "CREATE", name, "AUTO", if given.auto { "ON" } else { "OFF" }]);
    same(&built.job.create(given.auto), &create);
    same(&built.job.copy.to_string(), &copy);
    let mut alter = Vec::new();
    words(&mut alter, &["COPY", "JOB", "ALTER", name, "AUTO", if given.auto { "ON" } else { "OFF" }]);
    same(&built.job.name.alter_auto(given.auto), &alter);
    let mut drop = Vec::new();
    words(&mut drop, &["COPY", "JOB", "DROP", name]);
    same(&built.job.name.drop_job(), &drop);

    let columnar = matches!(given.format(), Format::Parquet | Format::Orc);
    match built.job.copy.from().below("'\\probe\"").ok().map(|from| built.job.copy.dry_run(from)) {
        // No room for a longer prefix.
        None => assert!(given.prefix.len() + 8 > 1024, "{given:?}"),
        Some(None) => assert!(columnar, "{given:?}"),
        Some(Some(sql)) => {
            let mut dry = copy_tokens(given, &format!("{}'\\probe\"", given.prefix));
            words(&mut dry, &["NOLOAD"]);
            same(&sql, &dry);
        }
    }
    check_create_table(given, &built.create_table);
}

/// Compares under both readings of a backslash.
fn same(sql: &str, expected: &[Token]) {
    let escaping = tokens(sql, Backslash::Escapes).unwrap_or_else(|error| panic!("{error}: {sql}"));
    assert_eq!(escaping, expected, "{sql}");
    // Where a backslash is no escape, the doubled one stays doubled; the literal ends at the same place all the same.
    let plain = tokens(sql, Backslash::Plain).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let doubled: Vec<Token> = expected
        .iter()
        .map(|token| match token {
            Token::Text(text) => Token::Text(text.replace('\\', "\\\\")),
            other => other.clone(),
        })
        .collect();
    assert_eq!(plain, doubled, "{sql}");
}

fn words(to: &mut Vec<Token>, words: &[&str]) {
    to.extend(words.iter().map(|word| Token::Word((*word).to_owned())));
}

fn table_tokens(given: &Given) -> [Token; 3] {
    [Token::Quoted(given.schema.clone()), Token::Symbol('.'), Token::Quoted(given.table.clone())]
}

fn copy_tokens(given: &Given, prefix: &str) -> Vec<Token> {
    let mut expected = Vec::new();
    words(&mut expected, &["COPY"]);
    expected.extend(table_tokens(given));
    for (index, column) in given.columns.iter().enumerate() {
        expected.push(Token::Symbol(if index == 0 { '(' } else { ',' }));
        expected.push(Token::Quoted(column.clone()));
    }
    if !given.columns.is_empty() {
        expected.push(Token::Symbol(')'));
    }
    words(&mut expected, &["FROM"]);
    expected.push(Token::Text(format!("s3://{}/{prefix}", given.bucket)));
    words(&mut expected, &["IAM_ROLE"]);
    expected.push(Token::Text(given.role.clone()));
    option_tokens(given.format(), &given.options, &mut expected);
    expected
}

fn option_tokens(format: Format, options: &Options, expected: &mut Vec<Token>) {
    let text = |expected: &mut Vec<Token>, keywords: &[&str], value: &str| {
        words(expected, keywords);
        expected.push(Token::Text(value.to_owned()));
    };
    match format {
        Format::Csv => words(expected, &["FORMAT", "AS", "CSV"]),
        Format::Delimited => {}
        Format::FixedWidth => {
            text(expected, &["FIXEDWIDTH"], options.fixed_width.as_deref().unwrap_or_default());
        }
        Format::Parquet => words(expected, &["FORMAT", "AS", "PARQUET"]),
        Format::Orc => words(expected, &["FORMAT", "AS", "ORC"]),
        Format::Json | Format::Avro => {
            let word = if format == Format::Json { "JSON" } else { "AVRO" };
            text(expected, &["FORMAT", "AS", word], options.json_paths.as_deref().unwrap_or("auto"));
        }
    }
    if let Some(quote) = options.quote {
        text(expected, &["QUOTE", "AS"], &quote.to_string());
    }
    if let Some(delimiter) = &options.delimiter {
        text(expected, &["DELIMITER", "AS"], &meant_by(delimiter));
    }
    if let Some(lines) = options.ignore_header {
        words(expected, &["IGNOREHEADER", "AS"]);
        expected.push(Token::Number(lines.to_string()));
    }
    for (keyword, value) in [
        ("NULL", &options.null_as),
        ("DATEFORMAT", &options.date_format),
        ("TIMEFORMAT", &options.time_format),
    ] {
        if let Some(value) = value {
            text(expected, &[keyword, "AS"], value);
        }
    }
    if let Some(compression) = options.compression {
        words(
            expected,
            &[match compression {
                Compression::Gzip => "GZIP",
                Compression::Bzip2 => "BZIP2",
                Compression::Lzop => "LZOP",
                Compression::Zstd => "ZSTD",
            }],
        );
    }
    if let Some(encoding) = options.encoding {
        let name = match encoding {
            Encoding::Utf8 => "UTF8",
            Encoding::Utf16 => "UTF16",
            Encoding::Utf16le => "UTF16LE",
            Encoding::Utf16be => "UTF16BE",
            Encoding::Iso88591 => "ISO88591",
        };
        words(expected, &["ENCODING", "AS", name]);
    }
    if let Some(replacement) = options.accept_inv_chars {
        text(expected, &["ACCEPTINVCHARS", "AS"], &replacement.to_string());
    }
    for (given, keyword) in [
        (options.blanks_as_null, "BLANKSASNULL"),
        (options.empty_as_null, "EMPTYASNULL"),
        (options.fill_record, "FILLRECORD"),
        (options.trim_blanks, "TRIMBLANKS"),
        (options.truncate_columns, "TRUNCATECOLUMNS"),
        (options.ignore_blank_lines, "IGNOREBLANKLINES"),
        (options.escape, "ESCAPE"),
        (options.remove_quotes, "REMOVEQUOTES"),
        (options.round_dec, "ROUNDEC"),
        (options.explicit_ids, "EXPLICIT_IDS"),
        (options.accept_any_date, "ACCEPTANYDATE"),
        (options.serialize_to_json, "SERIALIZETOJSON"),
    ] {
        if given {
            words(expected, &[keyword]);
        }
    }
    if let Some(rows) = options.comp_rows {
        words(expected, &["COMPROWS"]);
        expected.push(Token::Number(rows.to_string()));
    }
    match options.comp_update {
        Some(CompUpdate::Preset) => words(expected, &["COMPUPDATE", "PRESET"]),
        Some(CompUpdate::On) => words(expected, &["COMPUPDATE", "ON"]),
        Some(CompUpdate::Off) => words(expected, &["COMPUPDATE", "OFF"]),
        None => {}
    }
    if let Some(on) = options.stat_update {
        words(expected, &["STATUPDATE", if on { "ON" } else { "OFF" }]);
    }
}

/// `\t` and `\ddd` (octal) stand for a character; every other delimiter for itself.
fn meant_by(delimiter: &str) -> String {
    let octal = delimiter.strip_prefix('\\').filter(|digits| digits.len() == 3);
    match octal.and_then(|digits| u32::from_str_radix(digits, 8).ok()).filter(|code| *code < 128) {
        Some(code) if octal.is_some_and(|digits| digits.chars().all(|c| c.is_digit(8))) => {
            char::from_u32(code).into_iter().collect()
        }
        _ if delimiter == "\\t" => "\t".to_owned(),
        _ => delimiter.to_owned(),
    }
}

fn check_create_table(given: &Given, sql: &str) {
    // The builder prints a type in its own form, so the tokens of the types are judged by their kind.
    for backslash in [Backslash::Escapes, Backslash::Plain] {
        let found = tokens(sql, backslash).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut expected = Vec::new();
        words(&mut expected, &["CREATE", "TABLE"]);
        expected.extend(table_tokens(given));
        assert_eq!(found[..5], expected, "{sql}");
        let mut rest = found[5..].iter().peekable();
        for (index, (name, _, nullable)) in given.table_columns.iter().enumerate() {
            assert_eq!(rest.next(), Some(&Token::Symbol(if index == 0 { '(' } else { ',' })), "{sql}");
            assert_eq!(rest.next(), Some(&Token::Quoted(name.clone())), "{sql}");
            let mut named = Vec::new();
            while let Some(Token::Word(word)) = rest.next_if(|token| matches!(token, Token::Word(_))) {
                assert!(word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{sql}");
                named.push(word.clone());
            }
            if rest.next_if_eq(&&Token::Symbol('(')).is_some() {
                let number = |token: Option<&Token>| {
                    matches!(token, Some(Token::Number(_))) || token == Some(&Token::Word("MAX".to_owned()))
                };
                assert!(number(rest.next()), "{sql}");
                if rest.next_if_eq(&&Token::Symbol(',')).is_some() {
                    assert!(number(rest.next()), "{sql}");
                }
                assert_eq!(rest.next(), Some(&Token::Symbol(')')), "{sql}");
                while let Some(Token::Word(word)) = rest.next_if(|token| matches!(token, Token::Word(_))) {
                    named.push(word.clone());
                }
            }
            assert!((1..=6).contains(&named.len()), "{sql}");
            assert_eq!(named.ends_with(&["NOT".to_owned(), "NULL".to_owned()]), !nullable, "{sql}");
        }
        assert_eq!(rest.next(), Some(&Token::Symbol(')')), "{sql}");
        assert_eq!(rest.next(), None, "{sql}");
    }
}

/// Reads arbitrary bytes as a job. The fields are split by the byte FF, which no UTF-8 text holds, so that a seed can
/// be read and written with an editor that keeps bytes. An absent field is as in [`plain`].
///
/// Fields: flags, schema, table, job, bucket, prefix, role, delimiter, quote, null, date format, time format,
/// replacement character, JSON paths, columns (split by `|`), table columns (`name|type`, repeated).
pub fn read(data: &[u8]) -> Given {
    let mut fields =
        data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned());
    let mut given = plain();
    let flags = fields.next().unwrap_or_default();
    let flag = |letter: char| flags.contains(letter);
    given.format = Some(match flags.chars().next() {
        Some('D') => Format::Delimited,
        Some('J') => Format::Json,
        Some('A') => Format::Avro,
        Some('P') => Format::Parquet,
        Some('O') => Format::Orc,
        Some('F') => Format::FixedWidth,
        _ => Format::Csv,
    });
    for place in [
        &mut given.schema,
        &mut given.table,
        &mut given.job,
        &mut given.bucket,
        &mut given.prefix,
        &mut given.role,
    ] {
        // `~` is the plain value, so that a seed needs to say only what it is about.
        match fields.next() {
            Some(value) if value != "~" => *place = value,
            _ => {}
        }
    }
    let mut optional = || fields.next().filter(|value| value != "~");
    let options = &mut given.options;
    options.fixed_width = (given.format == Some(Format::FixedWidth)).then(|| "id:3".to_owned());
    options.delimiter = optional();
    options.quote = optional().and_then(|value| value.chars().next());
    options.null_as = optional();
    options.date_format = optional();
    options.time_format = optional();
    options.accept_inv_chars = optional().and_then(|value| value.chars().next());
    options.json_paths = optional();
    if let Some(columns) = optional() {
        given.columns = columns.split('|').map(str::to_owned).collect();
    }
    if let Some(columns) = optional() {
        let parts: Vec<&str> = columns.split('|').collect();
        given.table_columns = parts
            .chunks(2)
            .map(|pair| (pair[0].to_owned(), pair.get(1).copied().unwrap_or("INTEGER").to_owned(), flag('n')))
            .collect();
    }
    options.ignore_header = flags.bytes().find(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    options.blanks_as_null = flag('b');
    options.empty_as_null = flag('e');
    options.fill_record = flag('f');
    options.trim_blanks = flag('t');
    options.truncate_columns = flag('c');
    options.ignore_blank_lines = flag('l');
    options.escape = flag('s');
    options.remove_quotes = flag('q');
    options.round_dec = flag('r');
    options.explicit_ids = flag('i');
    options.accept_any_date = flag('d');
    options.serialize_to_json = flag('j');
    options.comp_rows = flag('R').then_some(1000);
    options.comp_update = flag('u').then_some(CompUpdate::On).or(flag('U').then_some(CompUpdate::Off));
    if flag('p') {
        options.comp_update = Some(CompUpdate::Preset);
    }
    options.stat_update = flag('v').then_some(true).or(flag('V').then_some(false));
    options.compression = flag('z').then_some(Compression::Zstd);
    options.encoding = flag('E').then_some(Encoding::Utf8);
    options.max_error = flag('m').then_some(serde::de::IgnoredAny);
    options.ignore_all_errors = flag('g').then_some(serde::de::IgnoredAny);
    options.manifest = flag('x').then_some(serde::de::IgnoredAny);
    given.auto = !flag('a');
    given
}

/// What the fuzz target does with its bytes.
pub fn check_bytes(data: &[u8]) {
    check(&read(data));
}
