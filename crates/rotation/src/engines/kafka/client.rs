//! Sessions on the brokers of a cluster.

use std::time::Duration;

use tokio::time::Instant;

use super::brokers;
use super::connection::{Connection, Fault};
use super::scram::Mechanism;
use crate::engine::{Account, EngineError, Login, Server};
use crate::engines::trust::Tls;

/// The time that brokers may take to learn of a new password from the controller.
const PROPAGATION: Duration = Duration::from_secs(10);
/// The pause between two tries of a broker.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Opens sessions.
pub(super) struct Client {
    /// The trusted certificates.
    pub(super) tls: Tls,
}

impl Client {
    /// Opens a session on the first broker that responds. Returns `None` if the password is
    /// rejected.
    pub(super) async fn connect(&self, account: &Account) -> Result<Option<Connection>, EngineError> {
        let mut problems = Vec::new();
        for broker in brokers::each(&account.server) {
            match self.connect_to(&broker, account).await {
                Err(EngineError::ServerUnreachable { server, problem }) => {
                    problems.push(format!("{server}: {problem}"));
                }
                other => return other,
            }
        }
        let server = account.server.clone();
        Err(EngineError::ServerUnreachable { server, problem: problems.join("; ") })
    }

    /// Opens a session on one broker.
    pub(super) async fn connect_to(
        &self,
        broker: &Server,
        account: &Account,
    ) -> Result<Option<Connection>, EngineError> {
        let log_in = async {
            let mut connection = Connection::open(&self.tls, broker).await?;
            let login = connection.log_in(account, mechanism(account)).await?;
            Ok((login == Login::Accepted).then_some(connection))
        };
        log_in.await.map_err(|fault: Fault| fault.of_login(account, broker))
    }

    /// Waits until every reachable broker of the secret accepts the account: the controller
    /// responds before the brokers have learned of it.
    pub(super) async fn wait_until_accepted(&self, account: &Account) -> Result<(), EngineError> {
        let deadline = Instant::now() + PROPAGATION;
        for broker in brokers::each(&account.server) {
            loop {
                match self.connect_to(&broker, account).await {
                    Ok(Some(_)) | Err(EngineError::ServerUnreachable { .. }) => break,
                    Ok(None) if Instant::now() < deadline => tokio::time::sleep(LOOK_AGAIN).await,
                    Ok(None) => {
                        let seconds = PROPAGATION.as_secs();
                        let problem = format!(
                            "the cluster accepted it, and this broker still rejects it after {seconds} s"
                        );
                        return Err(EngineError::SetPasswordFailed {
                            server: broker,
                            user: account.user.clone(),
                            problem,
                        });
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Returns the mechanism with which an account logs in.
pub(super) fn mechanism(account: &Account) -> Mechanism {
    account.mechanism.and_then(Mechanism::by_name).unwrap_or(Mechanism::Sha512)
}
