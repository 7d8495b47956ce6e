//! The empty handler: `lambda_http` answers 204, built like the function. Its cost is that of the platform.

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
