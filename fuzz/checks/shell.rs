//! Reads a command back into its words, as bash and zsh do, and refuses whatever could mean anything else than these words.
//!
//! Written by the Bash reference manual, "Quoting" and "ANSI-C Quoting", and not by the code under test. Three forms are known: plain
//! characters, `'…'`, and `$'…'` with `\'`, `\\` and `\xHH`. Anything more is refused, although a shell would take it.

/// The words, or what stands where it may not.
pub(crate) fn words(command: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = command.as_bytes();
    let (mut words, mut word, mut at): (Vec<Vec<u8>>, Option<Vec<u8>>, usize) = (Vec::new(), None, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b' ' => words.extend(word.take()),
            b'\'' => {
                let end =
                    bytes[at..].iter().position(|byte| *byte == b'\'').ok_or("a quote is not closed")?;
                word.get_or_insert_default().extend(&bytes[at..at + end]);
                at += end + 1;
            }
            b'$' if bytes.get(at) == Some(&b'\'') => {
                at = escaped(bytes, at + 1, word.get_or_insert_default())?;
            }
            _ if byte.is_ascii_alphanumeric() || b"-_./:=,+%".contains(&byte) => {
                word.get_or_insert_default().push(byte)
            }
            _ => return Err(format!("a bare {:?}", char::from(byte))),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The inside of `$'…'`; returns where it goes on.
fn escaped(bytes: &[u8], mut at: usize, word: &mut Vec<u8>) -> Result<usize, String> {
    loop {
        let byte = *bytes.get(at).ok_or("a quote is not closed")?;
        at += 1;
        match byte {
            b'\'' => return Ok(at),
            b'\\' => {
                let escape = *bytes.get(at).ok_or("a quote is not closed")?;
                at += 1;
                match escape {
                    b'\'' | b'\\' => word.push(escape),
                    b'x' => {
                        // Both shells take up to two digits: with one only, what follows would count too.
                        let digits =
                            bytes.get(at..at + 2).and_then(|digits| std::str::from_utf8(digits).ok());
                        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                        word.push(value.filter(|value| *value != 0).ok_or("no byte after \\x")?);
                        at += 2;
                    }
                    _ => return Err(format!("an unknown escape of {:?}", char::from(escape))),
                }
            }
            _ => word.push(byte),
        }
    }
}
