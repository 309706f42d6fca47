//! A secret and a server in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lambda_kit::call::CallError;
use lambda_kit::moment::Moment;
use rotation::document::{DocumentError, SecretDocument};
use rotation::engine::{Account, Defaults, Engine, EngineError, Login};
use rotation::event::RotationEvent;
use rotation::outcome::StepOutcome;
use rotation::password::{ExcludedKinds, PasswordPolicy};
use rotation::pending::{PendingMac, SigningKeys};
use rotation::versions::{CURRENT, CURRENT_IS_ELSEWHERE, Description, PENDING, PREVIOUS, Versions};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::{ADMIN, OLD, SECRET, TOKEN};

#[derive(Debug, Clone, PartialEq)]
struct Version {
    value: Option<String>,
    labels: Vec<&'static str>,
}

/// A secret whose rotation has begun: the version of the rotation is pending and has no value.
#[derive(Debug)]
pub struct MemorySecret {
    versions: Mutex<HashMap<String, Version>>,
    /// The value of the admin's secret.
    admin: Option<String>,
    /// The rest of the description.
    details: Description,
}

impl MemorySecret {
    /// Creates a secret with this value of AWSCURRENT.
    pub fn new(current: &str) -> Self {
        let versions = HashMap::from([
            (OLD.to_owned(), Version { value: Some(current.to_owned()), labels: vec![CURRENT] }),
            (TOKEN.to_owned(), Version { value: None, labels: vec![PENDING] }),
        ]);
        let details = Description { last_changed: Some(Moment::BEGINNING), ..Description::default() };
        Self { versions: Mutex::new(versions), admin: None, details }
    }

    /// Sets the rest of the description, apart from the versions.
    pub fn described(self, details: Description) -> Self {
        Self { details, ..self }
    }

    /// Adds the secret [`ADMIN`] with this value.
    pub fn with_admin(self, value: &str) -> Self {
        Self { admin: Some(value.to_owned()), ..self }
    }

    /// Sets the value of a version. A new version gets the label AWSPREVIOUS.
    pub fn set(&self, version: &str, value: &str) {
        let mut versions = self.versions();
        let previous = || Version { value: None, labels: vec![PREVIOUS] };
        versions.entry(version.to_owned()).or_insert_with(previous).value = Some(value.to_owned());
    }

    /// Sets the value of a version as the rotation function does: with the proof that it created it.
    pub fn set_signed(&self, version: &str, value: &str) {
        let text = |label| self.document(label).map(|value| value.to_secret_string());
        let Some(current) = text(CURRENT) else { return };
        let keys = SigningKeys { current, previous: text(PREVIOUS) };
        let mac = PendingMac { secret_id: SECRET, token: version };
        if let Ok(value) = SecretDocument::parse(&value.into()) {
            self.set(version, mac.sign(&value, &keys).to_secret_string().expose_secret());
        }
    }

    /// Begins a rotation: adds a version with the label AWSPENDING and without a value.
    pub fn begin(&self, version: &str) {
        self.versions().insert(version.to_owned(), Version { value: None, labels: vec![PENDING] });
    }

    /// Removes all labels from a version.
    pub fn unlabel(&self, version: &str) {
        if let Some(version) = self.versions().get_mut(version) {
            version.labels.clear();
        }
    }

    /// Returns the value of the version with a label, if it is a JSON object.
    pub fn document(&self, label: &str) -> Option<SecretDocument> {
        let versions = self.versions();
        let version = versions.values().find(|version| version.labels.contains(&label))?;
        SecretDocument::parse(&version.value.clone()?.into()).ok()
    }

    /// Returns the keys and values of the version with a label, in clear.
    pub fn map(&self, label: &str) -> Option<Map<String, Value>> {
        let text = self.document(label)?.to_secret_string();
        serde_json::from_str(text.expose_secret()).ok()
    }

    /// Returns the labels of a version.
    pub fn labels(&self, version: &str) -> Vec<&'static str> {
        self.versions().get(version).map(|version| version.labels.clone()).unwrap_or_default()
    }

    /// Returns the number of versions.
    pub fn count(&self) -> usize {
        self.versions().len()
    }

    /// Returns all versions as a text that can be compared.
    pub fn snapshot(&self) -> String {
        let versions = self.versions();
        let mut all: Vec<_> = versions.iter().map(|(id, version)| format!("{id} {version:?}")).collect();
        all.sort();
        all.join("\n")
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions for MemorySecret {
    async fn describe(&self, _: &str) -> Result<Description, CallError> {
        let versions = self.versions();
        let labels = |version: &Version| version.labels.iter().map(|&label| label.to_owned()).collect();
        let stages = versions.iter().map(|(id, version)| (id.clone(), labels(version))).collect();
        Ok(Description { rotation_enabled: Some(true), stages, ..self.details.clone() })
    }

    async fn value(
        &self,
        secret: &str,
        version: Option<&str>,
        label: &str,
    ) -> Result<Option<SecretString>, CallError> {
        if secret == ADMIN {
            return Ok(self.admin.clone().map(SecretString::from));
        }
        let versions = self.versions();
        let found = versions.iter().find(|(_, version)| version.labels.contains(&label));
        let found = found.filter(|(id, _)| version.is_none_or(|version| version == *id));
        Ok(found.and_then(|(_, version)| version.value.clone()).map(SecretString::from))
    }

    async fn put_pending(
        &self,
        event: &RotationEvent,
        value: &SecretString,
    ) -> Result<StepOutcome, CallError> {
        let mut versions = self.versions();
        let Some(version) = versions.get_mut(&event.client_request_token) else {
            return Err(CallError::without_answer("secretsmanager:PutSecretValue", "no such version"));
        };
        if version.value.is_some() {
            return Ok(StepOutcome::NothingToDo);
        }
        version.value = Some(value.expose_secret().to_owned());
        Ok(StepOutcome::Done)
    }

    async fn promote(&self, _: &str, from: &str, to: &str) -> Result<StepOutcome, CallError> {
        let mut versions = self.versions();
        if !versions.get(from).is_some_and(|version| version.labels.contains(&CURRENT)) {
            return Ok(StepOutcome::Postponed(CURRENT_IS_ELSEWHERE));
        }
        for version in versions.values_mut() {
            version.labels.retain(|label| *label != PREVIOUS);
        }
        for (id, label) in [(from, PREVIOUS), (to, CURRENT)] {
            if let Some(version) = versions.get_mut(id) {
                version.labels = vec![label];
            }
        }
        Ok(StepOutcome::Done)
    }

    async fn random_password(&self, _: &PasswordPolicy) -> Result<SecretString, CallError> {
        // Every password is different, also across secrets: with one that is set already, the
        // machine would have nothing to do.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        Ok(format!("New-Password-{made:04}").into())
    }
}

/// A server with users. The user `admin` may change the passwords of others and create users.
#[derive(Debug)]
pub struct MemoryServer {
    users: Mutex<HashMap<String, String>>,
}

impl MemoryServer {
    /// Creates a server with `admin`, whose password is `admin`, and a user `u` with this password.
    pub fn new(password: &str) -> Self {
        let users = [("admin", "admin"), ("u", password)];
        Self {
            users: Mutex::new(users.map(|(user, password)| (user.to_owned(), password.to_owned())).into()),
        }
    }

    /// Returns the password of the user `u`.
    pub fn password(&self) -> String {
        self.users().get("u").cloned().unwrap_or_default()
    }

    fn users(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryServer {
    fn name(&self) -> &'static str {
        "test"
    }

    fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            engine: "the test",
            bounds: (3, 64),
            length: 20,
            exclude: String::new(),
            excluded_kinds: ExcludedKinds::default(),
            require_each_kind: false,
        }
    }

    fn account(&self, document: &SecretDocument) -> Result<Account, DocumentError> {
        let defaults = Defaults { engines: &["test"], port: 1, database: "d", expected_engine: "`test`" };
        Account::read(document, defaults)
    }

    async fn log_in(&self, account: &Account) -> Result<Login, EngineError> {
        let accepted =
            self.users().get(&account.user).map(String::as_str) == Some(account.password.expose_secret());
        Ok(if accepted { Login::Accepted } else { Login::Refused })
    }

    async fn set_password(&self, by: &Account, user: &str, new: &SecretString) -> Result<(), EngineError> {
        let may = by.user == user || by.user == "admin";
        if !may || self.log_in(by).await? == Login::Refused {
            let (server, user) = (by.server.clone(), user.to_owned());
            let problem = format!("`{}` may not, or could not log in", by.user);
            return Err(EngineError::InsufficientPrivileges { server, user, problem });
        }
        self.users().insert(user.to_owned(), new.expose_secret().to_owned());
        Ok(())
    }

    fn max_user_bytes(&self) -> Option<usize> {
        Some(12)
    }

    async fn set_other_user(
        &self,
        admin: &Account,
        model: &str,
        user: &str,
        new: &SecretString,
    ) -> Result<(), EngineError> {
        if !self.users().contains_key(model) {
            let (server, user) = (admin.server.clone(), user.to_owned());
            return Err(EngineError::SetPasswordFailed {
                server,
                user,
                problem: format!("there is no user `{model}`"),
            });
        }
        self.set_password(admin, user, new).await
    }
}
