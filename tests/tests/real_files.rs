//! Files from packages of PyPI, loaded by jobs as people deploy them. `tests/real_files` prepares
//! them, and the sums that Python's readers compute.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, time::Duration};

use cloud::{
    Cloud, Options, SOURCE, kit, setup,
    wait::{self, Seen},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A job: the columns of its table, the further parameters, and the key of its file if that is not
/// the file's name.
struct Job {
    table: &'static str,
    columns: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    key: Option<&'static str>,
}

const FLIGHTS: &str = "year integer; month integer; day integer; dep_time integer; sched_dep_time integer; \
    dep_delay integer; arr_time integer; sched_arr_time integer; arr_delay integer; carrier varchar(2); flight integer; \
    tailnum varchar(6); origin char(3); dest char(3)";

const JOBS: [Job; 10] = [
    Job {
        table: "weather",
        columns: "origin char(3); year smallint; month smallint; day smallint; hour smallint; temp decimal(20,15); \
            dewp decimal(20,15); humid decimal(20,15); wind_dir integer; wind_speed decimal(20,15); \
            wind_gust decimal(20,15); precip decimal(20,15); pressure decimal(20,15); visib decimal(20,15); \
            time_hour timestamptz",
        parameters: &[("Format", "CSV"), ("IgnoreHeader", "1"), ("NullAs", "NA"), ("TimeFormat", "auto")],
        key: None,
    },
    Job {
        table: "airports",
        columns: "faa char(3) not null; name varchar(64); lat decimal(20,15); lon decimal(20,15); alt integer; \
            tz smallint; dst char(1); tzone varchar(32)",
        parameters: &[("Format", "CSV"), ("IgnoreHeader", "1"), ("NullAs", "NA")],
        key: Some("aéroports/2013 – 空港 🛫 50%+1.csv"),
    },
    Job {
        table: "planes",
        columns: "tailnum varchar(6) not null; year smallint; type varchar(32); manufacturer varchar(32); \
            model varchar(32); engines smallint; seats smallint; speed smallint; engine varchar(16)",
        parameters: &[("Format", "DELIMITED"), ("NullAs", "NA"), ("Compression", "GZIP")],
        key: None,
    },
    Job {
        table: "gapminder",
        columns: "country varchar(64); continent varchar(16); year smallint; lifeexp decimal(20,15); pop bigint; \
            gdppercap decimal(24,15); iso_alpha char(3); iso_num smallint; centroid_lon decimal(20,15); \
            centroid_lat decimal(20,15)",
        parameters: &[("Format", "CSV"), ("IgnoreHeader", "1"), ("Compression", "GZIP")],
        key: None,
    },
    Job {
        table: "election",
        columns: "district varchar(64); coderre integer; bergeron integer; joly integer; total integer; \
            winner varchar(16); result varchar(16); district_id integer",
        parameters: &[("Format", "CSV"), ("IgnoreHeader", "1"), ("Compression", "GZIP")],
        key: None,
    },
    Job {
        table: "cars",
        columns: "name varchar(64); miles_per_gallon decimal(8,2); cylinders smallint; displacement decimal(8,2); \
            horsepower integer; weight_in_lbs integer; acceleration decimal(8,2); year date; origin varchar(16)",
        parameters: &[("Format", "JSON"), ("JsonPaths", "auto ignorecase")],
        key: None,
    },
    Job {
        table: "diabetes",
        columns: "progression decimal(10,2)",
        parameters: &[("Format", "CSV"), ("Compression", "GZIP")],
        key: None,
    },
    Job {
        table: "stocks",
        columns: "symbol varchar(8); date date; price decimal(10,2)",
        parameters: &[("Format", "CSV"), ("IgnoreHeader", "1"), ("DateFormat", "auto")],
        key: None,
    },
    Job {
        table: "temperatures",
        columns: "at timestamptz; temp decimal(6,1)",
        parameters: &[("Format", "CSV")],
        key: None,
    },
    Job {
        table: "prices",
        columns: "symbol varchar(8); prices super",
        parameters: &[("Format", "PARQUET"), ("SerializeToJson", "true")],
        key: None,
    },
];

#[test]
fn files_from_packages_load_as_python_reads_them() {
    let folder = setup::real_files(&|_| {}).unwrap();
    let expected: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    let stacks = (&warehouse, &target, &source);

    let deploy = |table: &str, columns: &str, parameters: &[(&str, &str)], key: Option<&str>| {
        let prefix = format!("{table}/");
        let mut all = vec![
            ("JobName", table),
            ("TableName", table),
            ("CreateTable", "true"),
            ("TableColumns", columns),
            ("SourcePrefix", &prefix),
        ];
        all.extend(parameters);
        kit::job(&cloud, &format!("sluice-job-{}", table.replace('_', "-")), stacks, &all).unwrap();
        let file = expected[table]["file"].as_str().unwrap();
        let content = fs::read(folder.join(file)).unwrap();
        let key = format!("{prefix}{}", key.unwrap_or(file));
        cloud.account(SOURCE).put_object(&source["BucketName"], &key, &content).unwrap();
    };
    for Job { table, columns, parameters, key } in &JOBS {
        deploy(table, columns, parameters, *key);
    }
    let digits: Vec<String> = (0..64).map(|pixel| format!("p{pixel:02} smallint")).collect();
    let digits = format!("{}; digit smallint", digits.join("; "));
    deploy("digits", &digits, &[("Format", "CSV"), ("Compression", "GZIP")], None);
    // The columns of the file by their position and with their types, and the same fields by name.
    let stored = format!(
        "{FLIGHTS}; air_time double precision; distance decimal(10,2); hour integer; minute integer; time_hour timestamp"
    );
    deploy("flights", &stored, &[("Format", "PARQUET")], None);
    let named = format!(
        "time_hour timestamp; minute smallint; hour smallint; distance integer; air_time integer; {FLIGHTS}"
    );
    deploy("flights_avro", &named, &[("Format", "AVRO"), ("TimeFormat", "epochmillisecs")], None);

    let database = kit::database(&cloud, &warehouse);
    let mut wrong = Vec::new();
    for (table, expected) in &expected {
        let values = expected["values"].as_object().unwrap();
        let columns = values.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let rows = wait::until(&format!("rows in {table}"), PATIENCE, || {
            let found = database.query(&format!("SELECT {columns} FROM public.{table}"))?;
            let count = values.keys().position(|name| name == "count(*)").unwrap();
            if found.rows[0][count].as_deref() != Some("0") {
                return Ok(Seen::Yes(found.rows));
            }
            let refused =
                database.query("SELECT file_name, column_name, error_message FROM sys_load_error_detail")?;
            let messages = database.query("SELECT message FROM sys_copy_job_info")?;
            Ok(Seen::NotYet(format!("no row; {:?} {:?}", refused.rows, messages.rows)))
        })
        .unwrap();
        for ((name, value), found) in values.iter().zip(&rows[0]) {
            if found.as_deref() != value.as_str() {
                wrong.push(format!("{table}: {name} is {found:?}, in Python {value}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(expected.len(), JOBS.len() + 3);
}
