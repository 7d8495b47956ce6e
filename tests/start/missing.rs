//! What is missing or contradicts itself is named at the start, with what to do.

use crate::{CASCADE, FUNCTION, PROGRAMS, SWEEP, Start, TOOL, file};

/// The program with no Region and no credentials, and with these profiles.
fn with_profiles(program: &'static str, profiles: &str) -> Start {
    let name = format!("profiles-{:?}", std::thread::current().name());
    let start = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]
        .iter()
        .fold(Start::of(program), |start, name| start.without(name));
    start.with("AWS_CONFIG_FILE", file(&name, profiles.as_bytes()))
}

#[test]
fn missing_credentials_are_named_with_the_variables_that_set_them() {
    for (program, _) in PROGRAMS {
        let sentence = Start::of(program).without("AWS_ACCESS_KEY_ID").refused();
        let expected = "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
        assert!(sentence.starts_with(expected), "{program}: {sentence}");
    }
}

#[test]
fn a_missing_region_is_named_with_the_variable_that_sets_it() {
    for (program, _) in PROGRAMS {
        let sentence = Start::of(program).without("AWS_REGION").refused();
        assert_eq!(sentence, "there is no AWS Region: set AWS_REGION, or region in the AWS profile");
    }
}

#[test]
fn credentials_by_a_sign_in_are_refused_with_the_command_that_exports_them() {
    let single_sign_on = "[profile dev]\nregion = eu-central-1\nsso_session = work\nsso_account_id = 1\n\
                          sso_role_name = r\n[sso-session work]\nsso_region = eu-central-1\n\
                          sso_start_url = https://example.com\n";
    let older = "[profile dev]\nregion = eu-central-1\nsso_start_url = https://example.com\nsso_region = eu-central-1\n\
                 sso_account_id = 1\nsso_role_name = r\n";
    let role = "[profile dev]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = login\n\
                [profile login]\nlogin_session = arn:aws:iam::1:user/u\n";
    let process = "[profile dev]\nregion = eu-central-1\ncredential_process = /bin/credentials\n";
    for profiles in [single_sign_on, older, role, process] {
        for (program, _) in PROGRAMS {
            let sentence = with_profiles(program, profiles).with("AWS_PROFILE", "dev").refused();
            let advice = "run eval \"$(aws configure export-credentials --format env)\", and set AWS_REGION";
            assert!(sentence.starts_with("the AWS profile \"") && sentence.ends_with(advice), "{program}: {sentence}");
        }
    }
}

#[test]
fn an_unknown_profile_is_named() {
    for (program, _) in PROGRAMS {
        for start in [with_profiles(program, "[default]\nregion = eu-central-1\n"), Start::of(program)] {
            let sentence = start.with("AWS_PROFILE", "prod").refused();
            assert!(sentence.starts_with("there is no AWS profile \"prod\""), "{program}: {sentence}");
        }
    }
}

#[test]
fn a_malformed_endpoint_is_named_wherever_it_comes_from() {
    for (program, _) in PROGRAMS {
        for variable in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"] {
            for endpoint in ["127.0.0.1:8000", "http://user:secret@127.0.0.1:8000", "https://", "ftp://127.0.0.1"] {
                let sentence = Start::of(program).with(variable, endpoint).refused();
                assert!(
                    sentence.starts_with(&format!("{variable} must be a URL that begins with http://")),
                    "{sentence}"
                );
                assert!(!sentence.contains("secret"), "{sentence}");
            }
        }
        let profile = "[default]\nregion = eu-central-1\nendpoint_url = 127.0.0.1:8000\n";
        let sentence = with_profiles(program, profile).without("AWS_ENDPOINT_URL_DYNAMODB").refused();
        assert!(sentence.starts_with("endpoint_url of the AWS profile \"default\" must be a URL"), "{sentence}");
    }
}

#[test]
fn the_clients_table_cannot_be_the_grants_table() {
    let expected = "GRANTS_TABLE must be another table than CLIENTS_TABLE, and is \"both\"";
    let tool = |arguments: &[&'static str]| {
        let mut start = Start::of(TOOL);
        start.arguments = arguments.to_vec();
        start
    };
    let dry_run = ["client", "delete", "me", "--dry-run"];
    for start in [
        Start::of(CASCADE),
        Start::of(SWEEP),
        tool(&dry_run),
        tool(&["client", "restore", "me"]),
        tool(&[&dry_run[..], &["--table", "both", "--grants-table", "both"]].concat()),
    ] {
        let sentence = start.with("CLIENTS_TABLE", "both").with("GRANTS_TABLE", "both").refused();
        assert_eq!(sentence, expected);
    }
    let sentence = tool(&[&dry_run[..], &["--grants-table", "clients"]].concat()).refused();
    assert!(sentence.starts_with("GRANTS_TABLE must be another table than CLIENTS_TABLE"), "{sentence}");
}

#[test]
fn a_function_that_lambda_did_not_start_says_so() {
    for program in [FUNCTION, CASCADE, SWEEP] {
        for variable in ["AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] {
            let sentence = Start::of(program).without(variable).refused();
            assert_eq!(sentence, format!("{variable} must be as AWS Lambda sets it for this program, and is empty"));
        }
    }
}

#[test]
fn a_cascade_without_a_grants_table_does_not_start() {
    let sentence = Start::of(CASCADE).without("GRANTS_TABLE").refused();
    assert_eq!(sentence, "GRANTS_TABLE must be the name of a DynamoDB table, and is empty");
}
