//! Amazon Redshift: Data API driver, COPY JOB as types, policies, integrations.
