//! A fault at each call of a role's Create and Delete, with what Lambda, the state machine and
//! CloudFormation do then. No role stays attached, and no other role is lost.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cfn_warehouse_role::WarehouseRoles;
use custom_resource::RequestType::{Create, Delete};
use serde_json::{Value, json};
use test_support::aws::{Answer, Call, Service};
use test_support::faults::{Fault, Faults};
use test_support::resource::Resource;
use warehouse::cluster::ControlPlane;

const ROLE: &str = "arn:aws:iam::222222222222:role/copy";
const OTHER: &str = "arn:aws:iam::222222222222:role/other";
const GOING: &str = "arn:aws:iam::222222222222:role/going";

/// A Serverless namespace and a cluster with the same roles and tags.
#[derive(Debug, Default)]
struct State {
    /// Status by role.
    roles: BTreeMap<String, &'static str>,
    default: Option<String>,
    tags: BTreeMap<String, String>,
    /// The inputs of UpdateNamespace.
    updates: Vec<Value>,
    refuses_pass_role: bool,
}

#[derive(Debug, Default)]
struct World(Mutex<State>);

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
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
    fn serve(&self, call: &Call) -> Answer {
        let mut state = self.state();
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
                let roles: Vec<String> = state.look().into_iter().map(role).collect();
                let arn = "arn:aws:redshift-serverless:us-east-1:222222222222:namespace/n";
                Answer::Json(
                    json!({"namespace": {"namespaceArn": arn, "iamRoles": roles, "defaultIamRoleArn": state.default}}),
                )
            }
            "UpdateNamespace" => state.update(call),
            "ListTagsForResource" => {
                let tags: Vec<Value> =
                    state.tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
                Answer::Json(json!({"tags": tags}))
            }
            "TagResource" => {
                for tag in call.input["tags"].as_array().unwrap() {
                    state
                        .tags
                        .insert(tag["key"].as_str().unwrap().into(), tag["value"].as_str().unwrap().into());
                }
                Answer::Json(json!({}))
            }
            "UntagResource" => {
                for key in call.input["tagKeys"].as_array().unwrap() {
                    state.tags.remove(key.as_str().unwrap());
                }
                Answer::Json(json!({}))
            }
            "DescribeClusters" => {
                let role = |(arn, status): (String, &str)| {
                    format!(
                        "<ClusterIamRole><IamRoleArn>{arn}</IamRoleArn><ApplyStatus>{status}</ApplyStatus></ClusterIamRole>"
                    )
                };
                let roles: String = state.look().into_iter().map(role).collect();
                let tags: String = state
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
                state.tags.insert(tag("Tag", ".Key"), tag("Tag", ".Value"));
                Answer::Xml(String::new())
            }
            "DeleteTags" => {
                state.tags.remove(&tag("TagKeys", ".1"));
                Answer::Xml(String::new())
            }
            "ModifyClusterIamRoles" => state.modify(call),
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
        let mut state = drill.service.state();
        state.roles = BTreeMap::from([(OTHER.to_owned(), "in-sync")]);
        state.default = Some(OTHER.to_owned());
    }
    drill
}

const CLUSTER: (&str, &str) = ("ClusterIdentifier", "main");
const WORKGROUP: (&str, &str) = ("WorkgroupName", "w");

/// Attaches and detaches the role with these faults. Returns the number of calls.
async fn attach_and_detach(faults: HashMap<usize, Fault>, place: (&str, &str)) -> usize {
    let told = format!("{faults:?} on {}", place.0);
    let drill = drill(faults, place);
    let status = |role: &str| drill.service.state().roles.get(role).copied();
    match drill.deliver(Create).await {
        Ok(()) => assert_eq!(status(ROLE), Some("in-sync"), "{told}"),
        // CloudFormation gets no id, so it deletes nothing.
        Err(failure) if !failure.has_leftovers() => {
            let tags = drill.service.state().tags.clone();
            assert_eq!((status(ROLE), tags.len()), (None, 0), "{told}: left after: {}", failure.chain());
            return drill.faults.calls();
        }
        Err(_) => {}
    }
    let mut deleted = drill.deliver(Delete).await;
    if deleted.is_err() {
        deleted = drill.deliver(Delete).await;
    }
    assert!(deleted.is_ok(), "{told}: {}", deleted.unwrap_err().chain());
    assert!([None, Some("removing")].contains(&status(ROLE)), "{told}: the role stays attached");
    assert_eq!(status(OTHER), Some("in-sync"), "{told}: another role was lost");
    assert_eq!(drill.service.state().tags.len(), 0, "{told}: a claim is left");
    drill.faults.calls()
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_role() {
    for place in [CLUSTER, WORKGROUP] {
        let calls = attach_and_detach(HashMap::new(), place).await;
        assert!(calls >= 8, "{calls} calls");
        for number in 0..calls {
            for fault in Fault::ALL {
                attach_and_detach(HashMap::from([(number, fault)]), place).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn default_role_is_sent_and_removed_roles_are_not() {
    let drill = drill(HashMap::new(), WORKGROUP);
    drill.service.state().roles.insert(GOING.into(), "removing");
    assert!(drill.deliver(Create).await.is_ok());
    {
        let state = drill.service.state();
        assert_eq!(state.updates[0]["iamRoles"], json!([OTHER, ROLE]));
        assert_eq!(state.updates[0]["defaultIamRoleArn"], OTHER);
    }
    drill.service.state().default = Some(ROLE.into());
    assert!(drill.deliver(Delete).await.is_ok());
    let state = drill.service.state();
    assert_eq!(state.updates[1]["iamRoles"], json!([OTHER]));
    assert_eq!(state.updates[1]["defaultIamRoleArn"], "", "the default role was detached");
}

#[tokio::test(start_paused = true)]
async fn refused_list_of_roles_names_the_parameter() {
    let drill = drill(HashMap::new(), WORKGROUP);
    drill.service.state().refuses_pass_role = true;
    let reason = drill.deliver(Create).await.unwrap_err().chain();
    assert!(
        reason.contains(&format!("give the ARNs of its other roles to the parameter `OtherRoleArns` of templates/copy-target.yaml: {OTHER}"))
            && reason.contains("iam:PassRole"),
        "{reason}"
    );
}
