//! A sync, and what goes wrong during it.

use super::*;

impl Machine {
    pub(super) fn sync(&mut self, c: usize, trouble: Trouble) -> Option<Report> {
        let before = self.sites[c].records();
        let shown: Vec<_> = (0..2).map(|r| self.store(r).state()).collect();
        if let Trouble::Fault(r, at, kind) = trouble {
            let plan = FaultPlan::new().at(usize::from(at), kind).landing_after(4);
            self.store(r).set_faults(plan);
        }
        let (n, value) = match trouble {
            Trouble::Meddle(_, _, _, Act::Put | Act::PutBlue) => self.next(),
            _ => (0, String::new()),
        };
        let kept = self.sites[c].limits;
        if trouble == Trouble::Guarded {
            self.sites[c].limits = Limits {
                count: 0,
                percent: 0,
                folders: false,
            };
        }
        // The moves that somebody else makes in the middle of it.
        let meddled: Mutex<Option<(usize, usize, Option<VersionId>)>> = Mutex::new(None);
        let act = || {
            if let Trouble::Meddle(_, r, s, act) = trouble {
                let store = self.cloud.account(REMOTES[r]);
                let from = store.current_moves().len();
                let was = store.state();
                let was = was
                    .get(&name(SECRETS[s]))
                    .and_then(|s| s.current())
                    .cloned();
                console(&self.cloud, r, s, act, n, &value);
                *meddled.lock().unwrap() = Some((from, store.current_moves().len(), was));
            }
        };
        let stage = Stage {
            cloud: &self.cloud,
            calls: AtomicUsize::new(0),
            crash: match trouble {
                Trouble::Crash(at, after) => Some((usize::from(at), after)),
                _ => None,
            },
            meddle: match trouble {
                Trouble::Meddle(at, ..) => Some((usize::from(at), &act)),
                _ => None,
            },
            dead: tokio::sync::Notify::new(),
            wrong: Mutex::new(None),
        };
        let report = stage.sync(&self.sites[c]);
        let wrong = stage.wrong.lock().unwrap().take();
        if let Some(wrong) = wrong {
            panic!("{wrong}");
        }
        if let Some(wrong) = no_current(&self.cloud) {
            panic!("{wrong}");
        }
        self.sites[c].limits = kept;
        self.sites[c].reopen();
        if let Trouble::Fault(r, ..) = trouble {
            for hit in self.store(r).hits() {
                let what = format!("{:?} of {:?}", hit.kind, hit.call);
                *self.tally.faults.entry(what).or_default() += 1;
            }
            self.store(r).set_faults(FaultPlan::new());
        }
        match trouble {
            Trouble::Crash(..) if report.is_none() => {
                *self.tally.faults.entry("Crash".to_owned()).or_default() += 1;
            }
            Trouble::Meddle(..) if meddled.lock().unwrap().is_some() => {
                *self.tally.faults.entry("Meddle".to_owned()).or_default() += 1;
            }
            _ => {}
        }
        let theirs = match (trouble, meddled.into_inner().unwrap()) {
            (Trouble::Meddle(_, r, s, act), Some((from, to, was))) => {
                if act == Act::Put {
                    self.parents.entry(id(n)).or_default().extend(was);
                }
                if let Act::Current(_) = act {
                    self.go_back(r, from..to);
                }
                Some((r, from..to, s))
            }
            _ => None,
        };
        self.our_moves(
            c,
            theirs
                .as_ref()
                .map(|(r, range, _)| (*r, range.clone()))
                .as_ref(),
            &before,
            &shown,
        );
        let meddled_with = theirs.map(|(_, _, s)| name(SECRETS[s]));
        self.after_sync(c, &before, &shown, meddled_with.as_ref(), trouble);
        match report {
            Some(Ok(report)) => {
                self.tally.conflicts += report.conflicts.len();
                Some(report)
            }
            _ => None,
        }
    }
}
