//! A bare hyper server: the floor of `benches/endpoint.py`. It answers every request
//! with one JSON body as large as GetSecretValue's for a value of 1 KiB, and looks at
//! nothing. `cargo bench --bench bare -- PORT`; without a port it ends at once.
#![expect(
    clippy::expect_used,
    reason = "a measurement stops at the first surprise"
)]

use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// As `strongroom serve` answers, byte for byte as long.
fn body() -> Bytes {
    let value = "x".repeat(1024);
    Bytes::from(format!(
        r#"{{"ARN":"arn:aws:secretsmanager:us-east-1:000000000000:secret:team-0/secret-0-AAAAAA","Name":"team-0/secret-0","VersionId":"00000000-0000-4000-8000-000000000000","SecretString":"{value}","VersionStages":["AWSCURRENT"],"CreatedDate":1795392000.123}}"#
    ))
}

async fn answer(
    request: Request<Incoming>,
    body: Bytes,
) -> Result<Response<Full<Bytes>>, Infallible> {
    // Read to its end, as any server must before it can believe a signature.
    let _read = request.into_body().collect().await;
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

#[tokio::main]
async fn main() {
    let Some(port) = std::env::args().skip(1).find_map(|a| a.parse::<u16>().ok()) else {
        return;
    };
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .expect("a free port");
    let body = body();
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let body = body.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, body.clone()));
            let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no surprise.
            drop(served.await);
        });
    }
}
