//! Texts of what a command printed.

use crate::ports::Ran;

/// Returns the rows of a statement's result as lists of plain values.
pub(super) fn rows(records: &str) -> String {
    let Ok(records) = serde_json::from_str::<Vec<Vec<serde_json::Map<String, serde_json::Value>>>>(records)
    else {
        return records.into();
    };
    let value = |field: serde_json::Map<String, serde_json::Value>| match field.into_iter().next() {
        Some((kind, _)) if kind == "isNull" => serde_json::Value::Null,
        Some((_, value)) => value,
        None => serde_json::Value::Null,
    };
    let rows: Vec<Vec<_>> = records.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
    serde_json::Value::from(rows.into_iter().map(serde_json::Value::from).collect::<Vec<_>>()).to_string()
}

/// Returns the output of a command: the text of a JSON string, nothing for null, other JSON in one
/// line, other text without the blanks around it.
pub(crate) fn output_of(ran: &Ran) -> String {
    match serde_json::from_str::<serde_json::Value>(&ran.stdout) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Null) => String::new(),
        Ok(value) => value.to_string(),
        Err(_) => ran.stdout.trim().to_owned(),
    }
}

/// Returns `CODE: message` of a refusal by AWS, or else the last line that the command wrote.
pub(crate) fn refusal_of(ran: &Ran) -> String {
    let text = ran.stderr.trim();
    if let Some((_, rest)) = text.split_once("An error occurred (")
        && let Some((code, rest)) = rest.split_once(')')
    {
        let message = rest.split_once(": ").map_or("", |(_, message)| message);
        return format!("{code}: {}", message.lines().collect::<Vec<_>>().join(" "));
    }
    let last = |text: &str| {
        text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    };
    last(text).or_else(|| last(&ran.stdout)).unwrap_or_else(|| "the command failed without a message".into())
}
