//! The settings, from the environment and from options.

use crate::{run::file, support::Fixture};

#[tokio::test]
async fn an_empty_endpoint_counts_as_unset() {
    let fixture = Fixture::empty().await;
    let profile = |endpoint: &str| format!("[default]\nendpoint_url = {endpoint}\n");
    let (named, empty) = (file("endpoint", &profile(&fixture.endpoint)), file("no-endpoint", &profile("")));
    let exit_code = async |variables: &[(&str, &str)]| {
        let mut run = fixture.ctl("deletion list --app any").with_env("DATABASE_CALL_TIMEOUT_MS", "100");
        for &(name, value) in variables {
            run = run.with_env(name, value);
        }
        run.run().await.code
    };
    let unset = ("AWS_ENDPOINT_URL_DYNAMODB", "");
    assert_eq!(exit_code(&[unset, ("AWS_ENDPOINT_URL", &fixture.endpoint)]).await, Some(0));
    let named = ("AWS_CONFIG_FILE", named.to_str().unwrap());
    assert_eq!(exit_code(&[unset, ("AWS_ENDPOINT_URL", ""), named]).await, Some(0));
    // These runs try AWS itself, which a machine without a network does not reach. A panic would exit with 101.
    assert_eq!(exit_code(&[unset]).await, Some(1));
    assert_eq!(exit_code(&[unset, ("AWS_CONFIG_FILE", empty.to_str().unwrap())]).await, Some(1));
}

#[tokio::test]
async fn the_variables_for_the_retries_of_the_sdk_are_not_read() {
    let fixture = Fixture::empty().await;
    for (variable, value) in
        [("AWS_MAX_ATTEMPTS", ""), ("AWS_MAX_ATTEMPTS", "often"), ("AWS_RETRY_MODE", ""), ("AWS_RETRY_MODE", "never")]
    {
        let ran = fixture.ctl("deletion list --app any").with_env(variable, value).run().await;
        assert_eq!(ran.code, Some(0), "{variable}={value}");
    }
}

/// The name of the operator is from this variable.
#[cfg(unix)]
#[tokio::test]
async fn a_user_name_that_is_not_unicode_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let fixture = Fixture::empty().await;
    let mut run = fixture.ctl("client show me");
    run.command.env("USER", OsStr::from_bytes(b"j\xffne"));
    assert_eq!(run.run().await.refused(), "USER must be Unicode text, and is not");
}

#[tokio::test]
async fn a_wrong_setting_is_refused_in_one_sentence() {
    let fixture = Fixture::empty().await;
    let ran = fixture.ctl("client show me").with_env("DATABASE_ATTEMPTS", "often").run().await;
    assert!(ran.refused().starts_with("DATABASE_ATTEMPTS must be a whole number"));
}
