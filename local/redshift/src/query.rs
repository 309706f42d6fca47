//! The AWS query protocol: form parameters in, XML out.

use std::collections::BTreeMap;

use axum::response::Response;
use quick_xml::escape::escape;

use crate::answer::{ApiError, respond};

/// The decoded parameters of a query-protocol request.
#[derive(Debug, Clone, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Decodes an `application/x-www-form-urlencoded` body.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The value of a parameter, if it is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a required parameter.
    ///
    /// # Errors
    /// `MissingParameter` names it.
    pub fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| {
            ApiError::new("MissingParameter", format!("The request must contain the parameter {name}."))
        })
    }

    /// A boolean parameter.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).map(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A list of strings: `name.element.1`, `name.element.2`, … (or `name.member.1`).
    #[must_use]
    pub fn list(&self, name: &str, element: &str) -> Vec<String> {
        (1..)
            .map_while(|n| {
                self.0
                    .get(&format!("{name}.{element}.{n}"))
                    .or_else(|| self.0.get(&format!("{name}.member.{n}")))
                    .cloned()
            })
            .collect()
    }

    /// A list of structures, each as parameters without the prefix.
    #[must_use]
    pub fn structures(&self, name: &str, element: &str) -> Vec<Params> {
        let mut found = Vec::new();
        for n in 1.. {
            let mut one = BTreeMap::new();
            for prefix in [format!("{name}.{element}.{n}."), format!("{name}.member.{n}.")] {
                for (key, value) in &self.0 {
                    if let Some(rest) = key.strip_prefix(&prefix) {
                        one.insert(rest.to_owned(), value.clone());
                    }
                }
            }
            if one.is_empty() {
                return found;
            }
            found.push(Params(one));
        }
        found
    }

    /// `Tags.Tag.n.Key` / `.Value` (or another list of tags), in order.
    #[must_use]
    pub fn tags(&self, name: &str) -> Vec<(String, String)> {
        self.structures(name, "Tag")
            .iter()
            .map(|tag| {
                (
                    tag.get("Key").unwrap_or_default().to_owned(),
                    tag.get("Value").unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }

    /// The entries of a map parameter: `name.entry.n.key` / `.value`.
    #[must_use]
    pub fn map(&self, name: &str) -> Vec<(String, String)> {
        self.structures(name, "entry")
            .iter()
            .map(|entry| {
                (
                    entry.get("key").unwrap_or_default().to_owned(),
                    entry.get("value").unwrap_or_default().to_owned(),
                )
            })
            .collect()
    }
}

/// A small writer of XML elements; text is escaped.
#[derive(Debug, Default)]
pub struct Xml(String);

impl Xml {
    /// An empty document.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends markup as it is.
    pub fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
    }

    /// An element with text.
    pub fn text(&mut self, name: &str, value: &str) {
        // With characters that XML 1.0 does not allow, the client could not parse the response.
        let value: String =
            value.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r')).collect();
        self.0.push_str(&format!("<{name}>{}</{name}>", escape(&value)));
    }

    /// An element with text, if there is any.
    pub fn option(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An element with children.
    pub fn element(&mut self, name: &str, children: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name}>"));
        children(self);
        self.0.push_str(&format!("</{name}>"));
    }

    /// A list of tags, `<Tags><Tag><Key/><Value/></Tag>…`.
    pub fn tags<'a>(&mut self, tags: impl IntoIterator<Item = (&'a String, &'a String)>) {
        self.element("Tags", |xml| {
            for (key, value) in tags {
                xml.element("Tag", |xml| {
                    xml.text("Key", key);
                    xml.text("Value", value);
                });
            }
        });
    }

    /// The text written so far.
    #[must_use]
    pub fn finish(self) -> String {
        self.0
    }
}

/// The response of `operation`, with the result element that `result` writes.
pub fn answer(operation: &str, result: impl FnOnce(&mut Xml)) -> Response {
    let mut xml = Xml::new();
    xml.raw(&format!("<{operation}Response xmlns=\"http://redshift.amazonaws.com/doc/2012-12-01/\">"));
    xml.element(&format!("{operation}Result"), result);
    xml.element("ResponseMetadata", |xml| xml.text("RequestId", &uuid::Uuid::new_v4().to_string()));
    xml.raw(&format!("</{operation}Response>"));
    respond(200, "text/xml", xml.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_are_read_in_their_order() {
        let params = Params::parse(
            b"Action=CreateTags&Tags.Tag.1.Key=a&Tags.Tag.1.Value=1&Tags.Tag.2.Key=b&Tags.Tag.2.Value=&AddIamRoles.IamRoleArn.1=x",
        );
        assert_eq!(params.tags("Tags"), [("a".into(), "1".into()), ("b".into(), String::new())]);
        assert_eq!(params.list("AddIamRoles", "IamRoleArn"), ["x"]);
    }

    #[test]
    fn text_is_escaped_and_characters_outside_xml_are_dropped() {
        let mut xml = Xml::new();
        xml.text("A", "<&\u{1}>");
        assert_eq!(xml.finish(), "<A>&lt;&amp;&gt;</A>");
    }
}
