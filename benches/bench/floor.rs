//! The floor: an empty handler on `lambda_http`, built like the function. What it costs is what the platform costs.

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
