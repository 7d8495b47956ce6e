//! `SECURITY.md` names the tests that show what stops a threat.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

/// The names of the tests of this program, with their modules.
fn tests() -> BTreeSet<String> {
    let list = Command::new(env::current_exe().unwrap()).args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

/// The text of every Rust file below `tests`.
fn sources() -> String {
    let (mut text, mut folders) = (String::new(), vec![PathBuf::from("tests")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let named = include_str!("../../../SECURITY.md").split('`').skip(1).step_by(2);
    let is_test = |name: &&str| (name.matches('_').count() > 2 || name.contains("::")) && !name.contains(['/', ' ']);
    let named: Vec<&str> = named.filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");

    // The page names a test of this program with its modules. A name without modules is a test of any program.
    let (tests, sources) = (tests(), sources());
    let exists = |test: &str| tests.contains(test) || !test.contains("::") && sources.contains(&format!("fn {test}("));
    let missing: Vec<_> = named.into_iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
