//! `CREATE TABLE` for a load, with types from a closed list.

use std::fmt;

use super::text::{Identifier, TableName};
use crate::value::{InvalidValue, escape};

/// A Redshift data type, from the list of "Data types" in the Redshift database developer guide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType(String);

/// Name, aliases, and arguments in parentheses.
const TYPES: &[(&str, &[&str], Arguments)] = &[
    ("SMALLINT", &["INT2"], Arguments::None),
    ("INTEGER", &["INT", "INT4"], Arguments::None),
    ("BIGINT", &["INT8"], Arguments::None),
    ("DECIMAL", &["NUMERIC"], Arguments::PrecisionAndScale),
    ("REAL", &["FLOAT4"], Arguments::None),
    ("DOUBLE PRECISION", &["FLOAT8", "FLOAT"], Arguments::None),
    ("BOOLEAN", &["BOOL"], Arguments::None),
    ("CHAR", &["CHARACTER", "NCHAR", "BPCHAR"], Arguments::Length(4096)),
    ("VARCHAR", &["CHARACTER VARYING", "NVARCHAR", "TEXT"], Arguments::Length(65535)),
    ("DATE", &[], Arguments::None),
    ("TIME", &["TIME WITHOUT TIME ZONE"], Arguments::None),
    ("TIMETZ", &["TIME WITH TIME ZONE"], Arguments::None),
    ("TIMESTAMP", &["TIMESTAMP WITHOUT TIME ZONE"], Arguments::None),
    ("TIMESTAMPTZ", &["TIMESTAMP WITH TIME ZONE"], Arguments::None),
    ("SUPER", &[], Arguments::None),
    ("VARBYTE", &["VARBINARY", "BINARY VARYING"], Arguments::Length(1_024_000)),
    ("GEOMETRY", &[], Arguments::None),
    ("GEOGRAPHY", &[], Arguments::None),
    ("HLLSKETCH", &[], Arguments::None),
    ("INTERVAL YEAR", &[], Arguments::None),
    ("INTERVAL MONTH", &[], Arguments::None),
    ("INTERVAL YEAR TO MONTH", &[], Arguments::None),
    ("INTERVAL DAY", &[], Arguments::None),
    ("INTERVAL HOUR", &[], Arguments::None),
    ("INTERVAL MINUTE", &[], Arguments::None),
    ("INTERVAL SECOND", &[], Arguments::Length(6)),
    ("INTERVAL DAY TO SECOND", &[], Arguments::Length(6)),
];

#[derive(Clone, Copy)]
enum Arguments {
    None,
    Length(u32),
    PrecisionAndScale,
}

impl ColumnType {
    /// Parses a type, in any case; errors name `property`.
    ///
    /// # Errors
    /// The text is not a Redshift type, or a number is out of range.
    pub fn new(property: &str, text: &str) -> Result<Self, InvalidValue> {
        let upper = text.trim().to_ascii_uppercase();
        let (name, arguments) = match upper.split_once('(') {
            None => (upper.as_str(), None),
            Some((name, rest)) => match rest.strip_suffix(')') {
                Some(inner) => (name, Some(inner)),
                None if rest.contains(')') => return Err(InvalidValue::new(property, not_a_type(text))),
                None => {
                    return Err(InvalidValue::new(
                        property,
                        format!("{} lacks a closing parenthesis", escape(text)),
                    ));
                }
            },
        };
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let found =
            TYPES.iter().find(|(canonical, aliases, _)| *canonical == name || aliases.contains(&&*name));
        let Some((canonical, _, allowed)) = found else {
            return Err(InvalidValue::new(property, not_a_type(text)));
        };
        let Some(arguments) = arguments else { return Ok(Self((*canonical).to_owned())) };
        let wrong = |expected: &str| {
            Err(InvalidValue::new(property, format!("{}: expected {expected}", escape(text))))
        };
        let numbers: Vec<&str> = arguments.split(',').map(str::trim).collect();
        let number = |text: &str| text.parse::<u32>().ok();
        match (allowed, numbers.as_slice()) {
            (Arguments::Length(_), ["MAX"]) if *canonical == "VARCHAR" => Ok(Self("VARCHAR(MAX)".to_owned())),
            (Arguments::Length(most), [one]) => match number(one) {
                Some(length) if (1..=*most).contains(&length) => Ok(Self(format!("{canonical}({length})"))),
                _ => wrong(&format!("a length from 1 to {most}")),
            },
            (Arguments::PrecisionAndScale, [one]) => match number(one) {
                Some(precision) if (1..=38).contains(&precision) => {
                    Ok(Self(format!("{canonical}({precision})")))
                }
                _ => wrong("a precision from 1 to 38"),
            },
            (Arguments::PrecisionAndScale, [one, two]) => match (number(one), number(two)) {
                (Some(precision), Some(scale))
                    if (1..=38).contains(&precision) && scale <= precision.min(37) =>
                {
                    Ok(Self(format!("{canonical}({precision},{scale})")))
                }
                _ => wrong("a precision from 1 to 38 and a scale of at most that"),
            },
            _ => wrong(&format!("other numbers in parentheses, or none, after {canonical}")),
        }
    }
}

/// Returns why a text is not a type. Two mistakes are frequent: a constraint after the type, and
/// commas between the columns.
fn not_a_type(text: &str) -> String {
    let text = text.trim();
    let upper = text.to_ascii_uppercase();
    let known = |prefix: &str| {
        let name = |name: &str| upper.strip_prefix(name).is_some_and(|rest| rest.starts_with(prefix));
        TYPES.iter().any(|(canonical, aliases, _)| name(canonical) || aliases.iter().any(|alias| name(alias)))
    };
    if known(",") {
        return format!("{} is not a data type of Redshift; separate columns with semicolons", escape(text));
    }
    if known(" ") || known("(") {
        return format!(
            "{}: after the type only NOT NULL may follow; for IDENTITY, keys, defaults and encodings create the \
             table yourself and leave out `CreateTable`; columns are separated by semicolons",
            escape(text)
        );
    }
    format!("{} is not a data type of Redshift; the types are {}", escape(text), list())
}

fn list() -> String {
    TYPES.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Identifier,
    /// Its type.
    pub data_type: ColumnType,
    /// True if it accepts NULL.
    pub nullable: bool,
}

/// `CREATE TABLE`, without `IF NOT EXISTS`: the caller has to know if the statement created the
/// table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    table: TableName,
    columns: Vec<Column>,
}

impl CreateTable {
    /// Creates the statement for a table with at least one column.
    ///
    /// # Errors
    /// There are no columns, more than 1600, or two with the same name in any case.
    pub fn new(table: TableName, columns: Vec<Column>) -> Result<Self, InvalidValue> {
        const PROPERTY: &str = "TableColumns";
        if columns.is_empty() {
            return Err(InvalidValue::new(PROPERTY, "a table needs at least one column"));
        }
        if columns.len() > 1600 {
            return Err(InvalidValue::new(
                PROPERTY,
                format!("{} columns; a Redshift table has at most 1600", columns.len()),
            ));
        }
        let mut seen = std::collections::HashSet::new();
        for column in &columns {
            if !seen.insert(column.name.as_str().to_lowercase()) {
                return Err(InvalidValue::new(
                    PROPERTY,
                    format!("the column {} is there twice", escape(column.name.as_str())),
                ));
            }
        }
        Ok(Self { table, columns })
    }

    /// Returns the columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl fmt::Display for CreateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TABLE {} (", self.table)?;
        for (index, column) in self.columns.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let null = if column.nullable { "" } else { " NOT NULL" };
            write!(f, "{separator}{} {}{null}", column.name, column.data_type)?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        ColumnType::new("P", text).map(|t| t.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn types_are_read_in_any_case_and_printed_in_one_form() {
        for (text, printed) in [
            ("int", "INTEGER"),
            (" varchar( 255 ) ", "VARCHAR(255)"),
            ("varchar(max)", "VARCHAR(MAX)"),
            ("numeric(10, 2)", "DECIMAL(10,2)"),
            ("decimal", "DECIMAL"),
            ("double  precision", "DOUBLE PRECISION"),
            ("timestamp with time zone", "TIMESTAMPTZ"),
            ("interval year to month", "INTERVAL YEAR TO MONTH"),
            ("interval day to second (3)", "INTERVAL DAY TO SECOND(3)"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(printed));
        }
    }

    #[test]
    fn invalid_type_is_rejected() {
        for text in [
            "",
            "money",
            "varchar(0)",
            "varchar(65536)",
            "decimal(39)",
            "decimal(5,6)",
            "int(4)",
            "varchar(10",
            "int); DROP TABLE x; --",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn frequent_mistakes_have_their_remedy() {
        for (text, problem) in [
            ("int, name varchar(20)", "separate columns with semicolons"),
            ("int identity(1,1)", "after the type only NOT NULL may follow; for IDENTITY"),
            ("decimal(10,2) default 0", "after the type only NOT NULL may follow"),
            ("varchar(20), value int", "columns are separated by semicolons"),
            ("varchar(20", "lacks a closing parenthesis"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&format!("`P`: \"{text}\"")) && error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_table_prints_with_quoted_names() {
        let table = TableName {
            schema: Identifier::new("P", "public").unwrap(),
            table: Identifier::new("P", "a\"b").unwrap(),
        };
        let column = |name: &str, nullable| Column {
            name: Identifier::new("P", name).unwrap(),
            data_type: ColumnType::new("P", "int").unwrap(),
            nullable,
        };
        let create =
            CreateTable::new(table.clone(), vec![column("id", false), column("value", true)]).unwrap();
        assert_eq!(
            create.to_string(),
            r#"CREATE TABLE "public"."a""b" ("id" INTEGER NOT NULL, "value" INTEGER)"#
        );
        assert!(CreateTable::new(table.clone(), vec![]).is_err());
        assert!(CreateTable::new(table, vec![column("id", true), column("ID", true)]).is_err());
    }
}
