//! Statements through the Redshift Data API.

use futures_util::future::{BoxFuture, FutureExt};
use warehouse::batch::{Batch, Page, Progress};
use warehouse::data_api::Database;

use crate::ports::{Call, Statements};

impl Statements for Database {
    fn start<'a>(&'a self, name: &'a str, token: &'a str, statements: &'a [String]) -> Call<'a, String> {
        async move { self.start_batch(&Batch { name, token, statements }).await }.boxed()
    }

    fn progress<'a>(&'a self, id: &'a str) -> Call<'a, Progress> {
        Self::progress(self, id).boxed()
    }

    fn page<'a>(&'a self, id: &'a str, statement: usize, next: Option<String>) -> Call<'a, Page> {
        async move { Self::page(self, &format!("{id}:{statement}"), next).await }.boxed()
    }

    fn cancel<'a>(&'a self, id: &'a str) -> BoxFuture<'a, ()> {
        Self::cancel(self, id).boxed()
    }
}
