//! Random schedules of faults, one for each seed.

use std::collections::HashMap;
use std::ops::Range;

use rotation::passwords::Strategy;

use super::strategies;
use crate::faults::Fault;

/// The faults of one rotation, and its strategy.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The index of the strategy in [`strategies`].
    pub strategy: usize,
    /// The faults by the number of the call.
    pub faults: HashMap<usize, Fault>,
    /// Further faults, for the engine's own calls.
    pub inner: HashMap<usize, Fault>,
    /// Sends every step twice.
    pub twice: bool,
}

impl Schedule {
    /// Returns the schedule of a seed.
    pub fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let strategy = random.usize(0..3);
        let mut faults = |most, within| -> HashMap<usize, Fault> {
            (0..random.usize(0..most))
                .map(|_| (random.usize(0..within), Fault::ALL[random.usize(0..4)]))
                .collect()
        };
        let (faults, inner) = (faults(8, 60), faults(4, 25));
        Self { strategy, faults, inner, twice: random.bool() }
    }

    /// Returns the strategy with its name.
    pub fn strategy(&self) -> (&'static str, Strategy) {
        strategies()[self.strategy].clone()
    }
}

/// Runs a test for a range of seeds and returns the range. It starts at the variable `SLUICE_SEED`
/// (1 by default) and has as many seeds as the variable `count` says (`few` by default).
///
/// It prints every seed before the run. To repeat a failed run, set its seed and a count of 1.
// The seeds are for people who read a test's output.
#[allow(clippy::print_stdout, clippy::disallowed_methods)]
pub fn for_each_seed(count: &str, few: u64, mut run: impl FnMut(u64)) -> Range<u64> {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, runs) = (number("SLUICE_SEED", 1), number(count, few));
    let seeds = first..first + runs;
    for seed in seeds.clone() {
        println!("SLUICE_SEED={seed}");
        run(seed);
    }
    seeds
}

/// Runs a test for the schedules of a range of seeds: see [`for_each_seed`].
#[allow(clippy::print_stdout)]
pub fn for_each_schedule(name: &str, count: &str, few: u64, mut run: impl FnMut(&Schedule)) {
    let mut faults = 0;
    let seeds = for_each_seed(count, few, |seed| {
        let schedule = Schedule::random(seed);
        faults += schedule.faults.len() + schedule.inner.len();
        run(&schedule);
    });
    println!(
        "{name}: {} rotations by seeds {} to {}, {faults} faults drawn",
        seeds.end - seeds.start,
        seeds.start,
        seeds.end.saturating_sub(1)
    );
}
