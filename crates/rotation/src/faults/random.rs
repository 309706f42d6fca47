//! Random schedules of faults, each by its seed.

use std::collections::HashMap;
use std::ops::Range;

use super::{Fault, strategies};
use crate::passwords::Strategy;

/// What goes wrong in one rotation, and by which strategy it rotates.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Where the strategy is, in [`strategies`].
    pub strategy: usize,
    /// Faults by number of the call.
    pub faults: HashMap<usize, Fault>,
    /// Further ones, for calls that an engine makes itself.
    pub inner: HashMap<usize, Fault>,
    /// Whether every step is sent twice.
    pub twice: bool,
}

impl Schedule {
    /// That of a seed.
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

    /// Its strategy, with the name.
    pub fn strategy(&self) -> (&'static str, Strategy) {
        strategies()[self.strategy].clone()
    }
}

/// Runs something for each of some seeds and returns the range of them. The environment says which: from `SLUICE_SEED` (1), as many as the
/// variable `count` says (`few`). Prints every seed before it runs: what fails is run again with its seed and a count of 1.
// The seeds are for whoever reads a test's output, and only tests call this.
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

/// Runs the schedule of each of some seeds: see [`for_each_seed`].
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
