//! `SECURITY.md` names the tests that show what stops a threat.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file below `tests`: its module path in its program, and its text.
struct Source {
    module: Vec<String>,
    text: String,
}

/// Every Rust file below `tests`.
fn sources() -> Vec<Source> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from("tests")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(Source { module: module(&path), text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    found
}

/// The module path of a file in its program: `a`, `b` for `tests/suite/a/b.rs` and `tests/suite/a/b/mod.rs`.
fn module(path: &Path) -> Vec<String> {
    let parts = path.with_extension("");
    let parts = parts.iter().map(|part| part.to_str().unwrap().to_owned()).skip(2);
    parts.filter(|part| part != "mod" && part != "main").collect()
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let sources = sources();
    let named = include_str!("../../../SECURITY.md").split('`').skip(1).step_by(2);
    let is_test = |name: &&str| (name.matches('_').count() > 2 || name.contains("::")) && !name.contains(['/', ' ']);
    let tests: Vec<&str> = named.filter(is_test).collect();
    assert!(tests.len() > 20, "{tests:?}");

    // A test is named with its modules, or by its name alone.
    let exists = |test: &str| {
        let mut modules: Vec<_> = test.split("::").collect();
        let function = format!("fn {}(", modules.pop().unwrap());
        sources.iter().any(|Source { module, text }| {
            let is_named = modules.is_empty() || !module.is_empty() && modules.starts_with(&parts(module));
            is_named && text.contains(&function)
        })
    };
    let missing: Vec<_> = tests.into_iter().filter(|test| !exists(test)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

fn parts(module: &[String]) -> Vec<&str> {
    module.iter().map(String::as_str).collect()
}
