//! A provider that follows a script and records its calls.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use custom_resource::{Attributes, Context, Failure, Outcome, PhysicalId, Provider, Use};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One property of each type.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Properties {
    /// The identity. `!` is none.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) flag: bool,
    #[serde(default)]
    pub(crate) count: Option<u16>,
    #[serde(default)]
    pub(crate) offset: Option<i64>,
    #[serde(default)]
    pub(crate) ratio: Option<f64>,
    #[serde(default)]
    pub(crate) mark: Option<char>,
    #[serde(default)]
    pub(crate) list: Vec<String>,
    #[serde(default)]
    pub(crate) pair: Option<(u8, u8)>,
    #[serde(default)]
    pub(crate) nested: Option<Nested>,
    #[serde(default)]
    pub(crate) kind: Option<Kind>,
    #[serde(default)]
    pub(crate) document: Option<Value>,
    /// Its value must not be in any error.
    #[serde(default)]
    pub(crate) secret: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Nested {
    pub(crate) inner: u8,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) enum Kind {
    Csv,
    Json,
}

/// The progress of a wait.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Progress {
    pub(crate) looks: u32,
}

/// The provider's reaction to a call.
pub(crate) enum Does {
    /// Succeeds with the attribute `Name`.
    Well,
    /// Succeeds with these attributes.
    Ready(Attributes),
    Fails(Failure),
    Panics(&'static str),
    /// Never returns.
    Hangs,
    /// Needs a state machine.
    Waits,
}

type Script = Box<dyn Fn(&str) -> Does + Send + Sync>;

/// The provider.
pub(crate) struct Thing {
    does: Script,
    calls: Mutex<Vec<String>>,
    seen: Mutex<Vec<Properties>>,
    made: Mutex<BTreeSet<String>>,
}

impl Thing {
    /// Creates a provider. `does` returns its reaction to a call, by the name of the method.
    pub(crate) fn new(does: Script) -> Self {
        Self { does, calls: Mutex::default(), seen: Mutex::default(), made: Mutex::default() }
    }

    /// Returns the calls so far: the method, the identity, and further arguments.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Returns the properties of the calls so far.
    pub(crate) fn seen(&self) -> Vec<Properties> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns the number of existing resources.
    pub(crate) fn made(&self) -> usize {
        self.made.lock().unwrap().len()
    }

    async fn called(
        &self,
        method: &'static str,
        call: String,
        properties: Option<Properties>,
    ) -> Result<Outcome<Progress>, Failure> {
        self.calls.lock().unwrap().push(format!("{method} {call}"));
        let name = properties.as_ref().map(|properties| properties.name.clone());
        self.seen.lock().unwrap().extend(properties);
        // Lets another delivery of the same request run here.
        tokio::task::yield_now().await;
        match (self.does)(method) {
            Does::Well => Ok(Outcome::Ready(match name {
                Some(name) => Attributes::none().with("Name", name),
                None => Attributes::none(),
            })),
            Does::Ready(attributes) => Ok(Outcome::Ready(attributes)),
            Does::Fails(failure) => Err(failure),
            Does::Panics(message) => panic!("{message}"),
            Does::Hangs => std::future::pending().await,
            Does::Waits => {
                let looks = self.calls().len() as u32;
                Ok(Outcome::Waiting { progress: Progress { looks }, check_after: Duration::from_secs(30) })
            }
        }
    }
}

/// A provider that is shared with the test.
#[derive(Clone)]
pub(crate) struct Shared(pub Arc<Thing>);

impl Provider for Shared {
    type Properties = Properties;
    type Progress = Progress;
    const KIND: &'static str = "conformance";

    fn invalid_update(&self, old: Option<&Properties>, new: &Properties, invalid: Failure) -> Failure {
        match old {
            Some(old) if old.flag != new.flag => Failure::new("`Flag` cannot change"),
            _ => invalid,
        }
    }
    const SECRET_PROPERTIES: &'static [&'static str] = &["Secret"];
    const MAX_WAIT: Duration = Duration::from_secs(20 * 60);

    fn uses(&self, properties: &Properties) -> Result<Vec<Use>, Failure> {
        Ok(vec![Use::new("Name", &properties.name, "ALLOWED_NAMES")])
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        match properties.name.as_str() {
            "!" => Err(Failure::new("`Name`: expected a name, found \"!\"")),
            name => Ok(name.to_owned()),
        }
    }

    async fn create(
        &self,
        _: &Context,
        id: &PhysicalId,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.0.made.lock().unwrap().insert(id.to_string());
        self.0.called("create", id.identity().to_owned(), Some(new)).await
    }

    async fn update(
        &self,
        _: &Context,
        id: &PhysicalId,
        old: Option<Properties>,
        new: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        let flags = (old.map(|old| old.flag), new.flag);
        let call = match flags {
            (None, to) => format!("{} from invalid properties to Flag {to}", id.identity()),
            (Some(from), to) => format!("{} from Flag {from} to Flag {to}", id.identity()),
        };
        self.0.called("update", call, Some(new)).await
    }

    async fn replace(
        &self,
        _: &Context,
        old: &PhysicalId,
        new: &PhysicalId,
        properties: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.0.called("replace", format!("{} by {}", old.identity(), new.identity()), Some(properties)).await
    }

    async fn delete(
        &self,
        _: &Context,
        id: &PhysicalId,
        old: Properties,
    ) -> Result<Outcome<Progress>, Failure> {
        self.0.made.lock().unwrap().remove(&id.to_string());
        self.0.called("delete", id.identity().to_owned(), Some(old)).await
    }

    async fn check(
        &self,
        context: &Context,
        id: &PhysicalId,
        progress: Progress,
    ) -> Result<Outcome<Progress>, Failure> {
        let call = format!("{} of a {} after {}", id.identity(), context.request_type, progress.looks);
        self.0.called("check", call, None).await
    }
}
