//! A rotation whose requests to AWS have faults.

use std::collections::HashMap;
use std::sync::Arc;

use rotation::engines::redshift::Redshift;
use rotation::event::Step;
use rotation::passwords::Strategy;
use test_support::rotation::{Drill, Fault, MemorySecret, OLD, TOKEN};

use super::aws::Aws;
use super::stage::{CLONE, Stage, USER, rights};

/// One rotation whose requests to AWS have faults, driven as Secrets Manager drives it.
fn rotate_with_faults(
    stage: &Stage,
    cloud: &Arc<Aws>,
    engine: &Redshift,
    secret: &MemorySecret,
    strategy: &Strategy,
    faults: &HashMap<usize, Fault>,
) -> Result<usize, String> {
    cloud.plan(faults.clone());
    let alternates = matches!(strategy, Strategy::AlternatingUsers(_));
    let drill = Drill::new(secret, engine, HashMap::new()).by(strategy.clone());
    'attempt: for _ in 0..20 {
        for step in Step::ALL {
            let result = stage.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = cloud.died() => None,
                    result = drill.step(step) => result,
                }
            });
            if result.is_none() {
                // What the dying function left running gets nowhere; the next one begins as the
                // function does.
                stage.runtime.block_on(async {
                    for _ in 0..20 {
                        tokio::spawn(tokio::task::yield_now()).await.unwrap();
                    }
                });
                cloud.revive();
                stage.runtime.block_on(engine.clear_probe_secret());
            }
            let faulty = cloud.fault_fired();
            let labels: &[&str] =
                if alternates { &["AWSCURRENT"] } else { &["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"] };
            if !labels.iter().any(|label| stage.lets_in(secret, label)) {
                return Err(format!("no credential logs in after {step:?}: {result:?}"));
            }
            if !faulty && matches!(step, Step::Set | Step::Test) && !cloud.is_blank() {
                return Err(format!("a credential is left in the probe secret after {step:?}: {result:?}"));
            }
            if !matches!(result, Some(Ok(_))) {
                if !faulty && cloud.log().len() > 400 {
                    return Err(format!("{result:?}"));
                }
                continue 'attempt;
            }
        }
        if !stage.lets_in(secret, "AWSCURRENT") || stage.lets_in(secret, "AWSPREVIOUS") != alternates {
            return Err("AWSCURRENT does not log in, or AWSPREVIOUS is not as it should be".to_owned());
        }
        if secret.labels(TOKEN) != ["AWSCURRENT"]
            || secret.labels(OLD) != ["AWSPREVIOUS"]
            || secret.count() != 2
        {
            return Err(format!("labels are not as after a rotation: {secret:?}"));
        }
        if !cloud.is_blank() {
            return Err("a credential is left in the probe secret".to_owned());
        }
        if alternates && rights(stage, CLONE) != rights(stage, USER) {
            return Err("the second user may not do what the first may".to_owned());
        }
        return Ok(cloud.requests());
    }
    Err("the rotation never ended".to_owned())
}

/// All faults at all requests of one kind of rotation; gives the number of requests and the calls
/// of a run without faults.
pub(crate) fn every_fault(
    name: &str,
    stage: &Stage,
    cloud: &Arc<Aws>,
    engine: &Redshift,
    user: &str,
    password: &str,
    strategy: &Strategy,
) -> Vec<String> {
    let run = |faults: HashMap<usize, Fault>| {
        stage.reset();
        let secret = stage.secret(stage.server.port(), user, password);
        rotate_with_faults(stage, cloud, engine, &secret, strategy, &faults)
            .unwrap_or_else(|problem| panic!("{name}, {faults:?}: {problem}; {:?}", cloud.log()))
    };
    let versions = cloud.probe_versions();
    let requests = run(HashMap::new());
    let (log, versions) = (cloud.log(), cloud.probe_versions() - versions);
    // Of very many requests each gets one kind of fault, and all four with SLUICE_SOAK_RUNS.
    let all = requests <= 40 || std::env::var_os("SLUICE_SOAK_RUNS").is_some();
    let mut runs = 0;
    for request in 0..requests {
        for (kind, fault) in Fault::ALL.into_iter().enumerate() {
            if all || kind == request % 4 {
                run(HashMap::from([(request, fault)]));
                runs += 1;
            }
        }
    }
    println!(
        "{name}: {requests} requests to AWS a rotation, {versions} versions of the probe secret, {runs} runs with one fault each"
    );
    log
}
