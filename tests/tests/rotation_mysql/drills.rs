//! Whole rotations, by every strategy, with a fault at every call and with a connection that breaks at every statement.

use std::collections::HashMap;

use local_servers::mysql::Brand;
use rotation::engine::Engine;
use rotation::faults::{Drill, Fault, MemorySecret, strategies};
use rotation::passwords::Strategy;

use crate::cutting::{Cut, Cutting, Proxy};
use crate::target::{BRANDS, FIRST, Target};

/// The user as it was before the rotation.
fn reset(target: &Target, privileges: &str) {
    target.execute(&format!(
        "DROP USER IF EXISTS app@`127.0.0.1`, app_clone@`127.0.0.1`; CREATE USER app@`127.0.0.1` IDENTIFIED BY '{FIRST}'; \
         GRANT SELECT ON mysql.db TO app@`127.0.0.1`; {privileges}"
    ));
}

fn drill<E: Engine>(
    target: &Target,
    engine: &E,
    strategy: &Strategy,
    keeps_old: bool,
    faults: &HashMap<usize, Fault>,
) -> usize {
    let secret = MemorySecret::new(&target.value("app", FIRST).to_string());
    let secret = secret.with_admin(&target.value("admin", FIRST).to_string());
    let mut drill = Drill::new(&secret, engine, faults.clone()).by(strategy.clone());
    drill.keeps_old = keeps_old;
    let result = target.runtime.block_on(drill.run());
    result.unwrap_or_else(|problem| panic!("{:?}, {strategy:?}, {faults:?}: {problem}", target.brand))
}

/// The strategies, each with what the user may do, and whether its old password is kept.
fn cases(brand: Brand) -> Vec<(String, Strategy, &'static str, bool)> {
    let mut cases = Vec::new();
    for (name, strategy) in strategies() {
        let alone = matches!(strategy, Strategy::SingleUser);
        let dual = brand != Brand::MariaDb && !matches!(strategy, Strategy::AlternatingUsers(_));
        if dual && alone {
            let grant = "GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO app@`127.0.0.1`";
            cases.push((format!("{name}, old password kept"), strategy.clone(), grant, true));
        }
        cases.push((name.to_owned(), strategy, "", dual && !alone));
    }
    cases
}

#[test]
fn a_rotation_on_a_real_server_with_a_fault_at_any_call_ends_with_a_credential_that_logs_in() {
    for brand in BRANDS {
        let target = Target::new(brand);
        for (name, strategy, privileges, keeps_old) in cases(brand) {
            let run = |faults: &HashMap<usize, Fault>| {
                reset(&target, privileges);
                drill(&target, &target.engine, &strategy, keeps_old, faults)
            };
            let calls = run(&HashMap::new());
            for call in 0..calls {
                for fault in Fault::ALL {
                    run(&HashMap::from([(call, fault)]));
                }
            }
            println!("{brand:?}, {name}: {calls} calls, {} rotations", 1 + calls * Fault::ALL.len());
            assert_eq!(calls, if matches!(strategy, Strategy::SingleUser) { 17 } else { 18 });
        }
    }
}

#[test]
fn a_rotation_whose_connection_breaks_before_or_after_any_statement_ends_with_a_credential_that_logs_in() {
    for brand in BRANDS {
        let target = Target::new(brand);
        let proxy = Proxy::start(&target.runtime, target.server.port());
        let engine = Cutting { engine: &target.engine, port: proxy.port };
        for (name, strategy, privileges, keeps_old) in cases(brand) {
            let mut rotations = 0;
            for cut in [Cut::Before, Cut::After] {
                for number in 0.. {
                    reset(&target, privileges);
                    proxy.arm(cut, number);
                    drill(&target, &engine, &strategy, keeps_old, &HashMap::new());
                    if !proxy.disarm() {
                        // The rotation was over before.
                        assert!(number > 4, "only {number} messages");
                        break;
                    }
                    rotations += 1;
                }
            }
            println!("{brand:?}, {name}: {rotations} rotations, each with a connection that broke");
        }
    }
}
