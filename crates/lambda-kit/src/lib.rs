//! Start-up of a Lambda function: configuration, tracing, SDK clients.
