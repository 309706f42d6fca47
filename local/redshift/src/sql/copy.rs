//! The grammar of `COPY … FROM 's3://…'` [D: COPY, COPY parameter reference, COPY JOB].

use super::lexer::Kind;
use super::{Cursor, SqlError, Statement, combination, job};

/// The authorisation of a COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// `IAM_ROLE 'arn'`.
    Arn(String),
    /// `IAM_ROLE default`.
    Default,
}

/// Format of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// `CSV`.
    Csv,
    /// Text with a delimiter, the default.
    Delimited,
    /// `JSON …`.
    Json(FieldMapping),
    /// `AVRO …`.
    Avro(FieldMapping),
    /// `PARQUET`.
    Parquet,
    /// A format of COPY that the stand-in parses but does not load.
    NotLoaded(&'static str),
}

impl Format {
    /// Returns true if a row has fields with names, so that a missing one is NULL.
    #[must_use]
    pub fn has_fields(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Avro(_))
    }

    /// As `SYS_LOAD_HISTORY.file_format` shows it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Csv | Self::Delimited => "text",
            Self::Json(_) => "json",
            Self::Avro(_) => "avro",
            Self::Parquet => "parquet",
            Self::NotLoaded(name) => name,
        }
    }
}

/// The argument of `JSON` and `AVRO`: how fields reach columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldMapping {
    /// `'auto'`.
    Auto,
    /// `'auto ignorecase'`.
    AutoIgnoreCase,
    /// `'noshred'`.
    NoShred,
    /// `'s3://bucket/jsonpaths.json'`.
    Paths(String),
}

/// Compression of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    None,
    /// `GZIP`.
    Gzip,
    /// `BZIP2`.
    Bzip2,
    /// `ZSTD`.
    Zstd,
    /// `LZOP`.
    Lzop,
}

/// `DATEFORMAT` or `TIMEFORMAT`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TimeStyle {
    /// Left out: `YYYY-MM-DD` and `YYYY-MM-DD HH:MI:SS`.
    #[default]
    Standard,
    /// `'auto'`.
    Auto,
    /// `'epochsecs'`.
    EpochSeconds,
    /// `'epochmillisecs'`.
    EpochMilliseconds,
    /// A format string.
    Pattern(String),
}

/// The options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// `DELIMITER`, one character or several.
    pub delimiter: Option<String>,
    /// `QUOTE`.
    pub quote: Option<char>,
    /// `IGNOREHEADER`.
    pub ignore_header: u64,
    /// `NULL AS`.
    pub null_as: String,
    /// `DATEFORMAT`.
    pub date_format: TimeStyle,
    /// `TIMEFORMAT`.
    pub time_format: TimeStyle,
    /// Compression.
    pub compression: Compression,
    /// `ENCODING`, in lower case.
    pub encoding: String,
    /// `ACCEPTINVCHARS`, with its replacement.
    pub accept_inv_chars: Option<char>,
    /// `REGION`.
    pub region: Option<String>,
    /// `MAXERROR`.
    pub max_error: u64,
    /// Options without a value, in upper case.
    pub flags: std::collections::BTreeSet<&'static str>,
}

impl CopyOptions {
    /// Returns true if an option without a value is set.
    #[must_use]
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            delimiter: None,
            quote: None,
            ignore_header: 0,
            null_as: "\\N".to_owned(),
            date_format: TimeStyle::Standard,
            time_format: TimeStyle::Standard,
            compression: Compression::None,
            encoding: "utf8".to_owned(),
            accept_inv_chars: None,
            region: None,
            max_error: 0,
            flags: std::collections::BTreeSet::new(),
        }
    }
}

/// `COPY table [(columns)] FROM 's3://bucket/prefix' …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatement {
    /// Schema, if given.
    pub schema: Option<String>,
    /// Table.
    pub table: String,
    /// Columns, in their order; all of the table if empty.
    pub columns: Vec<String>,
    /// Bucket.
    pub bucket: String,
    /// Key prefix; matches every key that begins with it.
    pub prefix: String,
    /// Authorisation.
    pub role: Role,
    /// Format.
    pub format: Format,
    /// Options.
    pub options: CopyOptions,
}

/// Options without a value that are imitated, or do not change the loaded rows.
const FLAGS: &[&str] = &[
    "ACCEPTANYDATE",
    "BLANKSASNULL",
    "EMPTYASNULL",
    "ESCAPE",
    "EXPLICIT_IDS",
    "FILLRECORD",
    "IGNOREALLERRORS",
    "IGNOREBLANKLINES",
    "MANIFEST",
    "NOLOAD",
    "REMOVEQUOTES",
    "ROUNDEC",
    "SERIALIZETOJSON",
    "TRIMBLANKS",
    "TRUNCATECOLUMNS",
];

/// Parses the rest of a statement after `COPY`.
pub(super) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let mut table = cursor.identifier()?;
    let mut schema = None;
    if cursor.accept_symbol('.') {
        schema = Some(table);
        table = cursor.identifier()?;
    }
    let mut columns = Vec::new();
    if cursor.accept_symbol('(') {
        loop {
            columns.push(cursor.identifier()?);
            if !cursor.accept_symbol(',') {
                break;
            }
        }
        if !cursor.accept_symbol(')') {
            return Err(cursor.error());
        }
    }
    cursor.expect("from")?;
    let (bucket, prefix) = location(cursor)?;
    let mut copy = CopyStatement {
        schema,
        table,
        columns,
        bucket,
        prefix,
        role: Role::Default,
        format: Format::Delimited,
        options: CopyOptions::default(),
    };
    let (mut role, mut given) = (None, Vec::new());
    while let Some(token) = cursor.peek().filter(|token| !token.is("job")) {
        if let Kind::Word(word) = &token.kind {
            given.push(word.clone());
        }
        option(cursor, &mut copy, &mut role)?;
    }
    combination::check(&copy.format, &given)?;
    copy.role = role.ok_or_else(no_role)?;
    if cursor.peek().is_some() {
        return job_clause(cursor, copy);
    }
    Ok(Statement::Copy(Box::new(copy)))
}

fn no_role() -> SqlError {
    SqlError::new("no credentials: COPY needs IAM_ROLE here")
}

fn location(cursor: &mut Cursor<'_>) -> Result<(String, String), SqlError> {
    let source = cursor.text()?;
    let Some(path) = source.strip_prefix("s3://") else {
        return Err(SqlError::not_imitated(format!("COPY from {source:?}, only from s3://bucket/prefix")));
    };
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(SqlError::new(format!("the S3 location {source:?} names no bucket")));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

fn job_clause(cursor: &mut Cursor<'_>, copy: CopyStatement) -> Result<Statement, SqlError> {
    let start = cursor.peek().map_or(cursor.sql.len(), |token| token.span.start);
    cursor.expect("job")?;
    cursor.expect("create")?;
    let name = job::name(cursor)?;
    let auto = job::auto(cursor)?.unwrap_or(true);
    cursor.end()?;
    // [D: COPY JOB] not supported in a job.
    let refused = if copy.role == Role::Default {
        Some("the default IAM role")
    } else if copy.options.has("MANIFEST") {
        Some("manifest files")
    } else if copy.options.max_error > 0 {
        Some("MAXERROR")
    } else if copy.options.has("IGNOREALLERRORS") {
        Some("IGNOREALLERRORS")
    } else {
        None
    };
    if let Some(what) = refused {
        return Err(SqlError::new(format!("COPY JOB does not support {what}")));
    }
    Ok(Statement::CreateJob(Box::new(super::JobCreate {
        name,
        auto,
        copy,
        copy_text: cursor.sql[..start].trim().to_owned(),
        job_text: cursor.sql.trim().trim_end_matches(';').trim().to_owned(),
    })))
}

fn option(
    cursor: &mut Cursor<'_>,
    copy: &mut CopyStatement,
    role: &mut Option<Role>,
) -> Result<(), SqlError> {
    let Some(Kind::Word(word)) = cursor.peek().map(|token| token.kind.clone()) else {
        return Err(cursor.error());
    };
    cursor.at += 1;
    let options = &mut copy.options;
    match word.as_str() {
        "with" => {}
        "iam_role" => {
            *role = Some(match cursor.accept_text() {
                Some(arn) => Role::Arn(arn),
                None => {
                    cursor.expect("default")?;
                    Role::Default
                }
            });
        }
        "credentials" | "access_key_id" | "secret_access_key" | "session_token" => {
            return Err(SqlError::not_imitated("COPY with access keys; use IAM_ROLE"));
        }
        "format" => {
            cursor.accept("as");
        }
        "csv" => copy.format = Format::Csv,
        "delimiter" => options.delimiter = Some(characters(cursor)?),
        "quote" => {
            let text = characters(cursor)?;
            let mut rest = text.chars();
            options.quote = rest.next();
            if rest.next().is_some() {
                return Err(SqlError::new(format!("QUOTE must be a single character; found {text:?}")));
            }
        }
        "json" => copy.format = Format::Json(field_mapping(cursor, "JSON")?),
        "avro" => copy.format = Format::Avro(field_mapping(cursor, "AVRO")?),
        "parquet" => copy.format = Format::Parquet,
        "orc" => copy.format = Format::NotLoaded("orc"),
        "shapefile" => copy.format = Format::NotLoaded("shapefile"),
        "fixedwidth" => {
            cursor.accept("as");
            cursor.text()?;
            copy.format = Format::NotLoaded("fixedwidth");
        }
        "ignoreheader" => {
            cursor.accept("as");
            options.ignore_header = cursor.accept_number().ok_or_else(|| cursor.error())?;
        }
        "maxerror" => {
            cursor.accept("as");
            options.max_error = cursor.accept_number().ok_or_else(|| cursor.error())?;
            if options.max_error > 100_000 {
                return Err(SqlError::new(format!(
                    "MAXERROR must be from 0 to 100000; found {}",
                    options.max_error
                )));
            }
        }
        "null" => {
            cursor.accept("as");
            options.null_as = cursor.text()?;
        }
        "dateformat" => options.date_format = style(cursor)?,
        "timeformat" => options.time_format = style(cursor)?,
        "encoding" => {
            cursor.accept("as");
            options.encoding = match cursor.accept_text() {
                Some(name) => name.to_lowercase(),
                None => cursor.identifier()?,
            };
        }
        "acceptinvchars" => {
            cursor.accept("as");
            let replacement = cursor.accept_text().unwrap_or_else(|| "?".to_owned());
            options.accept_inv_chars = replacement.chars().next();
        }
        "region" => {
            cursor.accept("as");
            options.region = Some(cursor.text()?);
        }
        "gzip" => options.compression = Compression::Gzip,
        "bzip2" => options.compression = Compression::Bzip2,
        "zstd" => options.compression = Compression::Zstd,
        "lzop" => options.compression = Compression::Lzop,
        // These control statistics and storage, which PostgreSQL manages itself.
        "compupdate" | "statupdate" => {
            let _value = cursor.accept("on")
                || cursor.accept("off")
                || cursor.accept("true")
                || cursor.accept("false")
                || (word == "compupdate" && cursor.accept("preset"));
        }
        "comprows" => {
            let rows = cursor.accept_number().ok_or_else(|| cursor.error())?;
            if !(1000..=2_147_483_647).contains(&rows) {
                return Err(SqlError::new(format!("COMPROWS must be from 1000 to 2147483647; found {rows}")));
            }
        }
        other => {
            let upper = other.to_ascii_uppercase();
            let Some(flag) = FLAGS.iter().find(|flag| **flag == upper) else {
                cursor.at -= 1;
                return Err(cursor.error());
            };
            options.flags.insert(flag);
        }
    }
    Ok(())
}

/// One character, perhaps written as an escape: `\t`, `\n`, `\001`, or several such as `|~|` [D:
/// Data format parameters, DELIMITER].
fn characters(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    cursor.accept("as");
    let text = cursor.text()?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (None, _) => return Err(SqlError::new("DELIMITER and QUOTE need a character; found an empty text")),
        (Some('\\'), Some(escape)) => {
            let rest = characters.as_str();
            let named: Option<char> = match escape {
                't' => Some('\t'),
                'n' => Some('\n'),
                'r' => Some('\r'),
                'b' => Some('\u{8}'),
                'f' => Some('\u{c}'),
                'v' => Some('\u{b}'),
                '\\' => Some('\\'),
                _ => None,
            };
            if let (Some(named), true) = (named, rest.is_empty()) {
                return Ok(named.to_string());
            }
            if let Some(octal) = u8::from_str_radix(&text[1..], 8).ok().filter(|_| text.len() <= 4) {
                return Ok(char::from(octal).to_string());
            }
        }
        _ => {}
    }
    if text.contains(['\n', '\r']) {
        return Err(SqlError::new(format!("DELIMITER and QUOTE take no line break; found {text:?}")));
    }
    Ok(text)
}

fn style(cursor: &mut Cursor<'_>) -> Result<TimeStyle, SqlError> {
    cursor.accept("as");
    let text = cursor.text()?;
    let upper = text.to_ascii_uppercase();
    // [D: DATEFORMAT, TIMEFORMAT] the words are case-sensitive.
    Ok(match text.as_str() {
        "auto" => TimeStyle::Auto,
        "epochsecs" => TimeStyle::EpochSeconds,
        "epochmillisecs" => TimeStyle::EpochMilliseconds,
        _ if matches!(upper.as_str(), "AUTO" | "EPOCHSECS" | "EPOCHMILLISECS") => {
            return Err(SqlError::new(format!(
                "{text:?} is no date or time format: write {} in lower case",
                text.to_ascii_lowercase()
            )));
        }
        // [D: DATEFORMAT and TIMEFORMAT strings] "you can't include a time zone specifier".
        _ if upper.contains("TZ") || upper.contains("OF") => {
            return Err(SqlError::new(format!(
                "the format {text:?} has a time zone, which DATEFORMAT and TIMEFORMAT do not support; use 'auto'"
            )));
        }
        _ => TimeStyle::Pattern(text),
    })
}

/// [D: Data format parameters, AVRO and JSON] the default is `'auto'`.
fn field_mapping(cursor: &mut Cursor<'_>, format: &str) -> Result<FieldMapping, SqlError> {
    cursor.accept("as");
    let text = cursor.accept_text().unwrap_or_else(|| "auto".to_owned());
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(FieldMapping::Auto),
        "auto ignorecase" => Ok(FieldMapping::AutoIgnoreCase),
        "noshred" => Ok(FieldMapping::NoShred),
        _ if text.starts_with("s3://") => Ok(FieldMapping::Paths(text)),
        _ => Err(SqlError::new(format!(
            "{format} takes 'auto', 'auto ignorecase', 'noshred' or the s3:// path of a JSONPaths file; found {text:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{JobCommand, read};
    use super::*;

    fn copy(sql: &str) -> CopyStatement {
        match read(sql) {
            Ok(Statement::Copy(copy)) => *copy,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn a_copy_with_its_options_is_understood() {
        let sql = "COPY \"public\".\"sales\" (id, \"name\") FROM 's3://b/in/' IAM_ROLE 'arn:aws:iam::222222222222:role/r' \
                   FORMAT AS CSV DELIMITER AS ';' QUOTE '%' IGNOREHEADER 1 NULL AS 'NULL' TIMEFORMAT 'auto' GZIP \
                   EMPTYASNULL BLANKSASNULL REGION 'us-east-1' ENCODING UTF8 COMPUPDATE OFF;";
        let copy = copy(sql);
        assert_eq!((copy.schema.as_deref(), copy.table.as_str()), (Some("public"), "sales"));
        assert_eq!(copy.columns, ["id", "name"]);
        assert_eq!((copy.bucket.as_str(), copy.prefix.as_str()), ("b", "in/"));
        assert_eq!(copy.format, Format::Csv);
        assert_eq!((copy.options.delimiter.as_deref(), copy.options.quote), (Some(";"), Some('%')));
        assert_eq!(copy.options.time_format, TimeStyle::Auto);
        assert!(copy.options.has("EMPTYASNULL"));
    }

    #[test]
    fn a_job_is_created_with_auto_on_unless_said_otherwise() {
        let base = "COPY t FROM 's3://b/in/' IAM_ROLE 'arn:aws:iam::222222222222:role/r' CSV";
        for (clause, auto) in [("", true), (" AUTO ON", true), (" AUTO OFF", false)] {
            match read(&format!("{base} JOB CREATE j{clause}")) {
                Ok(Statement::CreateJob(job)) => {
                    assert_eq!((job.name.as_str(), job.auto, job.copy_text.as_str()), ("j", auto, base));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn unsupported_options_of_a_copy_job_are_rejected() {
        for (options, word) in [
            ("IAM_ROLE default CSV", "default IAM role"),
            ("IAM_ROLE 'r' CSV MAXERROR 5", "MAXERROR"),
            ("IAM_ROLE 'r' CSV IGNOREALLERRORS", "IGNOREALLERRORS"),
            ("IAM_ROLE 'r' CSV MANIFEST", "manifest"),
        ] {
            let error = read(&format!("COPY t FROM 's3://b/' {options} JOB CREATE j")).expect_err(options);
            assert!(error.message.contains(word), "{error}");
        }
    }

    #[test]
    fn a_job_name_with_a_hyphen_is_refused() {
        for name in ["a-b", "\"a-b\""] {
            let error = read(&format!("COPY JOB DROP {name}")).expect_err(name);
            assert!(error.message.contains("hyphen"), "{error}");
        }
    }

    #[test]
    fn a_delimiter_may_be_an_escape() {
        for (written, delimiter) in
            [("'\\t'", "\t"), ("'\\\\t'", "\t"), ("'\\\\001'", "\u{1}"), ("'|~|'", "|~|"), ("'\\\\'", "\\")]
        {
            let sql = format!("COPY t FROM 's3://b/' IAM_ROLE 'r' DELIMITER AS {written}");
            assert_eq!(copy(&sql).options.delimiter.as_deref(), Some(delimiter), "{written}");
        }
        for refused in ["DELIMITER ''", "DELIMITER 'a\\nb'", "CSV QUOTE '||'"] {
            assert!(read(&format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {refused}")).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_table_may_be_called_job() {
        assert_eq!(copy("COPY job FROM 's3://b/' IAM_ROLE 'r' CSV").table, "job");
        assert_eq!(read("COPY JOB RUN x").expect("a command"), Statement::Job(JobCommand::Run("x".into())));
    }

    #[test]
    fn a_syntax_error_names_the_word_and_its_position() {
        let error = read("COPY t FROM 's3://b/' IAM_ROLE 'r' CSV BOGUS").expect_err("BOGUS");
        assert_eq!(error.to_string(), "ERROR: syntax error at or near \"BOGUS\"\n  Position: 40");
    }
}
