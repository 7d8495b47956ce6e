//! The functions' settings, and the parameters that set them.

use super::template;
use deregister::settings::{Database, Endpoints, Grants, Metrics, Setting, Sweep, Variables};
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn each_function_has_the_settings_that_it_uses_with_their_defaults() {
    let template = template();
    // The cascade writes no tombstone, and removes a grant whether it has ended or not.
    let of_the_cascade = |setting: &Setting| !["RETENTION_DAYS", "GRANTS_EXPIRE_AT"].contains(&setting.name);
    for (function, settings) in [
        ("Function", [&Database::TABLE[..], &Endpoints::TABLE, &Metrics::TABLE].concat()),
        ("Cascade", {
            let settings = [&Database::TABLE[..], &Grants::TABLE, &Metrics::TABLE].concat();
            settings.into_iter().filter(of_the_cascade).collect()
        }),
        ("Sweep", [&Database::TABLE[..], &Grants::TABLE, &Sweep::TABLE, &Metrics::TABLE].concat()),
    ] {
        let variables = &template["Resources"][function]["Properties"]["Environment"]["Variables"];
        // AWS's own variables are not settings.
        let names = variables.as_object().unwrap().keys().map(String::as_str).filter(|name| !name.starts_with("AWS_"));
        let names: BTreeSet<_> = names.collect();
        // The defaults of these are right for every stack.
        let has_parameter = |name: &str| {
            !name.starts_with("DATABASE_") && !["OPENING_TIMEOUT_MS", "GRANTS_INDEX_LAG_SECONDS"].contains(&name)
        };
        let expected = settings.iter().map(|setting| setting.name).filter(|name| has_parameter(name));
        assert_eq!(names, expected.collect(), "{function}");

        let of_the_stack = ["CLIENTS_TABLE", "METRICS_NAMESPACE"];
        for setting in
            settings.iter().filter(|setting| !of_the_stack.contains(&setting.name) && has_parameter(setting.name))
        {
            let parameter = variables[setting.name]["!Ref"].as_str().unwrap();
            let default = &template["Parameters"][parameter]["Default"];
            let default = default.as_str().map_or_else(|| default.to_string(), ToOwned::to_owned);
            assert_eq!(default, setting.default, "{}", setting.name);
        }
        assert_eq!(variables["CLIENTS_TABLE"], json!({ "!Ref": "TableName" }));
        assert_eq!(variables["METRICS_NAMESPACE"], json!({ "!Ref": "AWS::StackName" }));
    }
}

#[test]
fn a_parameter_of_the_sweep_accepts_what_the_setting_accepts() {
    let template = template();
    let variables = &template["Resources"]["Sweep"]["Properties"]["Environment"]["Variables"];
    let accepts = |name, value: &str| Sweep::read(&Variables::from_iter([(name, value)])).is_ok();
    for name in ["SWEEP_UNUSED_HOURS", "SWEEP_IDLE_DAYS", "SWEEP_NOTICE_DAYS", "SWEEP_LIMIT", "SWEEP_CONCURRENCY"] {
        let parameter = &template["Parameters"][variables[name]["!Ref"].as_str().unwrap()];
        let (min, max) = (parameter["MinValue"].as_i64().unwrap(), parameter["MaxValue"].as_i64().unwrap());
        let accepted = [min - 1, min, max, max + 1].map(|number| accepts(name, &number.to_string()));
        assert_eq!(accepted, [false, true, true, false], "{name}");
    }
    for value in template["Parameters"]["SweepDeletes"]["AllowedValues"].as_array().unwrap() {
        assert!(accepts("SWEEP_DELETES", value.as_str().unwrap()), "{value}");
    }
    // CloudFormation matches the whole value.
    let pattern = template["Parameters"]["SweepNoticeMetadata"]["AllowedPattern"].as_str().unwrap();
    assert_eq!(pattern, "^$|^(client_name|contacts)(,(client_name|contacts))?$");
    for value in ["", "client_name", "contacts", "client_name,contacts", "contacts,client_name"] {
        assert!(accepts("SWEEP_NOTICE_METADATA", value), "{value}");
    }
}
