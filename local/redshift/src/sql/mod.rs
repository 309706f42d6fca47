//! SQL of Redshift that PostgreSQL does not have.

mod assume_role;
mod combination;
mod copy;
mod job;
mod lexer;
mod quote;
mod rewrite;

pub use assume_role::AssumeRoleGrant;
pub use copy::{Compression, CopyOptions, CopyStatement, FieldMapping, Format, Role, TimeStyle};
pub use job::{JobCommand, JobCreate, JobGrant};
pub use quote::{identifier, literal};
pub use rewrite::{bind, for_postgres};
pub(crate) use rewrite::{dropped_user, syslog_access, used_parameters};

use lexer::{Token, tokens};

/// An SQL error of this process, worded like the database's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ERROR: {message}{}", .position.map(|at| format!("\n  Position: {at}")).unwrap_or_default())]
pub struct SqlError {
    /// The message.
    pub message: String,
    /// Character position in the statement, from 1.
    pub position: Option<usize>,
}

impl SqlError {
    /// An error without a position.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), position: None }
    }

    fn syntax(message: impl Into<String>, sql: &str, at: usize) -> Self {
        Self { message: message.into(), position: Some(sql[..at].chars().count() + 1) }
    }

    fn unterminated(what: &str, sql: &str, at: usize) -> Self {
        let near: String = sql[at..].chars().take(40).collect();
        Self::syntax(format!("unterminated {what} at or near \"{near}\""), sql, at)
    }

    /// The error for SQL that Redshift has and this stand-in does not.
    pub fn not_imitated(what: impl std::fmt::Display) -> Self {
        Self::new(format!(
            "the local stand-in for Redshift does not imitate {what}; see local/redshift/README.md"
        ))
    }
}

/// A statement, by the component that runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `COPY … FROM 's3://…'`.
    Copy(Box<CopyStatement>),
    /// `COPY … JOB CREATE`.
    CreateJob(Box<JobCreate>),
    /// `COPY JOB …`.
    Job(JobCommand),
    /// `GRANT`/`REVOKE … FOR COPY JOBS`.
    JobGrant(JobGrant),
    /// `GRANT`/`REVOKE ASSUMEROLE`.
    AssumeRole(AssumeRoleGrant),
    /// Any other statement, which PostgreSQL runs after the rewriting of `for_postgres`.
    Other,
}

/// Parses a statement.
///
/// # Errors
/// It begins like a statement of Redshift and violates its grammar.
pub fn read(sql: &str) -> Result<Statement, SqlError> {
    let mut tokens = tokens(sql)?;
    if tokens.last().is_some_and(|token| token.kind == lexer::Kind::Symbol(';')) {
        tokens.pop();
    }
    let mut cursor = Cursor { sql, tokens: &tokens, at: 0 };
    let first = cursor.peek();
    if first.is_some_and(|token| token.is("grant") || token.is("revoke")) {
        if let Some(grant) = assume_role::read(&mut cursor) {
            return grant.map(Statement::AssumeRole);
        }
        return Ok(job::grant(&mut cursor).map_or(Statement::Other, Statement::JobGrant));
    }
    if !first.is_some_and(|token| token.is("copy")) {
        return Ok(Statement::Other);
    }
    cursor.at += 1;
    // `COPY job FROM …` is a table of that name; `COPY JOB DROP x` is a command.
    let next = |n: usize| cursor.tokens.get(n);
    if next(1).is_some_and(|token| token.is("job"))
        && !next(2).is_some_and(|token| token.is("from") || matches!(token.kind, lexer::Kind::Symbol(_)))
    {
        cursor.at += 1;
        return job::command(&mut cursor).map(Statement::Job);
    }
    copy::statement(&mut cursor)
}

/// A cursor over tokens.
struct Cursor<'a> {
    sql: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn error(&self) -> SqlError {
        match self.peek() {
            Some(token) => SqlError::syntax(
                format!("syntax error at or near \"{}\"", &self.sql[token.span.clone()]),
                self.sql,
                token.span.start,
            ),
            None => SqlError::syntax("syntax error at end of input", self.sql, self.sql.len()),
        }
    }

    /// Consumes a keyword if it is next.
    fn accept(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is(keyword));
        self.at += usize::from(found);
        found
    }

    fn accept_symbol(&mut self, symbol: char) -> bool {
        let found = self.peek().is_some_and(|token| token.kind == lexer::Kind::Symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, keyword: &str) -> Result<(), SqlError> {
        if self.accept(keyword) { Ok(()) } else { Err(self.error()) }
    }

    fn identifier(&mut self) -> Result<String, SqlError> {
        let name = self.name()?;
        rewrite::check_length(&name)?;
        Ok(name)
    }

    /// An identifier of any length.
    fn name(&mut self) -> Result<String, SqlError> {
        let name = match self.peek().map(|token| &token.kind) {
            Some(lexer::Kind::Word(name) | lexer::Kind::Quoted(name)) => name.clone(),
            _ => return Err(self.error()),
        };
        self.at += 1;
        Ok(name)
    }

    fn accept_text(&mut self) -> Option<String> {
        match self.peek().map(|token| &token.kind) {
            Some(lexer::Kind::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Some(text)
            }
            _ => None,
        }
    }

    fn text(&mut self) -> Result<String, SqlError> {
        self.accept_text().ok_or_else(|| self.error())
    }

    fn accept_number(&mut self) -> Option<u64> {
        match self.peek().map(|token| &token.kind) {
            Some(lexer::Kind::Number(number)) => {
                let number = number.parse().ok()?;
                self.at += 1;
                Some(number)
            }
            _ => None,
        }
    }

    fn end(&self) -> Result<(), SqlError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.error()) }
    }
}
