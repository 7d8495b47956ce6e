//! The SDK's own sources, which are used outside Lambda: profiles, roles, and the services that give credentials to a
//! container or an instance.
//!
//! What they give is checked before the SDK uses it, by the same rules as the environment variables. Region and
//! credentials are resolved at the start. So a missing one is reported before the first call.

use super::{
    connection::{Connection, NoConnection, Place},
    reason,
    variables::{CREDENTIAL, ENDPOINT, HOST_LABEL},
};
use crate::settings::Variables;
use aws_config::{
    BehaviorVersion,
    profile::{self, Profile, ProfileSet},
    retry::RetryConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_runtime::env_config::{EnvConfigValue, file::EnvConfigFiles};
use aws_sdk_dynamodb::config::{Builder, SharedHttpClient};
use aws_types::{
    SdkConfig,
    os_shim_internal::{Env, Fs},
    service_config::ServiceConfigKey,
};
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;

/// The time limit for the first credentials. The SDK has the same limit for later ones.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(5);

/// The properties of a profile for credentials that this build of the SDK cannot fetch. The AWS CLI can.
const SIGN_IN: [&str; 6] =
    ["sso_session", "sso_start_url", "sso_account_id", "sso_role_name", "login_session", "credential_process"];

/// The other properties of a profile that name a source of credentials.
const SOURCES: [&str; 4] = ["aws_access_key_id", "role_arn", "credential_source", "web_identity_token_file"];
/// The variables that name a source of credentials.
const SOURCE_VARIABLES: [&str; 3] =
    ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];

/// Reads the sources. The variables must have passed [`check`](super::variables::check).
///
/// # Errors
/// [`NoConnection`] if a profile, the Region or the credentials are missing or wrong.
pub(super) async fn read(variables: &Variables, http: SharedHttpClient) -> Result<Connection, NoConnection> {
    let env = non_empty(variables);
    let profiles = profile::load(&Fs::real(), &env, &EnvConfigFiles::default(), None).await;
    let profiles = profiles.map_err(|_| NoConnection::UnreadableProfiles)?;
    let chain = chain(&profiles);
    if variables.get("AWS_PROFILE")?.is_some() && chain.is_empty() {
        return Err(NoConnection::UnknownProfile(profiles.selected_profile().to_owned()));
    }
    check(&chain, &profiles, &env)?;

    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .env(env.clone())
        .http_client(http)
        // These retries are for the calls that fetch credentials. Without them, the SDK reads `AWS_MAX_ATTEMPTS`,
        // `AWS_RETRY_MODE` and the same properties of a profile, and panics on a wrong or empty value.
        .retry_config(RetryConfig::standard());
    let sdk = Box::pin(loader.load()).await;
    let endpoint = endpoint(&sdk);
    if endpoint.as_deref().is_some_and(|endpoint| !ENDPOINT.accepts(endpoint)) {
        return Err(wrong(&profiles, "endpoint_url", ENDPOINT.must_be));
    }
    let is_variant = sdk.use_fips() == Some(true) || sdk.use_dual_stack() == Some(true);
    if let Some(endpoint) = endpoint.clone().filter(|_| is_variant) {
        return Err(NoConnection::OtherEndpoint(endpoint));
    }
    let region = sdk.region().map(ToString::to_string).filter(|region| !region.is_empty());
    let region = region.ok_or(NoConnection::NoRegion)?;
    if !HOST_LABEL.accepts(&region) {
        return Err(wrong(&profiles, "region", HOST_LABEL.must_be));
    }
    let mut config = Builder::from(&sdk);
    config.set_endpoint_url(endpoint.clone());
    config.set_credentials_provider(Some(credentials(&sdk, &chain, &env).await?));
    Ok(Connection { config, place: Place { region, endpoint } })
}

/// The variables for the SDK, without empty ones, because the SDK does not treat an empty value as unset.
fn non_empty(variables: &Variables) -> Env {
    let text =
        variables.iter().filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned())));
    text.filter(|(_, value)| !value.is_empty()).collect::<HashMap<_, _>>().into()
}

/// The selected profile, and those that it takes credentials from. Empty if there is no such profile.
fn chain(profiles: &ProfileSet) -> Vec<&Profile> {
    let mut chain: Vec<&Profile> = Vec::new();
    let mut next = profiles.get_profile(profiles.selected_profile());
    while let Some(profile) = next.filter(|next| chain.iter().all(|seen| seen.name() != next.name())) {
        chain.push(profile);
        next = profile.get("source_profile").and_then(|name| profiles.get_profile(name));
    }
    chain
}

/// Checks what the SDK uses while it fetches credentials.
fn check(chain: &[&Profile], profiles: &ProfileSet, env: &Env) -> Result<(), NoConnection> {
    for profile in chain {
        for property in ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"] {
            if profile.get(property).is_some_and(|value| !value.is_empty() && !CREDENTIAL.accepts(value)) {
                let (profile, must_be) = (profile.name().to_owned(), CREDENTIAL.must_be);
                return Err(NoConnection::WrongProfile { profile, property, must_be });
            }
        }
    }
    let uses_sts = env.get("AWS_ROLE_ARN").is_ok() || chain.iter().any(|profile| profile.get("role_arn").is_some());
    let sts = EnvConfigValue::new().env("AWS_ENDPOINT_URL").profile("endpoint_url").service_id("STS");
    let sts = sts.load(env, Some(profiles));
    if uses_sts && sts.is_some_and(|(endpoint, _)| !ENDPOINT.accepts(&endpoint)) {
        return Err(wrong(profiles, "endpoint_url", ENDPOINT.must_be));
    }
    Ok(())
}

fn wrong(profiles: &ProfileSet, property: &'static str, must_be: &'static str) -> NoConnection {
    NoConnection::WrongProfile { profile: profiles.selected_profile().to_owned(), property, must_be }
}

/// The endpoint of the environment or of the profile. The SDK reads an empty one as an endpoint, and panics.
fn endpoint(sdk: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("DynamoDB").env("AWS_ENDPOINT_URL").profile("endpoint_url");
    sdk.service_config()?.load_config(key.build().ok()?).filter(|endpoint| !endpoint.is_empty())
}

/// Resolves the credentials. If they expire, the provider is asked again.
async fn credentials(
    sdk: &SdkConfig,
    chain: &[&Profile],
    env: &Env,
) -> Result<SharedCredentialsProvider, NoConnection> {
    let provider = sdk.credentials_provider().ok_or(NoConnection::NoCredentials)?;
    let late = |_| Err(CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT));
    let credentials = timeout(CREDENTIALS_TIMEOUT, provider.provide_credentials()).await.unwrap_or_else(late);
    let credentials = credentials.map_err(|error| no_credentials(&error, chain, env))?;
    if !is_usable(&credentials) {
        return Err(NoConnection::WrongCredentials { must_be: CREDENTIAL.must_be });
    }
    Ok(match credentials.expiry() {
        None => SharedCredentialsProvider::new(credentials),
        Some(_) => SharedCredentialsProvider::new(Checked(provider)),
    })
}

fn no_credentials(error: &CredentialsError, chain: &[&Profile], env: &Env) -> NoConnection {
    let names = |properties: &[&str]| {
        chain.iter().find(|profile| properties.iter().any(|property| profile.get(property).is_some()))
    };
    if let Some(profile) = names(&SIGN_IN) {
        return NoConnection::SignIn(profile.name().to_owned());
    }
    // If no source is named, the SDK asks the instance's metadata service. Elsewhere than on AWS, that error says nothing.
    if names(&SOURCES).is_none() && SOURCE_VARIABLES.iter().all(|name| env.get(name).is_err()) {
        return NoConnection::NoCredentials;
    }
    NoConnection::Credentials(reason::of_credentials(error))
}

/// Whether the SDK can sign a request with these credentials. It panics if it cannot.
fn is_usable(credentials: &Credentials) -> bool {
    let parts = [Some(credentials.access_key_id()), Some(credentials.secret_access_key()), credentials.session_token()];
    parts.into_iter().flatten().all(|part| CREDENTIAL.accepts(part))
        && credentials.account_id().is_none_or(|account| HOST_LABEL.accepts(account.as_str()))
}

/// Checks all credentials of a provider.
#[derive(Debug)]
struct Checked(SharedCredentialsProvider);

impl ProvideCredentials for Checked {
    fn provide_credentials<'p>(&'p self) -> future::ProvideCredentials<'p>
    where
        Self: 'p,
    {
        future::ProvideCredentials::new(async {
            let credentials = self.0.provide_credentials().await?;
            let unusable = || CredentialsError::unhandled("the credentials hold characters that cannot be signed");
            if is_usable(&credentials) { provider::Result::Ok(credentials) } else { Err(unusable()) }
        })
    }
}
