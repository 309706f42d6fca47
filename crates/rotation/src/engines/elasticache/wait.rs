//! Waiting until the service has taken a change over.

use std::time::Duration;

use tokio::time::Instant;

/// Pauses between looks, and how long to look.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The first pause; each is half as long again as the one before.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How long nodes may be behind what the service says.
    pub grace: Duration,
    /// How long a change may take altogether. The function's own time ends most waits sooner.
    pub within: Duration,
}

impl Default for Pace {
    /// Up to 10 seconds between looks, and no longer than a function of Lambda lives (15 minutes).
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
    /// Begins to wait.
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
    /// Pauses. `false`: the time is up.
    pub(crate) async fn pause(&mut self) -> bool {
        if self.begun.elapsed() + self.pause > self.pace.within {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause + self.pause / 2).min(self.pace.longest);
        true
    }

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_the_longest_and_end_within_the_time() {
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
