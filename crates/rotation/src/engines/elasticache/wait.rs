//! The wait for the end of a change by the service.

use std::time::Duration;

use tokio::time::Instant;

/// The pauses between checks, and the timeout.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause. Each later one is half as long again.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// The time by which nodes may be behind the service.
    pub grace: Duration,
    /// The timeout of a change. The function's own timeout ends most waits sooner.
    pub within: Duration,
}

impl Default for Pace {
    /// Up to 10 seconds between checks, and no more than the longest Lambda invocation (15
    /// minutes).
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            within: Duration::from_secs(14 * 60),
        }
    }
}

impl Pace {
    /// Starts a wait.
    pub(crate) fn begin(self) -> Waiting {
        Waiting { pace: self, pause: self.first, begun: Instant::now() }
    }
}

/// One wait.
pub(crate) struct Waiting {
    pace: Pace,
    pause: Duration,
    begun: Instant,
}

impl Waiting {
    /// Pauses. Returns false if the timeout is reached.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.begun.elapsed() + self.pause > self.pace.within {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause + self.pause / 2).min(self.pace.longest);
        true
    }

    /// Returns the seconds since the start.
    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_the_longest_and_end_in_time() {
        let begun = Instant::now();
        let mut waiting = Pace::default().begin();
        let mut pauses = 0;
        while waiting.pause().await {
            pauses += 1;
        }
        assert!((80..95).contains(&pauses), "{pauses}");
        assert!(begun.elapsed() <= Pace::default().within && waiting.seconds() > 820);
    }
}
