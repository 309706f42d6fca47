//! `COPY` from S3 as a type, with every parameter that a COPY JOB may have.
//!
//! Sources: "COPY parameter reference" and "COPY JOB" of the Redshift database developer guide. A
//! job rejects MAXERROR, IGNOREALLERRORS, manifests, access keys and the default role, so this type
//! does not have them. It does not have SHAPEFILE either: a shapefile is three files, and a job would
//! load each of them by itself.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::text::{Identifier, Literal, RoleArn, TableName};
use crate::bucket::BucketName;
use crate::value::{InvalidValue, escape};

/// The location of the files: a bucket and a key prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    bucket: BucketName,
    prefix: String,
}

impl S3Location {
    /// Checks a bucket's name and a prefix.
    ///
    /// # Errors
    /// The bucket's name is invalid or has a period, or the prefix is invalid.
    pub fn new(bucket: &str, prefix: &str) -> Result<Self, InvalidValue> {
        let bucket = BucketName::new("SourceBucket", bucket)?;
        if prefix.len() > 1024 {
            return Err(InvalidValue::new(
                "SourcePrefix",
                format!("{} bytes long, and an S3 key has at most 1024", prefix.len()),
            ));
        }
        if prefix.starts_with('/') {
            return Err(InvalidValue::new(
                "SourcePrefix",
                format!("{} starts with a slash, and S3 keys usually do not; leave it out", escape(prefix)),
            ));
        }
        // Checked here, so that the error names the property. The statement creates the literal.
        Literal::new("SourcePrefix", prefix)?;
        Ok(Self { bucket, prefix: prefix.to_owned() })
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// Returns the prefix, which may be empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns a location below this one.
    ///
    /// # Errors
    /// The longer prefix is too long.
    pub fn below(&self, suffix: &str) -> Result<Self, InvalidValue> {
        Self::new(self.bucket.as_str(), &format!("{}{suffix}", self.prefix))
    }
}

impl fmt::Display for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format!("s3://{}/{}", self.bucket.as_str(), self.prefix);
        // `new` checked it: it has no NUL.
        Literal::new("SourcePrefix", &url).map_err(|_| fmt::Error)?.fmt(f)
    }
}

/// The format of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Format {
    /// `FORMAT AS CSV`.
    #[serde(rename = "CSV")]
    Csv,
    /// Text with a delimiter, pipe by default.
    #[serde(rename = "DELIMITED")]
    Delimited,
    /// Text with columns of fixed widths, which the option `FixedWidth` gives.
    #[serde(rename = "FIXEDWIDTH")]
    FixedWidth,
    /// `FORMAT AS JSON`, mapped by `JsonPaths` or `auto`.
    #[serde(rename = "JSON")]
    Json,
    /// `FORMAT AS AVRO`, mapped by `JsonPaths` or `auto`.
    #[serde(rename = "AVRO")]
    Avro,
    /// `FORMAT AS PARQUET`.
    #[serde(rename = "PARQUET")]
    Parquet,
    /// `FORMAT AS ORC`.
    #[serde(rename = "ORC")]
    Orc,
}

impl Format {
    fn is_columnar(self) -> bool {
        matches!(self, Self::Parquet | Self::Orc)
    }

    /// Returns the format's name, as a template gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Delimited => "DELIMITED",
            Self::FixedWidth => "FIXEDWIDTH",
            Self::Json => "JSON",
            Self::Avro => "AVRO",
            Self::Parquet => "PARQUET",
            Self::Orc => "ORC",
        }
    }
}

/// The compression of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Compression {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// lzop.
    Lzop,
    /// Zstandard.
    Zstd,
}

/// The encoding of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Encoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, by its byte order mark.
    Utf16,
    /// UTF-16, little endian.
    Utf16le,
    /// UTF-16, big endian.
    Utf16be,
    /// ISO-8859-1.
    Iso88591,
}

/// `COMPUPDATE`: the analysis of the first load into an empty table, which chooses how its columns
/// are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompUpdate {
    /// `PRESET`: by the columns' types, without a sample.
    Preset,
    /// `ON`: by a sample of the data.
    On,
    /// `OFF`.
    Off,
}

impl<'de> Deserialize<'de> for CompUpdate {
    /// Reads `PRESET`, or `ON` and `OFF` as words or as a boolean.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrFlag;
        impl Visitor<'_> for WordOrFlag {
            type Value = CompUpdate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("PRESET, ON or OFF")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<CompUpdate, E> {
                Ok(if on { CompUpdate::On } else { CompUpdate::Off })
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CompUpdate, E> {
                match text.to_ascii_uppercase().as_str() {
                    "PRESET" => Ok(CompUpdate::Preset),
                    "ON" | "TRUE" => Ok(CompUpdate::On),
                    "OFF" | "FALSE" => Ok(CompUpdate::Off),
                    _ => Err(E::custom(format!("expected PRESET, ON or OFF, found {}", escape(text)))),
                }
            }
        }
        deserializer.deserialize_any(WordOrFlag)
    }
}

/// The options of a COPY, by their names in the reference.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Options {
    /// `IGNOREHEADER`: lines to skip at the start of each file.
    pub ignore_header: Option<u32>,
    /// `DELIMITER`: one character or several, or one as `\t` or `\ddd` (octal, ASCII).
    pub delimiter: Option<String>,
    /// `QUOTE`, CSV only.
    pub quote: Option<char>,
    /// `NULL AS`.
    pub null_as: Option<String>,
    /// `DATEFORMAT`, for example `auto`.
    pub date_format: Option<String>,
    /// `TIMEFORMAT`, for example `auto` or `epochsecs`.
    pub time_format: Option<String>,
    /// `GZIP`, `BZIP2`, `LZOP` or `ZSTD`.
    pub compression: Option<Compression>,
    /// `ENCODING`.
    pub encoding: Option<Encoding>,
    /// `ACCEPTINVCHARS`: the character that replaces invalid ones.
    pub accept_inv_chars: Option<char>,
    /// `BLANKSASNULL`.
    pub blanks_as_null: bool,
    /// `EMPTYASNULL`.
    pub empty_as_null: bool,
    /// `FILLRECORD`.
    pub fill_record: bool,
    /// `TRIMBLANKS`.
    pub trim_blanks: bool,
    /// `TRUNCATECOLUMNS`.
    pub truncate_columns: bool,
    /// `IGNOREBLANKLINES`.
    pub ignore_blank_lines: bool,
    /// `ESCAPE`, delimited text only.
    pub escape: bool,
    /// `REMOVEQUOTES`, delimited text only.
    pub remove_quotes: bool,
    /// `ROUNDEC`: numbers are rounded, not cut off.
    pub round_dec: bool,
    /// `ACCEPTANYDATE`: a date or timestamp of no valid format is NULL.
    pub accept_any_date: bool,
    /// `SERIALIZETOJSON`, columnar files only: structures, lists and maps go into SUPER columns.
    pub serialize_to_json: bool,
    /// `EXPLICIT_IDS`.
    pub explicit_ids: bool,
    /// The mapping of JSON and Avro: `auto`, `auto ignorecase`, `noshred`, or an `s3://` URL.
    pub json_paths: Option<String>,
    /// `FIXEDWIDTH`: the columns as `name:width`, separated by commas.
    pub fixed_width: Option<String>,
    /// `COMPUPDATE`.
    pub comp_update: Option<CompUpdate>,
    /// `COMPROWS`: the size of the sample.
    pub comp_rows: Option<u32>,
    /// `STATUPDATE`.
    pub stat_update: Option<bool>,
    /// Rejected: a COPY JOB does not have it.
    pub max_error: Option<serde::de::IgnoredAny>,
    /// Rejected: a COPY JOB does not have it.
    pub ignore_all_errors: Option<serde::de::IgnoredAny>,
    /// Rejected: a COPY JOB does not have it.
    pub manifest: Option<serde::de::IgnoredAny>,
    /// Rejected: a job that loads nothing.
    pub no_load: Option<serde::de::IgnoredAny>,
    /// Rejected: a bucket with an event integration is in the warehouse's Region.
    pub region: Option<serde::de::IgnoredAny>,
    /// Rejected: its key would be part of the job's text.
    pub encrypted: Option<serde::de::IgnoredAny>,
}

/// A COPY into one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    table: TableName,
    columns: Vec<Identifier>,
    from: S3Location,
    role: RoleArn,
    format: Format,
    /// Everything after the role, rendered and checked by `new`.
    parameters: String,
}

impl Copy {
    /// Creates the statement. The options must fit the format and each other.
    ///
    /// # Errors
    /// The invalid option, as `Options.<Name>`, and the reason.
    pub fn new(
        table: TableName,
        columns: Vec<Identifier>,
        from: S3Location,
        role: RoleArn,
        format: Format,
        options: &Options,
    ) -> Result<Self, InvalidValue> {
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(column.as_str().to_lowercase())) {
            return Err(InvalidValue::new(
                "Columns",
                format!("the column {} is there twice", escape(twice.as_str())),
            ));
        }
        check_json_paths(&from, options)?;
        Ok(Self { table, columns, from, role, format, parameters: parameters(format, options)? })
    }

    /// Returns the table.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// Returns the columns that the files fill; none means all, in the table's order.
    pub fn columns(&self) -> &[Identifier] {
        &self.columns
    }

    /// Returns the location of the files.
    pub fn from(&self) -> &S3Location {
        &self.from
    }

    /// Returns the role that reads them.
    pub fn role(&self) -> &RoleArn {
        &self.role
    }

    /// Returns this COPY from another location with `NOLOAD`: Redshift checks it and loads nothing.
    /// Returns `None` for columnar files, for which Redshift has no NOLOAD.
    pub fn dry_run(&self, from: S3Location) -> Option<String> {
        (!self.format.is_columnar()).then(|| format!("{} NOLOAD", Self { from, ..self.clone() }))
    }
}

impl fmt::Display for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "COPY {}", self.table)?;
        for (index, column) in self.columns.iter().enumerate() {
            write!(f, "{}{column}", if index == 0 { " (" } else { ", " })?;
        }
        let close = if self.columns.is_empty() { "" } else { ")" };
        write!(f, "{close} FROM {} IAM_ROLE {}{}", self.from, self.role, self.parameters)
    }
}

/// Rejects a JSONPaths file below the prefix: the job would load its next version as data.
fn check_json_paths(from: &S3Location, options: &Options) -> Result<(), InvalidValue> {
    let Some((bucket, key)) = options
        .json_paths
        .as_deref()
        .and_then(|url| url.strip_prefix("s3://"))
        .and_then(|path| path.split_once('/'))
    else {
        return Ok(());
    };
    if bucket != from.bucket.as_str() || !key.starts_with(&from.prefix) {
        return Ok(());
    }
    Err(InvalidValue::new(
        "Options.JsonPaths",
        format!(
            "{} lies below the prefix of the job, which would load the file itself as data; \
             put it under another prefix",
            escape(key)
        ),
    ))
}

fn parameters(format: Format, options: &Options) -> Result<String, InvalidValue> {
    let name = |option: &str| format!("Options.{option}");
    let reject = |option: &str, why: &str| Err(InvalidValue::new(&name(option), why));
    for (given, option, instead) in [
        (
            options.max_error.is_some(),
            "MaxError",
            "a file with a bad row fails as a whole and is reported; fix the file and load it again",
        ),
        (
            options.ignore_all_errors.is_some(),
            "IgnoreAllErrors",
            "a file with a bad row fails as a whole and is reported",
        ),
        (options.manifest.is_some(), "Manifest", "a job finds its files by the prefix"),
        (options.no_load.is_some(), "NoLoad", "it would load nothing; set `Auto: false` to stop a job"),
        (
            options.region.is_some(),
            "Region",
            "an event integration needs the bucket in the warehouse's Region, so there is no other",
        ),
        (
            options.encrypted.is_some(),
            "Encrypted",
            "the key would be part of the job's text; use server-side encryption",
        ),
    ] {
        if given {
            return reject(option, &format!("a COPY JOB does not take this option: {instead}"));
        }
    }
    let text = matches!(format, Format::Csv | Format::Delimited);
    let lines = text || format == Format::FixedWidth;
    let mapped = matches!(format, Format::Json | Format::Avro);
    let row = !format.is_columnar();
    let is_json = format == Format::Json;
    // Of this list, columnar files take only ACCEPTINVCHARS, FILLRECORD, EXPLICIT_IDS, STATUPDATE
    // and SERIALIZETOJSON. Source: "COPY from columnar data formats" of the Redshift database
    // developer guide. JSON files take neither NULL AS nor FILLRECORD. Source: "Data format
    // parameters", JSON, "the following options aren't supported with JSON".
    const TEXT: &str = "CSV and DELIMITED files";
    const LINES: &str = "CSV, DELIMITED and FIXEDWIDTH files";
    const ROW: &str = "files that are not PARQUET or ORC";
    const NULLS: &str = "files that are not JSON, PARQUET or ORC";
    for (given, option, fits, only) in [
        (options.ignore_header.is_some(), "IgnoreHeader", lines, LINES),
        (options.delimiter.is_some(), "Delimiter", text, TEXT),
        (options.quote.is_some(), "Quote", format == Format::Csv, "CSV files"),
        (options.escape, "Escape", format == Format::Delimited, "DELIMITED files"),
        (options.remove_quotes, "RemoveQuotes", format == Format::Delimited, "DELIMITED files"),
        (options.fixed_width.is_some(), "FixedWidth", format == Format::FixedWidth, "FIXEDWIDTH files"),
        (options.json_paths.is_some(), "JsonPaths", mapped, "JSON and AVRO files"),
        (options.serialize_to_json, "SerializeToJson", format.is_columnar(), "PARQUET and ORC files"),
        (options.ignore_blank_lines, "IgnoreBlankLines", lines, LINES),
        (options.compression.is_some(), "Compression", row, ROW),
        (
            options.encoding.is_some(),
            "Encoding",
            lines || format == Format::Json,
            "CSV, DELIMITED, FIXEDWIDTH and JSON files",
        ),
        (options.null_as.is_some(), "NullAs", row && !is_json, NULLS),
        (options.fill_record, "FillRecord", !is_json, "files that are not JSON"),
        (options.date_format.is_some(), "DateFormat", row, ROW),
        (options.time_format.is_some(), "TimeFormat", row, ROW),
        (options.accept_any_date, "AcceptAnyDate", row, ROW),
        (options.blanks_as_null, "BlanksAsNull", row, ROW),
        (options.empty_as_null, "EmptyAsNull", row, ROW),
        (options.trim_blanks, "TrimBlanks", row, ROW),
        (options.truncate_columns, "TruncateColumns", row, ROW),
        (options.round_dec, "RoundDec", row, ROW),
        (options.comp_update.is_some(), "CompUpdate", row, ROW),
        (options.comp_rows.is_some(), "CompRows", row, ROW),
    ] {
        if given && !fits {
            return reject(option, &format!("works with {only} only, and Format is {}", format.name()));
        }
    }

    let mut sql = String::new();
    let quoted = |option: &str, value: &str| Literal::new(&name(option), value);
    match format {
        Format::Csv => sql.push_str(" FORMAT AS CSV"),
        Format::Delimited => {}
        Format::FixedWidth => {
            let columns = options.fixed_width.as_deref().unwrap_or_default();
            if columns.trim().is_empty() {
                return reject(
                    "FixedWidth",
                    "Format FIXEDWIDTH needs the columns as `name:width`, separated by commas",
                );
            }
            sql.push_str(&format!(" FIXEDWIDTH {}", quoted("FixedWidth", columns)?));
        }
        Format::Json | Format::Avro => {
            let paths = options.json_paths.as_deref().unwrap_or("auto");
            let words: &[&str] = match format {
                Format::Json => &["auto", "auto ignorecase", "noshred"],
                _ => &["auto", "auto ignorecase"],
            };
            if !words.contains(&paths) && !paths.starts_with("s3://") {
                return reject(
                    "JsonPaths",
                    &format!("expected {} or an s3:// URL, found {}", words.join(", "), escape(paths)),
                );
            }
            let word = if format == Format::Json { "JSON" } else { "AVRO" };
            sql.push_str(&format!(" FORMAT AS {word} {}", quoted("JsonPaths", paths)?));
        }
        Format::Parquet => sql.push_str(" FORMAT AS PARQUET"),
        Format::Orc => sql.push_str(" FORMAT AS ORC"),
    }
    if let Some(quote) = options.quote {
        let quote = quote.to_string();
        if quote.len() != 1 {
            return reject("Quote", &format!("expected one ASCII character, found {}", escape(&quote)));
        }
        sql.push_str(&format!(" QUOTE AS {}", quoted("Quote", &quote)?));
    }
    if let Some(delimiter) = &options.delimiter {
        let delimiter = unescape_delimiter(delimiter);
        if delimiter.is_empty() || delimiter.contains(['\n', '\r']) {
            return reject(
                "Delimiter",
                &format!(
                    "expected characters other than line breaks, or one as \\t or \\ddd, found {}",
                    escape(&delimiter)
                ),
            );
        }
        sql.push_str(&format!(" DELIMITER AS {}", quoted("Delimiter", &delimiter)?));
    }
    if let Some(lines) = options.ignore_header {
        sql.push_str(&format!(" IGNOREHEADER AS {lines}"));
    }
    if let Some(null) = &options.null_as {
        sql.push_str(&format!(" NULL AS {}", quoted("NullAs", null)?));
    }
    if let Some(date) = &options.date_format {
        sql.push_str(&format!(" DATEFORMAT AS {}", quoted("DateFormat", date)?));
    }
    if let Some(time) = &options.time_format {
        sql.push_str(&format!(" TIMEFORMAT AS {}", quoted("TimeFormat", time)?));
    }
    if let Some(compression) = options.compression {
        sql.push(' ');
        sql.push_str(match compression {
            Compression::Gzip => "GZIP",
            Compression::Bzip2 => "BZIP2",
            Compression::Lzop => "LZOP",
            Compression::Zstd => "ZSTD",
        });
    }
    if let Some(encoding) = options.encoding {
        sql.push_str(" ENCODING AS ");
        sql.push_str(match encoding {
            Encoding::Utf8 => "UTF8",
            Encoding::Utf16 => "UTF16",
            Encoding::Utf16le => "UTF16LE",
            Encoding::Utf16be => "UTF16BE",
            Encoding::Iso88591 => "ISO88591",
        });
    }
    if let Some(replacement) = options.accept_inv_chars {
        let replacement = replacement.to_string();
        if replacement.len() != 1 || replacement == "\0" {
            return reject(
                "AcceptInvChars",
                &format!("expected one ASCII character, found {}", escape(&replacement)),
            );
        }
        sql.push_str(&format!(" ACCEPTINVCHARS AS {}", quoted("AcceptInvChars", &replacement)?));
    }
    for (given, word) in [
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
            sql.push(' ');
            sql.push_str(word);
        }
    }
    if let Some(rows) = options.comp_rows {
        // Source: "Data load operations" of the Redshift database developer guide.
        if !(1000..=2_147_483_647).contains(&rows) {
            return reject("CompRows", &format!("expected 1000 to 2147483647 rows, found {rows}"));
        }
        sql.push_str(&format!(" COMPROWS {rows}"));
    }
    if let Some(update) = options.comp_update {
        sql.push_str(match update {
            CompUpdate::Preset => " COMPUPDATE PRESET",
            CompUpdate::On => " COMPUPDATE ON",
            CompUpdate::Off => " COMPUPDATE OFF",
        });
    }
    if let Some(on) = options.stat_update {
        sql.push_str(if on { " STATUPDATE ON" } else { " STATUPDATE OFF" });
    }
    Ok(sql)
}

/// Returns the characters of a delimiter: `\t` and `\ddd` (octal) are one character, and everything
/// else is literal.
///
/// Redshift accepts these escapes, but a literal with a doubled backslash may be two characters to
/// it. It accepts the character itself in any case. Source: "Data format parameters" of the
/// Redshift database developer guide ("multiple characters such as |~|", "Non-printing characters
/// are supported").
fn unescape_delimiter(text: &str) -> String {
    let octal = |digits: &str| {
        let is_octal = digits.len() == 3 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
        is_octal.then(|| u8::from_str_radix(digits, 8).ok()).flatten().filter(u8::is_ascii)
    };
    match text.strip_prefix('\\') {
        Some("t") => "\t".to_owned(),
        Some(digits) => octal(digits).map_or_else(|| text.to_owned(), |code| char::from(code).to_string()),
        None => text.to_owned(),
    }
}
