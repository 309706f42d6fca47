//! The state of a run, which is written before anything is created.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{accounts::Role, money::Usd, ports::Store, report::Record};

/// The version of the file's form.
const VERSION: u32 = 1;

/// Everything that is needed to continue a run, or to remove all of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// The version of this form.
    pub version: u32,
    /// The run's id, which the name of each resource has.
    pub run: String,
    /// The accounts that it runs in.
    pub accounts: BTreeMap<Role, Identity>,
    /// The largest sum of estimated costs.
    pub max_cost: Usd,
    /// The time at which everything of it is removed.
    #[serde(with = "as_text")]
    pub ends: Timestamp,
    /// The estimated costs of all checks that were started.
    pub spent: Usd,
    /// The checks that were asked for, in their order.
    pub selected: Vec<String>,
    /// Those of them that the operator named.
    pub named: Vec<String>,
    /// The values that the operator gave.
    pub settings: BTreeMap<String, String>,
    /// The number of starts of each check.
    pub attempts: BTreeMap<String, u32>,
    /// The results so far.
    pub results: BTreeMap<String, Record>,
    /// The removals of what may exist, oldest first.
    pub pending: Vec<Removal>,
}

impl RunState {
    /// Returns true if the run is against a local cloud.
    pub fn is_local(&self) -> bool {
        self.accounts.values().any(|identity| identity.endpoint.is_some())
    }

    /// Returns the state of a run that begins.
    pub fn new(run: String, max_cost: Usd, ends: Timestamp) -> Self {
        Self {
            version: VERSION,
            run,
            accounts: BTreeMap::new(),
            max_cost,
            ends,
            spent: Usd::default(),
            selected: Vec::new(),
            named: Vec::new(),
            settings: BTreeMap::new(),
            attempts: BTreeMap::new(),
            results: BTreeMap::new(),
            pending: Vec::new(),
        }
    }
}

/// A time as text, because the feature `serde` of jiff would compile what depends on it anew.
mod as_text {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// An account as the run found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The AWS profile.
    pub profile: String,
    /// The account's id.
    pub account: String,
    /// The partition, such as `aws`.
    pub partition: String,
    /// The Region.
    pub region: String,
    /// The address of a local cloud; `None` is AWS.
    pub endpoint: Option<String>,
}

/// The commands that remove what one step may have created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// The check.
    pub check: String,
    /// The commands in their order.
    pub commands: Vec<RemovalCommand>,
    /// The reason why the last attempt failed.
    pub failure: Option<String>,
}

/// One command of a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalCommand {
    /// A command that lists what is to be removed.
    pub find: Option<Vec<String>>,
    /// The command; `${found}` is an item of the list.
    pub run: Vec<String>,
    /// The seconds for which it is repeated while it fails.
    pub within: u64,
}

/// The state could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a state, or that of another version.
    #[error(
        "{} is not a state of this version of verify-aws; remove what it lists by hand, then remove the file",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// A state in a folder of the machine that runs the checks.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    /// A store in a folder, which is created when the state is written.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns the path of the state.
    pub fn path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// Writes a file that only its owner may read, as a whole or not at all.
    fn write(&self, path: &Path, contents: &[u8]) -> Result<(), StateError> {
        let fail = |action| move |source| StateError::Io { action, path: path.to_owned(), source };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(fail("create the folder of"))?;
        let part = path.with_extension("part");
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(fail("create"))?;
        file.write_all(contents).and_then(|()| file.sync_all()).map_err(fail("write"))?;
        fs::rename(&part, path).map_err(fail("replace"))?;
        // The rename itself is on disk only with the folder.
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(fail("sync the folder of"))
    }
}

impl Store for FileStore {
    fn load(&self) -> Result<Option<RunState>, StateError> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { action: "read", path, source }),
        };
        let state: RunState = serde_json::from_slice(&text)
            .map_err(|source| StateError::Unreadable { path: path.clone(), source })?;
        if state.version == VERSION {
            return Ok(Some(state));
        }
        let source = serde::de::Error::custom(format!("version {} instead of {VERSION}", state.version));
        Err(StateError::Unreadable { path, source })
    }

    fn save(&self, state: &RunState) -> Result<(), StateError> {
        let path = self.path();
        let text = serde_json::to_vec_pretty(state)
            .map_err(|source| StateError::Unreadable { path: path.clone(), source })?;
        self.write(&path, &text)
    }

    fn remove(&self) -> Result<(), StateError> {
        let files = self.folder.join("files");
        for (path, done) in
            [(self.path(), fs::remove_file(self.path())), (files.clone(), fs::remove_dir_all(&files))]
        {
            match done {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StateError::Io { action: "remove", path, source }),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn place(&self, name: &str, contents: &str) -> Result<String, StateError> {
        let folder = self.folder.join("files");
        let store = Self { folder: folder.clone() };
        let path = folder.join(name);
        store.write(&path, contents.as_bytes())?;
        Ok(path.to_string_lossy().into_owned())
    }
}
