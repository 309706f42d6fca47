//! Sessions that stay open: a login is repeated only where its outcome could be another one.

use std::collections::HashMap;
use std::sync::Arc;

use local_servers::postgres::{Login, Server, describe_error};
use tokio::sync::{Mutex, OnceCell};
use tokio_postgres::{Client, Statement};

/// Everything that decides on a login and on the settings of its session: the user's row, the
/// settings of the user and of the database, and the permissions on the database.
const STATE: &str = "SELECT concat_ws(E'\\n', \
    (SELECT a::text FROM pg_authid a WHERE a.rolname = $1::text), \
    (SELECT string_agg(s::text, ',' ORDER BY s::text) FROM pg_db_role_setting s), \
    (SELECT string_agg(d::text, ',' ORDER BY d.oid) FROM pg_database d), \
    (SELECT string_agg(m::text, ',' ORDER BY m::text) FROM pg_auth_members m))";

type Outcome = Result<Arc<Client>, String>;

/// The outcomes of the logins of one user, by password, and the state that they hold for.
#[derive(Default)]
struct Logins {
    state: String,
    outcomes: HashMap<String, Outcome>,
}

/// The sessions on a server.
pub(crate) struct Sessions {
    server: Arc<Server>,
    system: OnceCell<(Client, Statement)>,
    logins: Mutex<HashMap<(String, String), Logins>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Sessions {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, system: OnceCell::new(), logins: Mutex::default() }
    }

    async fn system(&self) -> &(Client, Statement) {
        let open = async || {
            let client = self.server.connect("dev", &Login::system()).await.unwrap();
            let statement = client.prepare(STATE).await.unwrap();
            (client, statement)
        };
        self.system.get_or_init(open).await
    }

    /// Returns the session of the server's own superuser in the database `dev`.
    pub(crate) async fn superuser(&self) -> &Client {
        &self.system().await.0
    }

    /// Logs in with a password and returns a session without traces of earlier statements.
    ///
    /// # Errors
    /// PostgreSQL's error, as the Data API words it.
    pub(crate) async fn log_in(&self, database: &str, user: &str, password: &str) -> Outcome {
        let (system, statement) = self.system().await;
        let state: String = system.query_one(statement, &[&user]).await.unwrap().get(0);
        let mut all = self.logins.lock().await;
        let logins = all.entry((database.to_owned(), user.to_owned())).or_default();
        if logins.state != state {
            *logins = Logins { state, ..Logins::default() };
        }
        match logins.outcomes.get(password) {
            Some(Ok(session)) if !session.is_closed() => {
                session.batch_execute("DISCARD ALL").await.map_err(|error| describe_error(&error))?;
                Ok(Arc::clone(session))
            }
            Some(Err(error)) => Err(error.clone()),
            _ => {
                let login = Login::Password { user: user.to_owned(), password: password.to_owned() };
                let outcome = self.server.connect(database, &login).await;
                let outcome = outcome.map(Arc::new).map_err(|error| describe_error(&error));
                logins.outcomes.insert(password.to_owned(), outcome.clone());
                outcome
            }
        }
    }
}
