//! The table, the bucket, the prefix and the COPY of a job, from the text that Redshift shows of it.
//!
//! `SYS_COPY_JOB.job_text` is "the parameters of the COPY statement" in 256 characters (Redshift
//! database developer guide). If the text is cut, or is no COPY with `FROM 's3://…'`, the missing
//! parts come from the settings.

use crate::sql::{Literal, S3Location, TableName};

/// The number of characters that Redshift shows of a job.
const SHOWN: usize = 256;

/// The content of a job's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobText {
    /// The schema, if it is given, and the table.
    pub table: Option<(Option<String>, String)>,
    /// The bucket of the files.
    pub bucket: String,
    /// The prefix of their keys.
    pub prefix: String,
    /// The COPY before and after its source, if the text is complete.
    pub copy: Option<(String, String)>,
}

impl JobText {
    /// Returns true if this job loads files of `from` into `table`, too. Redshift folds the names
    /// of schemas and tables to lower case, and a name without a schema may be in any.
    pub fn overlaps(&self, table: &TableName, from: &S3Location) -> bool {
        let same = |have: &str, wanted: &str| have.to_lowercase() == wanted.to_lowercase();
        let into_it = self.table.as_ref().is_some_and(|(schema, name)| {
            same(name, table.table.as_str())
                && schema.as_ref().is_none_or(|schema| same(schema, table.schema.as_str()))
        });
        let (have, wanted) = (self.prefix.as_str(), from.prefix());
        into_it
            && self.bucket == from.bucket().as_str()
            && (have.starts_with(wanted) || wanted.starts_with(have))
    }
}

/// A word or a quoted text.
#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// The content without doubled quotes and escapes; `None` if it is cut.
    Quoted(Option<String>),
    Other,
}

fn token(text: &str) -> (Token<'_>, usize) {
    let first = text.chars().next().unwrap_or(' ');
    if first.is_alphanumeric() || first == '_' {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        return (Token::Word(&text[..end]), end);
    }
    if first != '\'' && first != '"' {
        return (Token::Other, first.len_utf8());
    }
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            // A backslash escapes in a literal, as Redshift's QUOTE_LITERAL shows, but not in a
            // delimited identifier.
            '\\' if first == '\'' => content.extend(chars.next().map(|(_, escaped)| escaped)),
            c if c == first => match chars.peek() {
                Some((_, next)) if *next == first => {
                    content.push(first);
                    chars.next();
                }
                _ => return (Token::Quoted(Some(content)), at + c.len_utf8()),
            },
            c => content.push(c),
        }
    }
    (Token::Quoted(None), text.len())
}

/// Reads the text of a job. Returns `None` if it does not show where the job reads from.
pub fn read(text: &str) -> Option<JobText> {
    let text = text.trim();
    let whole = text.chars().count() < SHOWN;
    let (mut at, mut after_from, mut is_copy) = (0, false, None);
    let mut found: Option<(String, String, usize, usize)> = None;
    let mut end = text.len();
    // The parts of the table's name, and true if a dot announces another one.
    let (mut names, mut more): (Vec<String>, bool) = (Vec::new(), true);
    while at < text.len() {
        let (token, length) = token(&text[at..]);
        match &token {
            Token::Word(word) if is_copy == Some(true) && more => {
                names.push(word.to_lowercase());
                more = false;
            }
            Token::Quoted(Some(name)) if is_copy == Some(true) && more => {
                names.push(name.clone());
                more = false;
            }
            Token::Other => more |= text[at..].starts_with('.') && names.len() == 1,
            _ => {}
        }
        match token {
            Token::Word(word) => {
                is_copy.get_or_insert(word.eq_ignore_ascii_case("copy"));
                after_from = word.eq_ignore_ascii_case("from");
                // The rest creates the job. A COPY of one file ends before it.
                if found.is_some() && word.eq_ignore_ascii_case("job") {
                    end = at;
                    break;
                }
            }
            Token::Quoted(Some(content)) if after_from && found.is_none() => {
                let (bucket, prefix) = content.strip_prefix("s3://")?.split_once('/')?;
                found = Some((bucket.to_owned(), prefix.to_owned(), at, at + length));
                after_from = false;
            }
            Token::Quoted(Some(_)) => after_from = false,
            Token::Quoted(None) => {
                let table = table_of(names);
                return found.map(|(bucket, prefix, ..)| JobText { table, bucket, prefix, copy: None });
            }
            Token::Other => after_from &= text[at..].starts_with(char::is_whitespace),
        }
        at += length;
    }
    let (bucket, prefix, begins, ends) = found?;
    let cut = !whole && end == text.len();
    let copy = (is_copy == Some(true) && !cut)
        .then(|| (text[..begins].to_owned(), text[ends..end].trim_end().to_owned()));
    Some(JobText { table: table_of(names), bucket, prefix, copy })
}

fn table_of(mut names: Vec<String>) -> Option<(Option<String>, String)> {
    let table = names.pop()?;
    Some((names.pop(), table))
}

/// Returns the job's COPY from exactly one key.
pub fn copy_of(copy: &(String, String), bucket: &str, key: &str) -> Option<String> {
    let from = Literal::new("key", &format!("s3://{bucket}/{key}")).ok()?;
    Some(format!("{}{from}{}", copy.0, copy.1))
}

#[cfg(test)]
mod tests {
    use crate::sql::{Copy, CopyJob, Format, Identifier, JobName, Options, RoleArn, S3Location, TableName};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bucket_prefix_and_copy_are_found_in_job_text() {
        let text = "COPY \"public\".\"from 's3://no/no'\" FROM 's3://b/it''s/\\\\in/' IAM_ROLE 'arn' FORMAT AS CSV JOB CREATE j AUTO ON";
        let read = read(text).unwrap();
        assert_eq!((read.bucket.as_str(), read.prefix.as_str()), ("b", "it's/\\in/"));
        assert_eq!(
            copy_of(read.copy.as_ref().unwrap(), "b", "it's/\\in/x.csv").unwrap(),
            "COPY \"public\".\"from 's3://no/no'\" FROM 's3://b/it''s/\\\\in/x.csv' IAM_ROLE 'arn' FORMAT AS CSV"
        );
    }

    #[test]
    fn jobs_overlap_in_the_same_table_and_nested_prefixes() {
        let name = |text: &str| Identifier::new("P", text).unwrap();
        let table = TableName { schema: name("public"), table: name("Orders") };
        let from = S3Location::new("a-bucket", "in/").unwrap();
        for (text, overlaps) in [
            ("COPY public.orders FROM 's3://a-bucket/in/' IAM_ROLE 'r'", true),
            ("copy orders (a, b) from 's3://a-bucket/in/eu/' iam_role 'r'", true),
            ("COPY \"public\" . \"orders\" FROM 's3://a-bucket/' IAM_ROLE 'r'", true),
            ("COPY other.orders FROM 's3://a-bucket/in/' IAM_ROLE 'r'", false),
            ("COPY public.orders2 FROM 's3://a-bucket/in/' IAM_ROLE 'r'", false),
            ("COPY public.orders FROM 's3://b-bucket/in/' IAM_ROLE 'r'", false),
            ("COPY public.orders FROM 's3://a-bucket/out/' IAM_ROLE 'r'", false),
        ] {
            assert_eq!(read(text).unwrap().overlaps(&table, &from), overlaps, "{text}");
        }
    }

    #[test]
    fn cut_text_and_text_without_copy_give_no_copy() {
        let long =
            format!("COPY t FROM 's3://b/in/' IAM_ROLE 'arn' FORMAT AS CSV NULL AS '{}", "x".repeat(300));
        let cut: String = long.chars().take(256).collect();
        let table = Some((None, "t".to_owned()));
        assert_eq!(read(&cut), Some(JobText { table, bucket: "b".into(), prefix: "in/".into(), copy: None }));
        let words =
            format!("COPY t FROM 's3://b/in/' IAM_ROLE 'arn' FORMAT AS CSV {}", "TRIMBLANKS ".repeat(30));
        let cut: String = words.chars().take(256).collect();
        assert_eq!(read(&cut).unwrap().copy, None);
        assert_eq!(read("FROM 's3://b/in/' IAM_ROLE 'arn'").unwrap().copy, None);
        for nothing in ["", "COPY t (a, b", "COPY t FROM 'dynamodb://x'", "COPY t FROM 's3://b/cut", "from"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn every_job_of_this_kit_is_read_back(prefix in "[ -~é🦀]{0,24}", table in "[ -~]{1,24}", key in "[ -~é🦀]{0,24}") {
            prop_assume!(!prefix.starts_with('/') && !key.starts_with('/'));
            let name = |text: &str| Identifier::new("P", text);
            let copy = |prefix: &str| Copy::new(
                TableName { schema: name("public").unwrap(), table: name(&table).unwrap() }, vec![],
                S3Location::new("a-bucket", prefix).unwrap(),
                RoleArn::new("P", "arn:aws:iam::222222222222:role/r").unwrap(), Format::Csv, &Options::default(),
            ).unwrap();
            let (whole, key) = (copy(&prefix), format!("{prefix}{key}"));
            let name = JobName::new("P", "j", "o", &whole).unwrap();
            let job = CopyJob { name, copy: whole.clone() };
            let read = read(&job.create(true)).unwrap();
            prop_assert_eq!(&read.prefix, &prefix);
            prop_assert_eq!(&read.bucket, "a-bucket");
            prop_assert_eq!(&read.table, &Some((Some("public".to_owned()), table.clone())));
            prop_assert!(read.overlaps(whole.table(), whole.from()));
            prop_assert_eq!(copy_of(&read.copy.unwrap(), "a-bucket", &key).unwrap(), copy(&key).to_string());
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,300}") {
            let _ = read(&text);
        }
    }
}
