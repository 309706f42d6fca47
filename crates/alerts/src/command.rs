//! Commands in alerts: built from untrusted values, and safe to paste into bash or zsh.

use crate::text::is_hidden;

/// A command of the AWS CLI that is being built.
#[derive(Debug, Clone)]
pub struct Command {
    words: String,
    refused: bool,
}

impl Command {
    /// Creates `aws SERVICE OPERATION` from literals.
    pub fn aws(service: &'static str, operation: &'static str) -> Self {
        Self { words: format!("aws {service} {operation}"), refused: false }
    }

    /// Creates a command from a literal.
    pub fn literal(words: &'static str) -> Self {
        Self { words: words.to_owned(), refused: false }
    }

    /// Creates a command from the words of another crate. The first words and every word that starts with
    /// `-` must be literals of that crate: values are not recognized here.
    pub fn from_words<I: IntoIterator<Item: AsRef<str>>>(argv: I) -> Self {
        let mut command = Self { words: String::new(), refused: false };
        for word in argv {
            let word = word.as_ref();
            command.refuse(word);
            if !command.words.is_empty() {
                command.words.push(' ');
            }
            command.words.push_str(&quote(word));
        }
        command.refused |= command.words.is_empty();
        command
    }

    /// Adds `--NAME VALUE`.
    #[must_use]
    pub fn option(mut self, name: &'static str, value: &str) -> Self {
        self.refuse(value);
        let between = if value.starts_with('-') { '=' } else { ' ' };
        self.words.push_str(&format!(" --{name}{between}{}", quote(value)));
        self
    }

    /// Adds a positional argument, such as a URL. A value that would be an option is refused.
    #[must_use]
    pub fn argument(mut self, value: &str) -> Self {
        self.refuse(value);
        self.refused |= value.starts_with('-');
        self.words.push_str(&format!(" {}", quote(value)));
        self
    }

    /// Adds a flag, or an option with a literal value.
    #[must_use]
    pub fn flag(mut self, words: &'static str) -> Self {
        self.words.push(' ');
        self.words.push_str(words);
        self
    }

    /// Puts the output of this command into a shell variable, for the commands that follow.
    #[must_use]
    pub fn into_variable(mut self, name: &'static str) -> Self {
        self.words = format!("{name}=$({})", self.words);
        self
    }

    /// Adds a command that runs if this one succeeds.
    #[must_use]
    pub fn and_then(mut self, next: &Self) -> Self {
        self.words.push_str(" && ");
        self.words.push_str(&next.words);
        self.refused |= next.refused;
        self
    }

    /// Remembers a value that no quoting makes safe.
    fn refuse(&mut self, value: &str) {
        // The CLI replaces such a value by the content of a file, whatever the shell's quoting.
        // Version 1 does so with the answer of a server, too. Sources: "Loading a parameter from a
        // file" of the AWS CLI user guide; `REMOTE_PREFIX_MAP` in `paramfile.py` of aws/aws-cli,
        // version 1, which compares the start of the value as it is.
        self.refused |=
            ["file://", "fileb://", "http://", "https://"].iter().any(|start| value.starts_with(start));
        // A shell variable cannot contain it.
        self.refused |= value.contains('\0');
    }

    /// Returns the command as text, or `None` if no quoting makes a value safe.
    pub fn text(self) -> Option<String> {
        (!self.refused).then_some(self.words)
    }
}

/// Returns one shell word with exactly this value.
///
/// A plain value stays plain. A value of printable characters is put between single quotes. A value that
/// could mislead the reader, mention somebody in a chat or end a code block is written as bytes in `$'…'`,
/// which bash, zsh and ksh read (and POSIX since 2024).
pub fn quote(value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=,+%".contains(character);
    if !value.is_empty() && value.chars().all(plain) {
        return value.to_owned();
    }
    let harmless =
        |character: char| !is_hidden(character) && character.is_ascii() && !"@<>`]\\'".contains(character);
    if value.chars().all(harmless) {
        return format!("'{value}'");
    }
    let mut word = String::from("$'");
    for byte in value.bytes() {
        match byte {
            b'\'' => word.push_str("\\'"),
            b'\\' => word.push_str("\\\\"),
            b'@' | b'<' | b'>' | b'`' | b']' => word.push_str(&format!("\\x{byte:02x}")),
            // bash up to 3.2, which macOS has, expands `!` in these quotes from the history of an
            // interactive shell.
            b'!' => word.push_str("\\x21"),
            0x20..0x7f => word.push(char::from(byte)),
            _ => word.push_str(&format!("\\x{byte:02x}")),
        }
    }
    word.push('\'');
    word
}

#[cfg(test)]
mod tests {
    use std::process;

    use proptest::prelude::*;

    use super::*;

    /// Returns the value that bash reads from a word.
    fn read_by_bash(word: &str) -> String {
        let output = process::Command::new("bash")
            .args(["--norc", "-c", &format!("printf %s {word}")])
            .env("LC_ALL", "C")
            .output()
            .expect("bash is on the machine");
        assert!(output.status.success() && output.stderr.is_empty(), "{word}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn hostile_value_is_one_word_with_exactly_its_value() {
        for value in [
            "",
            "plain-key_1.csv",
            "a b",
            "$(rm -rf /)",
            "`id`",
            "'; drop table x; --",
            "a'b\"c\\d",
            "line\nfeed",
            "*?[x]{a,b}~",
            "!!",
            "@!!:p",
            "'!rm!'",
            "-rf",
            "@here",
            "<!channel>",
            "\u{202e}gpj.exe",
            "ä🦀",
            "\\x41",
            "#comment",
            "a\tb\r",
        ] {
            let word = quote(value);
            assert_eq!(read_by_bash(&word), value, "{word}");
            assert!(
                !word.contains(['\n', '\r', '`', '@', '<', '>']) && !word.chars().any(is_hidden),
                "{word}"
            );
        }
    }

    #[test]
    fn value_cannot_become_an_option_or_a_file() {
        let command = Command::aws("s3api", "head-object").option("key", "-x").text();
        assert_eq!(command.as_deref(), Some("aws s3api head-object --key=-x"));
        assert_eq!(Command::aws("s3api", "head-object").option("key", "file:///etc/passwd").text(), None);
        assert_eq!(Command::aws("s3api", "head-object").option("key", "a\0b").text(), None);
        for fetched in ["fileb:///etc/passwd", "http://169.254.169.254/latest", "https://evil.example/x"] {
            assert_eq!(Command::aws("s3api", "head-object").option("key", fetched).text(), None, "{fetched}");
            assert_eq!(Command::aws("s3", "cp").argument(fetched).text(), None, "{fetched}");
            assert_eq!(Command::from_words(["aws", "--key", fetched]).text(), None, "{fetched}");
        }
        // Only the start of a value names a file.
        for kept in ["in/https://x", "s3://b/http://x", "https:/x", "HTTPS://x"] {
            assert!(Command::aws("s3", "cp").argument(kept).text().is_some(), "{kept}");
        }
    }

    /// Returns what an interactive shell with history expansion prints.
    fn typed_into_bash(line: &str) -> String {
        let script = format!("set -o history -o histexpand\n: secret\n{line}\n");
        let mut bash = process::Command::new("bash");
        bash.args(["--norc", "-i"])
            .env("LC_ALL", "C")
            .env("HISTFILE", "/dev/null")
            .env("PS1", "")
            .env("PS2", "");
        bash.stdin(process::Stdio::piped()).stdout(process::Stdio::piped()).stderr(process::Stdio::null());
        let mut child = bash.spawn().expect("bash is on the machine");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn exclamation_mark_is_not_the_history_of_an_interactive_shell() {
        for value in ["@!!", "!!", "a'!:0\\!", "\u{e4}!!"] {
            let word = quote(value);
            assert!(word.starts_with('\'') || !word.contains('!'), "{word}");
            assert_eq!(typed_into_bash(&format!("printf '%s' {word}")), value, "{word}");
        }
        // The control: outside of quotes the shell expands it.
        assert!(typed_into_bash("printf '%s' !!").contains("secret"));
    }

    #[test]
    fn value_is_one_word_in_a_variable_and_the_next_command_follows() {
        for value in ["it's", "a) b", "$(id) `id` \"x\"", "ä\n\u{202e}"] {
            let first = Command::literal("printf %s").argument(value).into_variable("id");
            let both = first.and_then(&Command::literal("printf %s \"$id\"")).text().unwrap();
            let output = process::Command::new("bash").args(["--norc", "-c", &both]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value, "{both}");
        }
        let refused = Command::literal("x").argument("file:///etc/passwd");
        assert_eq!(Command::literal("y").and_then(&refused).text(), None);
        assert_eq!(refused.into_variable("id").text(), None);
    }

    #[test]
    fn command_from_words_is_quoted_word_by_word() {
        let command =
            Command::from_words(["aws", "s3", "cp", "s3://b/a key; rm -rf $HOME", "s3://b/x.reload"]);
        assert_eq!(command.text().as_deref(), Some("aws s3 cp 's3://b/a key; rm -rf $HOME' s3://b/x.reload"));
        assert_eq!(Command::from_words(["aws", "--cli-input-json", "file:///etc/passwd"]).text(), None);
        assert_eq!(Command::from_words::<[&str; 0]>([]).text(), None);
    }

    proptest! {
        // Each case starts a shell.
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_value_is_one_word_with_exactly_its_value(value in "[^\0]{0,40}") {
            let word = quote(&value);
            prop_assert_eq!(read_by_bash(&word), value);
            prop_assert!(!word.chars().any(is_hidden) && word.is_ascii());
        }
    }
}
