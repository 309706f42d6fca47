//! Whole rotations, by every strategy, with a fault at every call and with a connection that breaks
//! at every statement.

use std::collections::HashMap;
use std::time::Duration;

use local_servers::mysql::Brand;
use rotation::engine::Engine;
use rotation::passwords::Strategy;
use secrecy::ExposeSecret;
use test_support::rotation::{Drill, Fault, MemorySecret, for_each_schedule, rotate_under_load, strategies};

use super::cutting::{Cut, Cutting, Proxy};
use super::target::{BRANDS, FIRST, MYSQL, Target};

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
    twice: bool,
) -> usize {
    let secret = MemorySecret::new(&target.value("app", FIRST).to_string());
    let secret = secret.with_admin(&target.value("admin", FIRST).to_string());
    let mut drill = Drill::new(&secret, engine, faults.clone()).by(strategy.clone());
    (drill.keeps_old, drill.twice) = (keeps_old, twice);
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
fn rotation_on_a_server_with_a_fault_ends_with_a_valid_login() {
    for brand in BRANDS {
        let target = Target::new(brand);
        for (name, strategy, privileges, keeps_old) in cases(brand) {
            let run = |faults: &HashMap<usize, Fault>| {
                reset(&target, privileges);
                drill(&target, &target.engine, &strategy, keeps_old, faults, false)
            };
            let calls = run(&HashMap::new());
            for call in 0..calls {
                for fault in Fault::ALL {
                    run(&HashMap::from([(call, fault)]));
                }
            }
            println!("{brand:?}, {name}: {calls} calls, {} rotations", 1 + calls * Fault::ALL.len());
            assert_eq!(calls, if matches!(strategy, Strategy::SingleUser) { 20 } else { 21 });
        }
    }
}

#[test]
fn connection_that_breaks_anywhere_ends_with_a_valid_login() {
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
                    drill(&target, &engine, &strategy, keeps_old, &HashMap::new(), false);
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

#[test]
fn random_faults_and_repeated_steps_end_with_a_valid_login() {
    for brand in BRANDS {
        let target = Target::new(brand);
        for_each_schedule(&format!("{brand:?}"), "SLUICE_ENGINE_RUNS", 20, |schedule| {
            let (wanted, _) = schedule.strategy();
            for (_, strategy, privileges, keeps_old) in
                cases(brand).into_iter().filter(|(name, ..)| name.starts_with(wanted))
            {
                reset(&target, privileges);
                drill(&target, &target.engine, &strategy, keeps_old, &schedule.faults, schedule.twice);
            }
        });
    }
}

#[test]
fn kept_password_has_no_refused_login_else_a_short_window() {
    for brand in BRANDS {
        let target = Target::new(brand);
        let admin = target.value("admin", FIRST).to_string();
        for (name, strategy, privileges, keeps_old) in cases(brand) {
            reset(&target, privileges);
            let value = target.value("app", FIRST).to_string();
            let rotating = rotate_under_load(&target.engine, &strategy, &value, &admin, 100);
            let seen = target.runtime.block_on(rotating).unwrap();
            println!("{brand:?}, {name}: 100 rotations, {seen}");
            assert!(seen.logins > 300, "{} logins say nothing", seen.logins);
            if keeps_old || matches!(strategy, Strategy::AlternatingUsers(_)) {
                assert_eq!(seen.refused, 0, "{brand:?}, {name}");
            } else {
                assert!(seen.longest < Duration::from_secs(5), "{brand:?}, {name}: {:?}", seen.longest);
            }
        }
    }
}

/// Statements that a server sees of a rotation, in the order of [`cases`], three in a row each.
const STATEMENTS: [(Brand, &[usize]); 2] =
    [(Brand::MariaDb, &[7, 7, 7, 7, 7, 7, 16, 10, 12]), (MYSQL, &[6, 6, 6, 7, 7, 7, 6, 6, 6, 19, 12, 14])];

#[test]
fn rotation_makes_the_documented_number_of_calls() {
    for (brand, expected) in STATEMENTS {
        let target = Target::new(brand);
        let mut counted = Vec::new();
        for (name, strategy, privileges, _) in cases(brand) {
            reset(&target, privileges);
            let mut value = target.value("app", FIRST);
            for turn in ["first", "second", "third"] {
                target.execute("SET GLOBAL general_log = ON");
                let before = queries(&target);
                let secret = MemorySecret::new(&value.to_string())
                    .with_admin(&target.value("admin", FIRST).to_string());
                let rotation = Drill::new(&secret, &target.engine, HashMap::new()).by(strategy.clone());
                let cost = target.runtime.block_on(rotation.only_rotate()).unwrap();
                let statements = queries(&target) - before;
                target.execute("SET GLOBAL general_log = OFF");
                counted.push(statements);
                println!("{brand:?}, {name}, {turn}: {cost}; {statements} statements");
                let document = secret.document("AWSCURRENT").unwrap();
                value = serde_json::from_str(document.to_secret_string().expose_secret()).unwrap();
            }
        }
        assert_eq!(counted, expected, "{brand:?}");
    }
}

fn queries(target: &Target) -> usize {
    target.server.general_log().lines().filter(|line| line.contains("Query\t")).count()
}
