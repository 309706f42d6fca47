//! `COPY JOB …`: the commands on auto-copy jobs [D: COPY JOB].

use super::copy::CopyStatement;
use super::lexer::Kind;
use super::{Cursor, SqlError};

/// `COPY … JOB CREATE name [AUTO ON|OFF]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCreate {
    /// Name of the job.
    pub name: String,
    /// True if files are loaded when they arrive.
    pub auto: bool,
    /// The COPY of a run.
    pub copy: CopyStatement,
    /// The statement up to the JOB clause, which every run repeats.
    pub copy_text: String,
    /// The whole statement, which `SYS_COPY_JOB.job_text` shows.
    pub job_text: String,
}

/// A command on a job that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobCommand {
    /// `COPY JOB LIST`.
    List,
    /// `COPY JOB SHOW name`.
    Show(String),
    /// `COPY JOB RUN name`.
    Run(String),
    /// `COPY JOB DROP name`.
    Drop(String),
    /// `COPY JOB ALTER name [AUTO ON|OFF]`.
    Alter {
        /// Name of the job.
        name: String,
        /// The new value; unchanged when left out.
        auto: Option<bool>,
    },
}

/// `GRANT {CREATE|ALTER|DROP} FOR COPY JOBS IN DATABASE db TO user` [P; D: GRANT].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobGrant {
    /// `create`, `alter`, `drop`.
    pub privileges: Vec<String>,
    /// Database.
    pub database: String,
    /// User, or `public`.
    pub grantee: String,
    /// REVOKE.
    pub revoke: bool,
}

/// A job's name: no hyphen, at most 127 bytes [D: COPY JOB].
pub(super) fn name(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    let name = cursor.name()?;
    if name.len() > 127 {
        return Err(SqlError::new(format!("copy job name \"{name}\" is longer than 127 bytes")));
    }
    let hyphen = cursor.peek().is_some_and(|token| token.kind == Kind::Symbol('-'));
    if hyphen || name.contains('-') {
        return Err(SqlError::new(format!(
            "copy job name \"{name}\" is not valid: it must not contain a hyphen"
        )));
    }
    Ok(name)
}

pub(super) fn auto(cursor: &mut Cursor<'_>) -> Result<Option<bool>, SqlError> {
    if !cursor.accept("auto") {
        return Ok(None);
    }
    if cursor.accept("on") {
        return Ok(Some(true));
    }
    cursor.expect("off")?;
    Ok(Some(false))
}

/// Parses the rest of a statement after `COPY JOB`.
pub(super) fn command(cursor: &mut Cursor<'_>) -> Result<JobCommand, SqlError> {
    let command = if cursor.accept("list") {
        JobCommand::List
    } else if cursor.accept("show") {
        JobCommand::Show(name(cursor)?)
    } else if cursor.accept("run") {
        JobCommand::Run(name(cursor)?)
    } else if cursor.accept("drop") {
        JobCommand::Drop(name(cursor)?)
    } else {
        cursor.expect("alter")?;
        JobCommand::Alter { name: name(cursor)?, auto: auto(cursor)? }
    };
    cursor.end()?;
    Ok(command)
}

/// A grant on copy jobs, or `None` for a grant on anything else.
pub(super) fn grant(cursor: &mut Cursor<'_>) -> Option<JobGrant> {
    let revoke = cursor.accept("revoke");
    if !revoke {
        cursor.expect("grant").ok()?;
    }
    let mut privileges = Vec::new();
    loop {
        let found = ["create", "alter", "drop"].into_iter().find(|privilege| cursor.accept(privilege))?;
        privileges.push(found.to_owned());
        if !cursor.accept_symbol(',') {
            break;
        }
    }
    for word in ["for", "copy", "jobs", "in", "database"] {
        cursor.expect(word).ok()?;
    }
    let database = cursor.identifier().ok()?;
    cursor.expect(if revoke { "from" } else { "to" }).ok()?;
    cursor.accept("user");
    let grantee = cursor.identifier().ok()?;
    cursor.end().ok()?;
    Some(JobGrant { privileges, database, grantee, revoke })
}
