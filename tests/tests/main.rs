//! End-to-end tests against the local cloud and drills on real servers, in one program: linking one
//! for each file took a minute and a half.

mod alerts;
mod alerts_grants;
mod alerts_own_alarms;
mod alerts_sources;
mod bad_input;
mod copy_watch;
mod existing_resources;
mod least_privilege;
mod life_cycle;
mod main_path;
mod no_secrets;
mod real_files;
mod rotation_api_key;
mod rotation_elasticache;
mod rotation_engines;
mod rotation_kafka;
mod rotation_kafka_wire;
mod rotation_leaks;
mod rotation_mysql;
mod rotation_postgres;
mod rotation_redshift;
mod rotation_stack;
mod secret_rotation;
mod security;
mod serverless;
mod several_owners;
mod stage;
mod unknown_outcomes;
mod unmodified_templates;
mod verify_aws;
