//! Conditions on texts, and the answers that they decide.

use std::borrow::Cow;

use regex_lite::Regex;
use serde::Deserialize;

use crate::text::{Text, TextError, Variables};

/// A test of one text.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawCondition")]
pub struct Condition {
    /// The text; without one, the output of the step.
    pub that: Option<Text>,
    /// The test.
    pub test: Test,
}

/// The test itself.
#[derive(Debug, Clone)]
pub enum Test {
    /// The text is this one.
    Equals(Text),
    /// The text contains this one.
    Contains(Text),
    /// The text does not contain this one.
    Lacks(Text),
    /// The text has a match of the regular expression.
    Matches(Regex),
    /// The text is a number that is not greater.
    AtMost(f64),
    /// The text is a number that is not less.
    AtLeast(f64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawCondition {
    that: Option<Text>,
    equals: Option<Text>,
    contains: Option<Text>,
    lacks: Option<Text>,
    matches: Option<String>,
    at_most: Option<f64>,
    at_least: Option<f64>,
}

impl TryFrom<RawCondition> for Condition {
    type Error = String;

    fn try_from(raw: RawCondition) -> Result<Self, String> {
        let regex = raw.matches.map(|text| Regex::new(&text).map_err(|error| format!("`{text}`: {error}")));
        let mut tests: Vec<Test> = [
            raw.equals.map(Test::Equals),
            raw.contains.map(Test::Contains),
            raw.lacks.map(Test::Lacks),
            regex.transpose()?.map(Test::Matches),
            raw.at_most.map(Test::AtMost),
            raw.at_least.map(Test::AtLeast),
        ]
        .into_iter()
        .flatten()
        .collect();
        match (tests.pop(), tests.is_empty()) {
            (Some(test), true) => Ok(Self { that: raw.that, test }),
            _ => {
                Err("a condition has exactly one of equals, contains, lacks, matches, at-most, at-least"
                    .into())
            }
        }
    }
}

impl Condition {
    /// Returns the names of its variables.
    pub fn names(&self) -> Vec<&str> {
        let expected = match &self.test {
            Test::Equals(text) | Test::Contains(text) | Test::Lacks(text) => Some(text),
            _ => None,
        };
        self.that.iter().chain(expected).flat_map(Text::names).collect()
    }

    /// Returns true if the text, or else `output`, passes the test.
    ///
    /// # Errors
    /// A variable has no value.
    pub fn holds(&self, output: &str, variables: &Variables) -> Result<bool, TextError> {
        let text = match &self.that {
            Some(text) => Cow::Owned(text.fill(variables)?),
            None => Cow::Borrowed(output),
        };
        let number = || text.trim().parse::<f64>().ok();
        Ok(match &self.test {
            Test::Equals(expected) => text == expected.fill(variables)?,
            Test::Contains(expected) => text.contains(&expected.fill(variables)?),
            Test::Lacks(expected) => !text.contains(&expected.fill(variables)?),
            Test::Matches(regex) => regex.is_match(&text),
            Test::AtMost(most) => number().is_some_and(|number| number <= *most),
            Test::AtLeast(least) => number().is_some_and(|number| number >= *least),
        })
    }
}

/// One possible answer to a question.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RawAnswer")]
pub struct Answer {
    /// The answer in words.
    pub text: String,
    /// The change of the kit that it requires; `None` for what the kit assumes.
    pub change: Option<String>,
    /// The conditions, all of which must hold.
    pub when: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAnswer {
    assumed: Option<String>,
    other: Option<String>,
    change: Option<String>,
    when: Vec<Condition>,
}

impl TryFrom<RawAnswer> for Answer {
    type Error = String;

    fn try_from(raw: RawAnswer) -> Result<Self, String> {
        match (raw.assumed, raw.other, raw.change) {
            (Some(text), None, None) => Ok(Self { text, change: None, when: raw.when }),
            (None, Some(text), Some(change)) => Ok(Self { text, change: Some(change), when: raw.when }),
            _ => Err("an answer is either `assumed`, or `other` with the `change` that it requires".into()),
        }
    }
}

/// Returns the first answer all of whose conditions hold.
///
/// # Errors
/// A variable has no value.
pub fn choose<'a>(answers: &'a [Answer], variables: &Variables) -> Result<Option<&'a Answer>, TextError> {
    for answer in answers {
        let mut all = true;
        for condition in &answer.when {
            all = all && condition.holds("", variables)?;
        }
        if all {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Returns the texts that the conditions of the answers are about, each once.
pub fn evidence(answers: &[Answer], variables: &Variables) -> Vec<String> {
    let mut seen = Vec::new();
    let texts =
        answers.iter().flat_map(|answer| &answer.when).filter_map(|condition| condition.that.as_ref());
    for text in texts.filter_map(|text| text.fill(variables).ok()) {
        if !text.trim().is_empty() && !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(yaml: &str) -> Condition {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn variables() -> Variables {
        [("x".to_owned(), "rate(30 days)".to_owned()), ("n".to_owned(), "12.5".to_owned())].into()
    }

    #[test]
    fn each_test_holds_and_fails_where_it_should() {
        for (yaml, expected) in [
            ("{that: '${x}', equals: rate(30 days)}", true),
            ("{that: '${x}', equals: rate}", false),
            ("{that: '${x}', contains: '30'}", true),
            ("{that: '${x}', lacks: '30'}", false),
            ("{that: '${x}', matches: '^rate\\(\\d+ days\\)$'}", true),
            ("{that: '${n}', at-most: 12.5}", true),
            ("{that: '${n}', at-least: 13}", false),
            ("{that: '${x}', at-least: 0}", false),
            ("{contains: put}", true),
        ] {
            assert_eq!(condition(yaml).holds("output", &variables()), Ok(expected), "{yaml}");
        }
        assert!(condition("{that: '${z}', equals: a}").holds("", &variables()).is_err());
    }

    #[test]
    fn conditions_and_answers_of_another_form_are_rejected() {
        for yaml in ["{that: a}", "{equals: a, contains: b}", "{matches: '('}"] {
            assert!(serde_saphyr::from_str::<Condition>(yaml).is_err(), "{yaml}");
        }
        for yaml in ["{assumed: a, change: b, when: []}", "{other: a, when: []}", "{when: []}"] {
            assert!(serde_saphyr::from_str::<Answer>(yaml).is_err(), "{yaml}");
        }
    }

    #[test]
    fn first_answer_whose_conditions_all_hold_is_chosen() {
        let answers: Vec<Answer> = serde_saphyr::from_str(
            "[{assumed: both, when: [{that: '${x}', contains: rate}, {that: '${n}', at-most: 1}]},
              {other: one, change: c, when: [{that: '${x}', contains: rate}]}]",
        )
        .unwrap();
        assert_eq!(choose(&answers, &variables()).unwrap().unwrap().text, "one");
        assert_eq!(evidence(&answers, &variables()), ["rate(30 days)", "12.5"]);
        let neither = [("x".to_owned(), "cron".to_owned()), ("n".to_owned(), "0".to_owned())].into();
        assert!(choose(&answers, &neither).unwrap().is_none());
    }
}
