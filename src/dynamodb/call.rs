//! Records the attempts of a DynamoDB call in its statistics, and converts its error to a fault.

use super::reason;
use crate::store::{CallStatistics, Fault};
use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
    operation::{
        batch_get_item::BatchGetItemError, batch_write_item::BatchWriteItemError, create_table::CreateTableError,
        delete_item::DeleteItemError, get_item::GetItemError, put_item::PutItemError, query::QueryError,
        update_item::UpdateItemError,
    },
};
use aws_smithy_runtime_api::client::interceptors::context::Error as OperationError;
use std::error::Error;

/// The error codes of DynamoDB for throttling.
const THROTTLES: [&str; 3] = ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];

/// The error codes of DynamoDB for a conflict with another write. The same call may succeed later.
const CONFLICTS: [&str; 2] = ["ReplicatedWriteConflictException", "TransactionConflictException"];

/// For each operation of this crate: the error code, if the error is that operation's.
const CODES: [fn(&OperationError) -> Option<&str>; 8] = [
    code::<BatchGetItemError>,
    code::<UpdateItemError>,
    code::<QueryError>,
    code::<BatchWriteItemError>,
    code::<GetItemError>,
    code::<PutItemError>,
    code::<CreateTableError>,
    code::<DeleteItemError>,
];

fn code<E: ProvideErrorMetadata + Error + Send + Sync + 'static>(error: &OperationError) -> Option<&str> {
    error.downcast_ref::<E>().and_then(ProvideErrorMetadata::code)
}

/// Records that DynamoDB left some keys or items of a batch unprocessed. DynamoDB does that instead of returning a
/// throttling error.
pub(super) fn record_unprocessed() {
    CallStatistics::record(|call| call.throttles += 1);
}

/// The SDK's hook that records every attempt in the statistics of its call. One hook serves all calls, because a hook
/// for each call would take more time than the counting.
#[derive(Debug)]
pub(super) struct RecordAttempts;

impl Intercept for RecordAttempts {
    fn name(&self) -> &'static str {
        "RecordAttempts"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        CallStatistics::record(|call| call.attempts += 1);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Err(error)) = context.output_or_error() else { return Ok(()) };
        let code = error.as_operation_error().and_then(|error| CODES.iter().find_map(|code| code(error)));
        // Only a 4xx answer with an error code says that DynamoDB did nothing.
        let is_refusal = context.response().is_some_and(|response| response.status().is_client_error());
        if !(is_refusal && code.is_some()) {
            CallStatistics::record(|call| call.ambiguous += 1);
        }
        if code.is_some_and(|code| THROTTLES.contains(&code)) {
            CallStatistics::record(|call| call.throttles += 1);
        }
        Ok(())
    }
}

/// Converts an error of the SDK to a fault, which says whether the same call may succeed later. Its text is for the
/// log: it names the operation, and DynamoDB's error code or the kind of the failure.
pub(super) fn fault<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Fault {
    let mut text = reason::of_call(error);
    if is_validation(error) {
        text += ": the table does not have the expected form, or an item would be too large";
    }
    match error {
        SdkError::ServiceError(refused) => {
            let code = reason::code(refused.err()).unwrap_or_default();
            let status = refused.raw().status();
            // A success that cannot be read is not a refusal: the call may have taken effect.
            if status.is_success()
                || status.is_server_error()
                || status.as_u16() == 429
                || CONFLICTS.contains(&code)
                || THROTTLES.contains(&code)
            {
                Fault::Unavailable(text)
            } else {
                Fault::Unexpected(text)
            }
        }
        SdkError::ConstructionFailure(_) => Fault::Unexpected(text),
        _ => Fault::Unavailable(text),
    }
}

/// Whether DynamoDB answers with a validation error. The same call fails again. For a write, the item may be too large.
pub(super) fn is_validation<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ValidationException")
}

/// The fault for a request that cannot be built. The error is dropped, because its text may hold values.
pub(super) fn not_built<E>(_: E) -> Fault {
    Fault::Unexpected("the request cannot be built".to_owned())
}
