//! The functions' binaries in `target/lambda`, where the templates expect them.
//!
//! Tests and the demo deploy the stripped binaries of the build that they run from, so that nothing
//! is compiled twice (`docs/decisions/0008-functions-of-tests.md`). With
//! `SLUICE_FUNCTIONS=as-built`, they deploy the output of `make build` in `target/lambda`.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Error, process, workspace};

/// The build profile that [`place`] writes to `target/lambda/profile`. `scripts/deploy` deploys
/// such functions to a local cloud only.
const PROFILE: &str = "dev\n";

/// Puts the functions of a template into `target/lambda`, unless they are there already.
///
/// # Errors
/// A function is not built, or `strip` failed.
pub fn place(template: &str) -> Result<(), Error> {
    let lambda = workspace::root().join("target/lambda");
    let as_built = env::var_os("SLUICE_FUNCTIONS").is_some_and(|value| value == "as-built");
    names(template).into_iter().try_for_each(|name| {
        let bootstrap = lambda.join(name).join("bootstrap");
        if !as_built {
            return place_one(name, &lambda, &bootstrap);
        }
        if bootstrap.is_file() {
            return Ok(());
        }
        Err(Error::Missing {
            what: format!("the function {name}"),
            remedy: "build it with `make build`".into(),
        })
    })
}

/// The functions that a template takes from `target/lambda`.
fn names(template: &str) -> Vec<&str> {
    let place = |line: &str| line.trim_start().strip_prefix("CodeUri: ../target/lambda/").map(str::len);
    template
        .lines()
        .filter_map(|line| place(line).map(|length| &line[line.len() - length..]))
        .map(|name| name.trim_end().trim_end_matches('/'))
        .collect()
}

fn place_one(name: &str, lambda: &Path, bootstrap: &Path) -> Result<(), Error> {
    let binary = workspace::built(name)?;
    // The stamp is outside of the function's folder, because `sam deploy` zips the whole folder.
    let stamp = lambda.join("stamps").join(name);
    let wanted = stamp_of(&binary)?;
    if bootstrap.is_file() && fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    // The profile is written first, so that an interruption never leaves a test function that
    // counts as a release build.
    write(&lambda.join("profile"), PROFILE)?;
    create_parent(bootstrap)?;
    create_parent(&stamp)?;
    // Several tests may do this at once, so each writes its own file and renames it.
    let temporary = stamp.with_file_name(format!("{name}-{:016x}", fastrand::u64(..)));
    process::run(Command::new("strip").arg("-o").arg(&temporary).arg(&binary))?;
    fs::rename(&temporary, bootstrap).map_err(Error::io(format!("write {}", bootstrap.display())))?;
    write(&stamp, &wanted)
}

/// Returns the text that identifies a binary. Its time alone is not enough, because cargo may
/// restore an older binary.
fn stamp_of(binary: &Path) -> Result<String, Error> {
    let data = fs::metadata(binary).map_err(Error::io(format!("read {}", binary.display())))?;
    Ok(format!("{} {} {}.{} {}\n", binary.display(), data.len(), data.mtime(), data.mtime_nsec(), data.ino()))
}

fn write(path: &PathBuf, text: &str) -> Result<(), Error> {
    create_parent(path)?;
    fs::write(path, text).map_err(Error::io(format!("write {}", path.display())))
}

fn create_parent(path: &Path) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::io(format!("create {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_functions_are_read_from_code_uris() {
        let template =
            "Resources:\n  F:\n    CodeUri: ../target/lambda/on-rotation/\n    X: 1\n  CodeUri: s3://b/k\n";
        assert_eq!(names(template), ["on-rotation"]);
    }
}
