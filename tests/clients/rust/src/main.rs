//! An ordinary program with AWS's caching crate for Rust; nothing in it knows of
//! strongroom.

use std::num::NonZeroUsize;
use std::time::Duration;

use aws_secretsmanager_caching::SecretsManagerCachingClient;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let size = NonZeroUsize::new(10).ok_or("a size")?;
    let cache = SecretsManagerCachingClient::default(size, Duration::from_secs(300)).await?;
    let read = async |id: &str, stage: Option<&str>, now: bool| {
        let value = cache.get_secret_value(id, None, stage, now).await?;
        Ok::<_, Failure>(value.secret_string.unwrap_or_default())
    };
    assert_eq!(read("cache/db", None, false).await?, "one");

    // Another writer: the cache keeps what it has until it is told.
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = aws_sdk_secretsmanager::Client::new(&config);
    let put = client.put_secret_value().secret_id("cache/db");
    let put = put.secret_string("two").send().await?;
    assert_eq!(read("cache/db", None, false).await?, "one");
    assert_eq!(read("cache/db", None, true).await?, "two");
    assert_eq!(read("cache/db", None, false).await?, "two");
    assert_eq!(read("cache/db", Some("AWSPREVIOUS"), false).await?, "one");
    let by_id = cache.get_secret_value("cache/db", put.version_id(), None, false);
    let by_id = by_id.await?;
    assert_eq!(by_id.version_id.as_deref(), put.version_id());
    assert_eq!(by_id.version_stages, Some(vec!["AWSCURRENT".to_owned()]));

    let bytes = cache
        .get_secret_value("cache/bytes", None, None, false)
        .await?;
    let bytes = bytes.secret_binary.map(|b| b.into_inner());
    assert_eq!(bytes.as_deref(), Some(&b"\x00\xff"[..]));

    let ids = vec!["cache/bytes".to_owned(), "cache/nope".to_owned()];
    let batch = cache
        .batch_get_secret_value(Some(ids), None, None, None)
        .await?;
    let batch = batch.ok_or("an answer")?;
    assert_eq!(batch.secret_values().len(), 1);
    assert_eq!(
        batch.errors()[0].error_code(),
        Some("ResourceNotFoundException")
    );

    // A time to live of nothing: each read asks whether the version is still the one.
    let cache = SecretsManagerCachingClient::default(size, Duration::ZERO).await?;
    let fresh = async || {
        let value = cache
            .get_secret_value("cache/db", None, None, false)
            .await?;
        Ok::<_, Failure>(value.secret_string.unwrap_or_default())
    };
    assert_eq!(fresh().await?, "two");
    assert_eq!(fresh().await?, "two");
    let put = client.put_secret_value().secret_id("cache/db");
    put.secret_string("three").send().await?;
    assert_eq!(fresh().await?, "three");

    let missing = cache
        .get_secret_value("cache/nope", None, None, false)
        .await;
    let said = format!("{:?}", missing.err().ok_or("it is not there")?);
    assert!(said.contains("ResourceNotFoundException"), "{said}");
    println!("done");
    Ok(())
}
