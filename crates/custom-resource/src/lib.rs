//! The CloudFormation custom-resource protocol.
