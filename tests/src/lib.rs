//! End-to-end tests against the local cloud.
