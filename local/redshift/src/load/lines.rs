//! CSV and delimited text [D: COPY, data format parameters].

use crate::sql::{CopyStatement, Format};

use super::{Row, RowError};

/// Splits a file into rows; a row that breaks the format is an error of that row.
pub(super) fn rows(text: &str, copy: &CopyStatement, columns: usize) -> Vec<Result<Row, RowError>> {
    let csv = copy.format == Format::Csv;
    let settings = Settings {
        csv,
        delimiter: copy.options.delimiter.unwrap_or(if csv { ',' } else { '|' }),
        quote: copy.options.quote.unwrap_or('"'),
        escape: copy.options.has("ESCAPE"),
        remove_quotes: copy.options.has("REMOVEQUOTES"),
    };
    let mut found = Vec::new();
    let mut scanner = Scanner { text, at: 0, line: 1 };
    for _ in 0..copy.options.ignore_header {
        scanner.skip_line();
    }
    while let Some(record) = scanner.record(&settings) {
        if record.raw.trim().is_empty() && copy.options.has("IGNOREBLANKLINES") {
            continue;
        }
        found.push(check(record, copy, columns));
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
    if fields.len() > columns {
        return error(1202, "Extra column(s) found", None, raw);
    }
    if fields.len() < columns {
        if !copy.options.has("FILLRECORD") {
            let column = Some(fields.len().min(columns - 1));
            return error(1214, "Delimiter not found", column, raw);
        }
        fields.resize(columns, None);
    }
    Ok(Row { line, raw, fields })
}

struct Settings {
    csv: bool,
    delimiter: char,
    quote: char,
    escape: bool,
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

    fn record(&mut self, settings: &Settings) -> Option<Record> {
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
    fn field(&mut self, settings: &Settings) -> Result<(String, bool), &'static str> {
        let mut value = String::new();
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
            if self.at_end_of_line() {
                return Ok((value, true));
            }
            if self.next() == Some(settings.delimiter) {
                return Ok((value, false));
            }
            return Err("Invalid quote formatting for CSV");
        }
        loop {
            if self.at_end_of_line() {
                return Ok((value, true));
            }
            match self.next() {
                None => return Ok((value, true)),
                Some(c) if c == settings.delimiter => return Ok((value, false)),
                Some('\\') if settings.escape => value.extend(self.next()),
                Some(c) => value.push(c),
            }
        }
    }
}

impl Settings {
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
        rows(text, &copy, columns)
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
            parse("DELIMITER '\\t' IGNOREBLANKLINES", "1\ta\n\n2\tb\n", 2),
            [row(1, &["1", "a"]), row(3, &["2", "b"])]
        );
    }
}
