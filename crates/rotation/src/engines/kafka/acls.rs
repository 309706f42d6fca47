//! The messages about ACLs: DescribeAcls and CreateAcls.

use std::sync::Arc;

use super::messages::{CREATE_ACLS, DESCRIBE_ACLS, Request, Status};
use super::wire::{Reader, WireError, Writer};

/// "Any", as a type of resource, a kind of pattern, an operation or a permission of a filter.
const ANY: i8 = 1;
/// The permission DENY.
const DENY: i8 = 2;

/// A permission or prohibition of a principal, without the principal. The numbers are Kafka's and
/// are copied unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The type of the resource.
    pub(crate) resource_type: i8,
    /// The name or prefix of the resource. It is shared, so that many rules of a long name need no
    /// more memory than the response.
    pub(crate) resource: Arc<str>,
    /// Literal or prefixed.
    pub(crate) pattern: i8,
    /// The host, or `*`.
    pub(crate) host: String,
    /// The operation.
    pub(crate) operation: i8,
    /// ALLOW or DENY.
    pub(crate) permission: i8,
}

impl Rule {
    /// Returns true if the rule takes a right away.
    pub(crate) fn denies(&self) -> bool {
        self.permission == DENY
    }
}

/// Creates a DescribeAcls request for all rules of one principal.
pub(crate) fn describe(principal: &str) -> Request {
    let body = Writer::new()
        .int8(ANY)
        .compact_null()
        .int8(ANY)
        .compact_string(principal)
        .compact_null()
        .int8(ANY)
        .int8(ANY);
    Request::new(DESCRIBE_ACLS, body.no_tags())
}

/// The rules of principals.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// The status of the request.
    pub(crate) status: Status,
    /// The principals and their rules.
    pub(crate) rules: Vec<(String, Rule)>,
}

impl Rules {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let _throttled = reader.int32("throttle time")?;
        let status = Status::read(&mut reader)?;
        let resources = reader.compact_array("resources", |reader| {
            let resource_type = reader.int8("type of resource")?;
            let resource: Arc<str> = reader.compact_string("resource")?.into();
            let pattern = reader.int8("pattern")?;
            let rules = reader.compact_array("rules", |reader| {
                let principal = reader.compact_string("principal")?.to_owned();
                let host = reader.compact_string("host")?.to_owned();
                let (operation, permission) = (reader.int8("operation")?, reader.int8("permission")?);
                reader.skip_tags()?;
                let resource = Arc::clone(&resource);
                Ok((principal, Rule { resource_type, resource, pattern, host, operation, permission }))
            })?;
            reader.skip_tags()?;
            Ok(rules)
        })?;
        reader.finish()?;
        Ok(Self { status, rules: resources.into_iter().flatten().collect() })
    }
}

/// Creates a CreateAcls request for rules of one principal.
pub(crate) fn create(principal: &str, rules: &[Rule]) -> Request {
    let body = rules.iter().fold(Writer::new().compact_array(rules.len()), |body, rule| {
        body.int8(rule.resource_type)
            .compact_string(&rule.resource)
            .int8(rule.pattern)
            .compact_string(principal)
            .compact_string(&rule.host)
            .int8(rule.operation)
            .int8(rule.permission)
            .no_tags()
    });
    Request::new(CREATE_ACLS, body.no_tags())
}

/// The result for each rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Created(pub(crate) Vec<Status>);

impl Created {
    /// Parses the response.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let _throttled = reader.int32("throttle time")?;
        let rules = reader.compact_array("rules", |reader| {
            let status = Status::read(reader)?;
            reader.skip_tags()?;
            Ok(status)
        })?;
        reader.finish()?;
        Ok(Self(rules))
    }
}
