//! Tests of events to published messages, in memory.

mod golden;
mod handler;
mod hostile;
mod late_clock;
mod notifier;
mod patterns;
mod reconcile;
