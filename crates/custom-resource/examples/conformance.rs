//! A function that misbehaves on request, for `tests/conformance/process.rs`. For an example to
//! follow, see the crate's documentation.

use custom_resource::{Allowed, Attributes, Context, Failure, Outcome, PhysicalId, Provider, Started, Use};
use serde::Deserialize;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

struct Misbehaving;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    name: String,
    #[serde(default)]
    behaviour: Behaviour,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum Behaviour {
    #[default]
    Good,
    Panic,
    Hang,
}

impl Behaviour {
    async fn show(self, name: String) -> Result<Outcome<()>, Failure> {
        match self {
            Self::Good => Ok(Outcome::Ready(Attributes::none().with("Name", name))),
            Self::Panic => panic!("the password is hunter2"),
            Self::Hang => std::future::pending().await,
        }
    }
}

impl Provider for Misbehaving {
    type Properties = Properties;
    type Progress = ();
    const KIND: &'static str = "conformance";

    fn uses(&self, _: &Properties) -> Result<Vec<Use>, Failure> {
        Ok(Vec::new())
    }

    fn identity(&self, properties: &Properties) -> Result<String, Failure> {
        Ok(properties.name.clone())
    }

    async fn create(&self, _: &Context, _: &PhysicalId, new: Properties) -> Result<Outcome<()>, Failure> {
        new.behaviour.show(new.name).await
    }

    async fn update(
        &self,
        _: &Context,
        _: &PhysicalId,
        _: Option<Properties>,
        new: Properties,
    ) -> Result<Outcome<()>, Failure> {
        new.behaviour.show(new.name).await
    }

    async fn delete(&self, _: &Context, _: &PhysicalId, old: Properties) -> Result<Outcome<()>, Failure> {
        old.behaviour.show(old.name).await
    }
}

async fn start() -> Result<Started<Misbehaving>, Failure> {
    match std::env::var("CONFORMANCE_START").as_deref() {
        Ok("good") => Ok(Started::new(Misbehaving, Allowed::everything())),
        Ok("panic") => panic!("the password is hunter2"),
        _ => Err(Failure::new("the environment variable SHELF is required and missing")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    // At TRACE, lambda_runtime prints every event that it cannot parse.
    let filter =
        Targets::new().with_default(LevelFilter::TRACE).with_target("lambda_runtime", LevelFilter::DEBUG);
    tracing_subscriber::registry().with(tracing_subscriber::fmt::layer().json()).with(filter).init();
    custom_resource::run(&|name| std::env::var(name).ok(), start()).await
}
