//! ACLs in messages: DescribeAcls and CreateAcls.

use std::sync::Arc;

use super::messages::{CREATE_ACLS, DESCRIBE_ACLS, Request, Status};
use super::wire::{Reader, WireError, Writer};

/// "Any", as a type of resource, a kind of pattern, an operation or a permission of a filter.
const ANY: i8 = 1;
/// The permission DENY.
const DENY: i8 = 2;

/// What a principal may do or may not, apart from who it is. The numbers are Kafka's, and pass through as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Type of the resource.
    pub(crate) resource_type: i8,
    /// Its name, or a prefix of it; shared, so that many rules of a long name take no more memory than the answer did.
    pub(crate) resource: Arc<str>,
    /// Literal or prefixed.
    pub(crate) pattern: i8,
    /// Hosts, or `*`.
    pub(crate) host: String,
    /// Operation.
    pub(crate) operation: i8,
    /// ALLOW or DENY.
    pub(crate) permission: i8,
}

impl Rule {
    /// Whether it takes a right away.
    pub(crate) fn denies(&self) -> bool {
        self.permission == DENY
    }
}

/// DescribeAcls: all of one principal.
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
    /// Of the request.
    pub(crate) status: Status,
    /// Principals and rules.
    pub(crate) rules: Vec<(String, Rule)>,
}

impl Rules {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
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

/// CreateAcls: these, of one principal.
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

/// What became of each rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Created(pub(crate) Vec<Status>);

impl Created {
    /// From the answer.
    ///
    /// # Errors
    /// It is none.
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
