//! A policy document: the owners of its statements, and the equivalence of two documents.

use serde_json::{Map, Value, json};

use crate::arn::Arn;

/// The error of an invalid document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The text is not JSON.
    #[error("the existing policy is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// The JSON is not a policy.
    #[error("the existing policy has no list of statements")]
    NoStatements,
    /// A statement to write is invalid.
    #[error("statement {0}: {1}")]
    Statement(usize, &'static str),
}

/// A statement to write, without its owner's tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement(Map<String, Value>);

impl Statement {
    /// Checks that values are statements, each with an id of its own. Source: "IAM JSON policy
    /// elements: Sid" of the IAM user guide: it must be unique within a policy.
    ///
    /// # Errors
    /// The first invalid part, with the statement's position.
    pub fn list(values: impl IntoIterator<Item = Value>) -> Result<Vec<Self>, DocumentError> {
        let mut statements: Vec<Self> = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let statement = Self::new(index, value)?;
            if statements.iter().any(|earlier| earlier.0.get("Sid") == statement.0.get("Sid")) {
                return Err(DocumentError::Statement(
                    index,
                    "an earlier statement has the same `Sid`, expected another for each",
                ));
            }
            statements.push(statement);
        }
        Ok(statements)
    }

    /// Checks that a value is a statement with an id of letters and digits.
    ///
    /// # Errors
    /// The invalid part; `index` is the statement's position in the property.
    pub fn new(index: usize, value: Value) -> Result<Self, DocumentError> {
        let Value::Object(map) = value else {
            return Err(DocumentError::Statement(index, "expected a map"));
        };
        let has = |name: &str| map.contains_key(name);
        let sid = map.get("Sid").and_then(Value::as_str).unwrap_or_default();
        if sid.is_empty() || !sid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(DocumentError::Statement(index, "`Sid` is required, of letters and digits only"));
        }
        if !matches!(map.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return Err(DocumentError::Statement(index, "`Effect` must be Allow or Deny"));
        }
        if !has("Principal") && !has("NotPrincipal") {
            return Err(DocumentError::Statement(index, "`Principal` is required"));
        }
        if !has("Action") && !has("NotAction") {
            return Err(DocumentError::Statement(index, "`Action` is required"));
        }
        Ok(Self(map))
    }

    /// Returns the statement's normal form as text, without its id: equivalent statements have equal
    /// texts.
    pub fn normal_text(&self) -> String {
        let mut map = self.0.clone();
        map.remove("Sid");
        ordered(&normal(&Value::Object(map))).to_string()
    }

    /// Returns the statement with its owner's tag at the end of its id.
    fn marked(&self, tag: &str) -> Value {
        let mut map = self.0.clone();
        let sid = map.get("Sid").and_then(Value::as_str).unwrap_or_default().to_owned();
        map.insert("Sid".to_owned(), Value::String(format!("{sid}{tag}")));
        Value::Object(map)
    }
}

/// A policy document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    frame: Map<String, Value>,
    statements: Vec<Value>,
}

impl Document {
    /// Parses a document. `None` and blank text are the empty document.
    ///
    /// # Errors
    /// The text is not a policy.
    pub fn parse(text: Option<&str>) -> Result<Self, DocumentError> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            let frame = Map::from_iter([("Version".to_owned(), json!("2012-10-17"))]);
            return Ok(Self { frame, statements: Vec::new() });
        };
        let value: Value = serde_json::from_str(text).map_err(DocumentError::NotJson)?;
        let Value::Object(mut frame) = value else { return Err(DocumentError::NoStatements) };
        let statements = match frame.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            // A single statement needs no list.
            Some(single @ Value::Object(_)) => vec![single],
            _ => return Err(DocumentError::NoStatements),
        };
        Ok(Self { frame, statements })
    }

    /// Returns the document with exactly `ours` as the statements of the owner with this tag, and
    /// all others unchanged.
    #[must_use]
    pub fn with_statements_of(&self, tag: &str, ours: &[Statement]) -> Self {
        let mut statements: Vec<Value> =
            self.statements.iter().filter(|statement| !is_of(tag, statement)).cloned().collect();
        statements.extend(ours.iter().map(|statement| statement.marked(tag)));
        Self { frame: self.frame.clone(), statements }
    }

    /// Returns true if the owner's statements are equivalent to these, in any order.
    pub fn has_exactly(&self, tag: &str, ours: &[Statement]) -> bool {
        let mut here: Vec<Value> =
            self.statements.iter().filter(|statement| is_of(tag, statement)).map(normal).collect();
        let mut wanted: Vec<Value> = ours.iter().map(|statement| normal(&statement.marked(tag))).collect();
        // By id: the text of a whole statement depends on the order of its keys.
        let key = |statement: &Value| statement["Sid"].to_string();
        here.sort_by_cached_key(key);
        wanted.sort_by_cached_key(key);
        here == wanted
    }

    /// Returns true if the document has no statements.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut whole = self.frame.clone();
        whole.insert("Statement".to_owned(), Value::Array(self.statements.clone()));
        write!(f, "{}", Value::Object(whole))
    }
}

/// Returns true if the statement's id ends with the owner's tag.
fn is_of(tag: &str, statement: &Value) -> bool {
    statement.get("Sid").and_then(Value::as_str).is_some_and(|sid| sid.ends_with(tag))
}

/// Returns a statement in a normal form, in which equivalent statements are equal. Services store a
/// bare account id as an ARN, a list of one as a scalar, booleans as strings, and lists in any
/// order.
fn normal(statement: &Value) -> Value {
    let Value::Object(map) = statement else { return statement.clone() };
    let parts = map.iter().map(|(name, value)| {
        let value = match name.as_str() {
            "Action" | "NotAction" | "Resource" | "NotResource" => set(value),
            "Principal" | "NotPrincipal" => principal(value),
            "Condition" => condition(value),
            _ => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(parts.collect())
}

fn principal(value: &Value) -> Value {
    match value {
        Value::Object(kinds) => Value::Object(
            kinds
                .iter()
                .map(|(kind, who)| {
                    let Value::Array(items) = set(who) else { return (kind.clone(), who.clone()) };
                    let items = items.into_iter().map(|item| match item {
                        Value::String(text) => Value::String(account_root(&text)),
                        other => other,
                    });
                    (kind.clone(), sorted(items.collect()))
                })
                .collect(),
        ),
        // "*" and {"AWS": "*"} name the same principals.
        Value::String(star) if star == "*" => json!({"AWS": ["*"]}),
        other => other.clone(),
    }
}

/// `arn:aws:iam::111122223333:root` and `111122223333` are the same principal.
fn account_root(text: &str) -> String {
    match text.parse::<Arn>() {
        Ok(arn) if arn.service == "iam" && arn.region.is_empty() && arn.resource == "root" => arn.account,
        _ => text.to_owned(),
    }
}

fn condition(value: &Value) -> Value {
    let Value::Object(operators) = value else { return value.clone() };
    Value::Object(
        operators
            .iter()
            .map(|(operator, keys)| {
                let keys = match keys {
                    // Condition keys are not case-sensitive.
                    Value::Object(keys) => Value::Object(
                        keys.iter().map(|(key, values)| (key.to_ascii_lowercase(), set(values))).collect(),
                    ),
                    other => other.clone(),
                };
                (operator.clone(), keys)
            })
            .collect(),
    )
}

/// Returns a value with the members of every map in the order of their names.
fn ordered(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut members: Vec<_> =
                map.iter().map(|(name, value)| (name.clone(), ordered(value))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(members.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Returns a scalar or list as a sorted list of strings.
fn set(value: &Value) -> Value {
    let items = match value {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let items = items.into_iter().map(|item| match item {
        Value::Bool(flag) => Value::String(flag.to_string()),
        Value::Number(number) => Value::String(number.to_string()),
        other => other,
    });
    sorted(items.collect())
}

fn sorted(mut items: Vec<Value>) -> Value {
    items.sort_by_cached_key(Value::to_string);
    items.dedup();
    Value::Array(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TAG: &str = "0a1b2c3d";

    fn ours() -> Statement {
        Statement::new(
            0,
            json!({"Sid": "Create", "Effect": "Allow", "Principal": {"AWS": ["111111111111"]},
                "Action": ["redshift:CreateInboundIntegration"], "Resource": "arn:x",
                "Condition": {"StringEquals": {"aws:SourceArn": ["b", "a"]}, "Bool": {"aws:SecureTransport": "true"}}}),
        )
        .unwrap()
    }

    #[test]
    fn a_statement_is_recognised_in_the_form_the_service_gives_it() {
        let stored = r#"{"Version":"2012-10-17","Statement":{"Action":"redshift:CreateInboundIntegration",
            "Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Resource":["arn:x"],"Effect":"Allow",
            "Sid":"Create0a1b2c3d","Condition":{"Bool":{"aws:securetransport":true},"StringEquals":{"AWS:SourceArn":["a","b"]}}}}"#;
        let document = Document::parse(Some(stored)).unwrap();
        assert!(document.has_exactly(TAG, &[ours()]));
        assert!(!document.has_exactly(TAG, &[]));
        assert!(document.has_exactly("ffffffff", &[]));
    }

    #[test]
    fn equivalent_statements_have_equal_normal_texts() {
        let other = json!({"Effect": "Allow", "Action": "redshift:CreateInboundIntegration", "Resource": ["arn:x"],
            "Principal": {"AWS": "arn:aws:iam::111111111111:root"}, "Sid": "Another",
            "Condition": {"Bool": {"aws:SecureTransport": true}, "StringEquals": {"aws:sourcearn": ["a", "b"]}}});
        let text = |value: &Value| Statement::new(0, value.clone()).unwrap().normal_text();
        assert_eq!(text(&other), ours().normal_text());
        for (name, value) in [
            ("Effect", json!("Deny")),
            ("Resource", json!("arn:x*")),
            ("Principal", json!({"AWS": "222222222222"})),
            ("Condition", json!({"Bool": {"aws:SecureTransport": true}})),
            ("Action", json!(["redshift:CreateInboundIntegration", "redshift:*"])),
            ("NotResource", json!("y")),
        ] {
            let mut changed = other.clone();
            changed[name] = value;
            assert_ne!(text(&changed), ours().normal_text(), "{name}");
        }
    }

    #[test]
    fn a_condition_that_changed_is_a_change() {
        let stored = Document::parse(None).unwrap().with_statements_of(TAG, &[ours()]).to_string();
        let changed = stored.replace("\"b\"", "\"c\"");
        assert_ne!(stored, changed);
        assert!(!Document::parse(Some(&changed)).unwrap().has_exactly(TAG, &[ours()]));
    }

    #[test]
    fn text_that_is_no_policy_is_rejected() {
        for text in ["[]", "{}", "x", "{\"Statement\": 3}"] {
            assert!(Document::parse(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn statement_without_an_id_is_rejected() {
        let value = json!({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"});
        assert!(Statement::new(2, value).unwrap_err().to_string().starts_with("statement 2: `Sid`"));
    }

    #[test]
    fn second_statement_with_the_same_id_is_rejected() {
        let with =
            |sid: &str| json!({"Sid": sid, "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"});
        assert_eq!(Statement::list(["A", "B", "a"].map(with)).unwrap().len(), 3);
        let error = Statement::list(["A", "B", "A"].map(with)).unwrap_err().to_string();
        assert_eq!(error, "statement 2: an earlier statement has the same `Sid`, expected another for each");
    }

    fn foreign() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof!["[a-z*:/]{0,12}".prop_map(Value::from), any::<bool>().prop_map(Value::from)];
        let tree = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[A-Za-z]{1,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        ("[A-Za-z0-9]{0,10}", tree)
            .prop_map(|(sid, tree)| json!({"Sid": format!("{sid}zz"), "Effect": "Allow", "Any": tree}))
    }

    proptest! {
        #[test]
        fn merge_and_removal_keep_every_foreign_statement(
            foreign in prop::collection::vec(foreign(), 0..6),
            id in "[A-Za-z]{0,8}",
        ) {
            let text = json!({"Version": "2008-10-17", "Id": id, "Statement": foreign}).to_string();
            let before = Document::parse(Some(&text)).unwrap();
            let with = before.with_statements_of(TAG, &[ours()]);
            prop_assert!(with.has_exactly(TAG, &[ours()]));
            // Written and read back, twice merged: the same.
            let again = Document::parse(Some(&with.to_string())).unwrap().with_statements_of(TAG, &[ours()]);
            prop_assert_eq!(&again, &with);
            let without = again.with_statements_of(TAG, &[]);
            prop_assert_eq!(without, before);
        }
    }
}
