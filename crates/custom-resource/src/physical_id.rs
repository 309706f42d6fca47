//! Physical resource ids: deterministic, and recognizable as the provider's own.

use crate::request::Owner;
use crate::response::json_len;

/// The id of a resource whose Create failed before it created anything.
///
/// CloudFormation sends a Delete for it during the rollback. That Delete succeeds without work.
pub const CREATE_FAILED: &str = "custom-resource:create-failed";

/// The longest physical id that CloudFormation accepts, in bytes (1 KB).
const MAX_BYTES: usize = 1024;

/// The id of one resource: `<kind>:<owner tag>:<identity>`.
///
/// The identity consists of the properties that identify the resource. A change of identity in an
/// Update is a replacement: CloudFormation deletes the old id after the update succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhysicalId {
    kind: String,
    tag: String,
    identity: String,
}

impl PhysicalId {
    /// Creates the id of `owner`'s resource of the given kind. An identity that does not fit in 1
    /// KB is replaced by its hash.
    ///
    /// The length is that in the response, where JSON may need six bytes for one: the whole
    /// response has to fit in 4096 bytes.
    pub fn new(kind: &str, owner: &Owner, identity: &str) -> Self {
        let room = MAX_BYTES.saturating_sub(kind.len() + owner.tag().len() + 2);
        let identity = if json_len(identity) <= room {
            identity.to_owned()
        } else {
            use sha2::{Digest, Sha256};
            format!("sha256-{}", hex::encode(Sha256::digest(identity.as_bytes())))
        };
        Self { kind: kind.to_owned(), tag: owner.tag().to_owned(), identity }
    }

    /// Parses an id of this kind. Returns `None` for every other text, such as an id that
    /// CloudFormation made up for a Create without a response.
    pub fn parse(kind: &str, text: &str) -> Option<Self> {
        let rest = text.strip_prefix(kind)?.strip_prefix(':')?;
        let (tag, identity) = rest.split_once(':')?;
        let is_tag = tag.len() == 8 && tag.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        is_tag.then(|| Self { kind: kind.to_owned(), tag: tag.to_owned(), identity: identity.to_owned() })
    }

    /// Returns the owner's tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the identity of the resource.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

impl std::fmt::Display for PhysicalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.kind, self.tag, self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_id_parses_to_the_same_id() {
        let id = PhysicalId::new("kind", &Owner::new("stack", "logical"), "arn:with:colons");
        assert_eq!(PhysicalId::parse("kind", &id.to_string()), Some(id));
    }

    #[test]
    fn ids_of_other_providers_do_not_parse() {
        for text in
            [CREATE_FAILED, "stack-Logical-1ABC", "kind", "kind:", "kind:xyz:identity", "other:0a0b0c0d:x"]
        {
            assert_eq!(PhysicalId::parse("kind", text), None, "{text}");
        }
    }

    #[test]
    fn id_has_at_most_one_kilobyte_for_any_identity() {
        let owner = Owner::new("stack", "logical");
        let long = PhysicalId::new("kind", &owner, &"x".repeat(5000));
        assert!(long.to_string().len() <= 1024);
        assert_ne!(long, PhysicalId::new("kind", &owner, &"x".repeat(5001)));
        let escaped = PhysicalId::new("kind", &owner, &"\u{1}".repeat(500));
        assert!(escaped.identity().starts_with("sha256-"), "{escaped}");
    }
}
