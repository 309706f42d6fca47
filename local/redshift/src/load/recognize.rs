//! DATEFORMAT `'auto'` and TIMEFORMAT `'auto'` [D: Using automatic recognition].
//!
//! The dates of Redshift stem from PostgreSQL, which recognises the forms that the page lists. The
//! forms that are written most are parsed here; PostgreSQL is asked for the rest, once for each
//! file.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::sql::{CopyStatement, SqlError, TimeStyle};

use super::columns::{Column, TableColumns};
use super::{Row, RowError, convert, dates};

/// A type with dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Date,
    Timestamp,
    TimestampTz,
}

impl Kind {
    /// Returns the kind of a column.
    pub(super) fn of(column: &Column) -> Option<Self> {
        match column.ty {
            Type::DATE => Some(Self::Date),
            Type::TIMESTAMP => Some(Self::Timestamp),
            Type::TIMESTAMPTZ => Some(Self::TimestampTz),
            _ => None,
        }
    }

    /// Returns the option that gives the format of its values.
    pub(super) fn style(self, copy: &CopyStatement) -> &TimeStyle {
        match self {
            Self::Date => &copy.options.date_format,
            Self::Timestamp | Self::TimestampTz => &copy.options.time_format,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
        }
    }
}

/// Words that PostgreSQL takes for a time. The page does not list them.
const WORDS: &[&str] =
    &["now", "today", "tomorrow", "yesterday", "epoch", "infinity", "allballs", "undefined"];

/// Values that PostgreSQL has recognised, in its own form.
#[derive(Debug, Default)]
pub(super) struct Recognized(BTreeMap<Kind, BTreeMap<String, String>>);

impl Recognized {
    /// Returns a value in PostgreSQL's form; `zone` for one whose zone the column would lose.
    pub(super) fn get(&self, kind: Kind, value: &str) -> Option<String> {
        self.0.get(&kind)?.get(value).cloned()
    }

    #[cfg(test)]
    pub(super) fn with(kind: Kind, value: &str, form: &str) -> Self {
        Self(BTreeMap::from([(kind, BTreeMap::from([(value.to_owned(), form.to_owned())]))]))
    }

    /// Asks PostgreSQL for the values of a file that are not in the usual forms.
    pub(super) async fn ask(
        client: &Client,
        unknown: BTreeMap<Kind, BTreeSet<String>>,
    ) -> Result<Self, SqlError> {
        let mut found = Self::default();
        for (kind, values) in unknown {
            let values: Vec<String> = values.into_iter().collect();
            let rows = client
                .query(
                    "SELECT v, sluice_sys.recognize(v, $1) FROM unnest($2::text[]) AS v",
                    &[&kind.name(), &values],
                )
                .await
                .map_err(|error| crate::data_api::sql_error(&error))?;
            let forms = rows.iter().filter_map(|row| Some((row.get(0), row.get::<_, Option<String>>(1)?)));
            found.0.insert(kind, forms.collect());
        }
        Ok(found)
    }
}

/// Returns the values that only PostgreSQL can recognise.
pub(super) fn unknown(
    rows: &[Result<Row, RowError>],
    table: &TableColumns,
    copy: &CopyStatement,
) -> BTreeMap<Kind, BTreeSet<String>> {
    let kinds: Vec<(usize, Kind)> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(number, column)| Some((number, Kind::of(column)?)))
        .filter(|(_, kind)| *kind.style(copy) == TimeStyle::Auto)
        .collect();
    let mut found: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for row in rows.iter().flatten() {
        for (number, kind) in &kinds {
            let Some(value) = row.fields.get(*number).and_then(Option::as_deref) else { continue };
            let value = convert::trimmed(value, copy);
            let lower = value.to_ascii_lowercase();
            let is_word = WORDS.iter().any(|word| lower.contains(word));
            if !value.is_empty() && !is_word && !value.contains('\0') && !dates::is_standard(value) {
                found.entry(*kind).or_default().insert(value.to_owned());
            }
        }
    }
    found
}
