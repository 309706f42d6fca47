//! Events of RDS and Redshift about databases. RDS sends them through EventBridge and event
//! subscriptions, Redshift through event subscriptions only.
//!
//! Source: "Amazon RDS event categories and event messages" of the RDS user guide, "Amazon Redshift
//! provisioned cluster event notifications" of the management guide. The members of a subscription's
//! message are from published examples.

use serde::Deserialize;
use serde_json::Value;

use super::{Detail, Event, typed};
use crate::arn::Arn;
use crate::incident::AccountRegion;
use crate::moment::Moment;
use crate::state::EventId;

/// The service that sent an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// RDS and Aurora.
    Rds,
    /// Redshift.
    Redshift,
}

/// An event about a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The service.
    pub engine: Engine,
    /// The ARN if there is one, else the name.
    pub subject: String,
    /// The database's name.
    pub name: String,
    /// The event id, such as `RDS-EVENT-0006`, `REDSHIFT-EVENT-3519`.
    pub event_id: String,
    /// The categories, such as `failure` or `Monitoring`. RDS subscriptions omit them.
    pub categories: Vec<String>,
    /// True if Redshift classifies it as an error.
    pub is_error: Option<bool>,
    /// The message.
    pub message: String,
}

/// Reads an event of RDS.
pub(super) fn rds(detail: &Value) -> Result<Database, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Detail {
        #[serde(default)]
        event_categories: Vec<String>,
        #[serde(default)]
        source_arn: Option<String>,
        source_identifier: String,
        #[serde(rename = "EventID")]
        event_id: String,
        message: String,
    }
    let found: Detail = typed(detail, "an event of RDS")?;
    Ok(Database {
        engine: Engine::Rds,
        subject: found.source_arn.unwrap_or_else(|| found.source_identifier.clone()),
        name: found.source_identifier,
        event_id: found.event_id,
        categories: found.event_categories,
        is_error: None,
        message: found.message,
    })
}

/// Reads the message of an event subscription of RDS or Redshift.
pub(super) fn subscription(value: &Value) -> Result<Event, String> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "Event Time")]
        time: String,
        #[serde(rename = "Event Message")]
        message: String,
        #[serde(rename = "Event ID", alias = "About this Event")]
        about: String,
        #[serde(rename = "Source ID", alias = "Resource")]
        name: String,
        #[serde(rename = "Source ARN", default)]
        arn: Option<String>,
        #[serde(rename = "Identifier Link", default)]
        link: Option<String>,
        #[serde(rename = "Severity", default)]
        severity: Option<String>,
        #[serde(rename = "Category", default)]
        categories: Vec<String>,
    }
    let found: Message = typed(value, "a message of an event subscription")?;
    // "2018-04-05 14:04:18.082", sometimes with a Z and blanks.
    let time = found.time.trim().trim_end_matches('Z').replace(' ', "T");
    let time = Moment::parse(&format!("{time}Z"))
        .ok_or_else(|| "not a message of an event subscription: `Event Time` is not a time".to_owned())?;
    // A link that ends with the id, after `#` or a blank.
    let about = found.about.trim();
    let event_id = about.rsplit(['#', ' ']).next().unwrap_or_default().to_owned();
    let engine = if event_id.starts_with("REDSHIFT") { Engine::Redshift } else { Engine::Rds };
    let (name, arn) = (found.name.trim().to_owned(), found.arn.unwrap_or_default());
    // Without an ARN, only the link to the console has the Region.
    let linked = found.link.as_deref().and_then(|link| link.split("region=").nth(1)).unwrap_or_default();
    let linked: String = linked
        .chars()
        .take_while(|character| character.is_ascii_alphanumeric() || *character == '-')
        .collect();
    let parsed: Option<Arn> = arn.parse().ok();
    let location = match &parsed {
        Some(arn) => AccountRegion::new(&arn.account, &arn.region),
        None => AccountRegion::new("", if arn.is_empty() { &linked } else { "" }),
    };
    Ok(Event {
        id: EventId::of(&["subscription", &name, &event_id, &time.millis().to_string(), &found.message]),
        location,
        time,
        resources: Vec::new(),
        detail: Detail::Database(Database {
            engine,
            subject: if arn.is_empty() { name.clone() } else { arn },
            name,
            event_id,
            categories: found.categories,
            is_error: found.severity.map(|severity| severity.eq_ignore_ascii_case("ERROR")),
            message: found.message,
        }),
    })
}
