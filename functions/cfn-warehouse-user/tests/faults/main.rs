//! A fault at each call of a user's Create and Delete, with what Lambda and CloudFormation do then.
//! No user is ever left, and no password is ever in a statement.

#![allow(clippy::unwrap_used, reason = "tests")]

mod world;

use std::collections::HashMap;

use cfn_warehouse_user::WarehouseUsers;
use custom_resource::RequestType::{Create, Delete, Update};
use serde_json::{Value, json};
use test_support::faults::{Fault, Faults};
use test_support::resource::{After, Resource, with_each_fault};
use warehouse::cluster::ControlPlane;
use warehouse::secret::SecretsManager;

use world::{ROLE, World};

fn loader() -> Value {
    json!({
        "ClusterIdentifier": "main", "Database": "dev", "AdminSecretArn": "arn:admin", "SecretArn": "arn:loader",
        "UserName": "sluice_loader", "Purpose": "loader", "CopyRoleArn": ROLE, "Schemas": ["public"], "Tables": [""],
        "RestrictRoles": "true",
    })
}

fn with(properties: Value, faults: HashMap<usize, Fault>) -> Resource<World, WarehouseUsers> {
    Resource::new(World::default(), Faults::new(faults), properties, |config| {
        let control = ControlPlane {
            redshift: aws_sdk_redshift::Client::new(config),
            serverless: aws_sdk_redshiftserverless::Client::new(config),
        };
        let secrets = SecretsManager::new(aws_sdk_secretsmanager::Client::new(config));
        WarehouseUsers::new(control, aws_sdk_redshiftdata::Client::new(config), secrets)
    })
}

fn drill(faults: HashMap<usize, Fault>) -> Resource<World, WarehouseUsers> {
    with(loader(), faults)
}

async fn create_and_delete(faults: HashMap<usize, Fault>) -> usize {
    let title = format!("{faults:?}");
    let check = |after: After, world: &World, reason: &str| {
        let expected = usize::from(after == After::Creation);
        assert_eq!(world.loader().iter().count(), expected, "{title}: users after {after:?}: {reason}");
        if after == After::Creation {
            let (name, user) = world.loader().unwrap();
            assert_eq!(world.secret()["username"], name.as_str(), "{title}");
            assert_eq!(user.grants.len(), 4, "{title}: {:?}", user.grants);
        }
        for (_, sql) in &world.log {
            assert!(!sql.contains("First-Password"), "{title}: {sql}");
        }
    };
    drill(faults).create_and_delete(&title, check).await
}

#[tokio::test(start_paused = true)]
async fn fault_at_each_call_leaves_no_user() {
    with_each_fault(30, create_and_delete).await;
}

#[tokio::test(start_paused = true)]
async fn loader_gets_its_grants_and_secret_and_nothing_else() {
    let drill = drill(HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    let world = drill.state();
    let (name, user) = world.loader().unwrap();
    let grants: Vec<&str> = user.grants.iter().map(String::as_str).collect();
    assert_eq!(
        grants,
        [
            &format!("ASSUMEROLE ON '{ROLE}'"),
            "CREATE ON SCHEMA \"public\"",
            "CREATE, ALTER, DROP FOR COPY JOBS IN DATABASE \"dev\"",
            "USAGE ON SCHEMA \"public\"",
        ]
    );
    assert!(!user.superuser && !user.sees_all && user.password.starts_with("md5"), "{user:?}");
    assert!(!world.roles_are_public);
    let secret = world.secret();
    assert_eq!(
        (&secret["username"], &secret["dbClusterIdentifier"], &secret["dbname"], &secret["host"]),
        (&json!(name), &json!("main"), &json!("dev"), &json!("main.example"))
    );
    assert_eq!(secret["password"], "First-Password-1");
}

#[tokio::test(start_paused = true)]
async fn reader_sees_all_rows_of_the_views_and_has_no_grant() {
    let mut reader = loader();
    for name in ["CopyRoleArn", "Schemas", "Tables", "RestrictRoles"] {
        reader.as_object_mut().unwrap().remove(name);
    }
    (reader["UserName"], reader["Purpose"]) = ("sluice_reader".into(), "reader".into());
    let drill = with(reader, HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    let world = drill.state();
    let (_, user) = world.loader().unwrap();
    assert!(user.sees_all && user.grants.is_empty(), "{user:?}");
    assert!(world.roles_are_public);
}

#[tokio::test(start_paused = true)]
async fn update_after_a_restored_snapshot_sets_the_password_again() {
    let drill = drill(HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    let before = drill.state().loader().unwrap().1.password.clone();
    drill.state().forget_password();
    assert!(drill.deliver(Update).await.is_ok());
    assert_eq!(drill.state().loader().unwrap().1.password, before);
}

#[tokio::test(start_paused = true)]
async fn user_that_owns_copy_jobs_is_not_dropped() {
    let drill = drill(HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    drill.state().jobs = vec!["load_a"];
    let reason = drill.deliver(Delete).await.unwrap_err().chain();
    assert!(reason.contains("owns the copy jobs load_a; delete their stacks"), "{reason}");
    // Its tables stay, with another owner.
    (drill.state().jobs, drill.state().tables) = (vec![], vec!["orders"]);
    assert!(drill.deliver(Delete).await.is_ok());
    assert!(drill.state().loader().is_none() && drill.state().tables.is_empty());
    assert!(drill.deliver(Delete).await.is_ok(), "a Delete may be repeated");
}

#[tokio::test(start_paused = true)]
async fn superuser_with_the_name_is_not_taken_over() {
    let drill = drill(HashMap::new());
    assert!(drill.deliver(Create).await.is_ok());
    let name = drill.state().loader().unwrap().0.clone();
    drill.state().users.get_mut(&name).unwrap().superuser = true;
    let failure = drill.deliver(Update).await.unwrap_err();
    assert!(failure.chain().contains("is a superuser"), "{}", failure.chain());
}

#[tokio::test(start_paused = true)]
async fn absent_schema_fails_before_anything_is_made() {
    let drill = drill(HashMap::new());
    drill.state().schemas = vec!["sales"];
    let failure = drill.deliver(Create).await.unwrap_err();
    let reason = failure.chain();
    assert!(reason.contains("property `Schemas`: there is no schema public in database \"dev\""), "{reason}");
    assert!(!failure.has_leftovers() && drill.state().loader().is_none());
    assert!(drill.state().secret().get("username").is_none());
}
