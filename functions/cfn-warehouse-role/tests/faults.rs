//! A fault at each call of a role's Create and Delete, with what Lambda, the state machine and
//! CloudFormation do then. No role stays attached, and no other role is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use cfn_warehouse_role::WarehouseRoles;
use custom_resource::RequestType::{Create, Delete};
use serde_json::{Value, json};
use test_support::aws::{Answer, Call, Service};
use test_support::faults::{Fault, Faults};
use test_support::resource::{After, Resource, with_each_fault};
use warehouse::cluster::ControlPlane;

const ROLE: &str = "arn:aws:iam::222222222222:role/copy";
const OTHER: &str = "arn:aws:iam::222222222222:role/other";
const GOING: &str = "arn:aws:iam::222222222222:role/going";

/// A Serverless namespace and a cluster with the same roles and tags.
#[derive(Debug, Default)]
struct World {
    /// Status by role.
    roles: BTreeMap<String, &'static str>,
    default: Option<String>,
    tags: BTreeMap<String, String>,
    /// The inputs of UpdateNamespace.
    updates: Vec<Value>,
    refuses_pass_role: bool,
}

impl World {
    /// Each look moves every role one state on.
    fn look(&mut self) -> Vec<(String, &'static str)> {
        let shown = self.roles.iter().map(|(arn, status)| (arn.clone(), *status)).collect();
        self.roles.retain(|arn, status| arn == GOING || *status != "removing");
        self.roles.values_mut().filter(|status| **status == "adding").for_each(|status| *status = "in-sync");
        shown
    }

    fn update(&mut self, call: &Call) -> Answer {
        if self.refuses_pass_role {
            return Answer::Error(
                400,
                "AccessDeniedException",
                "not authorized to perform iam:PassRole".into(),
            );
        }
        // Both "must be updated together" (the API model of redshift-serverless).
        let (Some(list), Some(default)) =
            (call.input["iamRoles"].as_array(), call.input["defaultIamRoleArn"].as_str())
        else {
            return Answer::Error(400, "ValidationException", "must be updated together".into());
        };
        let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        self.updates.push(call.input.clone());
        self.default = (!default.is_empty()).then(|| default.to_owned());
        for (arn, status) in &mut self.roles {
            if !list.contains(&arn.as_str()) {
                *status = "removing";
            } else if *status == "removing" {
                *status = "adding";
            }
        }
        for arn in list {
            self.roles.entry(arn.to_owned()).or_insert("adding");
        }
        Answer::Json(json!({"namespace": {}}))
    }

    fn modify(&mut self, call: &Call) -> Answer {
        for (key, arn) in &call.form {
            if key.starts_with("AddIamRoles") {
                self.roles.entry(arn.clone()).or_insert("adding");
            } else if key.starts_with("RemoveIamRoles") && self.roles.contains_key(arn) {
                self.roles.insert(arn.clone(), "removing");
            }
        }
        Answer::Xml("<Cluster/>".into())
    }
}

impl Service for World {
    fn serve(&mut self, call: &Call) -> Answer {
        let tag = |keys: &str, name: &str| {
            call.form
                .iter()
                .find(|(key, _)| key.contains(keys) && key.ends_with(name))
                .map(|(_, value)| value.clone())
                .unwrap_or_default()
        };
        match call.action.as_str() {
            "GetWorkgroup" => {
                Answer::Json(json!({"workgroup": {"namespaceName": "n", "status": "AVAILABLE"}}))
            }
            "GetNamespace" => {
                let role = |(arn, status): (String, &str)| {
                    format!("IamRole(applyStatus={status}, iamRoleArn={arn})")
                };
                let roles: Vec<String> = self.look().into_iter().map(role).collect();
                let arn = "arn:aws:redshift-serverless:us-east-1:222222222222:namespace/n";
                Answer::Json(
                    json!({"namespace": {"namespaceArn": arn, "iamRoles": roles, "defaultIamRoleArn": self.default}}),
                )
            }
            "UpdateNamespace" => self.update(call),
            "ListTagsForResource" => {
                let tags: Vec<Value> =
                    self.tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
                Answer::Json(json!({"tags": tags}))
            }
            "TagResource" => {
                for tag in call.input["tags"].as_array().unwrap() {
                    self.tags
                        .insert(tag["key"].as_str().unwrap().into(), tag["value"].as_str().unwrap().into());
                }
                Answer::Json(json!({}))
            }
            "UntagResource" => {
                for key in call.input["tagKeys"].as_array().unwrap() {
                    self.tags.remove(key.as_str().unwrap());
                }
                Answer::Json(json!({}))
            }
            "DescribeClusters" => {
                let role = |(arn, status): (String, &str)| {
                    format!(
                        "<ClusterIamRole><IamRoleArn>{arn}</IamRoleArn><ApplyStatus>{status}</ApplyStatus></ClusterIamRole>"
                    )
                };
                let roles: String = self.look().into_iter().map(role).collect();
                let tags: String = self
                    .tags
                    .iter()
                    .map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"))
                    .collect();
                Answer::Xml(format!(
                    "<Clusters><Cluster><ClusterIdentifier>main</ClusterIdentifier><ClusterStatus>available</ClusterStatus>\
                     <ClusterNamespaceArn>arn:aws:redshift:us-east-1:222222222222:namespace:n</ClusterNamespaceArn>\
                     <IamRoles>{roles}</IamRoles><Tags>{tags}</Tags></Cluster></Clusters>"
                ))
            }
            "CreateTags" => {
                self.tags.insert(tag("Tag", ".Key"), tag("Tag", ".Value"));
                Answer::Xml(String::new())
            }
            "DeleteTags" => {
                self.tags.remove(&tag("TagKeys", ".1"));
                Answer::Xml(String::new())
            }
            "ModifyClusterIamRoles" => self.modify(call),
            other => panic!("an unexpected call: {other}"),
        }
    }
}

fn drill(faults: HashMap<usize, Fault>, place: (&str, &str)) -> Resource<World, WarehouseRoles> {
    let properties = json!({"RoleArn": ROLE, place.0: place.1});
    let drill = Resource::new(World::default(), Faults::new(faults), properties, |config| {
        WarehouseRoles::new(ControlPlane {
            redshift: aws_sdk_redshift::Client::new(config),
            serverless: aws_sdk_redshiftserverless::Client::new(config),
        })
    });
    {
        let mut state = drill.state();
        state.roles = BTreeMap::from([(OTHER.to_owned(), "in-sync")]);
        state.default = Some(OTHER.to_owned());
    }
    drill
}

const CLUSTER: (&str, &str) = ("ClusterIdentifier", "main");
const WORKGROUP: (&str, &str) = ("WorkgroupName", "w");

/// Attaches and detaches the role with these faults. Returns the number of calls.
async fn attach_and_detach(faults: HashMap<usize, Fault>, place: (&str, &str)) -> usize {
    let title = format!("{faults:?} on {}", place.0);
    let check = |after: After, world: &World, reason: &str| {
        let status = |role: &str| world.roles.get(role).copied();
        let expected: &[_] = match after {
            After::Creation => &[Some("in-sync")],
            After::FailedCreation => &[None],
            After::Deletion => &[None, Some("removing")],
        };
        assert!(expected.contains(&status(ROLE)), "{title}: {:?} after {after:?}: {reason}", status(ROLE));
        if after != After::Creation {
            assert_eq!(world.tags.len(), 0, "{title}: a claim is left after {after:?}: {reason}");
        }
        assert_eq!(status(OTHER), Some("in-sync"), "{title}: another role was lost after {after:?}");
    };
    drill(faults, place).create_and_delete(&title, check).await
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_role() {
    for place in [CLUSTER, WORKGROUP] {
        with_each_fault(8, async |faults| attach_and_detach(faults, place).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn default_role_is_sent_and_removed_roles_are_not() {
    let drill = drill(HashMap::new(), WORKGROUP);
    drill.state().roles.insert(GOING.into(), "removing");
    assert!(drill.deliver(Create).await.is_ok());
    {
        let state = drill.state();
        assert_eq!(state.updates[0]["iamRoles"], json!([OTHER, ROLE]));
        assert_eq!(state.updates[0]["defaultIamRoleArn"], OTHER);
    }
    drill.state().default = Some(ROLE.into());
    assert!(drill.deliver(Delete).await.is_ok());
    let state = drill.state();
    assert_eq!(state.updates[1]["iamRoles"], json!([OTHER]));
    assert_eq!(state.updates[1]["defaultIamRoleArn"], "", "the default role was detached");
}

#[tokio::test(start_paused = true)]
async fn refused_list_of_roles_names_the_parameter() {
    let drill = drill(HashMap::new(), WORKGROUP);
    drill.state().refuses_pass_role = true;
    let reason = drill.deliver(Create).await.unwrap_err().chain();
    assert!(
        reason.contains(&format!("give the ARNs of its other roles to the parameter `OtherRoleArns` of templates/copy-target.yaml: {OTHER}"))
            && reason.contains("iam:PassRole"),
        "{reason}"
    );
}
