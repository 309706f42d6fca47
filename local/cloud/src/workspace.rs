//! Where things are: the checkout, the cache, the binaries of the workspace.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::Error;

/// The root of the checkout: the nearest folder at or above the working directory that holds this crate, else the
/// folder that this crate was compiled from.
pub fn root() -> PathBuf {
    let is_root = |folder: &Path| folder.join("local/cloud/Cargo.toml").is_file();
    if let Ok(here) = env::current_dir()
        && let Some(root) = here.ancestors().find(|folder| is_root(folder))
    {
        return root.to_owned();
    }
    // local/cloud is two below the root.
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
    compiled.ancestors().nth(2).unwrap_or(compiled).to_owned()
}

/// Where downloaded tools are kept between runs and shared by checkouts: `$SLUICE_CACHE`, else `sluice` in
/// `$XDG_CACHE_HOME` or `~/.cache`.
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

/// A binary of this workspace: from `variable` if it is set, else as [`built`].
///
/// # Errors
/// The binary has not been built.
pub fn binary(name: &str, variable: &str) -> Result<PathBuf, Error> {
    env::var_os(variable).map_or_else(|| built(name), |path| Ok(path.into()))
}

/// A binary of this workspace, next to the running executable (cargo puts test executables one folder below the
/// binaries).
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

/// The first file called `name` in the folders of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}
