//! `docs/settings.md` lists every setting. A wrong setting is named.

use super::{rows, section};
use deregister::settings::{Database, Endpoints, Grants, Metrics, Setting, Sweep, Variables, WrongSetting};

const PAGE: &str = include_str!("../../../docs/settings.md");

/// Reads one struct of settings.
type Read = fn(&Variables) -> Result<(), WrongSetting>;

/// The structs of settings: the heading on the page, the table in the code, and how to read the struct.
const STRUCTS: [(&str, &[Setting], Read); 5] = [
    ("## Database", &Database::TABLE, |variables| Database::read(variables).map(drop)),
    ("## Endpoints", &Endpoints::TABLE, |variables| Endpoints::read(variables).map(drop)),
    ("## Grants", &Grants::TABLE, |variables| Grants::read(variables, &database()).map(drop)),
    ("## Sweep", &Sweep::TABLE, |variables| Sweep::read(variables).map(drop)),
    ("## Metrics", &Metrics::TABLE, |variables| Metrics::read(variables).map(drop)),
];

/// The settings of the database without variables.
fn database() -> Database {
    Database::read(&Variables::default()).unwrap()
}

#[test]
fn the_page_lists_every_setting_with_its_default_and_meaning() {
    for (heading, table, _) in STRUCTS {
        let listed = rows(section(PAGE, heading)).into_iter().map(|cells| cells.join(" | "));
        let expected = table.iter().map(|Setting { name, default, meaning, .. }| match *default {
            "" => format!("`{name}` |  | {meaning}"),
            default => format!("`{name}` | `{default}` | {meaning}"),
        });
        assert_eq!(listed.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{heading}");
    }
    assert_eq!(PAGE.matches("| name | default | meaning |\n").count(), STRUCTS.len());
}

#[test]
fn every_default_is_accepted() {
    for (heading, _, read) in STRUCTS {
        assert_eq!(read(&Variables::default()), Ok(()), "{heading}");
    }
}

#[test]
fn an_empty_setting_counts_as_unset() {
    let all = STRUCTS.iter().flat_map(|(_, table, _)| table.iter());
    let (empty, unset): (Variables, _) = (all.map(|setting| (setting.name, "")).collect(), Variables::default());
    assert_eq!(Database::read(&empty), Database::read(&unset));
    assert_eq!(Endpoints::read(&empty), Endpoints::read(&unset));
    assert_eq!(Grants::read(&empty, &database()), Grants::read(&unset, &database()));
    assert_eq!(Sweep::read(&empty), Sweep::read(&unset));
    assert_eq!(Metrics::read(&empty), Metrics::read(&unset));
}

#[test]
fn a_wrong_setting_is_an_error_with_its_name_what_it_must_be_and_what_it_is() {
    let wrong = Database::read(&Variables::from_iter([("RETENTION_DAYS", "a month")])).unwrap_err();
    let sentence = "RETENTION_DAYS must be a whole number of days from 0 to 36500, and is \"a month\"";
    assert_eq!(wrong.to_string(), sentence);

    for (_, table, read) in STRUCTS {
        for Setting { name, must_be, .. } in table {
            let value = match *name {
                "GRANTS_EXPIRE_AT" | "GRANTS_KEY_PREFIX" => "*".repeat(256),
                "REALM" => "\"".to_owned(),
                _ => "*".to_owned(),
            };
            let wrong = read(&Variables::from_iter([(*name, &value)])).unwrap_err();
            assert_eq!(wrong.to_string(), format!("{name} must be {must_be}, and is {value:?}"));
        }
    }
}

#[cfg(unix)]
#[test]
fn a_setting_that_is_not_unicode_is_an_error_with_its_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    for (_, table, read) in STRUCTS {
        for Setting { name, .. } in table {
            let wrong = read(&Variables::from_iter([(name, OsStr::from_bytes(b"t\xff"))])).unwrap_err();
            assert_eq!(wrong.to_string(), format!("{name} must be Unicode text, and is not"));
        }
    }
}

#[test]
fn the_grants_table_cannot_be_the_clients_table() {
    for (clients, grants) in [("", "clients"), ("both", "both")] {
        let variables = Variables::from_iter([("CLIENTS_TABLE", clients), ("GRANTS_TABLE", grants)]);
        let wrong = Grants::read(&variables, &Database::read(&variables).unwrap()).unwrap_err();
        let sentence = format!("GRANTS_TABLE must be another table than CLIENTS_TABLE, and is {grants:?}");
        assert_eq!(wrong.to_string(), sentence);
    }
    let variables = Variables::from_iter([("CLIENTS_TABLE", "Both"), ("GRANTS_TABLE", "both")]);
    assert!(Grants::read(&variables, &Database::read(&variables).unwrap()).is_ok(), "names of tables have case");
}

#[test]
fn of_a_repeated_variable_the_first_value_counts() {
    let variables = Variables::from_iter([("CLIENTS_TABLE", "first"), ("CLIENTS_TABLE", "second")]);
    assert_eq!(Database::read(&variables).unwrap().table, "first");
}
