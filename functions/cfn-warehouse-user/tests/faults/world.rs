//! A warehouse and a secret in memory, as far as the function uses them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use test_support::aws::{Answer, Call, Service};

pub(crate) const ROLE: &str = "arn:aws:iam::222222222222:role/copy";

/// A user of the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct User {
    /// The literal of the password.
    pub(crate) password: String,
    pub(crate) superuser: bool,
    pub(crate) sees_all: bool,
    /// The parts of GRANT statements before the user.
    pub(crate) grants: BTreeSet<String>,
}

#[derive(Debug, Clone)]
struct Statement {
    error: Option<String>,
    rows: Option<Vec<Vec<Value>>>,
}

/// The warehouse, and the secret of the user.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) schemas: Vec<&'static str>,
    /// Names of the copy jobs of the loader.
    pub(crate) jobs: Vec<&'static str>,
    /// Names of tables that the loader owns.
    pub(crate) tables: Vec<&'static str>,
    /// Everybody may use every role.
    pub(crate) roles_are_public: bool,
    /// Every statement, with its login.
    pub(crate) log: Vec<(String, String)>,
    versions: BTreeMap<String, (String, Vec<String>)>,
    statements: Vec<Statement>,
}

impl Default for World {
    fn default() -> Self {
        let first = (json!({"password": "First-Password-1"}).to_string(), vec!["AWSCURRENT".to_owned()]);
        Self {
            users: BTreeMap::from([
                ("admin".to_owned(), User { superuser: true, ..User::default() }),
                ("analyst".to_owned(), User::default()),
            ]),
            schemas: vec!["public", "sales"],
            jobs: Vec::new(),
            tables: Vec::new(),
            roles_are_public: true,
            log: Vec::new(),
            versions: BTreeMap::from([("v1".to_owned(), first)]),
            statements: Vec::new(),
        }
    }
}

fn text(value: &str) -> Value {
    json!({"stringValue": value})
}

/// The literal of Redshift's `md5` format.
fn literal(user: &str, password: &str) -> String {
    let password = secrecy::SecretString::from(password.to_owned());
    let format = warehouse::password_hash::PasswordHashFormat::Md5;
    let made = format.literal(user, &password, false, || None).unwrap();
    secrecy::ExposeSecret::expose_secret(&made).to_owned()
}

impl World {
    /// The current value of the secret.
    pub(crate) fn secret(&self) -> Value {
        let current = self.versions.values().find(|(_, labels)| labels.iter().any(|one| one == "AWSCURRENT"));
        serde_json::from_str(&current.unwrap().0).unwrap()
    }

    /// The one user that the function created.
    pub(crate) fn loader(&self) -> Option<(&String, &User)> {
        self.users.iter().find(|(name, _)| name.starts_with("sluice_"))
    }

    fn quoted(sql: &str, before: &str) -> String {
        let rest = sql.split_once(before).map_or("", |(_, rest)| rest);
        rest.trim_start_matches(['"', '\'']).split(['"', '\'']).next().unwrap_or_default().to_owned()
    }

    fn run(&mut self, sql: &str) -> Statement {
        let done = |rows: Option<Vec<Vec<Value>>>| Statement { error: None, rows };
        let failed = |error: String| Statement { error: Some(format!("ERROR: {error}")), rows: None };
        let known = |users: &BTreeMap<String, User>, name: &str| users.contains_key(name);
        if sql.starts_with("SELECT u.usesysid") {
            let name = Self::quoted(sql, "u.usename = ");
            let user = self.users.get(&name);
            let row = |user: &User| vec![json!({"longValue": 104}), json!({"booleanValue": user.superuser})];
            return done(Some(user.map(row).into_iter().collect()));
        }
        if sql.starts_with("SELECT n.nspname FROM") {
            let named = |schema: &&&str| sql.contains(&format!("'{schema}'"));
            return done(Some(self.schemas.iter().filter(named).map(|name| vec![text(name)]).collect()));
        }
        if sql.starts_with("SELECT u.usename FROM") {
            let name = Self::quoted(sql, "u.usename <> ");
            let rows = self.users.iter().filter(|(other, user)| {
                !user.superuser
                    && **other != name
                    && (self.roles_are_public || user.grants.iter().any(|one| one.contains(ROLE)))
            });
            return done(Some(rows.map(|(name, _)| vec![text(name)]).collect()));
        }
        if sql.starts_with("SELECT pg_catalog.has_assumerole_privilege") {
            let user = self.users.get(&Self::quoted(sql, "has_assumerole_privilege("));
            let has = self.roles_are_public
                || user.is_some_and(|user| user.grants.iter().any(|one| one.contains(ROLE)));
            return done(Some(vec![vec![json!({"booleanValue": has})]]));
        }
        if sql.starts_with("SELECT DISTINCT i.job_name") {
            return done(Some(self.jobs.iter().map(|name| vec![text(name)]).collect()));
        }
        if sql.starts_with("SELECT n.nspname, c.relname, CURRENT_USER") {
            let rows = self.tables.iter().map(|name| vec![text("public"), text(name), text("admin")]);
            return done(Some(rows.collect()));
        }
        if sql.starts_with("ALTER TABLE") {
            self.tables.retain(|name| !sql.contains(name));
            return done(None);
        }
        if sql == "REVOKE ASSUMEROLE ON ALL FROM PUBLIC FOR ALL" {
            self.roles_are_public = false;
            return done(None);
        }
        for (verb, between) in [("GRANT ", " TO \""), ("REVOKE ", " FROM \"")] {
            let Some(rest) = sql.strip_prefix(verb) else { continue };
            let (what, user) = rest.split_once(between).unwrap();
            let user = user.split('"').next().unwrap();
            let Some(user) = self.users.get_mut(user) else {
                return failed(format!("user \"{user}\" does not exist"));
            };
            match (verb, what.strip_prefix("ALL ON ")) {
                ("GRANT ", _) => drop(user.grants.insert(what.to_owned())),
                (_, Some(place)) if place.starts_with("ALL TABLES") => {
                    user.grants.retain(|one| !one.contains("ON TABLE"))
                }
                (_, Some(place)) => user.grants.retain(|one| !one.ends_with(&format!("ON {place}"))),
                (_, None) => drop(user.grants.remove(what)),
            }
            return done(None);
        }
        let name = Self::quoted(sql, "USER ");
        if sql.starts_with("CREATE USER") {
            if known(&self.users, &name) {
                return failed(format!("user \"{name}\" already exists"));
            }
            let password = Self::quoted(sql, "PASSWORD ");
            self.users.insert(name, User { password, ..User::default() });
            return done(None);
        }
        let Some(user) = self.users.get_mut(&name) else {
            return failed(format!("user \"{name}\" does not exist, or an unexpected statement: {sql}"));
        };
        if sql.contains("SYSLOG ACCESS") {
            user.sees_all = sql.ends_with("UNRESTRICTED");
        } else if sql.contains(" PASSWORD ") {
            user.password = Self::quoted(sql, "PASSWORD ");
        } else if sql.starts_with("DROP USER") {
            if !user.grants.is_empty() || !self.tables.is_empty() {
                return failed(format!(
                    "user \"{name}\" cannot be dropped: {:?} {:?}",
                    user.grants, self.tables
                ));
            }
            self.users.remove(&name);
        } else {
            return failed(format!("an unexpected statement: {sql}"));
        }
        done(None)
    }

    fn execute(&mut self, call: &Call) -> Answer {
        let (sql, secret) = (call.text("Sql").to_owned(), call.text("SecretArn").to_owned());
        self.log.push((secret.clone(), sql.clone()));
        let statement = if secret == "arn:admin" {
            self.run(&sql)
        } else {
            let value = self.secret();
            let [name, password] =
                ["username", "password"].map(|key| value[key].as_str().unwrap_or_default());
            let matches = self.users.get(name).is_some_and(|user| user.password == literal(name, password));
            let refused = format!("FATAL: password authentication failed for user \"{name}\"");
            Statement { error: (!matches).then_some(refused), rows: Some(Vec::new()) }
        };
        self.statements.push(statement);
        Answer::Json(json!({"Id": (self.statements.len() - 1).to_string()}))
    }

    fn statement(&self, call: &Call) -> &Statement {
        &self.statements[call.text("Id").parse::<usize>().unwrap()]
    }

    /// Changes the password in the database only, as a restored snapshot does.
    pub(crate) fn forget_password(&mut self) {
        let name = self.loader().unwrap().0.clone();
        self.users.get_mut(&name).unwrap().password = "md5other".to_owned();
    }

    fn move_label(&mut self, call: &Call) -> Answer {
        let label = call.text("VersionStage").to_owned();
        let (from, to) = (call.text("RemoveFromVersionId"), call.text("MoveToVersionId"));
        let holder =
            self.versions.iter().find(|(_, (_, labels))| labels.contains(&label)).map(|(id, _)| id.clone());
        if holder.as_deref().is_some_and(|holder| holder != from && holder != to) {
            return Answer::Error(400, "InvalidParameterException", "the label is elsewhere".into());
        }
        for (id, (_, labels)) in &mut self.versions {
            labels.retain(|one| *one != label);
            if id == to {
                labels.push(label.clone());
            }
        }
        Answer::Json(json!({}))
    }
}

impl Service for World {
    fn serve(&mut self, call: &Call) -> Answer {
        match call.action.as_str() {
            "DescribeClusters" => Answer::Xml(
                "<Clusters><Cluster><ClusterIdentifier>main</ClusterIdentifier><ClusterStatus>available</ClusterStatus>\
                 <ClusterNamespaceArn>arn:aws:redshift:us-east-1:222222222222:namespace:n</ClusterNamespaceArn>\
                 <Endpoint><Address>main.example</Address><Port>5439</Port></Endpoint></Cluster></Clusters>"
                    .into(),
            ),
            "ExecuteStatement" => self.execute(call),
            "DescribeStatement" => {
                let found = self.statement(call);
                let status = if found.error.is_some() { "FAILED" } else { "FINISHED" };
                Answer::Json(json!({"Id": call.text("Id"), "Status": status, "Error": found.error,
                    "HasResultSet": found.rows.is_some() && found.error.is_none()}))
            }
            "GetStatementResult" => {
                Answer::Json(json!({"Records": self.statement(call).rows.clone().unwrap_or_default()}))
            }
            "CancelStatement" => Answer::Json(json!({"Status": true})),
            "DescribeSecret" => {
                let stages: BTreeMap<_, _> = self.versions.iter().map(|(id, (_, labels))| (id, labels)).collect();
                Answer::Json(json!({"ARN": "arn:loader", "VersionIdsToStages": stages}))
            }
            "GetSecretValue" => {
                let current = self.versions.iter().find(|(_, (_, labels))| labels.iter().any(|one| one == "AWSCURRENT"));
                let (id, (value, _)) = current.unwrap();
                Answer::Json(json!({"ARN": "arn:loader", "VersionId": id, "SecretString": value}))
            }
            "ListSecretVersionIds" => {
                let ids: Vec<Value> = self.versions.keys().map(|id| json!({"VersionId": id})).collect();
                Answer::Json(json!({"Versions": ids}))
            }
            "PutSecretValue" => {
                let id = call.text("ClientRequestToken").to_owned();
                let labels = call.input["VersionStages"].as_array().unwrap();
                let labels = labels.iter().map(|label| label.as_str().unwrap().to_owned()).collect();
                self.versions.entry(id.clone()).or_insert((call.text("SecretString").to_owned(), labels));
                Answer::Json(json!({"VersionId": id}))
            }
            "UpdateSecretVersionStage" => self.move_label(call),
            other => panic!("an unexpected call: {other}"),
        }
    }
}
