//! How fresh a value is, and what the vault's rules make of it (book, staleness).

use std::sync::PoisonError;

use super::super::protocol::{Call, Code, Fault, Standing};
use super::Service;
use super::place::Found;
use crate::config::OnStale;

impl Service {
    /// How fresh a secret is for a caller; `None` if no remote has it. What is stale is
    /// refused where the vault's rules say so: AWS has no error for that, so it is the
    /// one that says a request cannot be done in the secret's state.
    pub(super) fn standing(
        &self,
        call: &Call<'_>,
        found: &Found,
    ) -> Result<Option<Standing>, Fault> {
        let of_account = call.caller.account.is_some();
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        // A key of one account asks for what that account has.
        let oldest = catalog
            .sights
            .oldest(&found.record, |pair| !of_account || pair.arn == found.arn);
        drop(catalog);
        let Some(verified) = oldest else {
            return Ok(None);
        };
        let config = self.vault.config();
        let name = &found.record.name;
        let rule = config.freshness_of(name);
        let stale = rule.filter(|(_, rule)| rule.is_stale(verified, call.stamp.now));
        if let Some((_, rule)) = stale
            && rule.on_stale == OnStale::Deny
        {
            let when = verified.map_or_else(|| "never".to_owned(), |at| at.to_string());
            return Err(Fault::new(
                Code::InvalidRequestException,
                format!(
                    "strongroom: the secret {} is stale: last verified {when}, which may be at most {} ago. Ask the remotes with: strongroom fetch; bring it up to date with: strongroom sync",
                    found.name, rule.max_stale
                ),
            ));
        }
        Ok(Some(Standing {
            verified,
            is_stale: stale.is_some(),
        }))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "watch")]
    use std::sync::Arc;
    #[cfg(feature = "watch")]
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::super::testing::Desk;
    use super::*;
    use crate::config::{Freshness, RemoteConfig};
    use crate::model::{
        Direction, Face, Pair, RemoteBase, RemoteFacts, RemoteName, RemoteSecret, RemoteView,
        Scope, Sight, Timestamp,
    };
    use crate::server::protocol::{Answer as _, Reply};
    use crate::vault::{Durability, Fetched};

    fn prod() -> RemoteName {
        "prod".parse().unwrap()
    }

    /// A desk whose secret `a` is in step with `prod`, under a rule.
    fn desk(on_stale: OnStale) -> Desk {
        let desk = Desk::new();
        desk.create("a", "value");
        desk.create("own", "value");
        let vault = desk.service.vault();
        let mut config = (*vault.config()).clone();
        let remote = RemoteConfig {
            name: prod(),
            region: "eu-west-1".into(),
            account: None,
            profile: None,
            role_arn: None,
            endpoint: None,
            scope: Scope::default(),
            direction: Direction::TwoWay,
            on_conflict: crate::model::Strategy::Hold,
            extras: crate::model::Extras::default(),
        };
        config.remotes.insert(prod(), remote);
        let rule = Freshness {
            max_stale: "24h".parse().unwrap(),
            on_stale,
        };
        config.freshness.insert(String::new(), rule);
        let mut record = vault.record(&"a".parse().unwrap()).unwrap().unwrap();
        let face = Face {
            lifecycle: record.state.lifecycle,
            attributes: record.state.attributes.clone(),
            labels: record.state.labels.clone(),
        };
        let pair = Pair {
            arn: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf".into(),
            changed: None,
            local: face.clone(),
            remote: face,
        };
        let base = RemoteBase {
            pair: Some(pair),
            ..RemoteBase::default()
        };
        record.base.insert(prod(), base);
        let mut tx = vault.begin("test", desk.now()).unwrap();
        tx.set_config(config);
        tx.put(record);
        tx.commit("test", Durability::Each).unwrap();
        desk.service.mark_stale();
        desk
    }

    /// The remote is asked, and shows what is here.
    fn ask(desk: &Desk, at: Timestamp) {
        let vault = desk.service.vault();
        let record = vault.record(&"a".parse().unwrap()).unwrap().unwrap();
        let arn = record.base[&prod()].pair.as_ref().unwrap().arn.clone();
        let seen = RemoteSecret {
            state: record.state.clone(),
            facts: RemoteFacts {
                arn,
                ..RemoteFacts::default()
            },
        };
        let mut view = RemoteView::default();
        view.secrets.insert(record.name, Sight::Seen(seen));
        vault.save_view(&prod(), &Fetched { at, view }).unwrap();
        desk.service
            .mark_changed(&vault.state_dir().join("views/prod.json"));
    }

    fn get(desk: &Desk, operation: &str, body: &serde_json::Value) -> Reply {
        let stamp = crate::model::Stamp {
            now: desk.now(),
            id: desk.token().parse().unwrap(),
        };
        desk.service.answer(&Call {
            operation,
            body: body.to_string().as_bytes(),
            caller: &desk.caller,
            stamp: &stamp,
        })
    }

    fn get_a(desk: &Desk) -> Reply {
        get(desk, "GetSecretValue", &json!({ "SecretId": "a" }))
    }

    fn headers(reply: &Reply) -> Vec<(&'static str, String)> {
        reply.standing.iter().flat_map(Standing::headers).collect()
    }

    #[test]
    fn every_value_says_when_it_was_verified_and_whether_that_is_too_long_ago() {
        let desk = desk(OnStale::Warn);
        assert_eq!(
            headers(&get_a(&desk)),
            [(Standing::STALE, "true".to_owned())]
        );
        let then = desk.now();
        ask(&desk, then);
        assert_eq!(
            headers(&get_a(&desk)),
            [(Standing::VERIFIED, then.to_string())]
        );
        desk.later(2);
        let both = [
            (Standing::VERIFIED, then.to_string()),
            (Standing::STALE, "true".to_owned()),
        ];
        assert_eq!(headers(&get_a(&desk)), both);
        let list = json!({ "SecretIdList": ["own", "a"] });
        assert_eq!(headers(&get(&desk, "BatchGetSecretValue", &list)), both);
        let own = get(&desk, "GetSecretValue", &json!({ "SecretId": "own" }));
        assert_eq!((own.status, headers(&own)), (200, vec![]));
    }

    #[test]
    fn what_must_not_be_stale_is_refused_until_the_remote_was_asked() {
        let desk = desk(OnStale::Deny);
        ask(&desk, desk.now());
        assert_eq!(get_a(&desk).status, 200);
        desk.later(2);
        let (code, text) = desk.fault("GetSecretValue", json!({ "SecretId": "a" }));
        assert_eq!(code, "InvalidRequestException");
        assert!(text.contains("strongroom fetch"), "{text}");
        let list = json!({ "SecretIdList": ["own", "a"] });
        let batch = desk.ok("BatchGetSecretValue", list);
        assert_eq!(batch["SecretValues"][0]["Name"], "own");
        assert_eq!(batch["Errors"][0]["ErrorCode"], "InvalidRequestException");
        assert!(!batch.to_string().contains("\"SecretId\":\"own\""));
        // Everything but values is answered.
        desk.ok("DescribeSecret", json!({ "SecretId": "a" }));
        ask(&desk, desk.now());
        assert_eq!(get_a(&desk).status, 200);
    }

    #[cfg(feature = "watch")]
    #[test]
    fn a_fetch_by_another_process_is_noticed() {
        let desk = desk(OnStale::Deny);
        ask(&desk, desk.now());
        desk.later(2);
        assert_eq!(get_a(&desk).status, 400);
        // The service is watched as it is served; the file alone tells of the fetch.
        let Desk { service, .. } = &desk;
        let vault = service.vault();
        let fetched = vault.load_view(&prod()).unwrap().unwrap();
        let heard = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let tell = Arc::clone(&heard);
        let dir = vault.state_dir().to_owned();
        let _watching = crate::vault::Watching::start(vault, Duration::from_secs(1), move |what| {
            if matches!(what, crate::vault::Heard::Path(path) if path.starts_with(&dir)) {
                tell.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        })
        .unwrap();
        let at = desk.now();
        vault
            .save_view(&prod(), &Fetched { at, ..fetched })
            .unwrap();
        let began = Instant::now();
        while !heard.load(std::sync::atomic::Ordering::SeqCst) {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "nothing was heard"
            );
            std::thread::yield_now();
        }
        service.mark_changed(&vault.state_dir().join("views/prod.json"));
        assert_eq!(get_a(&desk).status, 200);
    }
}
