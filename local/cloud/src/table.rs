//! Tables in terminal output, at most [`WIDTH`] columns wide.

use cloud::sql::Rows;

/// The widest line, except for a single word that is longer.
const WIDTH: usize = 100;
/// The margin of every line.
const MARGIN: usize = 2;
/// The space between two columns of a table.
const GAP: usize = 3;

/// Formats a title, column names and rows as a table. Columns of numbers are aligned right. Rows
/// that are too wide for a table are formatted one value a line.
pub(crate) fn render(title: &str, columns: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..columns.len()).map(|index| width(index, columns, rows)).collect();
    let total = MARGIN + widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    let body = if total <= WIDTH {
        table(columns, rows, &widths)
    } else if columns.len() == 2 {
        pairs(rows.iter().map(|row| (cell(row, 0), cell(row, 1))))
    } else {
        let record = |row: &Vec<String>| pairs(columns.iter().copied().zip(row.iter().map(String::as_str)));
        rows.iter().map(record).collect::<Vec<_>>().join("\n")
    };
    format!("\n{title}\n\n{body}")
}

/// Formats the result of a query; trailing blanks of fixed-width columns are cut.
pub(crate) fn of_query(title: &str, found: &Rows) -> String {
    let columns: Vec<_> = found.columns.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = found
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("null").trim_end().to_owned()).collect())
        .collect();
    render(title, &columns, &rows)
}

/// Formats labels and values, the values in one column. A value that does not fit goes below its
/// label.
pub(crate) fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<_> = pairs.collect();
    let labels = pairs.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let room = WIDTH.saturating_sub(MARGIN + labels + GAP);
    let line = |(label, value): &(&str, &str)| {
        if value.chars().count() <= room {
            return format!("{:MARGIN$}{label:<labels$}{:GAP$}{value}", "", "").trim_end().to_owned() + "\n";
        }
        let indent = MARGIN + GAP;
        let lines = wrapped(value, WIDTH - indent);
        let lines: String = lines.iter().map(|line| format!("{:indent$}{line}\n", "")).collect();
        format!("{:MARGIN$}{label}\n{lines}", "")
    };
    pairs.iter().map(line).collect()
}

/// Formats a label and a text that continues below its own start.
pub(crate) fn paragraph(label: &str, text: &str) -> String {
    const INDENT: usize = 11;
    let label = format!("{label}:");
    let lines = wrapped(text, WIDTH - INDENT - MARGIN);
    let first = lines.first().map(String::as_str).unwrap_or_default();
    let mut paragraph = format!("{:MARGIN$}{label:<INDENT$}{first}\n", "");
    for line in lines.iter().skip(1) {
        paragraph.push_str(&format!("{:width$}{line}\n", "", width = MARGIN + INDENT));
    }
    paragraph
}

fn table(columns: &[&str], rows: &[Vec<String>], widths: &[usize]) -> String {
    let numbers: Vec<bool> = (0..columns.len()).map(|index| is_numeric(index, rows)).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(widths).zip(&numbers).map(|((cell, width), number)| {
            if *number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let cells = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        format!("{:MARGIN$}{}\n", "", cells.trim_end())
    };
    let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
    let mut text = line(&mut columns.iter().copied());
    text.push_str(&line(&mut rules.iter().map(String::as_str)));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    if rows.is_empty() {
        text.push_str("  (none)\n");
    }
    text
}

fn cell(row: &[String], index: usize) -> &str {
    row.get(index).map(String::as_str).unwrap_or_default()
}

fn width(index: usize, columns: &[&str], rows: &[Vec<String>]) -> usize {
    let cells = rows.iter().map(|row| cell(row, index)).chain(columns.get(index).copied());
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn is_numeric(index: usize, rows: &[Vec<String>]) -> bool {
    let mut cells = rows.iter().map(|row| cell(row, index)).filter(|cell| !cell.is_empty()).peekable();
    cells.peek().is_some() && cells.all(|cell| cell.parse::<f64>().is_ok())
}

/// The word itself, or the items of a list with commas that is longer than `width`.
fn items(word: &str, width: usize) -> Vec<&str> {
    if word.chars().count() > width { word.split_inclusive(',').collect() } else { vec![word] }
}

/// Lines of whole words. A list with commas that is longer than `width` has a line for each item;
/// any other longer word has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace().flat_map(|word| items(word, width)) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    fn longest_line(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn numbers_are_aligned_right_and_text_left() {
        let expected = "\nRows\n\n  id   name\n  ──   ─────────\n   1   a\n  10   long name\n";
        assert_eq!(render("Rows", &["id", "name"], &rows(&[["1", "a"], ["10", "long name"]])), expected);
    }

    #[test]
    fn table_without_rows_shows_none() {
        assert!(render("Rows", &["id"], &[]).ends_with("  (none)\n"));
    }

    #[test]
    fn long_value_of_a_pair_goes_below_its_label() {
        let arn = format!("arn:aws:redshift:us-east-1:111111111111:integration:{}", "x".repeat(34));
        let longer = rows(&[["IntegrationArn", &arn], ["Name", "short"]]);
        let text = render("Outputs", &["output", "value"], &longer);
        assert_eq!(text, format!("\nOutputs\n\n  IntegrationArn\n     {arn}\n  Name             short\n"));
    }

    #[test]
    fn wide_rows_become_one_value_a_line() {
        let message = "Invalid digit, Value 'x', Pos 0, Type: Integer ".repeat(4);
        let found = rows(&[["a.csv", "3", &message], ["b.csv", "4", "short"]]);
        let text = render("Errors", &["file_name", "line", "message"], &found);
        assert!(longest_line(&text) <= WIDTH, "{text}");
        assert!(
            text.starts_with("\nErrors\n\n  file_name   a.csv\n  line        3\n  message\n     Invalid"),
            "{text}"
        );
        assert!(text.ends_with("\n\n  file_name   b.csv\n  line        4\n  message     short\n"), "{text}");
    }

    #[test]
    fn paragraph_continues_below_its_start() {
        let text = paragraph("Impact", &"word ".repeat(30));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines[0].starts_with("  Impact:    word") && lines[1].starts_with("             word"),
            "{text}"
        );
        assert!(longest_line(&text) <= WIDTH, "{text}");
    }

    #[test]
    fn long_list_has_one_item_a_line() {
        let arns = ["a", "b"].map(|name| format!("arn:aws:iam::222222222222:role/{}", name.repeat(60)));
        let text = pairs([("Arns", arns.join(",").as_str())].into_iter());
        assert_eq!(text, format!("  Arns\n     {},\n     {}\n", arns[0], arns[1]));
    }

    #[test]
    fn word_longer_than_a_line_is_not_cut() {
        let url = "https://example.com/".to_owned() + &"x".repeat(WIDTH);
        assert!(pairs([("Url", url.as_str())].into_iter()).contains(&url));
    }
}
