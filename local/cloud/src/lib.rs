//! The local cloud: starts the gateway and the Redshift stand-in, and stops them.
