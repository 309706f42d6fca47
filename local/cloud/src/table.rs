//! Tables for people.

use cloud::sql::Rows;

/// A title, column names, and rows; a column of numbers is set to the right.
pub(crate) fn render(title: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.chars().count());
        cells.chain(columns.get(index).map(|name| name.chars().count())).max().unwrap_or(0)
    };
    let is_number = |cell: &String| cell.parse::<f64>().is_ok();
    let right = |index: usize| {
        let mut cells =
            rows.iter().filter_map(|row| row.get(index)).filter(|cell| !cell.is_empty()).peekable();
        cells.peek().is_some() && cells.all(is_number)
    };
    let line = |cells: Vec<&str>| {
        let set = cells.iter().enumerate().map(|(index, cell)| {
            let width = width(index);
            if right(index) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("  {}\n", set.collect::<Vec<_>>().join("   ").trim_end())
    };
    let mut text = format!("\n{title}\n\n");
    text.push_str(&line(columns.to_vec()));
    let rule: Vec<_> = (0..columns.len()).map(|index| "─".repeat(width(index))).collect();
    text.push_str(&line(rule.iter().map(String::as_str).collect()));
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    if rows.is_empty() {
        text.push_str("  (none)\n");
    }
    text
}

/// The result of a query as a table; trailing blanks of fixed-width columns are cut.
pub(crate) fn of_query(title: &str, found: &Rows) -> String {
    let columns: Vec<_> = found.columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = found
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("null").trim_end().to_owned()).collect())
        .collect();
    render(title, &columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right_and_text_to_the_left_without_trailing_blanks() {
        let rows = [["1", "a"], ["10", "long name"]].map(|row| row.map(str::to_owned).to_vec());
        let expected = "\nRows\n\n  id   name\n  ──   ─────────\n   1   a\n  10   long name\n";
        assert_eq!(render("Rows", &["id", "name"], &rows), expected);
    }

    #[test]
    fn a_table_without_rows_says_so() {
        assert!(render("Rows", &["id"], &[]).ends_with("  (none)\n"));
    }
}
