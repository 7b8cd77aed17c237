//! A path and a query of the agent's protocol, apart at the first `?`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom::server::query::asked;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    if let Some(Ok(asked)) = asked(path, query) {
        assert!(!asked.secret.is_empty());
    }
});
