//! Clients that keep reading the secret and logging in while it rotates.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use lambda_kit::error::chain;
use rotation::document::SecretDocument;
use rotation::engine::{Engine, Login};
use rotation::event::Step;
use rotation::passwords::Strategy;
use rotation::versions::CURRENT;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{Drill, MemorySecret};

/// The logins of the clients.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// The number of logins.
    pub logins: u32,
    /// The number of refused logins.
    pub refused: u32,
    /// The longest time from the start of a refused login to the end of the next accepted one.
    pub longest: Duration,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { logins, refused, longest } = self;
        write!(
            f,
            "{logins} logins of 3 clients, {refused} refused, longest time shut out {} ms",
            longest.as_millis()
        )
    }
}

/// Rotates a secret with this value `rotations` times, while three clients read AWSCURRENT and log
/// in with it. A rotation begins when every client has read the secret since the last one ended: of
/// two users, the credential before the last need not work.
///
/// # Errors
/// A rotation or a login failed.
pub async fn rotate_under_load<E: Engine>(
    engine: &E,
    strategy: &Strategy,
    value: &str,
    admin: &str,
    rotations: u32,
) -> Result<Seen, String> {
    let current = RefCell::new(value.to_owned());
    let ended = Cell::new(false);
    // The number of ended rotations; and, for each client, this number at its last read.
    let (rotated, read) = (Cell::new(0), [const { Cell::new(0) }; 3]);
    let client = async |number: usize| {
        let (mut seen, mut shut_out) = (Seen::default(), None);
        while !ended.get() {
            let begun = Instant::now();
            read[number].set(rotated.get());
            let document = parse(&current.borrow())?;
            let account = engine.account(&document).map_err(|error| error.to_string())?;
            seen.logins += 1;
            match engine.log_in(&account).await.map_err(|error| error.to_string())? {
                Login::Refused => {
                    seen.refused += 1;
                    shut_out.get_or_insert(begun);
                }
                Login::Accepted => {
                    let since = shut_out.take().map(|since: Instant| since.elapsed());
                    seen.longest = seen.longest.max(since.unwrap_or_default());
                }
            }
        }
        Ok::<_, String>(seen)
    };
    let rotating = async {
        let mut value = value.to_owned();
        for _ in 0..rotations {
            let secret = MemorySecret::new(&value).with_admin(admin);
            let drill = Drill::new(&secret, engine, HashMap::new()).by(strategy.clone());
            for step in Step::ALL {
                let result = drill.step(step).await.ok_or("a rotation without faults died")?;
                result.map_err(|error| chain(&error))?;
                // Clients read the secret at any time; the last step of a rotation changes it.
                let document = secret.document(CURRENT).ok_or("there is no AWSCURRENT")?;
                value = document.to_secret_string().expose_secret().to_owned();
                current.borrow_mut().clone_from(&value);
            }
            rotated.set(rotated.get() + 1);
            while read.iter().any(|read| read.get() < rotated.get()) {
                tokio::task::yield_now().await;
            }
        }
        ended.set(true);
        Ok::<_, String>(())
    };
    let (done, one, two, three) = tokio::join!(rotating, client(0), client(1), client(2));
    done?;
    let all = [one?, two?, three?];
    Ok(Seen {
        logins: all.iter().map(|seen| seen.logins).sum(),
        refused: all.iter().map(|seen| seen.refused).sum(),
        longest: all.iter().map(|seen| seen.longest).max().unwrap_or_default(),
    })
}

fn parse(text: &str) -> Result<SecretDocument, String> {
    SecretDocument::parse(&SecretString::from(text)).map_err(|error| error.to_string())
}
