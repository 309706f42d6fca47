//! Clients that read the secret and log in all the time, while it rotates again and again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{Drill, MemorySecret};
use crate::document::SecretDocument;
use crate::engine::{Engine, Login};
use crate::event::Step;
use crate::passwords::Strategy;
use crate::versions::CURRENT;

/// What the clients saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Logins that were tried.
    pub logins: u32,
    /// Logins that were refused.
    pub refused: u32,
    /// The longest time from the beginning of a refused login to the end of the next one that worked.
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

/// Rotates a secret with this value `rotations` times, while three clients read what AWSCURRENT is and log in with it. A rotation
/// begins when every client has read the secret since the last one ended: of two users the credential before the last is not promised to work.
///
/// # Errors
/// A rotation failed, or a login with anything but a yes or no.
pub async fn rotate_under_load<E: Engine>(
    engine: &E,
    strategy: &Strategy,
    value: &str,
    admin: &str,
    rotations: u32,
) -> Result<Seen, String> {
    let current = RefCell::new(value.to_owned());
    let ended = Cell::new(false);
    // Rotations that ended; and, for each client, how many had ended when it read the secret last.
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
                result.map_err(|error| lambda_kit::call::chain(&error))?;
                // A client reads the secret at any time; a rotation changes what it reads in its last step.
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
