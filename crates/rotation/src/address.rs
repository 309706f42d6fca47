//! Addresses with a user and a password: `scheme://user:password@host/…` and `…?user=…&password=…`,
//! with `;` in JDBC.

/// Returns the address with every occurrence of the old password replaced, plain and
/// percent-encoded. Only a text between the delimiters of a password counts as one.
pub(crate) fn with_password(address: &str, old: &str, new: &str) -> String {
    const MARKS: [(&str, &str); 4] = [(":", "@"), ("password=", "&"), ("password=", ";"), ("password=", "")];
    replaced(address, &MARKS, old, new)
}

/// Returns the address with every occurrence of the old user replaced in the same way.
pub(crate) fn with_user(address: &str, old: &str, new: &str) -> String {
    const MARKS: [(&str, &str); 9] = [
        ("://", ":"),
        ("://", "@"),
        ("?user=", "&"),
        ("&user=", "&"),
        (";user=", ";"),
        ("?user=", ";"),
        ("?user=", ""),
        ("&user=", ""),
        (";user=", ""),
    ];
    replaced(address, &MARKS, old, new)
}

fn replaced(address: &str, marks: &[(&str, &str)], old: &str, new: &str) -> String {
    let (old_encoded, new) = (encoded(old), encoded(new));
    let mut result = address.to_owned();
    for (before, after) in marks {
        for form in [old_encoded.as_str(), old] {
            let (found, wanted) = (format!("{before}{form}{after}"), format!("{before}{new}{after}"));
            if !after.is_empty() {
                result = result.replace(&found, &wanted);
            } else if let Some(rest) = result.strip_suffix(&found) {
                result = format!("{rest}{wanted}");
            }
        }
    }
    result
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
