//! The group and the rules in a call to EC2 about a security group.
//!
//! EC2 accepts two forms of a rule, and CloudTrail records the form that the caller used: a list in
//! `ipPermissions`, or the members `cidrIp`, `ipProtocol`, `fromPort` and `toPort` beside an empty
//! list or null. The response has the rules in a third form. A group of the default VPC may be given
//! by its name alone. Sources: "AuthorizeSecurityGroupIngress" and "SecurityGroupRule" of the EC2 API
//! reference; records of both forms in public repositories (DataDog/stratus-red-team#81).

use serde_json::Value;

use super::CloudTrailRecord;

/// The security group of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityGroup {
    /// The group's id.
    Id(String),
    /// The name of a group of the default VPC, if neither request nor response has its id.
    Name(String),
    /// The record has neither.
    Unknown,
}

/// A rule: who may connect to which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// The protocol, such as `tcp`; `-1` is every protocol.
    pub protocol: String,
    /// The first and the last port. Absent for every port, and for protocols without ports.
    pub ports: Option<(i64, i64)>,
    /// The address ranges, in CIDR notation.
    pub ranges: Vec<String>,
}

impl CloudTrailRecord {
    /// Returns the security group: its id from the request or the response, or else its name.
    pub fn security_group(&self) -> SecurityGroup {
        let (request, response) = (&self.request_parameters, &self.response_elements);
        let modified = member(request, "ModifySecurityGroupRulesRequest");
        let id = text(request, "groupId")
            .or_else(|| text(response, "groupId"))
            .or_else(|| text(modified?, "GroupId"))
            .or_else(|| response_rules(response).find_map(|rule| text(rule, "groupId")));
        let name = || text(request, "groupName");
        id.map(SecurityGroup::Id)
            .or_else(|| name().map(SecurityGroup::Name))
            .unwrap_or(SecurityGroup::Unknown)
    }

    /// Returns the rules in the request, in either form; the rules in the response if the request has
    /// none that this version knows.
    pub fn group_rules(&self) -> Vec<GroupRule> {
        let request = &self.request_parameters;
        let listed = member(request, "ipPermissions").map(list).unwrap_or_default();
        let mut rules: Vec<GroupRule> = listed.into_iter().chain([request]).map(GroupRule::of).collect();
        rules.retain(|rule| !rule.ranges.is_empty());
        if rules.is_empty() {
            rules.extend(response_rules(&self.response_elements).map(GroupRule::of));
            rules.retain(|rule| !rule.ranges.is_empty());
        }
        rules
    }
}

impl GroupRule {
    /// Reads a rule. The names of its members depend on the form.
    fn of(rule: &Value) -> Self {
        let direct = ["cidrIp", "cidrIpv4", "cidrIpv6"].into_iter().filter_map(|name| text(rule, name));
        let nested =
            [("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6")].into_iter().flat_map(|(name, cidr)| {
                let ranges = member(rule, name).map(list).unwrap_or_default();
                ranges.into_iter().filter_map(move |range| text(range, cidr))
            });
        let ranges = direct.chain(nested).collect();
        let protocol = text(rule, "ipProtocol").unwrap_or_default();
        let ports = number(rule, "fromPort").zip(number(rule, "toPort"));
        // -1 is every port, or every type of ICMP.
        Self { protocol, ports: ports.filter(|(from, _)| *from >= 0), ranges }
    }
}

/// Returns the rules that a response names: those that were created, changed or revoked.
fn response_rules(response: &Value) -> impl Iterator<Item = &Value> {
    let sets = ["securityGroupRuleSet", "revokedSecurityGroupRuleSet"].into_iter();
    sets.filter_map(move |name| member(response, name)).flat_map(list)
}

/// Returns a member that is there and not null.
fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|member| !member.is_null())
}

/// Returns the members of a list, which CloudTrail wraps into `items`. An empty list is `{}`.
fn list(value: &Value) -> Vec<&Value> {
    let items = value.as_array().or_else(|| value.get("items")?.as_array());
    items.into_iter().flatten().filter(|item| !item.is_null()).collect()
}

/// Returns a text that is not empty. A protocol may be a number.
fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns a whole number, which may be written as a text.
fn number(value: &Value, name: &str) -> Option<i64> {
    match value.get(name)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(request: Value, response: Value) -> CloudTrailRecord {
        let record = json!({
            "eventName": "AuthorizeSecurityGroupIngress",
            "requestParameters": request,
            "responseElements": response,
            "userIdentity": null,
        });
        serde_json::from_value(record).unwrap()
    }

    fn rule(protocol: &str, ports: Option<(i64, i64)>, ranges: &[&str]) -> GroupRule {
        let ranges = ranges.iter().map(|range| (*range).to_owned()).collect();
        GroupRule { protocol: protocol.to_owned(), ports, ranges }
    }

    #[test]
    fn rules_are_read_from_every_form_of_the_call() {
        let flat = json!({"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIp": "0.0.0.0/0"});
        let tcp = rule("tcp", Some((22, 22)), &["0.0.0.0/0"]);
        for empty in [json!({}), json!(null), json!({"items": null}), json!({"items": []}), json!([])] {
            let mut request = flat.clone();
            request["ipPermissions"] = empty;
            assert_eq!(record(request, json!(null)).group_rules(), std::slice::from_ref(&tcp));
        }
        let listed = json!({
            "groupId": "sg-1", "cidrIp": null, "fromPort": null,
            "ipPermissions": {"items": [
                {"ipProtocol": "-1", "fromPort": -1, "toPort": -1, "groups": null,
                 "ipRanges": {"items": [{"cidrIp": "10.0.0.0/8"}, null]},
                 "ipv6Ranges": {"items": [{"cidrIpv6": "::/0"}]}, "prefixListIds": {}},
                {"ipProtocol": 17, "fromPort": "53", "toPort": "54", "ipRanges": null,
                 "ipv6Ranges": {"items": [{"cidrIpv6": "fd00::/8"}]}},
                {"ipProtocol": "tcp", "fromPort": 1, "toPort": 2, "groups": {"items": [{"groupId": "sg-2"}]}},
            ]},
        });
        let expected = [rule("-1", None, &["10.0.0.0/8", "::/0"]), rule("17", Some((53, 54)), &["fd00::/8"])];
        assert_eq!(record(listed, json!(null)).group_rules(), expected);
        let response = json!({"securityGroupRuleSet": {"items": [
            {"groupId": "sg-1", "ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "cidrIpv4": "0.0.0.0/0"},
        ]}});
        assert_eq!(record(json!({"groupId": "sg-1"}), response).group_rules(), [tcp]);
        assert_eq!(record(json!(null), json!(null)).group_rules(), []);
    }

    #[test]
    fn group_is_an_id_if_there_is_one_and_else_a_name() {
        let rules = |id: &str| json!({"securityGroupRuleSet": {"items": [{"groupId": id}]}});
        for (request, response, expected) in [
            (json!({"groupId": "sg-1", "groupName": "web"}), json!(null), SecurityGroup::Id("sg-1".into())),
            (json!({"groupName": "web"}), json!({"groupId": "sg-2"}), SecurityGroup::Id("sg-2".into())),
            (json!({"groupId": null, "groupName": "web"}), rules("sg-3"), SecurityGroup::Id("sg-3".into())),
            (json!({"groupName": "web"}), json!({"_return": true}), SecurityGroup::Name("web".into())),
            (
                json!({"ModifySecurityGroupRulesRequest": {"GroupId": "sg-4"}}),
                json!(null),
                SecurityGroup::Id("sg-4".into()),
            ),
            (
                json!(null),
                json!({"revokedSecurityGroupRuleSet": {"items": [{"groupId": "sg-5"}]}}),
                SecurityGroup::Id("sg-5".into()),
            ),
            (json!({"groupId": ""}), json!(null), SecurityGroup::Unknown),
        ] {
            assert_eq!(record(request, response).security_group(), expected);
        }
    }
}
