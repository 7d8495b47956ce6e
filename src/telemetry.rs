//! The log: one line a request, with the exact reason, which the caller is not told.

use crate::{
    deletion::{Ended, NotDeleted},
    rule::RequestToDelete,
};
use lambda_http::{http::StatusCode, tracing};

/// Writes to the standard output, as Lambda's log controls ask (`AWS_LAMBDA_LOG_FORMAT`, `AWS_LAMBDA_LOG_LEVEL`).
pub fn init() {
    tracing::init_default_subscriber();
}

/// Reports how a request ended: a refusal for information, a fault as an error.
pub(crate) fn report<R: RequestToDelete>(ended: &Ended<R>, status: StatusCode, request_id: &str) {
    let door = R::DOOR;
    let status = status.as_u16();
    let client_id = ended.request.as_ref().and_then(|request| request.target()).map(tracing::field::display);
    let caller = ended.request.as_ref().map(|request| request.caller(&ended.facts));
    let caller = caller.as_deref();
    match &ended.result {
        Ok(()) => tracing::info!(door, outcome = "deleted", status, client_id, caller, request_id, "deleted a client"),
        Err(NotDeleted::Refused(reason)) => {
            tracing::info!(door, outcome = "refused", %reason, status, client_id, caller, request_id, "refused a request");
        }
        Err(NotDeleted::Unread(fault) | NotDeleted::Unwritten(fault)) => {
            tracing::error!(door, outcome = "failed", %fault, status, client_id, caller, request_id, "failed on a request");
        }
    }
}
