//! What the documentation lists is what the code has.

use deregister::settings::{Setting, Settings, Upkeep};
use std::fs;

#[test]
fn the_readme_lists_every_setting_with_its_default_and_meaning() {
    let readme = include_str!("../README.md");
    let tables = readme.split("| name | default | meaning |\n").skip(1);
    let listed: Vec<&str> =
        tables.flat_map(|table| table.lines().skip(1).take_while(|line| line.starts_with('|'))).collect();
    let row = |Setting { name, default, meaning, .. }: Setting| match default {
        "" => format!("| `{name}` | | {meaning} |"),
        default => format!("| `{name}` | `{default}` | {meaning} |"),
    };
    assert_eq!(listed, [&Settings::TABLE[..], &Upkeep::TABLE].concat().into_iter().map(row).collect::<Vec<_>>());
}

#[test]
fn every_settings_default_is_what_it_must_be() {
    assert!(Settings::read(|_| None).is_ok());
    assert!(Upkeep::read(|_| None).is_ok());
}

#[test]
fn a_wrong_setting_says_which_it_is_what_it_must_be_and_what_it_is() {
    let wrong = Settings::read(|name| (name == "RETENTION_DAYS").then(|| "a month".to_owned())).err();
    let sentence = "RETENTION_DAYS must be a whole number of days from 0 to 36500, and is \"a month\"";
    assert_eq!(wrong.map(|wrong| wrong.to_string()).as_deref(), Some(sentence));

    let refused = |name: &str, value: &str| {
        let wrong = Upkeep::read(|other| (other == name).then(|| value.to_owned())).err();
        wrong.is_some_and(|wrong| wrong.to_string().starts_with(&format!("{name} must be ")))
    };
    for Setting { name, .. } in Upkeep::TABLE {
        let wrong = if name == "GRANTS_EXPIRE_AT" { "*".repeat(256) } else { "*".to_owned() };
        assert!(refused(name, &wrong), "{name}");
    }
}

#[test]
fn an_empty_setting_counts_as_unset() {
    let empty = |_: &str| Some(String::new());
    assert_eq!(Settings::read(empty), Settings::read(|_| None));
    assert_eq!(Upkeep::read(empty), Upkeep::read(|_| None));
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let files = fs::read_dir("tests").unwrap().map(|entry| entry.unwrap().path());
    let sources: String = files
        .filter(|path| path.extension().is_some_and(|rs| rs == "rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let named = include_str!("../SECURITY.md").split('`').skip(1).step_by(2);
    let tests: Vec<&str> = named.filter(|name| name.matches('_').count() > 2 && !name.contains(['/', ' '])).collect();
    assert!(tests.len() > 20, "{tests:?}");
    let missing: Vec<_> = tests.iter().filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
