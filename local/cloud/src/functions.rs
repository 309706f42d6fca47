//! The functions' binaries in `target/lambda`, where the templates expect them.
//!
//! Tests and the demo deploy scripts that run the binaries of the build that they run from, so that
//! nothing is compiled twice and nothing large is packaged
//! (`docs/decisions/0008-functions-of-tests.md`). With `SLUICE_FUNCTIONS=as-built`, they deploy the
//! output of `make build` in `target/lambda`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::{Error, workspace};

/// The build profile that [`place`] writes to `target/lambda/profile`. `scripts/deploy` deploys
/// such functions to a local cloud only.
const PROFILE: &str = "dev\n";

/// Puts the functions of a template into `target/lambda`, unless they are there already.
///
/// # Errors
/// A function is not built, or its file cannot be written.
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
    let wanted = script(&workspace::built(name)?);
    if fs::read(bootstrap).is_ok_and(|found| found == wanted.as_bytes()) {
        return Ok(());
    }
    // The profile is written first, so that an interruption never leaves a test function that
    // counts as a release build.
    write(&lambda.join("profile"), PROFILE)?;
    create_parent(bootstrap)?;
    // Several tests may do this at once, so each writes its own file and renames it. It is outside
    // of the function's folder, because `sam deploy` zips the whole folder.
    let temporary = lambda.join(format!("{name}-{:016x}", fastrand::u64(..)));
    write(&temporary, &wanted)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))
        .map_err(Error::io(format!("make {} executable", temporary.display())))?;
    fs::rename(&temporary, bootstrap).map_err(Error::io(format!("write {}", bootstrap.display())))
}

/// The file that Lambda starts: it becomes the process of the binary.
fn script(binary: &Path) -> String {
    let quoted = binary.display().to_string().replace('\'', r"'\''");
    format!("#!/bin/sh\n# A function of tests: docs/decisions/0008-functions-of-tests.md\nexec '{quoted}'\n")
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

    #[test]
    fn script_runs_a_binary_whose_path_has_quotes_and_blanks() {
        let folder = tempfile::tempdir().unwrap();
        let binary = folder.path().join("it's a \"function\" $HOME");
        std::os::unix::fs::symlink("/bin/true", &binary).unwrap();
        let run = |text: &str| std::process::Command::new("/bin/sh").args(["-c", text]).status().unwrap();
        assert!(run(&script(&binary)).success());
        fs::remove_file(&binary).unwrap();
        assert!(!run(&script(&binary)).success());
    }
}
