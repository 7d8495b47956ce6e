//! Creates and changes services, and issues and revokes access tokens of the Authlete API.

use super::Creation;
use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::{AccessToken, Digest, Id, Service},
    snapshot::{Key, Record, Unreadable},
    store::{CallStatistics, Fault},
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::time::{Duration, SystemTime};

/// The most that two clocks differ.
const CLOCK_SKEW: Duration = Duration::from_hours(24);

/// What changes in a service. `None`: the member stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// The organization that the service belongs to. `Some(None)`: it belongs to none.
    pub organization_id: Option<Option<String>>,
    /// Whether the service supports dynamic client registration.
    pub dynamic_registration: Option<bool>,
    /// The vendor's `unauthorizedOnClientConfigSupported`.
    pub unauthorized_on_client_config: Option<bool>,
    /// The vendor's `errorDescriptionOmitted`.
    pub error_description_omitted: Option<bool>,
    /// The vendor's `errorUriOmitted`.
    pub error_uri_omitted: Option<bool>,
}

/// The outcome of [`ClientsTable::revoke_token`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRevocation {
    /// The token is refused from now on.
    Done,
    /// Nothing was written: the token had expired.
    AlreadyExpired,
    /// Nothing was written: there is no such token.
    Unknown,
}

impl ClientsTable {
    /// Creates a service.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn create_service(&self, id: &Id, service: &Service) -> Result<Creation, Fault> {
        self.put_new(item::of_service(&Key::Service(id.clone()), service)).await.map(Creation::from)
    }

    /// Changes a service, in one write. Returns the service as it is now, or `None` if there is no such service.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item cannot be read after the change.
    pub async fn update_service(&self, id: &Id, change: &ServiceChange) -> Result<Option<Service>, Fault> {
        let key = Key::Service(id.clone());
        let switches = [
            ("dynamic_registration", change.dynamic_registration),
            ("unauthorized_on_client_config", change.unauthorized_on_client_config),
            ("error_description_omitted", change.error_description_omitted),
            ("error_uri_omitted", change.error_uri_omitted),
        ];
        let switches = switches.into_iter().filter_map(|(name, on)| Some((name, AttributeValue::Bool(on?))));
        let organization = change.organization_id.clone().flatten();
        let values = switches.chain(organization.map(|id| ("organization_id", item::of_text(id))));
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&key))
            .condition_expression("attribute_exists(service)")
            .return_values(ReturnValue::AllNew);
        let (update, set) = values.fold((update, Vec::new()), |(update, mut set), (name, value)| {
            set.push(format!("service.{name} = :{name}"));
            (update.expression_attribute_values(format!(":{name}"), value), set)
        });
        let set = if set.is_empty() { String::new() } else { format!("SET {}", set.join(", ")) };
        let remove = if change.organization_id == Some(None) { " REMOVE service.organization_id" } else { "" };
        let answer = Box::pin(update.update_expression(set + remove).send()).await;
        let changed = match answer {
            Ok(changed) => changed.attributes.map(item::read),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => return Ok(None),
                _ => return Err(fault(&error)),
            },
        };
        match changed {
            Some(Record::Service(service)) => Ok(Some(service)),
            Some(other) => Err(Unreadable::new(key, &other).into()),
            None => Err(Fault::Unavailable("the answer does not have the item".to_owned())),
        }
    }

    /// Adds the access token with this digest.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn add_token(&self, digest: &Digest, token: &AccessToken) -> Result<Creation, Fault> {
        self.put_new(item::of_token(&Key::of_token(digest), token)).await.map(Creation::from)
    }

    /// Lets the access token under this key expire a day before `now`, so that it is refused at once by every clock. The
    /// item stays until the time to live removes it.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn revoke_token(&self, key: &Key, now: SystemTime) -> Result<TokenRevocation, Fault> {
        let expires_at = item::of_time(now.checked_sub(CLOCK_SKEW).unwrap_or(SystemTime::UNIX_EPOCH));
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(key))
            .update_expression("SET expires_at = :expires_at")
            // If the expiry has another type, the comparison is false, and the token counts as expired.
            .condition_expression(
                "attribute_exists(#token) AND (attribute_not_exists(expires_at) OR expires_at > :expires_at)",
            )
            .expression_attribute_names("#token", schema::TOKEN)
            .expression_attribute_values(":expires_at", expires_at.clone())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (answer, statistics) = CallStatistics::of_call(Box::pin(update.send())).await;
        let Err(error) = answer else { return Ok(TokenRevocation::Done) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(fault(&error));
        };
        // An earlier attempt of this call took effect, and its answer was lost.
        let is_own = |found: &Item| found.get(schema::EXPIRES_AT) == Some(&expires_at);
        Ok(match &failed.item {
            Some(found) if statistics.ambiguous > 0 && is_own(found) => TokenRevocation::Done,
            Some(found) if found.contains_key(schema::TOKEN) => TokenRevocation::AlreadyExpired,
            _ => TokenRevocation::Unknown,
        })
    }
}
