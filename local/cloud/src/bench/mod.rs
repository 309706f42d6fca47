//! `make bench`: the cost of a start of each function, beside a function that does nothing and the
//! Python originals of AWS's samples, in one run.

mod aws;
mod measure;
mod originals;
mod report;
mod runtime_api;
mod subject;

use std::{fs, path::Path, process::Command};

use cloud::{Error, process, setup::Environment, workspace};
use measure::{Sample, measure};
use originals::{ORIGINALS, Originals, Unavailable};
use report::{Figures, Group};
use subject::Subject;

/// The function that is the baseline.
const FLOOR: &str = "empty-function";
/// Rounds. Each measures every function once, so that a busy moment of the machine affects all.
const ROUNDS: usize = 15;

/// A program with its measurements.
struct Measured {
    subject: Subject,
    zip: u64,
    /// Our function that replaces this original.
    stands_below: Option<&'static str>,
    samples: Vec<Sample>,
}

pub(crate) fn run() -> Result<(), Error> {
    let folder = workspace::root().join("target/lambda");
    let mut measured = Vec::new();
    for name in built(&folder)? {
        let own = folder.join(&name);
        let subject = Subject::function(&name, &own);
        measured.push(Measured { subject, zip: zip_size(&own)?, stands_below: None, samples: Vec::new() });
    }
    // Python is for comparison; without it our functions are still measured.
    let originals = Originals::find();
    match &originals {
        Ok(found) => {
            for original in &ORIGINALS {
                let (subject, zip) = (found.subject(original), found.zip_size(original)?);
                let stands_below = Some(original.function);
                measured.push(Measured { subject, zip, stands_below, samples: Vec::new() });
            }
        }
        Err(error) => println!("Python originals not found: {}", sentence(error)),
    }

    let machine = report::machine();
    for _ in 0..ROUNDS {
        for own in &mut measured {
            let sample = measure(&own.subject)?;
            own.samples.push(sample);
        }
    }

    let figures = |own: &Measured| Figures::new(&own.subject.name, &own.samples, own.zip);
    let groups: Vec<Group> = measured
        .iter()
        .filter(|own| own.stands_below.is_none())
        .map(|own| {
            let below = |other: &&Measured| other.stands_below == Some(own.subject.name.as_str());
            Group { function: figures(own), originals: measured.iter().filter(below).map(figures).collect() }
        })
        .collect();
    print!("{}", report::render(&groups, ROUNDS));
    println!(
        "\nStart: from the start of the process to its first poll. The call: of a cfn function, CloudFormation's Delete of a\n\
         resource that was never made, answered without a call of AWS; of a rotate function, a step of a rotation that has\n\
         ended, answered after DescribeSecret; of an on or check function, a schedule's event when nothing is there or due,\n\
         answered after one to seven calls. Aims: start at most 3 x the empty function, zip at most 3 MB.\n\
         How it is measured: docs/measurements.md. Machine: {machine} before the first start."
    );
    if let (Ok(originals), Some(comparison)) = (&originals, report::compare(&groups)) {
        println!(
            "\n{comparison}\nx ours: the start of an original over that of our function above it. Zips in Python hold the \
             handler and its driver,\nnot boto3, which Lambda's Python has.\n{}.",
            originals.versions
        );
    }
    Ok(())
}

/// An error with its causes.
fn sentence(error: &Unavailable) -> String {
    match std::error::Error::source(error).and_then(|source| source.downcast_ref::<Error>()) {
        Some(source) => format!("{error} ({})", source.chain()),
        None => error.to_string(),
    }
}

/// Names of the functions that are built, the empty one first.
fn built(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("bootstrap").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_by_key(|name| (name != FLOOR, name.clone()));
    if names.first().is_none_or(|name| name != FLOOR) {
        return Err(Error::Missing {
            what: format!("{}", folder.join(FLOOR).display()),
            remedy: "build the functions first with `make build`".into(),
        });
    }
    Ok(names)
}

/// Size of the zip that `sam package` would upload: it uses the same Python module with the same
/// compression.
fn zip_size(folder: &Path) -> Result<u64, Error> {
    let failed = |source| Error::Io { action: format!("zip {}", folder.display()), source };
    let python = Environment::Sam.ensure(&|_| {})?.program("python");
    let place = tempfile::tempdir().map_err(failed)?;
    let zip = place.path().join("function.zip");
    let script = "import sys, zipfile\n\
                  with zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED) as z: z.write(sys.argv[2], 'bootstrap')";
    process::run(Command::new(python).args(["-c", script]).arg(&zip).arg(folder.join("bootstrap")))?;
    fs::metadata(&zip).map(|data| data.len()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_function_comes_first_and_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("bootstrap"), "").unwrap();
        };
        make("cfn-a");
        let error = built(folder.path()).unwrap_err().to_string();
        assert!(error.contains(FLOOR) && error.contains("make build"), "{error}");
        make("rotate-b");
        make(FLOOR);
        fs::create_dir(folder.path().join("not-built")).unwrap();
        assert_eq!(built(folder.path()).unwrap(), [FLOOR, "cfn-a", "rotate-b"]);
    }
}
