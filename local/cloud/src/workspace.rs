//! Paths of the checkout, the cache and the binaries of the workspace.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::Error;

/// Returns the root of the checkout: the nearest folder at or above the working directory that
/// contains this crate, else the folder from which this crate was compiled.
pub fn root() -> PathBuf {
    let is_root = |folder: &Path| folder.join("local/cloud/Cargo.toml").is_file();
    if let Ok(here) = env::current_dir()
        && let Some(root) = here.ancestors().find(|folder| is_root(folder))
    {
        return root.to_owned();
    }
    // local/cloud is two levels below the root.
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
    compiled.ancestors().nth(2).unwrap_or(compiled).to_owned()
}

/// Returns the folder of downloaded tools, which runs and checkouts share: `$SLUICE_CACHE`, else
/// `sluice` in `$XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// None of the three variables is set.
pub fn cache() -> Result<PathBuf, Error> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("SLUICE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("sluice")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/sluice")))
        .ok_or_else(|| Error::Missing {
            what: "a cache folder".into(),
            remedy: "set SLUICE_CACHE to a folder that can be written".into(),
        })
}

/// Returns the path of a binary of this workspace: the value of `variable` if it is set, else as
/// [`built`].
///
/// # Errors
/// The binary has not been built.
pub fn binary(name: &str, variable: &str) -> Result<PathBuf, Error> {
    env::var_os(variable).map_or_else(|| built(name), |path| Ok(path.into()))
}

/// Returns the path of a binary of this workspace in the folder of the running executable or the
/// one above it, because cargo puts test executables one folder below the binaries.
///
/// # Errors
/// The binary has not been built.
pub fn built(name: &str) -> Result<PathBuf, Error> {
    let executable = env::current_exe().map_err(Error::io("find the running executable"))?;
    executable
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| Error::Missing {
            what: format!("the binary {name}"),
            remedy: "build it with `cargo build --workspace --all-targets`".into(),
        })
}

/// Returns the first file called `name` in the folders of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
