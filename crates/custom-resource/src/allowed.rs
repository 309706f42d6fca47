//! The values that a function's own stack allows. An event alone cannot widen them.
//!
//! Whoever may invoke a function chooses the event. So the template writes into the function's
//! environment what its resources name, and a request for anything else is rejected before the
//! provider is called.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::properties::readable;
use crate::request::Owner;

/// The variable with the resources that may use the function.
const RESOURCES: &str = "ALLOWED_RESOURCES";

/// The most allowed values that an error lists.
const MOST_LISTED: usize = 5;

/// The longest value in an error, in characters.
const MOST_CHARS: usize = 160;

/// A list of allowed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowedList {
    /// The environment variable with the values, one a line.
    pub variable: &'static str,
    /// The parameter of the function's template that changes the list; `None` if only the stack's
    /// own resources are allowed.
    pub parameter: Option<&'static str>,
}

impl AllowedList {
    /// The resources of other stacks that may use the function. Without it only the resource of the
    /// function's own stack may.
    pub const OTHER_RESOURCES: Self = Self::of(RESOURCES, "AllowedResources");

    /// Creates a list that a parameter changes.
    pub const fn of(variable: &'static str, parameter: &'static str) -> Self {
        Self { variable, parameter: Some(parameter) }
    }

    /// Creates a list that only names resources of the function's own stack.
    pub const fn own(variable: &'static str) -> Self {
        Self { variable, parameter: None }
    }
}

/// One value that a request names, and the variable whose list must hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    property: String,
    value: String,
    variable: &'static str,
}

impl Use {
    /// Creates the use of `value` by a property.
    pub fn new(property: impl Into<String>, value: impl Into<String>, variable: &'static str) -> Self {
        Self { property: property.into(), value: value.into(), variable }
    }
}

/// A request for something that the function's stack does not allow.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name}: {place}: the function's stack does not allow {found}, allowed: {allowed}; {remedy}",
    name = Self::NAME
)]
pub struct NotAllowed {
    place: String,
    found: String,
    allowed: String,
    remedy: String,
}

impl NotAllowed {
    /// The error's public name, at the start of its text.
    pub const NAME: &str = "NotAllowed";
}

/// The values that a function's stack allows, in lists that its template writes.
///
/// A value ends in `*` if it allows everything that begins with the part before. A list without
/// values allows nothing.
#[derive(Debug, Clone)]
pub struct Allowed {
    template: &'static str,
    /// `None` allows everything.
    lists: Option<BTreeMap<&'static str, (AllowedList, Vec<String>)>>,
}

impl Allowed {
    /// Reads lists from the environment. The list `ALLOWED_RESOURCES` is always read; its values are
    /// `STACK_ID/LOGICAL_ID` with the stack's whole ARN, which the template writes for its own
    /// resource, and `STACK_NAME/LOGICAL_ID` for a resource of another stack of the same account and
    /// Region.
    pub fn read(
        template: &'static str,
        lists: &[AllowedList],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let values = |list: &AllowedList| -> Vec<String> {
            let text = variable(list.variable).unwrap_or_default();
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        };
        let own = AllowedList::own(RESOURCES);
        let all = [&own].into_iter().chain(lists);
        Self { template, lists: Some(all.map(|list| (list.variable, (*list, values(list)))).collect()) }
    }

    /// Allows everything that the function's role can do.
    pub fn everything() -> Self {
        Self { template: "", lists: None }
    }

    /// Replaces every value of a list by the results of `read`, such as a document by its normal
    /// form.
    ///
    /// # Errors
    /// The error of `read`.
    pub fn each<E>(
        mut self,
        variable: &'static str,
        read: impl Fn(&str) -> Result<Vec<String>, E>,
    ) -> Result<Self, E> {
        if let Some((_, values)) = self.lists.as_mut().and_then(|lists| lists.get_mut(variable)) {
            let mut all = Vec::new();
            for value in values.iter() {
                all.extend(read(value)?);
            }
            *values = all;
        }
        Ok(self)
    }

    /// Checks everything that a request names.
    pub(crate) fn check(&self, uses: &[Use]) -> Result<(), NotAllowed> {
        let Some(lists) = &self.lists else { return Ok(()) };
        for one in uses {
            let found = lists.get(one.variable);
            let values = found.map(|(_, values)| values.as_slice()).unwrap_or_default();
            if !values.iter().any(|value| matches(value, &one.value)) {
                let place = format!("property `{}`", readable(&one.property, MOST_CHARS));
                let parameter = found.and_then(|(list, _)| list.parameter);
                return Err(self.refusal(place, &one.value, values, parameter));
            }
        }
        Ok(())
    }

    /// Returns the standing of the resource that a request is about.
    pub(crate) fn owner(&self, owner: &Owner) -> Result<Standing, NotAllowed> {
        let Some(lists) = &self.lists else { return Ok(Standing::Own) };
        let found = lists.get(RESOURCES);
        let values = found.map(|(_, values)| values.as_slice()).unwrap_or_default();
        let whole = format!("{}/{}", owner.stack_id(), owner.logical_id());
        let mut own = values.iter().filter(|value| value.starts_with("arn:"));
        if own.clone().any(|value| *value == whole) {
            return Ok(Standing::Own);
        }
        let is_of_own_region = own.any(|value| region_of(value) == region_of(&whole));
        let named = whole.split_once(":stack/").and_then(|(_, rest)| {
            let (name, _) = rest.split_once('/')?;
            Some(format!("{name}/{}", owner.logical_id()))
        });
        match named {
            Some(named) if is_of_own_region && values.iter().any(|value| matches(value, &named)) => {
                Ok(Standing::Other)
            }
            _ => {
                let place = format!("resource `{}`", readable(owner.logical_id(), MOST_CHARS));
                let parameter = found.and_then(|(list, _)| list.parameter);
                Err(self.refusal(place, named.as_deref().unwrap_or(&whole), values, parameter))
            }
        }
    }

    fn refusal(&self, place: String, found: &str, values: &[String], parameter: Option<&str>) -> NotAllowed {
        let quoted = |text: &str| format!("\"{}\"", readable(text, MOST_CHARS));
        let mut allowed =
            values.iter().take(MOST_LISTED).map(|value| quoted(value)).collect::<Vec<_>>().join(", ");
        match values.len().saturating_sub(MOST_LISTED) {
            0 if values.is_empty() => allowed.push_str("none"),
            0 => {}
            // Writing to a string does not fail.
            more => drop(write!(allowed, " and {more} more")),
        }
        let template = self.template;
        let remedy = match parameter {
            Some(parameter) => format!(
                "to allow it, change the parameter `{parameter}` of templates/{template} and deploy that stack first"
            ),
            None => format!("no parameter of templates/{template} changes that"),
        };
        NotAllowed { place, found: quoted(found), allowed, remedy }
    }
}

/// The standing of a resource with a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A resource of the function's own stack, by its whole ARN.
    Own,
    /// A resource of another stack that the function's stack allows, by name.
    Other,
}

/// Returns the part of a stack's ARN with partition, Region and account.
fn region_of(stack: &str) -> Option<&str> {
    stack.split_once(":stack/").map(|(region, _)| region)
}

/// Matches a value with an allowed one, which may end in `*`.
fn matches(allowed: &str, value: &str) -> bool {
    allowed == value || allowed.strip_suffix('*').is_some_and(|start| value.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/sluice-source/0a1b";

    fn allowed() -> Allowed {
        let resources = format!("{OWN}/BucketStatements\nteam/Job\nfleet-*");
        let variable = |name: &str| match name {
            "ALLOWED_BUCKETS" => Some(" one \n\nteam-*\n".to_owned()),
            "ALLOWED_RESOURCES" => Some(resources.clone()),
            _ => None,
        };
        let lists = [
            AllowedList::OTHER_RESOURCES,
            AllowedList::of("ALLOWED_BUCKETS", "BucketName"),
            AllowedList::own("ALLOWED_KEYS"),
        ];
        Allowed::read("copy-source.yaml", &lists, &variable)
    }

    fn refusal(property: &str, value: &str, variable: &'static str) -> String {
        let uses = [Use::new(property, value, variable)];
        allowed().check(&uses).map_or_else(|error| error.to_string(), |()| "allowed".to_owned())
    }

    #[test]
    fn value_is_allowed_exactly_or_by_its_start() {
        for (value, is_allowed) in [
            ("one", true),
            ("team-", true),
            ("team-a", true),
            ("one2", false),
            ("On", false),
            ("ONE", false),
            ("", false),
            ("tea", false),
            ("*", false),
            ("a team-b", false),
            ("one\nteam-a", false),
        ] {
            assert_eq!(refusal("BucketName", value, "ALLOWED_BUCKETS") == "allowed", is_allowed, "{value}");
        }
    }

    #[test]
    fn refusal_names_property_found_allowed_and_parameter() {
        assert_eq!(
            refusal("BucketName", "other", "ALLOWED_BUCKETS"),
            "NotAllowed: property `BucketName`: the function's stack does not allow \"other\", allowed: \"one\", \"team-*\"; \
             to allow it, change the parameter `BucketName` of templates/copy-source.yaml and deploy that stack first"
        );
        let long = refusal("KmsKeyId", &"k\u{7}".repeat(5000), "ALLOWED_KEYS");
        assert!(
            long.ends_with("allowed: none; no parameter of templates/copy-source.yaml changes that"),
            "{long}"
        );
        assert!(long.contains("allowed: none;") && long.len() < 500 && !long.contains('\u{7}'), "{long}");
    }

    #[test]
    fn parameter_that_was_not_read_allows_nothing() {
        assert!(refusal("X", "x", "ALLOWED_THINGS").contains("allowed: none"));
        assert!(Allowed::everything().check(&[Use::new("X", "x", "ALLOWED_THINGS")]).is_ok());
    }

    #[test]
    fn long_list_is_shortened_in_the_refusal() {
        let many = (0..9).map(|n| format!("b{n}\n")).collect::<String>();
        let allowed =
            Allowed::read("t.yaml", &[AllowedList::own("ALLOWED_BUCKETS")], &|_| Some(many.clone()));
        let error = allowed.check(&[Use::new("BucketName", "x", "ALLOWED_BUCKETS")]).unwrap_err().to_string();
        assert!(error.contains("\"b4\" and 4 more;"), "{error}");
    }

    #[test]
    fn resource_is_known_by_its_stack_and_logical_id() {
        let stack = |name: &str| format!("arn:aws:cloudformation:eu-west-1:111111111111:stack/{name}/9f");
        for (stack, logical, expected) in [
            (OWN.to_owned(), "BucketStatements", Some(Standing::Own)),
            (OWN.to_owned(), "Direct", None),
            // The name of the own stack is not its ARN.
            (stack("sluice-source"), "BucketStatements", None),
            (stack("team"), "Job", Some(Standing::Other)),
            (stack("team"), "Jobs", None),
            (stack("fleet-7"), "Any", Some(Standing::Other)),
            (stack("x/team"), "Job", None),
            (stack("team").replace("1111111", "2222222"), "Job", None),
            (stack("team").replace("eu-west-1", "eu-west-2"), "Job", None),
            ("team".to_owned(), "Job", None),
            (String::new(), "", None),
        ] {
            let found = allowed().owner(&Owner::new(&stack, logical)).ok();
            assert_eq!(found, expected, "{stack} {logical}");
        }
        let error = allowed().owner(&Owner::new(&stack("a"), "B")).unwrap_err().to_string();
        assert!(
            error.starts_with(
                "NotAllowed: resource `B`: the function's stack does not allow \"a/B\", allowed: "
            ),
            "{error}"
        );
        assert!(error.contains("parameter `AllowedResources` of templates/copy-source.yaml"), "{error}");
    }

    #[test]
    fn values_are_replaced_by_their_normal_form() {
        let read = |text: &str| {
            if text == "one" { Ok(vec!["1".to_owned(), "eins".to_owned()]) } else { Err(text.len()) }
        };
        assert_eq!(allowed().each("ALLOWED_BUCKETS", read).unwrap_err(), 6);
        let all = allowed().each("ALLOWED_BUCKETS", |text| Ok::<_, ()>(vec![text.to_uppercase()])).unwrap();
        assert!(all.check(&[Use::new("BucketName", "ONE", "ALLOWED_BUCKETS")]).is_ok());
    }
}
