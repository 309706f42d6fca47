//! The time that an invocation has.

use std::time::Duration;

use tokio::time::Instant;

use crate::moment::Moment;

/// The start of an invocation and the moment at which Lambda ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvocationWindow {
    /// The time at which the invocation started.
    pub now: Moment,
    /// The time at which Lambda ends it.
    pub deadline: Moment,
}

impl InvocationWindow {
    /// Returns the window of the invocation that starts now and has this context.
    pub fn of(context: &lambda_runtime::Context) -> Self {
        let now = Moment::from(std::time::SystemTime::now());
        Self { now, deadline: Moment::from(context.deadline()) }
    }

    /// Returns the time between the start and `margin` before the deadline.
    ///
    /// Keep a margin for what has to follow the work: the answer, or a log line about how far the
    /// work came.
    pub fn time_left(&self, margin: Duration) -> Duration {
        self.deadline.since(self.now).saturating_sub(margin)
    }

    /// Returns the instant `margin` before the deadline. Call it at the start of the invocation.
    pub fn work_until(&self, margin: Duration) -> Instant {
        Instant::now() + self.time_left(margin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margin_is_taken_off_the_time_left() {
        let (now, second) = (Moment::from_secs(1000), Duration::from_secs(1));
        let window = InvocationWindow { now, deadline: now.plus(second * 30) };
        assert_eq!(window.time_left(Duration::ZERO), second * 30);
        assert_eq!(window.time_left(second * 2), second * 28);
        assert_eq!(window.time_left(second * 31), Duration::ZERO);
        let late = InvocationWindow { now, deadline: now.minus(second) };
        assert_eq!(late.time_left(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_a_margin_before_the_deadline() {
        let (now, second) = (Moment::from_secs(1000), Duration::from_secs(1));
        let window = InvocationWindow { now, deadline: now.plus(second * 30) };
        assert_eq!(window.work_until(second * 5), Instant::now() + second * 25);
    }
}
