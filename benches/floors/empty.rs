//! The empty handler: `lambda_http` answers 204. Its cost is the cost of the platform.
//!
//! It is built twice: like the function, and for the C library of the machine.

use lambda_http::{Body, Error, Request, Response, run_concurrent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run_concurrent(service_fn(|_: Request| async {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = lambda_http::http::StatusCode::NO_CONTENT;
        Ok::<_, Error>(response)
    }))
    .await
}
