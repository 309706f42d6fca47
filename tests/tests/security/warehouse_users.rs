//! The database users of the kit, and every other user of the warehouse: none gets more than its
//! purpose needs. Everything is tried on the local cloud through the Data API.

use cloud::aws::Account;
use cloud::sql::Database;
use cloud::wait::{self, Seen};
use cloud::{Cloud, Options, SOURCE, TARGET, kit};
use end_to_end::PATIENCE;
use serde_json::json;

/// A session of the user in a secret.
fn as_user(account: &Account, cluster: &str, secret: &str) -> Database {
    let target = json!({"ClusterIdentifier": cluster, "Database": "sluice", "SecretArn": secret});
    Database::new(account.clone(), target)
}

/// The words of Redshift's refusals, in the two forms that PostgreSQL gives them.
const DENIED: &str = "permission denied|must be superuser";

/// Checks that each statement is refused, with one of these words.
fn refused(user: &str, database: &Database, attempts: &[(&str, &str)]) {
    for (sql, words) in attempts {
        match database.query(sql) {
            Ok(rows) => panic!("{user} may run `{sql}`: {rows:?}"),
            Err(error) => {
                let error = error.to_string();
                assert!(words.split('|').any(|one| error.contains(one)), "{user}, `{sql}`: {error}");
            }
        }
    }
}

#[test]
fn warehouse_users_get_no_data_admin_or_copy_role() {
    let cloud = Cloud::start(&Options::default(), &|_| {}).unwrap();
    let account = cloud.account(TARGET);
    let topic = account.query("sns", "CreateTopic", &[("Name", "alerts")]).unwrap().text("TopicArn").unwrap();
    let warehouse = kit::warehouse(&cloud, &[]).unwrap();
    let target = kit::target(&cloud, &warehouse, &[SOURCE], &[("AlertTopicArn", topic.as_str())]).unwrap();
    let source = kit::source(&cloud, SOURCE, &target, &[]).unwrap();
    kit::job(&cloud, "sluice-job", (&warehouse, &target, &source), &kit::SAMPLE_JOB).unwrap();
    let admin = kit::database(&cloud, &warehouse);
    let cluster = warehouse["ClusterIdentifier"].as_str();
    let loader = as_user(&account, cluster, &target["LoaderSecretArn"]);
    let reader = as_user(&account, cluster, &target["ReaderSecretArn"]);
    let secret = json!({"username": "analyst", "password": "Analyst-1234", "dbClusterIdentifier": cluster});
    let secret = json!({"Name": "analyst", "SecretString": secret.to_string()});
    let secret = account.json("secretsmanager", "CreateSecret", secret).unwrap();
    let analyst = as_user(&account, cluster, secret["ARN"].as_str().unwrap());

    for sql in [
        "CREATE SCHEMA finance",
        "CREATE TABLE finance.salaries (name varchar(20), amount integer)",
        "INSERT INTO finance.salaries VALUES ('boss', 1)",
        "CREATE USER analyst PASSWORD 'Analyst-1234'",
        "CREATE TABLE public.of_analyst (id integer)",
        "GRANT INSERT ON public.of_analyst TO analyst",
        "GRANT CREATE FOR COPY JOBS IN DATABASE sluice TO analyst",
    ] {
        admin.query(sql).unwrap();
    }
    // The job loads as the loader, and the reader sees that.
    let file = b"id,name,value,timestamp\n1,one,1.50,2026-01-05 08:00:00\n";
    cloud.account(SOURCE).put_object(&source["BucketName"], "first.csv", file).unwrap();
    wait::until("the file as the reader sees it", PATIENCE, || {
        let found = reader.query("SELECT status FROM sys_copy_job_detail")?.rows;
        Ok(if found == [[Some("I".to_owned())]] { Seen::Yes(()) } else { Seen::NotYet(format!("{found:?}")) })
    })
    .unwrap();
    let owner = admin.query(
        "SELECT u.usename FROM svv_copy_job_integrations i JOIN pg_user u ON u.usesysid = i.job_owner",
    );
    assert_eq!(owner.unwrap().rows, [[Some(target["LoaderUserName"].clone())]]);

    let (role, name) = (target["CopyRoleArn"].as_str(), target["LoaderUserName"].as_str());
    let bucket = source["BucketName"].as_str();
    let copy = |table: &str| {
        format!("COPY {table} FROM 's3://{bucket}/first.csv' IAM_ROLE '{role}' CSV IGNOREHEADER 1")
    };
    refused(
        "the loader",
        &loader,
        &[
            ("SELECT * FROM finance.salaries", DENIED),
            (&copy("finance.salaries"), DENIED),
            ("INSERT INTO finance.salaries VALUES ('me', 2)", DENIED),
            ("CREATE TABLE finance.mine (id integer)", DENIED),
            (&format!("ALTER USER {name} CREATEUSER"), DENIED),
            (&format!("ALTER USER {name} SYSLOG ACCESS UNRESTRICTED"), DENIED),
            ("ALTER USER sluice_admin PASSWORD 'Mine-12345'", DENIED),
            ("ALTER USER analyst PASSWORD 'Mine-12345'", DENIED),
            ("CREATE USER other PASSWORD 'Mine-12345'", DENIED),
            ("DROP USER sluice_admin", DENIED),
            ("GRANT CREATE FOR COPY JOBS IN DATABASE sluice TO analyst", DENIED),
            (&format!("GRANT ASSUMEROLE ON '{role}' TO analyst FOR COPY"), DENIED),
            ("GRANT ASSUMEROLE ON ALL TO PUBLIC FOR ALL", DENIED),
        ],
    );
    refused(
        "the reader",
        &reader,
        &[
            ("SELECT * FROM public.measurements", DENIED),
            ("SELECT * FROM finance.salaries", DENIED),
            ("SELECT passwd FROM pg_catalog.pg_shadow", DENIED),
            (&copy("public.measurements"), "does not have ASSUMEROLE permission"),
            ("COPY JOB DROP load_measurements", "does not exist"),
            (&format!("COPY JOB RUN {}", job_of(&admin)), DENIED),
            (&format!("COPY JOB DROP {}", job_of(&admin)), DENIED),
            ("ALTER USER sluice_admin PASSWORD 'Mine-12345'", DENIED),
        ],
    );
    // The analyst may insert into its table and create copy jobs, but not read the sources.
    refused(
        "another user",
        &analyst,
        &[
            (&copy("public.of_analyst"), "does not have ASSUMEROLE permission on IAM role"),
            (&format!("COPY JOB DROP {}", job_of(&admin)), DENIED),
            ("SELECT * FROM public.measurements", DENIED),
        ],
    );
    assert_eq!(analyst.query("SELECT job_name FROM sys_copy_job").unwrap().rows.len(), 0);
    assert_eq!(target["OtherUsersOfCopyRole"], "none");

    // The admin's secret is in no permission but that of the function that creates the users.
    let secret = warehouse["SecretArn"].as_str();
    for stack in ["MonitorRole", "WarehouseRoleRole", "ResourcePolicyRole"] {
        let role = account.physical_id("sluice-target", stack).unwrap();
        assert!(!policies(&account, &role).contains(secret), "{stack} may read the admin's secret");
    }
    let role = account.physical_id("sluice-job", "CopyJobRole").unwrap();
    assert!(!policies(&account, &role).contains(secret), "the job's role may read the admin's secret");

    // The user goes after its jobs, and its table stays.
    account.delete_stack("sluice-target").unwrap_err();
    let events = format!("{:?}", account.stack_events("sluice-target").unwrap());
    assert!(events.contains("owns the copy jobs load_measurements_"), "{events}");
    account.delete_stack("sluice-job").unwrap();
    account.delete_stack("sluice-target").unwrap();
    let left = admin.query(
        "SELECT usename FROM pg_user WHERE usename LIKE 'sluice_loader%' OR usename LIKE 'sluice_reader%'",
    );
    assert_eq!(left.unwrap().rows, Vec::<Vec<Option<String>>>::new());
    assert_eq!(admin.query("SELECT id FROM public.measurements").unwrap().rows.len(), 1);
}

fn job_of(admin: &Database) -> String {
    admin.query("SELECT TRIM(job_name) FROM sys_copy_job").unwrap().rows[0][0].clone().unwrap()
}

/// The text of the role's policies.
fn policies(account: &Account, role: &str) -> String {
    end_to_end::Grants::of(account, role).document.to_string()
}
