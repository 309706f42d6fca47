//! The options of a COPY that go with its format.

use super::SqlError;
use super::copy::Format;

/// The options that a columnar file takes, besides the words of every COPY [D: COPY from columnar
/// data formats].
const COLUMNAR: &[&str] = &[
    "with",
    "format",
    "parquet",
    "orc",
    "iam_role",
    "region",
    "manifest",
    "statupdate",
    "acceptinvchars",
    "fillrecord",
    "explicit_ids",
    "serializetojson",
];

/// Refuses options that do not go with the format. The sentences are the stand-in's.
pub(super) fn check(format: &Format, given: &[String]) -> Result<(), SqlError> {
    // [D: Data format parameters]
    let refused: &[&str] = match format {
        Format::Csv => &["escape", "removequotes", "fixedwidth", "serializetojson"],
        Format::Delimited => &["quote", "serializetojson"],
        Format::Json(_) => &[
            "delimiter",
            "quote",
            "escape",
            "fillrecord",
            "ignoreblanklines",
            "null",
            "removequotes",
            "serializetojson",
        ],
        Format::NotLoaded(_) => &[],
    };
    let columnar = matches!(format, Format::NotLoaded("parquet" | "orc"));
    let bad = given
        .iter()
        .find(|word| refused.contains(&word.as_str()) || (columnar && !COLUMNAR.contains(&word.as_str())));
    if let Some(bad) = bad {
        let name = match format {
            Format::Csv => "CSV".to_owned(),
            Format::Delimited => "delimited text".to_owned(),
            Format::Json(_) => "JSON".to_owned(),
            Format::NotLoaded(name) => name.to_uppercase(),
        };
        let option = bad.to_uppercase();
        return Err(SqlError::new(format!("COPY of {name} does not support the option {option}")));
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
            ("FORMAT AS PARQUET MAXERROR 5", "MAXERROR"),
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
            "FORMAT AS ORC SERIALIZETOJSON EXPLICIT_IDS STATUPDATE ON ACCEPTINVCHARS AS '?'",
            "FORMAT AS JSON 'auto' ENCODING AS UTF8 TIMEFORMAT AS 'epochsecs' TRUNCATECOLUMNS BLANKSASNULL",
        ] {
            let sql = format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {options} JOB CREATE j");
            assert!(matches!(read(&sql), Ok(Statement::CreateJob(_))), "{options}: {:?}", read(&sql));
        }
    }
}
