//! The rows of a result, read by the names of their columns.

use lambda_kit::moment::Moment;
use warehouse::batch::Page;
use warehouse::data_api::Cell;

/// A row of a page.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    page: &'a Page,
    cells: &'a [Cell],
}

/// Returns the rows of a page.
pub(crate) fn rows(page: &Page) -> impl Iterator<Item = Row<'_>> {
    page.rows.iter().map(move |cells| Row { page, cells })
}

impl<'a> Row<'a> {
    fn cell(self, column: &str) -> Option<&'a Cell> {
        self.cells.get(self.page.position(column)?)
    }

    /// Returns a whole number.
    pub(crate) fn integer(self, column: &str) -> Option<i64> {
        self.cell(column)?.integer()
    }

    /// Returns a number that counts something; zero if there is none.
    pub(crate) fn count(self, column: &str) -> u64 {
        self.integer(column).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    /// Returns text that is not empty.
    pub(crate) fn text(self, column: &str) -> Option<&'a str> {
        self.cell(column)?.text().filter(|text| !text.is_empty())
    }

    /// Returns a time in the format that the statements print.
    pub(crate) fn time(self, column: &str) -> Option<Moment> {
        Moment::parse_sql(self.text(column)?)
    }

    /// Returns true if a flag is set.
    pub(crate) fn flag(self, column: &str) -> bool {
        match self.cell(column) {
            Some(Cell::Boolean(flag)) => *flag,
            Some(Cell::Text(text)) => matches!(text.as_str(), "t" | "true" | "1"),
            Some(Cell::Integer(number)) => *number != 0,
            _ => false,
        }
    }
}
