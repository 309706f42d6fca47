//! Temporary folders for servers.

use std::path::Path;

use tempfile::TempDir;

use crate::ServerError;

/// The longest path of the folder for temporary files that leaves room for the name of a socket
/// (107 bytes with its path).
const LONGEST: usize = 40;

/// Creates a folder whose path is short enough for sockets in it: in the folder for temporary files,
/// or in `/tmp` if the path of that is long.
pub(crate) fn folder(prefix: &str) -> Result<TempDir, ServerError> {
    let usual = std::env::temp_dir();
    let parent = if usual.as_os_str().len() <= LONGEST { usual.as_path() } else { Path::new("/tmp") };
    tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in(parent)
        .map_err(|source| ServerError::file("cannot create a folder in", parent, source))
}
