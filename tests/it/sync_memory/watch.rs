//! The watch, over stores in memory and a clock that is moved: waiting costs no time.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use strongroom::config::RemoteConfig;
use strongroom::model::{
    Change, Direction, RemoteSecret, RemoteView, Scope, SecretName, SecretValue, Timestamp,
    VersionId,
};
use strongroom::store::{Call, MemoryStore, Progress, Retrieved, SecretStore, StoreError};
use strongroom::vault::Durability;
use strongroom::watch::{Event, Host, Moment, Options, Status};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::world::{Cloud, Edits as _, Site, git, id, remote, run};

/// An account that is called from outside.
struct There<'c> {
    store: &'c MemoryStore,
    /// Where HEAD moves while the account is being asked, for so many times.
    moves: Arc<Mutex<Option<(PathBuf, usize)>>>,
}

impl SecretStore for There<'_> {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        if let Some((root, left)) = self.moves.lock().unwrap().as_mut()
            && *left > 0
        {
            *left -= 1;
            git(root, &["commit", "-q", "--allow-empty", "-m", "elsewhere"]);
        }
        self.store.view(known, progress).await
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        self.store.describe(name).await
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        self.store.policy(name).await
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        self.store.read(name, id).await
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        self.store.read_current(names).await
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        self.store.apply(name, change, value).await
    }
}

/// What the watch has of the world here.
struct Desk<'c> {
    cloud: &'c Cloud,
    began: Instant,
    /// How long the machine was suspended in all.
    suspended: Cell<Duration>,
    locked: Cell<bool>,
    unreachable: Cell<bool>,
    moves: Arc<Mutex<Option<(PathBuf, usize)>>>,
    said: RefCell<Vec<String>>,
}

impl<'c> Host for Desk<'c> {
    type Store = There<'c>;

    fn moment(&self) -> Moment {
        let awake = self.began.elapsed();
        let boot = awake + self.suspended.get();
        let millis = i64::try_from(boot.as_millis()).unwrap();
        Moment {
            boot,
            awake,
            wall: Timestamp::from_millis(1_795_395_723_000 + millis),
        }
    }

    /// Exactly the pace that was wished for.
    fn dice(&self) -> u16 {
        u16::MAX / 2
    }

    fn is_locked(&self) -> bool {
        self.locked.get()
    }

    async fn connect(&self, remote: &RemoteConfig) -> Result<There<'c>, StoreError> {
        if self.unreachable.get() {
            return Err(StoreError::Unreachable {
                detail: "no network".into(),
            });
        }
        Ok(There {
            store: &self.cloud.stores[&remote.name],
            moves: Arc::clone(&self.moves),
        })
    }

    fn say(&self, event: &Event) {
        let kind = event.kind();
        self.said.borrow_mut().push(format!("{kind}: {event}"));
    }
}

impl Desk<'_> {
    fn heard(&self, kind: &str) -> Vec<String> {
        let all = self.said.borrow();
        let start = format!("{kind}: ");
        all.iter()
            .filter_map(|said| Some(said.strip_prefix(&start)?.to_owned()))
            .collect()
    }
}

fn configured(site: &Site, names: &[&str]) {
    let mut config = (*site.vault.config()).clone();
    for name in names {
        let settings = RemoteConfig {
            name: remote(name),
            region: "eu-west-1".into(),
            account: None,
            profile: None,
            role_arn: None,
            endpoint: None,
            scope: Scope::default(),
            direction: Direction::TwoWay,
            on_conflict: strongroom::model::Strategy::Hold,
            extras: strongroom::model::Extras::default(),
        };
        config.remotes.insert(remote(name), settings);
    }
    let mut tx = site.vault.begin("test", site.options().now).unwrap();
    tx.set_config(config);
    tx.commit("test", Durability::Each).unwrap();
}

/// A vault with one secret `a`, in step with `prod`.
fn in_step(git: bool) -> (Cloud, Site) {
    let cloud = Cloud::new();
    let site = if git {
        Site::with_git(&cloud)
    } else {
        Site::new(&cloud)
    };
    configured(&site, &["prod"]);
    site.put("a", 1, "one");
    site.put("b", 2, "two");
    site.sync(&cloud);
    (cloud, site)
}

/// Runs a watch beside a script; when the script is through, the watch ends.
fn watched(
    cloud: &Cloud,
    site: &Site,
    script: impl AsyncFnOnce(&Desk<'_>, &Notify),
) -> Vec<String> {
    run(async {
        let desk = Desk {
            cloud,
            began: Instant::now(),
            suspended: Cell::default(),
            locked: Cell::default(),
            unreachable: Cell::default(),
            moves: Arc::default(),
            said: RefCell::default(),
        };
        let (heard, stop) = (Notify::new(), Notify::new());
        let presence = site.vault.watch_alone().unwrap();
        let options = Options {
            remotes: Vec::new(),
            every: Duration::from_secs(60),
            no_git: false,
            polled: None,
        };
        let watch = strongroom::watch::run(
            &site.vault,
            &presence,
            &desk,
            &options,
            &heard,
            stop.notified(),
        );
        let script = async {
            script(&desk, &heard).await;
            stop.notify_one();
        };
        tokio::join!(watch, script);
        desk.said.into_inner()
    })
}

async fn secs(n: u64) {
    sleep(Duration::from_secs(n)).await;
}

fn status(site: &Site) -> Status {
    let text = site.vault.watch_said().unwrap().expect("a watch is there");
    serde_json::from_str(&text).unwrap()
}

fn lists(cloud: &Cloud) -> usize {
    let calls = cloud.prod().calls();
    calls.get(&Call::List).copied().unwrap_or(0)
}

#[test]
fn an_edit_here_goes_out_at_once_and_one_there_comes_in_at_the_next_poll() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        site.put("a", 3, "new");
        heard.notify_one();
        secs(1).await;
        assert_eq!(cloud.serves("a"), "new");
        cloud.put("b", 4, "theirs");
        assert_eq!(site.serves("b"), "two");
        secs(61).await;
        assert_eq!(site.serves("b"), "theirs");
    });
    site.assert_quiet(&cloud);
}

#[test]
fn its_own_writes_wake_it_not() {
    let (cloud, site) = in_step(true);
    watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        cloud.put("b", 4, "theirs");
        secs(121).await;
        assert_eq!(site.serves("b"), "theirs");
        let before = cloud.prod().total_calls();
        // What the system tells of the files just written.
        heard.notify_one();
        secs(5).await;
        assert_eq!(cloud.prod().total_calls(), before);
        // Nor does a conflict that is put on record.
        site.put("a", 5, "ours");
        cloud.put("a", 6, "theirs");
        heard.notify_one();
        secs(2).await;
        assert_eq!(site.record("a").conflicts.len(), 1);
        let before = cloud.prod().total_calls();
        heard.notify_one();
        secs(5).await;
        assert_eq!(cloud.prod().total_calls(), before);
    });
}

#[test]
fn nothing_is_deleted_on_either_side_and_it_is_shown() {
    let (cloud, site) = in_step(false);
    let said = watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        cloud.delete("a");
        site.delete("b");
        heard.notify_one();
        secs(3600).await;
        assert!(site.state("a").lifecycle.is_live());
        assert!(cloud.state("b").lifecycle.is_live());
        let held = status(&site).held;
        assert_eq!(held["a"], "would be deleted in the vault");
        assert_eq!(held["b"], "would be deleted on prod");
    });
    let held = said.iter().filter(|s| s.starts_with("held")).count();
    assert_eq!(held, 2, "each is said once: {said:?}");
}

#[test]
fn a_conflict_pauses_its_secret_alone_and_is_never_decided() {
    let (cloud, site) = in_step(false);
    let said = watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        site.put("a", 3, "ours");
        cloud.put("a", 4, "theirs");
        site.put("b", 5, "goes on");
        heard.notify_one();
        secs(7200).await;
        assert_eq!(
            (site.serves("a"), cloud.serves("a")),
            ("ours".into(), "theirs".into())
        );
        assert_eq!(cloud.serves("b"), "goes on");
        // Both values are here, and the conflict is on record.
        assert_eq!(site.bytes("a", &id(4)), b"theirs");
        assert_eq!(site.record("a").conflicts.len(), 1);
    });
    let conflicts = said.iter().filter(|s| s.starts_with("conflict")).count();
    assert_eq!(conflicts, 1, "{said:?}");
}

#[test]
fn a_remote_is_never_met_unattended() {
    let cloud = Cloud::new();
    let site = Site::new(&cloud);
    configured(&site, &["prod"]);
    site.put("a", 1, "one");
    cloud.put("b", 2, "two");
    let said = watched(&cloud, &site, async |_, heard| {
        heard.notify_one();
        secs(3600).await;
        assert!(status(&site).remotes["prod"].trouble.is_some());
    });
    assert_eq!(cloud.prod().total_calls(), 0, "not even asked");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("unmet: prod"));
}

#[test]
fn a_guard_pauses_everything_until_the_plan_is_harmless_again() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |desk, heard| {
        secs(1).await;
        // An account that lists nothing looks like the wrong one.
        let all = cloud.prod().state();
        for name in all.0.keys() {
            cloud.prod().as_console_purge(name);
        }
        site.put("a", 3, "new");
        heard.notify_one();
        secs(100).await;
        assert_eq!(cloud.prod().state().0.len(), 0, "nothing is written");
        assert_eq!(desk.heard("paused").len(), 1);
        assert!(status(&site).paused.unwrap().contains("lists no secrets"));
        cloud.put("other", 9, "x");
        secs(1000).await;
        assert_eq!(desk.heard("resumed").len(), 1);
        assert_eq!(status(&site).paused, None);
        assert_eq!(site.serves("other"), "x");
        assert!(site.state("b").lifecycle.is_live(), "gone there, kept here");
    });
}

#[test]
fn a_locked_vault_is_waited_for() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |desk, heard| {
        secs(1).await;
        desk.locked.set(true);
        site.put("a", 3, "new");
        heard.notify_one();
        secs(600).await;
        assert_eq!(cloud.serves("a"), "one");
        assert!(status(&site).paused.unwrap().contains("unlock"));
        desk.locked.set(false);
        secs(3).await;
        assert_eq!(cloud.serves("a"), "new");
        assert_eq!(desk.heard("paused").len(), 1);
        assert_eq!(desk.heard("resumed").len(), 1);
    });
}

#[test]
fn git_at_work_is_waited_for() {
    for sign in [
        "MERGE_HEAD",
        "rebase-merge",
        "rebase-apply",
        "CHERRY_PICK_HEAD",
        "index.lock",
    ] {
        let (cloud, site) = in_step(true);
        let sign = site.root().join(".git").join(sign);
        watched(&cloud, &site, async |desk, heard| {
            secs(1).await;
            std::fs::write(&sign, "").unwrap();
            cloud.put("b", 4, "theirs");
            heard.notify_one();
            secs(200).await;
            assert_eq!(site.serves("b"), "two", "{sign:?}");
            assert!(status(&site).paused.unwrap().contains("git"));
            std::fs::remove_file(&sign).unwrap();
            secs(3).await;
            assert_eq!(site.serves("b"), "theirs", "{sign:?}");
            assert_eq!(desk.heard("resumed").len(), 1);
        });
    }
}

#[test]
fn a_plan_made_while_head_moved_is_dropped_and_made_anew() {
    let (cloud, site) = in_step(true);
    watched(&cloud, &site, async |desk, _| {
        secs(1).await;
        *desk.moves.lock().unwrap() = Some((site.root().to_owned(), 2));
        cloud.put("b", 4, "theirs");
        secs(130).await;
        assert_eq!(desk.heard("dropped").len(), 2);
        assert_eq!(site.serves("b"), "theirs");
    });
}

#[test]
fn a_second_value_within_ten_minutes_waits_and_only_the_newest_goes() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |desk, heard| {
        secs(1).await;
        for (n, value) in [(11, "1"), (12, "2"), (13, "3"), (14, "4")] {
            site.put("a", n, value);
            heard.notify_one();
            secs(100).await;
            assert_eq!(cloud.serves("a"), "1");
        }
        assert!(status(&site).held["a"].contains("ten minutes"));
        // Another secret is not held up by it.
        site.put("b", 20, "free");
        heard.notify_one();
        secs(1).await;
        assert_eq!(cloud.serves("b"), "free");
        secs(250).await;
        assert_eq!(cloud.serves("a"), "4", "ten minutes after the first");
        assert_eq!(desk.heard("held").len(), 1);
    });
    let versions = cloud.state("a").versions;
    assert!(versions.contains_key(&id(11)) && versions.contains_key(&id(14)));
    assert!(!versions.contains_key(&id(12)), "{versions:?}");
    site.assert_quiet(&cloud);
}

#[test]
fn an_idle_remote_is_asked_ever_more_rarely_and_at_once_after_an_edit() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |_, heard| {
        secs(30).await;
        cloud.prod().reset_calls();
        secs(12 * 3600).await;
        let calls = cloud.prod().total_calls();
        // 12 hours at a quarter of an hour less a sixth, and the steps before it.
        assert_eq!(calls, lists(&cloud), "nothing but listings");
        assert!((56..=64).contains(&calls), "{calls}");
        site.put("a", 3, "new");
        heard.notify_one();
        secs(1).await;
        assert_eq!(cloud.serves("a"), "new");
        cloud.prod().reset_calls();
        secs(61).await;
        assert_eq!(lists(&cloud), 1, "asked often again");
    });
}

#[test]
fn a_remote_that_cannot_be_reached_is_tried_again_and_stops_nobody_else() {
    let cloud = Cloud::with(&["dev", "prod"]);
    let site = Site::new(&cloud);
    configured(&site, &["dev", "prod"]);
    site.put("a", 1, "one");
    site.sync(&cloud);
    let down = || StoreError::Unreachable {
        detail: "no network".into(),
    };
    watched(&cloud, &site, async |desk, heard| {
        secs(1).await;
        cloud.account("dev").reset_calls();
        cloud.account("dev").fail_at(0, false, down());
        site.put("a", 3, "new");
        heard.notify_one();
        secs(2).await;
        assert_eq!(cloud.serves("a"), "new");
        assert_eq!(super::world::serves(cloud.account("dev"), "a"), "one");
        assert_eq!(desk.heard("trouble").len(), 1, "{:?}", desk.said);
        assert!(status(&site).remotes["dev"].trouble.is_some());
        secs(700).await;
        assert_eq!(super::world::serves(cloud.account("dev"), "a"), "new");
        assert_eq!(desk.heard("answers"), ["dev: answers again"]);
        assert_eq!(status(&site).remotes["dev"].trouble, None);
    });
}

#[test]
fn after_a_suspend_everything_is_looked_at() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |desk, _| {
        // Idle for long, so that the next question is far away.
        secs(7200).await;
        cloud.put("b", 4, "theirs");
        site.put("a", 5, "ours");
        desk.suspended.set(Duration::from_secs(3600));
        secs(31).await;
        assert_eq!(desk.heard("slept").len(), 1);
        assert_eq!(site.serves("b"), "theirs");
        assert_eq!(cloud.serves("a"), "ours");
    });
}

#[test]
fn an_edit_that_nobody_told_of_is_found_within_ten_minutes() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |_, _| {
        // Idle, and just asked: the next question is twelve minutes away.
        secs(7200).await;
        cloud.prod().reset_calls();
        while lists(&cloud) == 0 {
            secs(1).await;
        }
        site.put("a", 5, "ours");
        secs(601).await;
        assert_eq!(cloud.serves("a"), "ours");
    });
}

#[test]
fn what_a_watch_says_of_itself_goes_with_it() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |_, _| {
        secs(1).await;
        let status = status(&site);
        assert_eq!(status.pid, std::process::id());
        assert!(status.remotes["prod"].asked.is_some());
        assert!(site.vault.watch_alone().err().unwrap().is_busy());
    });
    assert_eq!(site.vault.watch_said().unwrap(), None);
}

#[test]
fn what_cannot_be_vouched_for_is_left_alone_and_said_once() {
    let (cloud, site) = in_step(false);
    let said = watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        let file = site.root().join("secrets/a.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("AWSCURRENT", "AWSCURREN")).unwrap();
        site.put("b", 5, "goes on");
        heard.notify_one();
        secs(900).await;
        assert_eq!(cloud.serves("b"), "goes on");
        assert!(status(&site).held.contains_key("a"));
        std::fs::write(&file, text).unwrap();
        heard.notify_one();
        secs(2).await;
        assert!(status(&site).held.is_empty());
    });
    let failed = said.iter().filter(|s| s.starts_with("failed: a")).count();
    assert_eq!(failed, 1, "{said:?}");
}

#[test]
fn a_conflict_of_a_first_meeting_is_read_once_and_not_at_every_poll() {
    let (cloud, site) = in_step(false);
    watched(&cloud, &site, async |_, heard| {
        secs(1).await;
        site.put("new", 5, "ours");
        cloud.put("new", 6, "theirs");
        heard.notify_one();
        secs(2).await;
        assert_eq!(site.record("new").conflicts.len(), 1);
        cloud.prod().reset_calls();
        secs(3600).await;
        assert_eq!(cloud.prod().total_calls(), lists(&cloud));
    });
}
