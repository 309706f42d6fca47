//! The Python functions of AWS's samples with which ours are compared.
//!
//! Their source is not part of this repository. It is read from a checkout, which git fetches into
//! the cache.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use cloud::{
    Error, process,
    setup::{Environment, Venv},
    workspace,
};

use super::subject::{Call, Subject};

const REPOSITORY: &str = "https://github.com/aws-samples/aws-secrets-manager-rotation-lambdas";
/// Of 25 February 2025, "Recognize Aurora read-replicas in MySQL and PostgreSQL multi-user lambda
/// functions".
const COMMIT: &str = "b4b8eca63e1f61bbcfb18c291b640f4fc3b0deb8";
/// A folder with the checkout.
const VARIABLE: &str = "PYTHON_ORIGINALS";
/// The script that makes the zip.
const ZIP: &str = include_str!("original_zip.py");

/// The reason why the originals cannot be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unavailable {
    /// git is not installed or cannot reach the repository.
    #[error("git could not fetch {REPOSITORY}; set {VARIABLE} to a checkout of it at {COMMIT}")]
    Fetch(#[source] Error),
    /// The folder has no such checkout.
    #[error("{} is not there; set {VARIABLE} to a checkout of {REPOSITORY} at {COMMIT}", .0.display())]
    Checkout(PathBuf),
    /// Python, a package or the compiler is missing.
    #[error(
        "what runs them could not be installed; it needs a C compiler and libpq (Debian, Ubuntu: apt-get install gcc libpq-dev python3-dev)"
    )]
    Install(#[source] Error),
}

/// One of the originals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Original {
    /// Our function that replaces it.
    pub(super) function: &'static str,
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Its folder in the repository.
    folder: &'static str,
    /// The distribution of the driver that it imports, if any.
    driver: Option<&'static str>,
}

/// The originals that one of our functions replaces.
pub(super) const ORIGINALS: [Original; 9] = {
    const fn of(
        function: &'static str,
        name: &'static str,
        folder: &'static str,
        driver: Option<&'static str>,
    ) -> Original {
        Original { function, name, folder, driver }
    }
    const POSTGRES: Option<&str> = Some("PyGreSQL");
    const MYSQL: Option<&str> = Some("PyMySQL");
    [
        of("rotate-elasticache", "ElastiCache, user", "SecretsManagerElasticacheUserRotation", None),
        of("rotate-mysql", "MySQL, single user", "SecretsManagerRDSMySQLRotationSingleUser", MYSQL),
        of("rotate-mysql", "MySQL, multi user", "SecretsManagerRDSMySQLRotationMultiUser", MYSQL),
        of("rotate-mysql", "MariaDB, single user", "SecretsManagerRDSMariaDBRotationSingleUser", MYSQL),
        of("rotate-mysql", "MariaDB, multi user", "SecretsManagerRDSMariaDBRotationMultiUser", MYSQL),
        of(
            "rotate-postgres",
            "PostgreSQL, single user",
            "SecretsManagerRDSPostgreSQLRotationSingleUser",
            POSTGRES,
        ),
        of(
            "rotate-postgres",
            "PostgreSQL, multi user",
            "SecretsManagerRDSPostgreSQLRotationMultiUser",
            POSTGRES,
        ),
        of("rotate-redshift", "Redshift, single user", "SecretsManagerRedshiftRotationSingleUser", POSTGRES),
        of("rotate-redshift", "Redshift, multi user", "SecretsManagerRedshiftRotationMultiUser", POSTGRES),
    ]
};

/// The source of the originals, and the Python that runs them.
#[derive(Debug)]
pub(super) struct Originals {
    folder: PathBuf,
    venv: Venv,
    /// Commit, Python and packages, for the report.
    pub(super) versions: String,
}

impl Originals {
    /// Finds the originals, or fetches them.
    ///
    /// # Errors
    /// The originals cannot be fetched; the message says how to get them.
    pub(super) fn find() -> Result<Self, Unavailable> {
        let folder = checkout()?;
        let missing = ORIGINALS.iter().map(|original| source(&folder, original)).find(|path| !path.is_file());
        if let Some(path) = missing {
            return Err(Unavailable::Checkout(path));
        }
        let venv =
            Environment::PythonOriginals.ensure(&|line| println!("{line}")).map_err(Unavailable::Install)?;
        let packages = packages(&venv).map_err(Unavailable::Install)?;
        let versions = format!("Originals: {}; {packages}", commit(&folder));
        Ok(Self { folder, venv, versions })
    }

    /// Returns an original as it runs on Lambda: AWS's runtime client for Python loads the handler.
    pub(super) fn subject(&self, original: &Original) -> Subject {
        Subject {
            name: format!("  Python: {}", original.name),
            program: self.venv.program("python"),
            arguments: ["-m", "awslambdaric", "lambda_function.lambda_handler"].map(Into::into).into(),
            folder: self.folder.join(original.folder),
            call: Call::Step,
        }
    }

    /// Size of its zip in bytes: the handler and its driver, without the packages of Lambda's
    /// Python.
    pub(super) fn zip_size(&self, original: &Original) -> Result<u64, Error> {
        let failed = |source| Error::Io { action: format!("zip {}", original.folder), source };
        let place = tempfile::tempdir().map_err(failed)?;
        let zip = place.path().join("function.zip");
        let mut command = Command::new(self.venv.program("python"));
        command.args(["-c", ZIP]).arg(&zip).arg(source(&self.folder, original)).args(original.driver);
        process::run(&mut command)?;
        fs::metadata(&zip).map(|data| data.len()).map_err(failed)
    }
}

fn source(folder: &Path, original: &Original) -> PathBuf {
    folder.join(original.folder).join("lambda_function.py")
}

/// Returns the folder that the user set, or the one in the cache, which is fetched if it is
/// missing.
fn checkout() -> Result<PathBuf, Unavailable> {
    if let Some(folder) = env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        // Each original runs in a working directory of its own.
        return folder.canonicalize().map_err(|_| Unavailable::Checkout(folder));
    }
    let cache = workspace::cache().map_err(Unavailable::Fetch)?;
    let folder = cache.join(format!("python-originals-{}", short(COMMIT)));
    if !folder.is_dir() {
        fetch(&cache, &folder).map_err(Unavailable::Fetch)?;
    }
    Ok(folder)
}

fn fetch(cache: &Path, folder: &Path) -> Result<(), Error> {
    let failed = |source| Error::Io { action: format!("write {}", folder.display()), source };
    fs::create_dir_all(cache).map_err(failed)?;
    // Fetched beside its place and moved there when complete.
    let beside = tempfile::Builder::new().prefix("python-originals.").tempdir_in(cache).map_err(failed)?;
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        // git must not prompt, or wait for a server that it cannot reach.
        let settings = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_HTTP_LOW_SPEED_LIMIT", "1000"),
            ("GIT_HTTP_LOW_SPEED_TIME", "20"),
        ];
        process::run(command.args(words).current_dir(beside.path()).envs(settings))
    };
    git(&["init", "--quiet"])?;
    git(&["fetch", "--quiet", "--depth=1", REPOSITORY, COMMIT])?;
    git(&["checkout", "--quiet", "FETCH_HEAD"])?;
    fs::rename(beside.keep(), folder).map_err(failed)
}

/// The commit of a folder, for the report.
fn commit(folder: &Path) -> String {
    // Not that of a folder above it: the folder may be in another repository.
    let found = folder
        .join(".git")
        .exists()
        .then(|| process::run(Command::new("git").arg("-C").arg(folder).args(["rev-parse", "HEAD"])).ok());
    let found = found.flatten().and_then(|output| String::from_utf8(output.stdout).ok());
    describe_commit(found.as_deref().map(str::trim))
}

fn describe_commit(found: Option<&str>) -> String {
    match found {
        Some(COMMIT) => format!("commit {}", short(COMMIT)),
        Some(other) => format!("commit {}, expected {}", short(other), short(COMMIT)),
        None => format!("unknown commit, expected {}", short(COMMIT)),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The interpreter and runtime client, as `Python 3.11.7, awslambdaric 4.2.2`.
fn packages(venv: &Venv) -> Result<String, Error> {
    let script = "import platform, importlib.metadata as m; \
                  print(', '.join(['Python ' + platform.python_version()] \
                  + [n + ' ' + m.version(n) for n in ('awslambdaric', 'boto3', 'PyGreSQL', 'PyMySQL')]))";
    let output = process::run(Command::new(venv.program("python")).args(["-c", script]))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_commit_than_the_pinned_one_is_describe_commit() {
        assert_eq!(describe_commit(Some(COMMIT)), "commit b4b8eca63e1f");
        let other = "92f00b3e3b32df58a8a7c230773335f5846c74fd";
        assert_eq!(describe_commit(Some(other)), "commit 92f00b3e3b32, expected b4b8eca63e1f");
        assert_eq!(describe_commit(None), "unknown commit, expected b4b8eca63e1f");
    }

    #[test]
    fn why_they_are_not_measured_says_how_to_get_them() {
        for error in [
            Unavailable::Checkout("a/lambda_function.py".into()),
            Unavailable::Fetch(Error::Missing { what: "git".into(), remedy: "install it".into() }),
        ] {
            let text = error.to_string();
            let parts = [VARIABLE, REPOSITORY, COMMIT];
            assert!(parts.iter().all(|part| text.contains(part)) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_checkout_that_lacks_an_original_is_no_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ORIGINALS.map(|original| source(folder.path(), &original));
        assert!(paths.iter().all(|path| path.ends_with("lambda_function.py") && !path.is_file()));
        let mut folders = ORIGINALS.map(|original| original.folder);
        folders.sort_unstable();
        assert!(folders.windows(2).all(|two| two[0] != two[1]), "one is there twice: {folders:?}");
    }
}
