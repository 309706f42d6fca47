//! The options of a COPY that go with its format.

use super::SqlError;
use super::copy::Format;

/// The options that a columnar file takes, besides the words of every COPY [D: COPY from columnar
/// data formats, which excludes REGION by name].
const COLUMNAR: &[&str] = &[
    "with",
    "format",
    "parquet",
    "orc",
    "iam_role",
    "manifest",
    "statupdate",
    "acceptinvchars",
    "fillrecord",
    "explicit_ids",
    "serializetojson",
];

/// The options of text that neither JSON nor Avro has [D: Data format parameters, JSON, which lists
/// them; of Avro the page says nothing].
const TEXT: &[&str] =
    &["delimiter", "quote", "escape", "fixedwidth", "ignoreblanklines", "removequotes", "serializetojson"];

/// Refuses options that do not go with the format. The sentences are the stand-in's, but for that
/// of Parquet, which is known from the field.
pub(super) fn check(format: &Format, given: &[String]) -> Result<(), SqlError> {
    let is_given = |option: &&str| given.iter().any(|word| word == option);
    // [D: Data format parameters]
    let (name, refused): (&str, Vec<&str>) = match format {
        Format::Csv => ("CSV", vec!["escape", "removequotes", "fixedwidth", "serializetojson"]),
        Format::Delimited => ("delimited text", vec!["quote", "serializetojson"]),
        Format::Json(_) => ("JSON", text_and(["fillrecord", "null"])),
        Format::Avro(_) => ("AVRO", text_and(["ignoreheader", "encoding"])),
        Format::Parquet => ("PARQUET", columnar(given)),
        Format::NotLoaded("orc") => ("ORC", columnar(given)),
        Format::NotLoaded(name) => (*name, Vec::new()),
    };
    if let Some(bad) = refused.iter().find(|option| is_given(option)) {
        let option = bad.to_uppercase();
        return Err(SqlError::new(match format {
            // [K]
            Format::Parquet | Format::NotLoaded("orc") => {
                format!("{option} argument is not supported for {name} based COPY")
            }
            _ => format!("COPY of {name} does not support the option {option}"),
        }));
    }
    if let (Format::Avro(_), Some(option)) =
        (format, ["fillrecord", "null"].iter().find(|word| is_given(word)))
    {
        return Err(SqlError::not_imitated(format!("{} with AVRO", option.to_uppercase())));
    }
    if matches!(format, Format::Json(_)) && given.iter().any(|word| word == "ignoreheader") {
        return Err(SqlError::not_imitated("IGNOREHEADER with JSON"));
    }
    // [D: IGNOREALLERRORS]
    let both = ["maxerror", "ignoreallerrors"].iter().all(|word| given.iter().any(|given| given == word));
    if both {
        return Err(SqlError::new("COPY does not support MAXERROR together with IGNOREALLERRORS"));
    }
    Ok(())
}

fn text_and(more: [&'static str; 2]) -> Vec<&'static str> {
    TEXT.iter().copied().chain(more).collect()
}

/// The options that a columnar file does not take.
fn columnar(given: &[String]) -> Vec<&str> {
    given.iter().map(String::as_str).filter(|word| !COLUMNAR.contains(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Statement, read};

    #[test]
    fn options_of_another_format_are_refused() {
        for (options, word) in [
            ("CSV ESCAPE", "ESCAPE"),
            ("CSV REMOVEQUOTES", "REMOVEQUOTES"),
            ("CSV SERIALIZETOJSON", "SERIALIZETOJSON"),
            ("QUOTE '%'", "QUOTE"),
            ("JSON 'auto' NULL AS 'x'", "NULL"),
            ("JSON 'auto' FILLRECORD", "FILLRECORD"),
            ("FORMAT AS PARQUET ACCEPTANYDATE", "ACCEPTANYDATE"),
            ("FORMAT AS PARQUET MAXERROR 5", "MAXERROR argument is not supported for PARQUET based COPY"),
            (
                "FORMAT AS PARQUET REGION 'us-east-1'",
                "REGION argument is not supported for PARQUET based COPY",
            ),
            ("FORMAT AS PARQUET GZIP", "GZIP"),
            ("FORMAT AS PARQUET COMPUPDATE OFF", "COMPUPDATE"),
            ("AVRO 'auto' DELIMITER ','", "DELIMITER"),
            ("AVRO 'auto' IGNOREHEADER 1", "IGNOREHEADER"),
            ("AVRO 'auto' NULL AS 'x'", "does not imitate NULL with AVRO"),
            ("AVRO 'auto' FILLRECORD", "does not imitate FILLRECORD with AVRO"),
            ("AVRO 'nothing'", "AVRO takes 'auto'"),
            ("FORMAT AS ORC NOLOAD", "NOLOAD"),
            ("CSV MAXERROR 5 IGNOREALLERRORS", "IGNOREALLERRORS"),
            ("CSV MAXERROR 100001", "MAXERROR"),
            ("CSV COMPROWS 1", "COMPROWS"),
            ("CSV STATUPDATE PRESET", "PRESET"),
            ("CSV TIMEFORMAT 'AUTO'", "auto"),
            ("CSV TIMEFORMAT 'YYYY-MM-DD HH:MI:SSOF'", "time zone"),
        ] {
            let error = read(&format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {options}")).expect_err(options);
            assert!(error.message.contains(word), "{options}: {error}");
        }
    }

    #[test]
    fn a_job_takes_every_option_of_its_format() {
        for options in [
            "FORMAT AS CSV COMPUPDATE PRESET STATUPDATE OFF COMPROWS 1000",
            "CSV DATEFORMAT AS 'auto' TIMEFORMAT AS 'auto' ACCEPTANYDATE ROUNDEC FILLRECORD EMPTYASNULL",
            "FORMAT AS PARQUET FILLRECORD SERIALIZETOJSON",
            "FORMAT AS AVRO",
            "FORMAT AS AVRO 's3://b/paths.json' TIMEFORMAT AS 'epochmillisecs' ACCEPTANYDATE ROUNDEC EMPTYASNULL",
            "FORMAT AS ORC SERIALIZETOJSON EXPLICIT_IDS STATUPDATE ON ACCEPTINVCHARS AS '?'",
            "FORMAT AS JSON 'auto' ENCODING AS UTF8 TIMEFORMAT AS 'epochsecs' TRUNCATECOLUMNS BLANKSASNULL",
        ] {
            let sql = format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {options} JOB CREATE j");
            assert!(matches!(read(&sql), Ok(Statement::CreateJob(_))), "{options}: {:?}", read(&sql));
        }
    }
}
