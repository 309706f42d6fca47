//! CSV and delimited text [D: COPY, data format parameters].

use crate::sql::{CopyStatement, Format};

use super::{Row, RowError};

/// Splits a file into rows; a row that breaks the format is an error of that row. Ends after more
/// errors than the load tolerates.
pub(super) fn rows(
    text: &str,
    copy: &CopyStatement,
    columns: usize,
    tolerated: u64,
) -> Vec<Result<Row, RowError>> {
    let csv = copy.format == Format::Csv;
    let default = if csv { "," } else { "|" };
    let settings = Settings {
        csv,
        delimiter: copy.options.delimiter.as_deref().unwrap_or(default),
        quote: copy.options.quote.unwrap_or('"'),
        escape: copy.options.has("ESCAPE"),
        // [D: ESCAPE] `\N` is NULL as it is, as long as no other string is.
        keep_null: copy.options.null_as == "\\N",
        remove_quotes: copy.options.has("REMOVEQUOTES"),
    };
    let mut found = Vec::new();
    let mut errors = 0;
    let mut scanner = Scanner { text, at: 0, line: 1 };
    for _ in 0..copy.options.ignore_header {
        scanner.skip_line();
    }
    while let Some(record) = scanner.record(&settings) {
        // [D: IGNOREBLANKLINES] lines that only contain a line feed.
        if record.raw.is_empty() && copy.options.has("IGNOREBLANKLINES") {
            continue;
        }
        let row = check(record, copy, columns);
        errors += u64::from(row.is_err());
        found.push(row);
        if errors > tolerated {
            break;
        }
    }
    found
}

/// Numbers of fields: too many is 1202, too few is 1214 unless FILLRECORD is set and only trailing
/// ones are missing.
fn check(record: Record, copy: &CopyStatement, columns: usize) -> Result<Row, RowError> {
    let Record { line, raw, mut fields, broken } = record;
    let error = |code, message: &str, column: Option<usize>, raw: String| {
        let value = String::new();
        Err(RowError { line, raw, column, value, position: 0, code, message: message.to_owned() })
    };
    if let Some(message) = broken {
        return error(1216, message, None, raw);
    }
    // [D: Preparing your input data] the last field of a record may end in a delimiter; in CSV an
    // empty field follows it.
    let ends_in_delimiter =
        fields.len() == columns + 1 && fields.last().is_some_and(|last| last.as_deref() == Some(""));
    if ends_in_delimiter && copy.format != Format::Csv {
        fields.pop();
    }
    if fields.len() > columns {
        return error(1202, "Extra column(s) found", None, raw);
    }
    if fields.len() < columns {
        if !copy.options.has("FILLRECORD") {
            let column = Some(fields.len().min(columns.saturating_sub(1)));
            return error(1214, "Delimiter not found", column, raw);
        }
        fields.resize(columns, None);
    }
    Ok(Row { line, raw, fields })
}

struct Settings<'a> {
    csv: bool,
    delimiter: &'a str,
    quote: char,
    escape: bool,
    keep_null: bool,
    remove_quotes: bool,
}

struct Record {
    line: u64,
    raw: String,
    fields: Vec<Option<String>>,
    broken: Option<&'static str>,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: u64,
}

impl Scanner<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        self.line += u64::from(c == '\n');
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_line(&mut self) {
        while let Some(c) = self.next() {
            if c == '\n' {
                return;
            }
        }
    }

    /// Consumes `\n` or `\r\n`; returns true also at the end of the text.
    fn at_end_of_line(&mut self) -> bool {
        if self.rest().starts_with("\r\n") {
            self.next();
        }
        match self.peek() {
            Some('\n') => {
                self.next();
                true
            }
            None => true,
            Some(_) => false,
        }
    }

    /// Consumes the delimiter.
    fn at_delimiter(&mut self, settings: &Settings<'_>) -> bool {
        let found = self.rest().starts_with(settings.delimiter);
        self.at += if found { settings.delimiter.len() } else { 0 };
        found
    }

    /// Consumes blanks between a delimiter and a quotation mark of CSV, which are ignored unless
    /// they are the delimiter [D: Data format parameters, CSV].
    fn skip_blanks(&mut self, settings: &Settings<'_>, before: impl Fn(&str) -> bool) {
        let blank = |c: char| matches!(c, ' ' | '\t') && !settings.delimiter.starts_with(c);
        let rest = self.rest();
        let after = rest.trim_start_matches(blank);
        if settings.csv && before(after) {
            self.at += rest.len() - after.len();
        }
    }

    fn record(&mut self, settings: &Settings<'_>) -> Option<Record> {
        self.peek()?;
        let (start, line) = (self.at, self.line);
        let mut fields = Vec::new();
        let mut broken = None;
        loop {
            let (field, last) = match self.field(settings) {
                Ok(field) => field,
                Err(message) => {
                    broken = Some(message);
                    self.skip_line();
                    break;
                }
            };
            fields.push(Some(field));
            if last {
                break;
            }
        }
        let raw = self.text[start..self.at].trim_end_matches(['\r', '\n']).to_owned();
        Some(Record { line, raw, fields, broken })
    }

    /// One field, and true if it is the last of its record.
    fn field(&mut self, settings: &Settings<'_>) -> Result<(String, bool), &'static str> {
        let mut value = String::new();
        self.skip_blanks(settings, |after| after.starts_with(settings.quote));
        if settings.escape && settings.keep_null && self.rest().starts_with("\\N") {
            // `\N` is the whole field, or the escape of an N.
            let start = (self.at, self.line);
            self.at += 2;
            if self.at_end_of_line() {
                return Ok(("\\N".to_owned(), true));
            }
            if self.at_delimiter(settings) {
                return Ok(("\\N".to_owned(), false));
            }
            (self.at, self.line) = start;
        }
        let quoted =
            (settings.csv || settings.remove_quotes) && self.peek().is_some_and(|c| settings.opens(c));
        if quoted {
            let quote = self.next().unwrap_or(settings.quote);
            loop {
                match self.next() {
                    None => return Err("Invalid quote formatting for CSV"),
                    Some('\\') if settings.escape => value.extend(self.next()),
                    Some(c) if c == quote => {
                        if settings.csv && self.peek() == Some(quote) {
                            self.next();
                            value.push(quote);
                        } else {
                            break;
                        }
                    }
                    Some(c) => value.push(c),
                }
            }
            self.skip_blanks(settings, |_| true);
            if self.at_end_of_line() {
                return Ok((value, true));
            }
            if self.at_delimiter(settings) {
                return Ok((value, false));
            }
            return Err("Invalid quote formatting for CSV");
        }
        loop {
            if self.at_end_of_line() {
                return Ok((value, true));
            }
            if self.at_delimiter(settings) {
                return Ok((value, false));
            }
            match self.next() {
                None => return Ok((value, true)),
                Some('\\') if settings.escape => value.extend(self.next()),
                Some(c) => value.push(c),
            }
        }
    }
}

impl Settings<'_> {
    fn opens(&self, c: char) -> bool {
        if self.csv { c == self.quote } else { matches!(c, '"' | '\'') }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sql::{Statement, read};
    use super::*;

    /// Line and fields, or line and number of the error.
    type Parsed = Result<(u64, Vec<String>), (u64, i32)>;

    fn parse(options: &str, text: &str, columns: usize) -> Vec<Parsed> {
        let Ok(Statement::Copy(copy)) = read(&format!("COPY t FROM 's3://b/' IAM_ROLE 'r' {options}")) else {
            panic!("{options}")
        };
        rows(text, &copy, columns, u64::MAX)
            .into_iter()
            .map(|row| match row {
                Ok(row) => Ok((row.line, row.fields.into_iter().map(Option::unwrap_or_default).collect())),
                Err(error) => Err((error.line, error.code)),
            })
            .collect()
    }

    fn row(line: u64, fields: &[&str]) -> Parsed {
        Ok((line, fields.iter().map(|field| (*field).to_owned()).collect()))
    }

    #[test]
    fn csv_fields_may_hold_quotes_delimiters_and_line_breaks() {
        let text = "id,name\r\n1,\"a \"\"b\"\", c\"\r\n2,\"two\nlines\"\n3,last";
        assert_eq!(
            parse("CSV IGNOREHEADER 1", text, 2),
            [row(2, &["1", "a \"b\", c"]), row(3, &["2", "two\nlines"]), row(5, &["3", "last"])]
        );
    }

    #[test]
    fn rows_with_a_wrong_number_of_fields_are_errors() {
        assert_eq!(
            parse("CSV", "1,a\n2\n3,b,c\n4,d\n", 2),
            [row(1, &["1", "a"]), Err((2, 1214)), Err((3, 1202)), row(4, &["4", "d"])]
        );
        assert_eq!(parse("CSV FILLRECORD", "2\n", 2), [row(1, &["2", ""])]);
        assert_eq!(parse("CSV", "\"open,1\n", 2), [Err((1, 1216))]);
    }

    #[test]
    fn delimited_text_knows_escape_and_removequotes() {
        assert_eq!(parse("", "1|a\n", 2), [row(1, &["1", "a"])]);
        assert_eq!(parse("ESCAPE DELIMITER ','", "1,a\\,b\n", 2), [row(1, &["1", "a,b"])]);
        assert_eq!(parse("REMOVEQUOTES", "1|'a|b'\n", 2), [row(1, &["1", "a|b"])]);
        assert_eq!(
            parse("DELIMITER '\\t' IGNOREBLANKLINES", "1\ta\n\n2\tb\n \n", 2),
            [row(1, &["1", "a"]), row(3, &["2", "b"]), Err((4, 1214))]
        );
        assert_eq!(parse("DELIMITER '|~|'", "1|~|a|b\n", 2), [row(1, &["1", "a|b"])]);
    }

    #[test]
    fn escape_keeps_the_null_marker() {
        let text = "1,\\N,\\N\n2,7,a\\,b\n3,\\\\N,\\\\N\n4,\\Nb,\\\\\n";
        assert_eq!(
            parse("ESCAPE DELIMITER ','", text, 3),
            [
                row(1, &["1", "\\N", "\\N"]),
                row(2, &["2", "7", "a,b"]),
                row(3, &["3", "\\N", "\\N"]),
                row(4, &["4", "Nb", "\\"])
            ]
        );
        // With another NULL string it is the escape of an N.
        assert_eq!(parse("ESCAPE DELIMITER ',' NULL AS 'x'", "1,\\N\n", 2), [row(1, &["1", "N"])]);
    }

    #[test]
    fn trailing_delimiter_ends_a_delimited_line_only() {
        assert_eq!(parse("", "1|a|\n2|b\n", 2), [row(1, &["1", "a"]), row(2, &["2", "b"])]);
        assert_eq!(parse("", "1|a||\n2|b|c\n", 2), [Err((1, 1202)), Err((2, 1202))]);
        assert_eq!(parse("CSV", "1,a,\n", 2), [Err((1, 1202))]);
    }

    #[test]
    fn blanks_around_csv_quotes_are_ignored() {
        assert_eq!(parse("CSV", "1, \"a,b\" ,c d \n", 3), [row(1, &["1", "a,b", "c d "])]);
        assert_eq!(parse("CSV DELIMITER '\\t'", "1\t\"a\"\t\n", 3), [row(1, &["1", "a", ""])]);
    }

    #[test]
    fn splitting_ends_after_more_errors_than_tolerated() {
        let Ok(Statement::Copy(copy)) = read("COPY t FROM 's3://b/' IAM_ROLE 'r' CSV") else {
            panic!("valid")
        };
        let text = "1\n".repeat(1000);
        assert_eq!(rows(&text, &copy, 2, 0).len(), 1);
        assert_eq!(rows(&text, &copy, 2, 4).len(), 5);
    }
}
