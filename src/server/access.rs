use std::io::Write;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::model::{SecretName, Stamp};

/// The longest operation that is written down; AWS's are shorter.
const LONGEST: usize = 40;

/// A log of requests, one JSON object a line: who, what, which secret, how it ended.
/// Never a value, a body or a key's secret.
pub struct AccessLog(Mutex<Box<dyn Write + Send>>);

/// What is written of one request.
pub(super) struct Entry {
    /// The access key id, as claimed; proved only where the status is not 403.
    pub(super) access_key: Option<String>,
    /// The operation, as claimed.
    pub(super) operation: Option<String>,
    /// The secret, by the vault's name.
    pub(super) secret: Option<SecretName>,
    /// The HTTP status.
    pub(super) status: u16,
    /// The error's code.
    pub(super) code: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    access_key: Option<&'a str>,
    operation: Option<&'a str>,
    secret: Option<&'a str>,
    status: u16,
    code: Option<&'a str>,
}

impl AccessLog {
    /// A log that is written to `out`, a whole line at a time.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// Writes one line. A log that cannot be written stops nobody: what is asked for
    /// was answered by then.
    pub(super) fn record(&self, stamp: &Stamp, entry: &Entry) {
        let line = Line {
            time: stamp.now.to_string(),
            request_id: stamp.id.as_str(),
            access_key: entry.access_key.as_deref(),
            operation: entry.operation.as_deref(),
            secret: entry.secret.as_ref().map(SecretName::as_str),
            status: entry.status,
            code: entry.code.as_deref(),
        };
        let Ok(mut text) = serde_json::to_vec(&line) else {
            return;
        };
        text.push(b'\n');
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(out.write_all(&text).and_then(|()| out.flush()));
    }
}

/// An operation as a client claims it, if it can be one at all.
pub(super) fn operation(claimed: &str) -> Option<String> {
    let can_be = (1..=LONGEST).contains(&claimed.len())
        && claimed.bytes().all(|b| b.is_ascii_alphanumeric());
    can_be.then(|| claimed.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Timestamp;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_json_object_and_nothing_more() {
        let page = Page::default();
        let log = AccessLog::new(page.clone());
        let stamp = Stamp {
            now: Timestamp::from_millis(1_523_477_145_729),
            id: "0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11".parse().unwrap(),
        };
        let entry = Entry {
            access_key: Some("AKX".into()),
            operation: operation("GetSecretValue"),
            secret: Some("prod/db".parse().unwrap()),
            status: 400,
            code: Some("ResourceNotFoundException".into()),
        };
        log.record(&stamp, &entry);
        let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            "{\"time\":\"2018-04-11T20:05:45.729Z\",\"requestId\":\"0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11\",\"accessKey\":\"AKX\",\"operation\":\"GetSecretValue\",\"secret\":\"prod/db\",\"status\":400,\"code\":\"ResourceNotFoundException\"}\n"
        );
    }

    #[test]
    fn what_cannot_be_an_operation_is_not_written_down() {
        assert_eq!(operation("ListSecrets").as_deref(), Some("ListSecrets"));
        let long = "a".repeat(41);
        for no in ["", "a b", "hunter2!", "\u{1b}[0m", &long] {
            assert_eq!(operation(no), None, "{no:?}");
        }
    }
}
