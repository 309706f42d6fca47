//! The data folder that every server starts from: `initdb`, and the system views in `template1`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Binaries;
use super::connect::SYSTEM_USER;
use crate::ServerError;

/// Creates the template at `folder`, from the cache if it is there.
pub(super) fn make(
    binaries: &Binaries,
    folder: &Path,
    catalog: &str,
    cache: Option<&Path>,
) -> Result<(), ServerError> {
    let Some(cache) = cache else { return init(binaries, folder, catalog) };
    let version = run(binaries.command("postgres", false).arg("--version"), "postgres --version", "")?;
    let mut hash = DefaultHasher::new();
    (&version, catalog, binaries.user().id()).hash(&mut hash);
    let kept: PathBuf = cache.join(format!("postgres-template-{:016x}", hash.finish()));
    if kept.is_dir() {
        return copy(&kept, folder);
    }
    init(binaries, folder, catalog)?;
    let unfinished = cache.join(format!("{}.tmp", uuid::Uuid::new_v4()));
    copy(folder, &unfinished)?;
    if std::fs::rename(&unfinished, &kept).is_err() {
        // Another process was faster and made the same; the rest of ours is only a file in a cache.
        let _left = std::fs::remove_dir_all(&unfinished);
    }
    Ok(())
}

/// Copies a data folder with owners and modes.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ServerError> {
    run(Command::new("cp").arg("-a").arg(from).arg(to), "cp", "").map(|_| ())
}

fn init(binaries: &Binaries, folder: &Path, catalog: &str) -> Result<(), ServerError> {
    let mut initdb = binaries.command("initdb", false);
    initdb.args(["--no-sync", "--wal-segsize=1", "--encoding=UTF8", "--locale=C", "--auth=trust"]);
    initdb.arg(format!("--username={SYSTEM_USER}")).arg("--pgdata").arg(folder);
    run(&mut initdb, "initdb", "")?;
    // Single-user mode needs no server; with -j a statement ends at an empty line.
    let mut single = binaries.command("postgres", false);
    single
        .args(["--single", "-j", "-F", "-c", "allow_system_table_mods=on", "-D"])
        .arg(folder)
        .arg("template1");
    let statements = catalog.split("\n\n").map(str::trim).filter(|statement| !statement.is_empty());
    let text: String = statements.map(|statement| format!("{statement}\n\n")).collect();
    let output = run(&mut single, "postgres --single", &text)?;
    // It writes errors to its output and goes on.
    match output.lines().find(|line| line.contains("ERROR:") || line.contains("FATAL:")) {
        Some(error) => {
            Err(ServerError::Program { program: "the system catalog".to_owned(), output: error.to_owned() })
        }
        None => Ok(()),
    }
}

fn run(command: &mut Command, program: &str, input: &str) -> Result<String, ServerError> {
    use std::io::Write;
    let failed = |output: String| ServerError::Program { program: program.to_owned(), output };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut stdin = child.stdin.take();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || {
        if let Some(stdin) = stdin.as_mut() {
            // A program that ends early writes the reason to its output.
            let _closed = stdin.write_all(text.as_bytes());
        }
    });
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    let _joined = writer.join();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(failed(text)) }
}
