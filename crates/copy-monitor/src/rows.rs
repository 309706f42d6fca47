//! Rows of a result by the names of their columns.

use warehouse::batch::Page;
use warehouse::data_api::Cell;

use crate::moment::Moment;

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    page: &'a Page,
    cells: &'a [Cell],
}

/// The rows of a page.
pub(crate) fn rows(page: &Page) -> impl Iterator<Item = Row<'_>> {
    page.rows.iter().map(move |cells| Row { page, cells })
}

impl<'a> Row<'a> {
    fn cell(self, column: &str) -> Option<&'a Cell> {
        self.cells.get(self.page.position(column)?)
    }

    /// A whole number.
    pub(crate) fn integer(self, column: &str) -> Option<i64> {
        self.cell(column)?.integer()
    }

    /// A whole number that counts something.
    pub(crate) fn count(self, column: &str) -> u64 {
        self.integer(column).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    }

    /// Text, if there is any.
    pub(crate) fn text(self, column: &str) -> Option<&'a str> {
        self.cell(column)?.text().filter(|text| !text.is_empty())
    }

    /// A time, as the statements print it.
    pub(crate) fn time(self, column: &str) -> Option<Moment> {
        Moment::parse_sql(self.text(column)?)
    }

    /// Whether a flag is set.
    pub(crate) fn flag(self, column: &str) -> bool {
        match self.cell(column) {
            Some(Cell::Boolean(flag)) => *flag,
            Some(Cell::Text(text)) => matches!(text.as_str(), "t" | "true" | "1"),
            Some(Cell::Integer(number)) => *number != 0,
            _ => false,
        }
    }
}
