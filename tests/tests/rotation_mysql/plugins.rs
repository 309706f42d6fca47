//! Every method of authentication that keeps a password in the server.

use local_servers::mysql::Brand;

use super::target::{BRANDS, FIRST, SECOND, Target};

fn plugins(brand: Brand) -> &'static [&'static str] {
    match brand {
        Brand::MariaDb => &["mysql_native_password", "ed25519"],
        Brand::MySql(_) => &["mysql_native_password", "caching_sha2_password", "sha256_password"],
    }
}

fn stored(target: &Target, user: &str) -> String {
    target.execute(&format!("SELECT plugin FROM mysql.user WHERE user = '{user}'")).trim().to_owned()
}

#[test]
fn user_keeps_its_plugin_with_every_strategy() {
    for brand in BRANDS {
        let settings: &[&str] = match brand {
            Brand::MariaDb => &["--plugin-load-add=auth_ed25519"],
            Brand::MySql(_) => &[],
        };
        let target = Target::with(brand, settings);
        for plugin in plugins(brand) {
            target.execute(&format!("CREATE USER app@`%` {}", target.identified(plugin, FIRST)));
            assert!(target.accepts("app", FIRST), "{plugin}");
            // The second login of caching_sha2_password is by what the server remembers of the
            // first.
            assert!(target.accepts("app", FIRST), "{plugin}");
            assert!(!target.accepts("app", SECOND), "{plugin}");
            // Of 5 and 41 characters, so that none is the 32 bytes of a common key.
            for (current, new) in [(FIRST, "Pw-12"), ("Pw-12", "A-password-of-41-characters-0123456789-01")] {
                target.set_own("app", current, new).unwrap();
                assert!(target.accepts("app", new) && target.accepts("app", new), "{plugin}");
            }
            target.set_by_admin("app", SECOND).unwrap();
            target.set_other("app", "app_clone", FIRST).unwrap();
            assert!(target.accepts("app", SECOND) && target.accepts("app_clone", FIRST), "{plugin}");
            assert_eq!(
                (stored(&target, "app").as_str(), stored(&target, "app_clone").as_str()),
                (*plugin, *plugin)
            );
            target.execute("DROP USER app@`%`, app_clone@`%`");
        }
        println!("{brand:?}: {:?}", plugins(brand));
    }
}

#[test]
fn mariadb_account_keeps_all_its_login_methods() {
    let target = Target::with(Brand::MariaDb, &["--plugin-load-add=auth_ed25519"]);
    target.execute(&format!(
        "CREATE USER app@`%` IDENTIFIED VIA ed25519 USING PASSWORD('{FIRST}') OR unix_socket OR mysql_native_password USING PASSWORD('{FIRST}')"
    ));
    // Alone the user could change one of the two passwords, and the old one would go on working.
    let error = target.set_own("app", FIRST, SECOND).unwrap_err();
    assert!(error.to_string().contains("`ed25519` or `unix_socket` or `mysql_native_password`"), "{error}");
    target.set_by_admin("app", SECOND).unwrap();
    assert!(target.accepts("app", SECOND) && !target.accepts("app", FIRST));
    let shown = target.execute("SHOW CREATE USER app@`%`");
    assert!(shown.contains("OR unix_socket OR mysql_native_password"), "{shown}");
}

#[test]
fn account_without_a_password_is_not_a_wrong_password() {
    let target = Target::new(Brand::MariaDb);
    target.execute("CREATE USER local@`%` IDENTIFIED VIA unix_socket");
    assert_eq!(target.log_in("local", FIRST).unwrap_err().name(), "InsufficientPrivileges");
}
