//! A session that changes one user: its SCRAM credentials, and the rules of an alternating user.

use ring::rand::{SecureRandom, SystemRandom};
use secrecy::ExposeSecret;

use super::acls::{self, Created, Rule, Rules};
use super::client::Client;
use super::codes;
use super::connection::{Connection, Fault};
use super::iterations::Iterations;
use super::messages::{
    self, Altered, CREATE_ACLS, DESCRIBE_ACLS, DESCRIBE_SCRAM, Described, Status, Upsertion,
};
use super::scram::Mechanism;
use crate::engine::{Account, EngineError, Server};

/// The random bytes of a salt, about as many as in Kafka's own tools.
const SALT: usize = 32;
/// The attempts to reach the controller.
const CONTROLLER_ATTEMPTS: u32 = 3;
/// The rules in one request. It stays below a megabyte with the longest topic names (249 bytes).
const RULES_AT_ONCE: usize = 1000;

/// A session of a user who may change users.
pub(super) struct Admin<'a> {
    client: &'a Client,
    iterations: Iterations,
    connection: Connection,
    by: &'a Account,
    /// The user that is changed.
    user: &'a str,
}

impl<'a> Admin<'a> {
    /// Logs in.
    pub(super) async fn open(
        client: &'a Client,
        iterations: Iterations,
        by: &'a Account,
        user: &'a str,
    ) -> Result<Self, EngineError> {
        match client.connect(by).await? {
            Some(connection) => Ok(Self { client, iterations, connection, by, user }),
            None => Err(refused(&by.server, by, user)),
        }
    }

    fn not_set(&self, problem: String) -> EngineError {
        EngineError::SetPasswordFailed { server: self.by.server.clone(), user: self.user.to_owned(), problem }
    }

    fn failed(&self, fault: Fault) -> EngineError {
        fault.of_change(&self.by.server, self.user)
    }

    /// Returns the mechanisms for which a user has a credential.
    pub(super) async fn mechanisms(&mut self, of: &str) -> Result<Vec<Mechanism>, EngineError> {
        let described = self.connection.ask(&messages::describe_scram(of), Described::read).await;
        let described = described.map_err(|fault| self.failed(fault))?;
        if let Some(problem) = codes::problem(DESCRIBE_SCRAM, &described.status) {
            return Err(self.not_set(problem));
        }
        match described.users.into_iter().find(|(user, ..)| user == of) {
            // Some brokers do not return it (Tansu 0.6). An additional credential does no harm; an
            // old one that remains does.
            None => Ok(Mechanism::ALL.to_vec()),
            Some((_, status, _)) if status.code == codes::RESOURCE_NOT_FOUND => Ok(Vec::new()),
            Some((_, status, numbers)) => {
                if let Some(problem) = codes::problem(DESCRIBE_SCRAM, &status) {
                    return Err(self.not_set(problem));
                }
                let known = |number: &i8| Mechanism::ALL.into_iter().find(|known| known.number() == *number);
                let mechanisms: Option<Vec<_>> = numbers.iter().map(known).collect();
                mechanisms.ok_or_else(|| {
                    let problem = "it has a credential of a mechanism other than SCRAM-SHA-256 and SCRAM-SHA-512, with \
                                   which the old password would stay valid; delete that credential";
                    self.not_set(problem.to_owned())
                })
            }
        }
    }

    /// Sets the credential of one mechanism. If the broker is not the controller, the request goes
    /// to the controller.
    pub(super) async fn set_password(
        &mut self,
        new: &Account,
        mechanism: Mechanism,
    ) -> Result<(), EngineError> {
        let mut salt = [0; SALT];
        let filled = SystemRandom::new().fill(&mut salt);
        filled.map_err(|_| self.not_set("the system has no random bytes".to_owned()))?;
        let Iterations(iterations) = self.iterations;
        let salted = mechanism.salted_password(new.password.expose_secret(), &salt, iterations);
        let request = messages::alter_scram(&Upsertion {
            user: self.user,
            mechanism: mechanism.number(),
            iterations: iterations.get(),
            salt: &salt,
            salted_password: &salted,
        });
        for attempt in 1.. {
            let altered = self.connection.ask(&request, Altered::read).await;
            let Altered(users) = altered.map_err(|fault| self.failed(fault))?;
            let of_user = |(user, status): (String, Status)| (user == self.user).then_some(status);
            let Some(status) = users.into_iter().find_map(of_user) else { break };
            match codes::problem(request.api, &status) {
                None => return Ok(()),
                Some(_) if status.code == codes::NOT_CONTROLLER && attempt < CONTROLLER_ATTEMPTS => {
                    self.go_to_controller().await?;
                }
                Some(problem) => return Err(self.not_set(problem)),
            }
        }
        Err(self.not_set("the broker's response does not contain this user".to_owned()))
    }

    /// The address comes from a session in which the broker proved that it knows the credential.
    /// The controller has to prove it again, and its certificate too.
    async fn go_to_controller(&mut self) -> Result<(), EngineError> {
        let cluster = self.connection.cluster().await.map_err(|fault| self.failed(fault))?;
        let Some((host, port)) = cluster.controller else {
            return Err(self.not_set("the cluster has no controller at the moment".to_owned()));
        };
        let controller = Server { host, port, database: String::new() };
        match self.client.connect_to(&controller, self.by).await? {
            Some(connection) => {
                self.connection = connection;
                Ok(())
            }
            None => Err(refused(&controller, self.by, self.user)),
        }
    }

    /// Adds the rules of `model` that the user lacks. Prohibitions come first, so that the user
    /// never has more rights than `model`. Nothing is deleted: somebody granted the user's
    /// additional rules, which are logged.
    pub(super) async fn copy_rules(&mut self, model: &str) -> Result<(), EngineError> {
        let Some(wanted) = self.rules(model).await? else { return Ok(()) };
        let Some(there) = self.rules(self.user).await? else { return Ok(()) };
        let more = there.iter().filter(|rule| !rule.denies() && !wanted.contains(rule)).count();
        if more > 0 {
            tracing::warn!(
                user = self.user,
                model,
                more,
                "the user keeps ACLs that the other user does not have"
            );
        }
        let missing = wanted.into_iter().filter(|rule| !there.contains(rule));
        let (denying, allowing): (Vec<_>, Vec<_>) = missing.partition(Rule::denies);
        for rules in denying.chunks(RULES_AT_ONCE).chain(allowing.chunks(RULES_AT_ONCE)) {
            self.create(rules).await?;
        }
        Ok(())
    }

    /// Returns the rules of a user; `None` if the cluster has no authorizer, so that all users may
    /// do everything.
    async fn rules(&mut self, of: &str) -> Result<Option<Vec<Rule>>, EngineError> {
        let principal = principal(of);
        let found = self.connection.ask(&acls::describe(&principal), Rules::read).await;
        let found = found.map_err(|fault| self.failed(fault))?;
        if found.status.code == codes::SECURITY_DISABLED {
            return Ok(None);
        }
        if let Some(problem) = codes::problem(DESCRIBE_ACLS, &found.status) {
            return Err(self.not_set(format!("the ACLs of `{of}` could not be read: {problem}")));
        }
        // The rules of others are left out, even if the broker returns them.
        Ok(Some(found.rules.into_iter().filter(|(of, _)| *of == principal).map(|(_, rule)| rule).collect()))
    }

    async fn create(&mut self, rules: &[Rule]) -> Result<(), EngineError> {
        let created = self.connection.ask(&acls::create(&principal(self.user), rules), Created::read).await;
        let Created(results) = created.map_err(|fault| self.failed(fault))?;
        if let Some(problem) = results.iter().find_map(|status| codes::problem(CREATE_ACLS, status)) {
            return Err(self.not_set(problem));
        }
        Ok(())
    }
}

/// Returns the principal of a SCRAM user in ACLs.
fn principal(user: &str) -> String {
    format!("User:{user}")
}

fn refused(server: &Server, by: &Account, user: &str) -> EngineError {
    let problem = format!("the password of `{}` is rejected", by.user);
    EngineError::SetPasswordFailed { server: server.clone(), user: user.to_owned(), problem }
}
