//! `docs/settings.md` lists every setting. A wrong setting is named.

use super::{rows, section};
use deregister::settings::{Database, Endpoints, Grants, Setting, Sweep, WrongSetting};

const PAGE: &str = include_str!("../../../docs/settings.md");

/// Reads one struct of settings.
type Read = fn(&dyn Fn(&str) -> Option<String>) -> Result<(), WrongSetting>;

/// The structs of settings: the heading on the page, the table in the code, and how to read the struct.
const STRUCTS: [(&str, &[Setting], Read); 4] = [
    ("## Database", &Database::TABLE, |variable| Database::read(variable).map(drop)),
    ("## Endpoints", &Endpoints::TABLE, |variable| Endpoints::read(variable).map(drop)),
    ("## Grants", &Grants::TABLE, |variable| Grants::read(variable).map(drop)),
    ("## Sweep", &Sweep::TABLE, |variable| Sweep::read(variable).map(drop)),
];

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
        assert_eq!(read(&|_| None), Ok(()), "{heading}");
    }
}

#[test]
fn an_empty_setting_counts_as_unset() {
    let empty = |_: &str| Some(String::new());
    assert_eq!(Database::read(empty), Database::read(|_| None));
    assert_eq!(Endpoints::read(empty), Endpoints::read(|_| None));
    assert_eq!(Grants::read(empty), Grants::read(|_| None));
    assert_eq!(Sweep::read(empty), Sweep::read(|_| None));
}

#[test]
fn a_wrong_setting_is_an_error_with_its_name_what_it_must_be_and_what_it_is() {
    let wrong = Database::read(|name| (name == "RETENTION_DAYS").then(|| "a month".to_owned())).unwrap_err();
    let sentence = "RETENTION_DAYS must be a whole number of days from 0 to 36500, and is \"a month\"";
    assert_eq!(wrong.to_string(), sentence);

    for (_, table, read) in STRUCTS {
        for Setting { name, must_be, .. } in table {
            let value = match *name {
                "GRANTS_EXPIRE_AT" => "*".repeat(256),
                "REALM" => "\"".to_owned(),
                _ => "*".to_owned(),
            };
            let wrong = read(&|asked| (asked == *name).then(|| value.clone())).unwrap_err();
            assert_eq!(wrong.to_string(), format!("{name} must be {must_be}, and is {value:?}"));
        }
    }
}
