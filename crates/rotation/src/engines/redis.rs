//! Logins to Redis and Valkey over TLS.
//!
//! Sources: "AUTH" and "ACL" of the Redis and Valkey manuals.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::resp::{self, NotRedis, Reply};
use super::trust::Tls;
use crate::engine::{Account, EngineError, Login};

/// The timeout of a response.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The user of a login without a name.
pub const DEFAULT_USER: &str = "default";

/// Tries a password in a session of its own: `AUTH`, then `PING`, for which a user may lack the
/// permission.
///
/// # Errors
/// The login was neither accepted nor refused.
pub async fn log_in(tls: &Tls, account: &Account) -> Result<Login, EngineError> {
    let server = || account.server.clone();
    let unreachable = |problem: String| EngineError::ServerUnreachable { server: server(), problem };
    let mut stream = tls.connect(&account.server).await?;
    let mut commands = Vec::new();
    let password = account.password.expose_secret();
    // An AUTH token is the password of the user `default`. Servers before Redis 6 have no users.
    if account.user == DEFAULT_USER {
        resp::write(&["AUTH", password], &mut commands);
    } else {
        resp::write(&["AUTH", &account.user, password], &mut commands);
    }
    resp::write(&["PING"], &mut commands);
    let commands = SecretSlice::from(commands);
    let talk = async {
        stream.write_all(commands.expose_secret()).await?;
        stream.flush().await?;
        let mut received = Vec::new();
        let mut replies = Vec::new();
        while replies.len() < 2 {
            match resp::read(&received) {
                Ok(Some((reply, taken))) => {
                    received.drain(..taken);
                    // A server that closes the connection with an error sends no further reply.
                    let ends = replies.is_empty() && matches!(reply, Reply::Error(_));
                    replies.push(reply);
                    if ends {
                        break;
                    }
                }
                Ok(None) => {
                    if stream.read_buf(&mut received).await? == 0 {
                        break;
                    }
                }
                Err(NotRedis) => return Ok(Err(NotRedis)),
            }
        }
        Ok::<_, std::io::Error>(Ok(replies))
    };
    let replies = match tokio::time::timeout(ANSWER_WITHIN, talk).await {
        Err(_) => return Err(unreachable(format!("no response within {} s", ANSWER_WITHIN.as_secs()))),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Ok(Ok(Err(NotRedis))) => {
            return Err(unreachable("the server is neither Redis nor Valkey".to_owned()));
        }
        Ok(Ok(Ok(replies))) => replies,
    };
    match replies.as_slice() {
        [Reply::Simple(ok), _] if ok == "OK" => Ok(Login::Accepted),
        [Reply::Error(text), ..] => refusal(account, text),
        _ => Err(unreachable("it closed the connection during the login".to_owned())),
    }
}

/// Interprets an error in reply to `AUTH`.
fn refusal(account: &Account, text: &str) -> Result<Login, EngineError> {
    let (server, user) = (account.server.clone(), account.user.clone());
    if text.starts_with("WRONGPASS ") || text == "ERR invalid password" {
        return Ok(Login::Refused);
    }
    if text.starts_with("ERR max number of clients") || text.starts_with("LOADING ") {
        return Err(EngineError::ServerUnreachable { server, problem: text.to_owned() });
    }
    if text.contains("without any password configured") {
        let problem = "it requires no password: anyone can log in".to_owned();
        return Err(EngineError::InsufficientPrivileges { server, user, problem });
    }
    // A server without AUTH repeats the words of the command.
    let repeats =
        text.contains(account.password.expose_secret()) || text.contains("with args beginning with");
    let problem = if repeats { "it does not support this form of AUTH".to_owned() } else { text.to_owned() };
    Err(EngineError::InsufficientPrivileges { server, user, problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Server;

    #[test]
    fn only_a_wrong_credential_is_refused_without_its_text() {
        let server = Server { host: "h".into(), port: 6379, database: String::new() };
        let account = Account { server, user: "u".into(), password: "hunter2".into(), mechanism: None };
        let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(refusal(&account, wrong).unwrap(), Login::Refused);
        assert_eq!(refusal(&account, "ERR invalid password").unwrap(), Login::Refused);
        for (text, name, part) in [
            ("ERR max number of clients reached", "ServerUnreachable", "max number"),
            ("LOADING Redis is loading the dataset in memory", "ServerUnreachable", "LOADING"),
            (
                "ERR AUTH <password> called without any password configured for the default user.",
                "InsufficientPrivileges",
                "requires no password",
            ),
            (
                "ERR unknown command 'AUTH', with args beginning with: 'u' 'hunt",
                "InsufficientPrivileges",
                "not support this form",
            ),
            ("ERR odd: hunter2", "InsufficientPrivileges", "not support this form"),
            ("ERR wrong number of arguments for 'auth' command", "InsufficientPrivileges", "wrong number"),
        ] {
            let error = refusal(&account, text).unwrap_err();
            assert_eq!(error.name(), name);
            assert!(error.to_string().contains(part) && !error.to_string().contains("hunt"), "{error}");
        }
    }
}
