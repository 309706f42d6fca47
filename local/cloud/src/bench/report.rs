//! The measurements as a table.

use std::{fs, time::Duration};

use super::measure::Sample;
use crate::table;

/// The results of one program: medians, and the size of its zip.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    name: String,
    start: f64,
    first: f64,
    warm: f64,
    /// MiB.
    memory: f64,
    /// MB, of a million bytes.
    zip: f64,
}

impl Figures {
    pub(super) fn new(name: &str, samples: &[Sample], zip: u64) -> Self {
        let of = |value: fn(&Sample) -> f64| median(samples.iter().map(value).collect());
        Self {
            name: name.to_owned(),
            start: of(|sample| milliseconds(sample.start)),
            first: of(|sample| milliseconds(sample.first)),
            warm: of(|sample| milliseconds(sample.warm)),
            memory: of(|sample| sample.memory as f64 / 1024.0),
            zip: zip as f64 / 1_000_000.0,
        }
    }

    fn row(&self, floor: f64, ours: Option<&Self>) -> Vec<String> {
        vec![
            self.name.clone(),
            format!("{:.1}", self.start),
            format!("{:.1}", self.start / floor),
            ours.map(|ours| format!("{:.0}", self.start / ours.start)).unwrap_or_default(),
            format!("{:.1}", self.first),
            format!("{:.1}", self.warm),
            format!("{:.1}", self.memory),
            format!("{:.3}", self.zip),
        ]
    }
}

/// A function of ours, and the originals that it replaces.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) function: Figures,
    pub(super) originals: Vec<Figures>,
}

/// Formats the table. The first group is the empty function. Originals are below the function that
/// replaces them.
pub(super) fn render(groups: &[Group], rounds: usize) -> String {
    let floor = groups.first().map(|group| group.function.start).unwrap_or_default();
    let mut columns = vec![
        "function",
        "start ms",
        "x empty",
        "x ours",
        "first call ms",
        "warm call ms",
        "peak MiB",
        "zip MB",
    ];
    let mut rows = Vec::new();
    for Group { function, originals } in groups {
        rows.push(function.row(floor, None));
        rows.extend(originals.iter().map(|original| original.row(floor, Some(function))));
    }
    if groups.iter().all(|group| group.originals.is_empty()) {
        columns.remove(3);
        rows.iter_mut().for_each(|row| drop(row.remove(3)));
    }
    let title = format!("Medians of {rounds} starts of each function, taken in turns");
    table::render(&title, &columns, &rows)
}

/// Compares the originals in a sentence; empty without any.
pub(super) fn compare(groups: &[Group]) -> Option<String> {
    let range = |of: fn(&Figures) -> f64, turned: bool| {
        let ratios: Vec<f64> = groups
            .iter()
            .flat_map(|group| group.originals.iter().map(move |original| (&group.function, original)))
            .map(|(ours, original)| if turned { of(ours) / of(original) } else { of(original) / of(ours) })
            .collect();
        let least = ratios.iter().copied().reduce(f64::min)?;
        let most = ratios.iter().copied().reduce(f64::max)?;
        let (least, most) = (times(least), times(most));
        Some(if least == most { least } else { format!("{least} to {most}") })
    };
    Some(format!(
        "Beside their Python originals, our functions start {} times as fast, answer the first call {} times as fast\n\
         and a warm one {} times as fast, and hold {} times less memory at their peak; their zips are {} times as large.",
        range(|of| of.start, false)?,
        range(|of| of.first, false)?,
        range(|of| of.warm, false)?,
        range(|of| of.memory, false)?,
        range(|of| of.zip, true)?,
    ))
}

/// A ratio, below ten with one decimal.
fn times(ratio: f64) -> String {
    let digits = usize::from(ratio < 10.0);
    format!("{ratio:.digits$}")
}

/// The load of the machine, by which readers can judge the numbers (proc(5), loadavg).
pub(super) fn machine() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map(usize::from).unwrap_or(1);
    busy(&load, processors)
}

fn busy(load: &str, processors: usize) -> String {
    let Some(minute) = load.split(' ').next().filter(|load| load.parse::<f64>().is_ok()) else {
        return format!("{processors} processors, load unknown");
    };
    format!("{processors} processors, load {minute} in the last minute")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(name: &str, start: f64, zip: f64) -> Figures {
        Figures { name: name.into(), start, first: start * 2.0, warm: start / 2.0, memory: start + 5.0, zip }
    }

    fn groups() -> Vec<Group> {
        let originals = vec![figures("  Python: one", 300.0, 0.5), figures("  Python: two", 450.0, 0.25)];
        vec![
            Group { function: figures("empty-function", 1.5, 0.8), originals: Vec::new() },
            Group { function: figures("rotate-a", 3.0, 2.5), originals },
        ]
    }

    #[test]
    fn a_median_is_not_moved_by_one_slow_start() {
        let sample = |start: u64, memory| {
            let [start, first, warm] = [start, 2 * start, 3].map(Duration::from_millis);
            Sample { start, first, warm, memory }
        };
        let samples = [sample(4, 2048), sample(900, 1024), sample(2, 4096)];
        let expected = Figures { name: "f".into(), start: 4.0, first: 8.0, warm: 3.0, memory: 2.0, zip: 2.5 };
        assert_eq!(Figures::new("f", &samples, 2_500_000), expected);
    }

    #[test]
    fn original_is_below_our_function_with_its_ratio() {
        let text = render(&groups(), 15);
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip_while(|line| !line.contains("empty-function"))
            .map(|line| line.trim().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(
            rows,
            [
                vec!["empty-function", "1.5", "1.0", "3.0", "0.8", "6.5", "0.800"],
                vec!["rotate-a", "3.0", "2.0", "6.0", "1.5", "8.0", "2.500"],
                vec!["Python: one", "300.0", "200.0", "100", "600.0", "150.0", "305.0", "0.500"],
                vec!["Python: two", "450.0", "300.0", "150", "900.0", "225.0", "455.0", "0.250"],
            ]
        );
        assert!(text.contains("x ours") && text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn report_without_originals_has_no_comparison() {
        let mut groups = groups();
        groups[1].originals.clear();
        assert!(!render(&groups, 15).contains("x ours"));
        assert_eq!(compare(&groups), None);
    }

    #[test]
    fn the_comparison_gives_the_least_and_the_most() {
        let text = compare(&groups()).unwrap();
        for part in ["start 100 to 150 times", "hold 38 to 57 times", "zips are 5.0 to 10 times as large"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn load_is_the_first_number_of_loadavg() {
        assert_eq!(busy("0.31 1.20 2.00 1/120 4711\n", 2), "2 processors, load 0.31 in the last minute");
        assert_eq!(busy("", 2), "2 processors, load unknown");
    }
}
