//! The allowed imports in `src/`: they point downwards only, and one folder imports the SDK.
//!
//! `cargo test --test suite imports -- --nocapture` prints the graph.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Each module of `src/`, with the modules that it may import. Every module stands above those that it imports, so that the
/// order of the table shows that there is no cycle.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    (
        "bin",
        &[
            "functions",
            "deletion",
            "dynamodb",
            "store",
            "rule",
            "snapshot",
            "invocation",
            "settings",
            "telemetry",
            "model",
        ],
    ),
    (
        "functions",
        &["http", "deletion", "store", "rule", "snapshot", "invocation", "settings", "telemetry", "json", "model"],
    ),
    ("http", &["deletion", "store", "rule", "snapshot", "json", "model"]),
    ("deletion", &["store", "rule", "snapshot", "invocation", "model"]),
    ("dynamodb", &["store", "rule", "snapshot", "settings", "model"]),
    ("store", &["rule", "snapshot", "model"]),
    ("rule", &["snapshot", "model"]),
    ("snapshot", &["model"]),
    ("invocation", &[]),
    ("settings", &["model"]),
    ("telemetry", &[]),
    ("json", &[]),
    ("model", &[]),
    ("lib", &[]),
];

/// The crates of the SDK, which only the adapter imports.
const SDK: [&str; 7] =
    ["aws_config", "aws_credential_types", "aws_runtime", "aws_sdk_", "aws_smithy_", "aws_types", "serde_dynamo"];

#[test]
fn imports_point_downwards_only() {
    let allowed = BTreeMap::from(MAY_IMPORT);
    let graph = graph(Path::new("src"));
    for (module, imports) in &graph {
        println!("{module} -> {}", imports.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    }
    for (module, imports) in &graph {
        let may = allowed.get(module.as_str()).unwrap_or_else(|| panic!("src/{module} has no row in the table"));
        let wrong: Vec<_> = imports.iter().filter(|import| !may.contains(&import.as_str())).collect();
        assert!(wrong.is_empty(), "{module} imports {wrong:?}");
    }
    assert_eq!(graph.keys().map(String::as_str).collect::<BTreeSet<_>>(), allowed.into_keys().collect());
}

#[test]
fn the_table_has_no_cycle() {
    let order: Vec<_> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    for (index, (module, imports)) in MAY_IMPORT.iter().enumerate() {
        for import in *imports {
            let below = order.iter().position(|other| other == import);
            assert!(below.is_some_and(|below| below > index), "{module} must be above {import}");
        }
    }
}

#[test]
fn only_the_adapter_imports_the_sdk() {
    for (file, text) in sources(Path::new("src")) {
        let uses_sdk = SDK.iter().any(|name| code(&text).contains(name));
        assert!(!uses_sdk || file.starts_with("dynamodb/"), "{file} imports the SDK");
    }
}

/// The modules of `src/`, each with those that it imports.
fn graph(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in sources(src) {
        let module = file.split(['/', '.']).next().unwrap().to_owned();
        // A program imports the library by its name; `crate` is the program itself.
        let library = if module == "bin" { "deregister::" } else { "crate::" };
        let code = code(&text);
        // In these files `super` is the root of the crate.
        let is_top = !file.contains('/') || file.matches('/').count() == 1 && file.ends_with("/mod.rs");
        let hidden =
            code.contains("super::super") || code.contains("use crate as ") || is_top && code.contains("super::");
        assert!(!hidden, "{file} hides what it imports: name it from `crate`");
        let mut imports: BTreeSet<_> = code.split(library).skip(1).flat_map(first_segments).collect();
        imports.remove(&module);
        graph.entry(module).or_default().extend(imports);
    }
    graph
}

/// Every source file below `src`, as its path and its text.
fn sources(src: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(src).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// The text without comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first segment of a path, or of each path in a list between braces.
fn first_segments(path: &str) -> Vec<String> {
    let segment = |path: &str| path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(list) = path.strip_prefix('{') else { return vec![segment(path)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (index, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(segment(&list[start..index]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(segment(&list[start..index]));
                start = index + 1;
            }
            _ => {}
        }
    }
    found.retain(|segment: &String| !segment.is_empty());
    found
}
