//! The permissions of Redshift in a bucket's policy, as far as they are known before Redshift calls.
//!
//! Sources: "Policy evaluation logic", "IAM JSON policy elements: Condition operators" and "AWS
//! global condition context keys" of the IAM user guide.

use serde_json::{Map, Value};

/// The actions that Redshift needs on the bucket.
const ACTIONS: [&str; 3] = ["s3:GetBucketNotification", "s3:PutBucketNotification", "s3:GetBucketLocation"];

const REDSHIFT: &str = "redshift.amazonaws.com";

/// The keys that a call of an AWS service as itself does not have: it comes through no VPC endpoint,
/// and from no principal of an account.
const ABSENT: [&str; 10] = [
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:vpcsourceip",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:userid",
    "aws:username",
];

/// A bucket's policy.
#[derive(Debug)]
pub(crate) struct BucketPolicy {
    statements: Vec<Value>,
}

/// A statement that denies Redshift an action.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denial {
    pub(crate) action: &'static str,
    /// The statement, by its id or its position.
    pub(crate) statement: String,
}

impl BucketPolicy {
    /// Parses a policy. A bucket without one has the empty text.
    pub(crate) fn parse(policy: &str) -> Self {
        let document: Value = serde_json::from_str(policy).unwrap_or_default();
        Self { statements: list(document.get("Statement")).into_iter().cloned().collect() }
    }

    /// Returns the actions that no statement allows Redshift. It ignores conditions: Redshift
    /// evaluates them, and reports them as the integration's error.
    pub(crate) fn missing_actions(&self) -> Vec<&'static str> {
        let allows = |one: &Value, action: &str| is(one, "Allow") && covers(one, action);
        let missing = |action: &&str| !self.statements.iter().any(|one| allows(one, action));
        ACTIONS.into_iter().filter(missing).collect()
    }

    /// Returns true if a statement lets Redshift in under conditions.
    pub(crate) fn has_conditions(&self) -> bool {
        let conditioned =
            |one: &Value| one.get("Condition").is_some() && ACTIONS.iter().any(|action| covers(one, action));
        self.statements.iter().any(|one| is(one, "Allow") && conditioned(one))
    }

    /// Returns a statement that denies Redshift an action in any case. A denial wins over every
    /// permission. Conditions that cannot be evaluated before the call are left to Redshift.
    pub(crate) fn denial(&self, bucket: &str, account: &str) -> Option<Denial> {
        let denies = |one: &Value, action| {
            is(one, "Deny") && covers(one, action) && covers_bucket(one, bucket) && applies(one, account)
        };
        self.statements.iter().enumerate().find_map(|(index, one)| {
            let action = ACTIONS.into_iter().find(|action| denies(one, action))?;
            let statement = match one.get("Sid").and_then(Value::as_str) {
                Some(sid) => format!("statement \"{sid}\""),
                None => format!("statement {}", index + 1),
            };
            Some(Denial { action, statement })
        })
    }
}

fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(single) => vec![single],
        None => Vec::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    list(value).into_iter().filter_map(Value::as_str).collect()
}

fn is(statement: &Value, effect: &str) -> bool {
    statement.get("Effect").and_then(Value::as_str) == Some(effect)
}

/// Returns true if principal and action of a statement cover Redshift's call.
fn covers(statement: &Value, action: &str) -> bool {
    let redshift = |principal: Option<&Value>| {
        principal == Some(&Value::from("*"))
            || texts(principal.and_then(|who| who.get("AWS"))).contains(&"*")
            || texts(principal.and_then(|who| who.get("Service")))
                .iter()
                .any(|service| [REDSHIFT, "*"].contains(service))
    };
    let to_redshift = match statement.get("NotPrincipal") {
        Some(others) => !redshift(Some(others)),
        None => redshift(statement.get("Principal")),
    };
    let matched = |name: &str| {
        texts(statement.get(name))
            .iter()
            .any(|pattern| matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
    };
    to_redshift
        && if statement.get("NotAction").is_some() { !matched("NotAction") } else { matched("Action") }
}

fn covers_bucket(statement: &Value, bucket: &str) -> bool {
    let matched = |name: &str| {
        texts(statement.get(name)).iter().any(|pattern| {
            let resource = pattern.rsplit(":::").next().unwrap_or(pattern);
            matches(resource, bucket)
        })
    };
    if statement.get("NotResource").is_some() { !matched("NotResource") } else { matched("Resource") }
}

/// Returns true if every condition holds for Redshift's call, as far as that is known.
fn applies(statement: &Value, account: &str) -> bool {
    let no_conditions = Map::new();
    let operators = statement.get("Condition").and_then(Value::as_object).unwrap_or(&no_conditions);
    operators.iter().all(|(operator, keys)| {
        let no_keys = Map::new();
        let keys = keys.as_object().unwrap_or(&no_keys);
        keys.iter().all(|(key, values)| holds(operator, key, &texts_of(values), account) == Some(true))
    })
}

/// Returns the values of a condition. Booleans and numbers may stand without quotes.
fn texts_of(values: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list(Some(values)).into_iter().map(text).collect()
}

/// Returns the truth of one condition for Redshift's call; `None` if it is not known.
fn holds(operator: &str, key: &str, values: &[String], account: &str) -> Option<bool> {
    let operator = operator.to_ascii_lowercase();
    let (set, operator) = operator.split_once(':').map_or(("", operator.as_str()), |(set, rest)| (set, rest));
    let (operator, if_exists) = match operator.strip_suffix("ifexists") {
        Some(operator) => (operator, true),
        None => (operator, false),
    };
    let key = key.to_ascii_lowercase();
    let known = match key.as_str() {
        "aws:principalisawsservice" | "aws:securetransport" => Some("true"),
        "aws:principalservicename" => Some(REDSHIFT),
        "aws:sourceaccount" => Some(account),
        _ => None,
    };
    let is_negated = operator.contains("not");
    if key == "aws:sourceip" && operator == "notipaddress" {
        // A service calls from its own addresses.
        return Some(!values.iter().any(|range| range.ends_with("/0")));
    }
    if ABSENT.contains(&key.as_str()) {
        return Some(match (set, operator) {
            (_, "null") => values.iter().any(|value| value == "true"),
            ("forallvalues", _) => true,
            ("foranyvalue", _) => false,
            _ => if_exists || is_negated,
        });
    }
    let known = known?;
    let any = |equal: &dyn Fn(&str) -> bool| values.iter().any(|value| equal(value));
    let matched = match operator.replace("not", "").as_str() {
        "bool" | "stringequals" => any(&|value| value == known),
        "stringequalsignorecase" => any(&|value| value.eq_ignore_ascii_case(known)),
        "stringlike" => any(&|value| matches(value, known)),
        "null" => return Some(any(&|value| value == "false")),
        _ => return None,
    };
    Some(matched != is_negated)
}

/// Matches a text with a pattern of `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The last star, and the text that it has taken so far.
    let (mut at, mut star, mut from, mut position) = (0, None, 0, 0);
    while position < text.len() {
        match pattern.get(at) {
            Some('*') => {
                (star, from) = (Some(at), position);
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some(last) = star else { return false };
                from += 1;
                (at, position) = (last + 1, from);
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn policy_with_the_three_actions_lacks_none() {
        for actions in
            [json!(ACTIONS), json!("s3:*"), json!(["s3:Get*", "s3:putbucketnotification"]), json!("*")]
        {
            let policy = json!({"Statement": {"Effect": "Allow", "Principal": {"Service": ["redshift.amazonaws.com"]}, "Action": actions}});
            assert!(BucketPolicy::parse(&policy.to_string()).missing_actions().is_empty(), "{policy}");
        }
    }

    #[test]
    fn denied_and_foreign_actions_are_missing() {
        assert_eq!(BucketPolicy::parse("").missing_actions(), ACTIONS);
        let other = json!({"Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "s3:*"},
            {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "s3:*"},
            {"Effect": "Allow", "Principal": {"Service": "redshift.amazonaws.com"}, "Action": "s3:GetBucketLocation"},
        ]});
        assert_eq!(BucketPolicy::parse(&other.to_string()).missing_actions(), ACTIONS[..2]);
    }

    /// Returns the statement that denies Redshift in a policy with this one.
    fn denied(statement: Value) -> Option<String> {
        let (Value::Object(mut whole), Value::Object(given)) = (
            json!({"Sid": "Fence", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
                "Resource": ["arn:aws:s3:::bucket-a", "arn:aws:s3:::bucket-a/*"]}),
            statement,
        ) else {
            panic!("maps")
        };
        whole.extend(given);
        let policy = json!({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:*"}, whole]});
        BucketPolicy::parse(&policy.to_string())
            .denial("bucket-a", "111111111111")
            .map(|denial| denial.statement)
    }

    #[test]
    fn denial_that_covers_services_is_found() {
        for statement in [
            json!({}),
            json!({"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-0123456789abcdef0"}}}),
            json!({"Condition": {"StringNotEqualsIfExists": {"aws:SourceVpc": ["vpc-1", "vpc-2"]}}}),
            json!({"Condition": {"Null": {"aws:SourceVpce": "true"}}}),
            json!({"Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/8"]}}}),
            json!({"Condition": {"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}}}),
            json!({"Condition": {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::111111111111:role/*"}}}),
            json!({"Condition": {"StringNotEquals": {"aws:SourceAccount": "999999999999"}}}),
            json!({"Condition": {"Bool": {"aws:SecureTransport": true}}}),
            json!({"Principal": {"AWS": "*"}, "Action": ["s3:Get*"], "Resource": "*"}),
            json!({"Principal": null, "NotPrincipal": {"AWS": "arn:aws:iam::111111111111:root"}}),
            json!({"Action": null, "NotAction": "s3:GetObject"}),
        ] {
            assert_eq!(denied(statement.clone()).as_deref(), Some("statement \"Fence\""), "{statement}");
        }
        assert_eq!(denied(json!({"Sid": null})).as_deref(), Some("statement 2"));
    }

    #[test]
    fn denial_of_others_is_no_denial() {
        for statement in [
            json!({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}),
            json!({"Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"},
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}}),
            json!({"Condition": {"StringNotEquals": {"aws:PrincipalServiceName": "redshift.amazonaws.com"}}}),
            json!({"Condition": {"StringEquals": {"aws:SourceVpce": "vpce-1"}}}),
            json!({"Condition": {"StringNotEquals": {"aws:SourceAccount": "111111111111"}}}),
            json!({"Condition": {"NumericLessThan": {"s3:TlsVersion": "1.2"}}}),
            json!({"Condition": {"ArnNotLike": {"aws:SourceArn": "arn:aws:redshift:*:111111111111:integration:*"}}}),
            json!({"Principal": {"AWS": "arn:aws:iam::111111111111:root"}}),
            json!({"Action": "s3:PutObject"}),
            json!({"Resource": "arn:aws:s3:::bucket-a/*"}),
            json!({"Resource": "arn:aws:s3:::bucket-b"}),
            json!({"Principal": null, "NotPrincipal": {"Service": "redshift.amazonaws.com"}}),
        ] {
            assert_eq!(denied(statement.clone()), None, "{statement}");
        }
    }

    #[test]
    fn conditions_of_the_permission_are_seen() {
        let with = |statement: Value| {
            BucketPolicy::parse(&json!({"Statement": [statement]}).to_string()).has_conditions()
        };
        let service = json!({"Service": "redshift.amazonaws.com"});
        assert!(with(json!({"Effect": "Allow", "Principal": service, "Action": "s3:*", "Condition": {}})));
        assert!(!with(json!({"Effect": "Allow", "Principal": service, "Action": "s3:*"})));
        assert!(!with(
            json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Condition": {}})
        ));
    }
}
