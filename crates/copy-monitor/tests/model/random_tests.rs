//! Random days: files arrive, and are rejected, replaced, lost and loaded manually, while runs are
//! lost, late, repeated, concurrent, and crash.
//!
//! `SLUICE_SOAK_RUNS` sets the number of days, `SLUICE_SEED` the seed of the first one.

use test_support::faults::Fault;

use crate::drill::{Drill, MINUTE, Plan, Start};
use crate::world::World;

#[allow(clippy::disallowed_methods)]
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Does something to the files.
fn event(world: &mut World, random: &mut fastrand::Rng) {
    let prefix = world.jobs[random.usize(..world.jobs.len())].prefix.clone();
    let name = world.number();
    match random.u8(..18) {
        0..=3 => {
            // Some keys begin with another key.
            let key = format!("{prefix}{}{}", random.u8(..30), if random.bool() { ".csv" } else { "" });
            if !world.objects.contains_key(&key) {
                world.put(&key);
                world.notice(&key);
            }
        }
        4 => {
            world.put(&format!("{prefix}lost{name}"));
        }
        5 => {
            // Replaced after it was loaded, rejected, lost, or while it waits.
            let keys: Vec<String> = world.objects.keys().cloned().collect();
            if let Some(key) = keys.get(random.usize(..keys.len().max(1))) {
                world.put(key);
            }
        }
        6 => {
            let failed: Vec<String> =
                world.details.iter().filter(|row| row.status == 'E').map(|row| row.key.clone()).collect();
            if !failed.is_empty() {
                world.load_by_hand(&failed[random.usize(..failed.len())]);
            }
        }
        7 => {
            let job = random.usize(..world.jobs.len());
            world.jobs[job].channel = ["Established", "Inactive", "Pending"][random.usize(..3)];
        }
        8 => world.paused = random.u8(..3) == 0,
        9 => world.sees_all = random.u8(..3) > 0,
        _ => world.move_on(),
    }
}

fn plan(random: &mut fastrand::Rng) -> Plan {
    if random.u8(..4) > 0 {
        return Plan::new();
    }
    Plan::from([(random.usize(..40), Fault::ALL[random.usize(..4)])])
}

async fn day(seed: u64) -> Drill {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drill = Drill::new(seed, random.i64(1..4));
    drill.settings.rows_per_run = random.u32(3..20);
    {
        let mut world = drill.shared.world();
        (world.page, world.restless) = (random.usize(1..8), true);
    }
    // Late events: numbers of batches, which may be delivered any time later, or twice, or never.
    let mut late: Vec<usize> = Vec::new();
    for _ in 0..random.usize(20..80) {
        {
            let mut world = drill.shared.world();
            world.pass(MINUTE * random.u32(1..12));
            for _ in 0..random.u8(..4) {
                event(&mut world, &mut random);
            }
            if random.u8(..3) > 0 {
                world.run_batches();
            }
            late.extend(world.events.drain(..));
        }
        let mut starts = Vec::new();
        if random.u8(..4) > 0 {
            starts.push(Start::Tick);
        }
        if random.u8(..6) == 0 {
            starts.push(Start::Tick);
        }
        for at in late.clone() {
            match random.u8(..8) {
                0..=3 => starts.push(Start::End(at)),
                4 => starts.extend([Start::End(at), Start::End(at)]),
                // Lost for good.
                5 => late.retain(|other| *other != at),
                _ => {}
            }
        }
        random.shuffle(&mut starts);
        for some in starts.chunks(3) {
            // Concurrently.
            futures_util::future::join_all(some.iter().map(|start| drill.invoke(*start, plan(&mut random))))
                .await;
        }
        late.retain(|_| random.u8(..3) > 0);
    }
    {
        let mut world = drill.shared.world();
        (world.restless, world.paused, world.sees_all) = (false, false, true);
    }
    drill.settle(150).await;
    drill
}

#[tokio::test(start_paused = true)]
async fn random_days_publish_every_alert_once() {
    let (first, runs) = (number("SLUICE_SEED", 1), number("SLUICE_SOAK_RUNS", 25));
    let mut failures = 0;
    for seed in first..first + runs {
        let drill = day(seed).await;
        let since = drill.first_seen();
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drill.every_rejected_file_has_one_alert();
            drill.nothing_was_published_twice();
            drill.objects_have_true_alerts(since);
            drill.conditions_begin_and_end_in_turn();
        }));
        assert!(checked.is_ok(), "the day of seed {seed}: SLUICE_SEED={seed} SLUICE_SOAK_RUNS=1");
        failures += drill.shared.world().rejected.len();
    }
    // Otherwise nothing was proved.
    assert!(failures as u64 > runs / 2, "{failures} failures in {runs} days");
}
