//! The accounts behind the profiles of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::output::{output_of, refusal_of};
use super::{Engine, EngineError};
use crate::accounts::Role;
use crate::catalog::Check;
use crate::state::{Identity, RunState};

impl Engine<'_> {
    /// Finds the accounts of the checks' roles, and returns why some have none.
    pub(super) fn identify(
        &self,
        state: &mut RunState,
        checks: &[&Check],
    ) -> Result<BTreeMap<Role, String>, EngineError> {
        let mut missing = BTreeMap::new();
        let mut found: BTreeMap<String, Result<Identity, String>> = BTreeMap::new();
        for role in
            Role::ALL.into_iter().filter(|role| checks.iter().any(|check| check.roles().contains(role)))
        {
            let profile = self.accounts.profile(role).to_owned();
            let identity = found.entry(profile.clone()).or_insert_with(|| self.identity(&profile));
            match identity {
                Ok(identity) => drop(state.accounts.insert(role, identity.clone())),
                Err(reason) => drop(missing.insert(role, reason.clone())),
            }
        }
        let endpoints: Vec<_> =
            state.accounts.values().map(|identity| identity.endpoint.as_deref()).collect();
        let local = |endpoint: &str| {
            let host = endpoint.strip_prefix("http://").unwrap_or_default();
            ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| {
                host.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
            })
        };
        if let Some(strange) =
            endpoints.iter().flatten().find(|endpoint| !local(endpoint) || endpoints.contains(&None))
        {
            return Err(EngineError::Endpoint((*strange).to_owned()));
        }
        Ok(missing)
    }

    fn identity(&self, profile: &str) -> Result<Identity, String> {
        let run = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
            self.world.runner.run(&words, Duration::from_secs(60), &|| self.world.operator.wants_to_stop())
        };
        let configured = |name: &str| {
            let ran = run(&["aws", "configure", "get", name, "--profile", profile]);
            Some(ran.stdout.trim().to_owned()).filter(|value| ran.succeeded && !value.is_empty())
        };
        let region = self.region.clone().or_else(|| configured("region"));
        let region = region.ok_or_else(|| format!("profile `{profile}` has no Region; set AWS_REGION"))?;
        let endpoint = self.endpoint.clone().or_else(|| configured("endpoint_url"));
        let mut identity = Identity {
            profile: profile.into(),
            account: String::new(),
            partition: String::new(),
            region,
            endpoint,
        };
        let words =
            ["aws", "sts", "get-caller-identity", "--query", "[Account,Arn]"].map(str::to_owned).to_vec();
        let ran = self.world.runner.run(&with_identity(words, &identity), Duration::from_secs(60), &|| false);
        let refused =
            || format!("profile `{profile}` cannot say which account it belongs to: {}", refusal_of(&ran));
        let (account, arn): (String, String) =
            serde_json::from_str(&output_of(&ran)).ok().filter(|_| ran.succeeded).ok_or_else(refused)?;
        identity.account = account;
        identity.partition = arn.split(':').nth(1).unwrap_or("aws").to_owned();
        Ok(identity)
    }

    /// Refuses to go on when a profile means another account than before: removals would look for
    /// the resources in the wrong place and find nothing.
    pub(super) fn expect_same_accounts(&self, state: &RunState) -> Result<(), EngineError> {
        for before in state.accounts.values() {
            let now = self.identity(&before.profile);
            let same = now.as_ref().is_ok_and(|now| {
                (&now.account, &now.region, &now.endpoint)
                    == (&before.account, &before.region, &before.endpoint)
            });
            if !same {
                let (found, region) =
                    now.map_or_else(|reason| (reason, String::new()), |now| (now.account, now.region));
                let expected = format!("{} in {}", before.account, before.region);
                return Err(EngineError::OtherAccount {
                    profile: before.profile.clone(),
                    expected,
                    found,
                    region,
                });
            }
        }
        Ok(())
    }
}

pub(super) fn with_identity(mut words: Vec<String>, identity: &Identity) -> Vec<String> {
    if words.first().is_some_and(|program| program == "aws") {
        let options = ["--profile", &identity.profile, "--region", &identity.region, "--output", "json"];
        words.extend(options.map(str::to_owned));
        if let Some(endpoint) = &identity.endpoint {
            words.extend(["--endpoint-url".to_owned(), endpoint.clone()]);
        }
    }
    words
}
