//! Names and passwords made to look like SQL, under every way in which a server may read quotes.

use rotation::engine::EngineError;

use super::target::{BRANDS, FIRST, SECOND, Target};

const NAMES: [&str; 9] = [
    "o'brien",
    r"back\slash",
    r"end\",
    "tick`s",
    r#"double"quote"#,
    r"\' OR 1=1 -- x",
    "'; DROP USER other; -- x",
    "ünïcode ✓",
    "with @ sign",
];
const PASSWORDS: [&str; 4] = [r"Pw1'\'; -- ", r#"Pw2"`\"#, "Pw3''\\''x", "Pw4 ✓ é"];
const MODES: [&str; 4] = ["", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"];

fn quoted(name: &str) -> String {
    format!("`{}`@`127.0.0._`", name.replace('`', "``"))
}

#[test]
fn any_name_and_password_rotate_in_every_sql_mode() -> Result<(), EngineError> {
    for brand in BRANDS {
        let target = Target::new(brand);
        target.exactly(&[
            "CREATE USER other@`%` IDENTIFIED BY 'Other-password-1'".into(),
            "CREATE DATABASE `d``'\"\\x`".into(),
        ]);
        for mode in MODES {
            target.execute(&format!("SET GLOBAL sql_mode = '{mode}'"));
            for (number, user) in NAMES.into_iter().enumerate() {
                let clone = format!("{user}_clone");
                let (first, second) = (quoted(user), quoted(&clone));
                target.exactly(&[
                    format!("DROP USER IF EXISTS {first}, {second}"),
                    format!("CREATE USER {first} IDENTIFIED BY '{FIRST}'"),
                    format!("GRANT SELECT ON `d``'\"\\x`.* TO {first}"),
                ]);
                let password = PASSWORDS[number % PASSWORDS.len()];
                target.set_own(user, FIRST, password)?;
                assert!(target.accepts(user, password), "{brand:?}, {mode}, {user}");
                target.set_by_admin(user, SECOND)?;
                assert!(target.accepts(user, SECOND), "{brand:?}, {mode}, {user}");
                target.set_other(user, &clone, password)?;
                target.set_other(user, &clone, password)?;
                assert!(target.accepts(&clone, password), "{brand:?}, {mode}, {clone}");
                let grants = |name: &str| {
                    let shown = target.exactly(&[format!("SHOW GRANTS FOR {}", quoted(name))]);
                    let lines = shown.lines().filter(|line| line.contains("`d``'"));
                    lines.map(|line| line.replace("_clone", "")).collect::<Vec<_>>()
                };
                assert_eq!(grants(&clone), grants(user), "{brand:?}, {mode}, {user}");
                assert_eq!(grants(&clone).len(), 1, "{brand:?}, {mode}, {user}");
            }
        }
        assert!(target.accepts("other", "Other-password-1"));
        println!("{brand:?}: {} names in {} modes", NAMES.len(), MODES.len());
    }
    Ok(())
}
