//! XML responses as a tree.

/// An element with its children; attributes and namespaces are left out.
#[derive(Debug, Clone, Default)]
pub struct Element {
    /// Local name.
    pub name: String,
    /// The text directly inside.
    pub value: String,
    /// Child elements in order.
    pub children: Vec<Element>,
}

impl Element {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
        Ok(Self::from_node(document.root_element()))
    }

    fn from_node(node: roxmltree::Node<'_, '_>) -> Self {
        Self {
            name: node.tag_name().name().to_owned(),
            value: node.text().unwrap_or_default().to_owned(),
            children: node.children().filter(|child| child.is_element()).map(Self::from_node).collect(),
        }
    }

    /// The first descendant of this name, depth first.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// The text of the first descendant of this name.
    pub fn text(&self, name: &str) -> Option<String> {
        self.find(name).map(|element| element.value.clone())
    }

    /// Every descendant of this name, in document order, including those inside one another.
    pub fn all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name {
                found.push(child);
            }
            found.extend(child.all(name));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_found_by_its_local_name_at_any_depth() {
        let tree = Element::parse(
            "<R xmlns='urn:x'><Result><Stacks><member><Name>a</Name></member><member><Name>b &amp; c</Name>\
             </member></Stacks></Result></R>",
        )
        .unwrap();
        assert_eq!(tree.text("Name").as_deref(), Some("a"));
        let names: Vec<_> = tree.all("member").iter().map(|member| member.text("Name").unwrap()).collect();
        assert_eq!(names, ["a", "b & c"]);
        assert!(tree.find("Missing").is_none());
    }

    #[test]
    fn text_that_is_not_xml_is_an_error() {
        assert!(Element::parse("not xml").is_err());
    }
}
