//! The end: everybody syncs, decides and merges until nothing is left to do.

use super::*;

impl Machine {
    /// Nobody does anything any more: every clone syncs, decides and merges until there
    /// is nothing left (I1, I2, I6).
    pub(crate) fn settle(&mut self) {
        for store in self.cloud.stores.values() {
            store.set_lag(ListLag::None);
            store.land_delayed();
        }
        self.happen(Step::Tick(900));
        let mut quiet = 0;
        for round in 0..24 {
            let c = round % 2;
            let still = self.come_to_rest(c);
            let head = |m: &Self| {
                m.sites
                    .each_ref()
                    .map(|s| git(s.root(), &["rev-parse", "HEAD^{tree}"]))
            };
            let before = head(self);
            self.happen(Step::Merge(1 - c, Take::Theirs));
            quiet = if still && head(self) == before {
                quiet + 1
            } else {
                0
            };
            if quiet >= 3 {
                break;
            }
        }
        check!(quiet >= 3, "I6", "it does not come to rest");
        self.in_step();
        self.nothing_is_lost();
    }

    /// Syncs and decides until there is nothing to do; says if there was nothing at all.
    pub(super) fn come_to_rest(&mut self, c: usize) -> bool {
        for round in 0..10 {
            let before = self.sites[c].records();
            self.happen(Step::Sync(c, Trouble::None));
            let open: Vec<SecretName> = self.sites[c]
                .records()
                .into_iter()
                .filter(|(_, r)| !r.conflicts.is_empty())
                .map(|(n, _)| n)
                .collect();
            if open.is_empty() && self.sites[c].records() == before {
                return round == 0;
            }
            for secret in open {
                let records = [self.sites[0].records(), self.sites[1].records()];
                let ours = !self.rotating.contains(&secret);
                self.resolve(c, &secret, ours);
                self.observe(&records, false);
            }
        }
        let open: Vec<_> = self.sites[c]
            .records()
            .into_values()
            .filter(|r| !r.conflicts.is_empty())
            .collect();
        panic!("I1: a clone does not come to rest: {open:?}");
    }

    /// Clones are equal, and equal to the remotes; another sync does nothing.
    pub(super) fn in_step(&mut self) {
        let logical = |site: &Site| {
            let records = site.records().into_iter();
            records
                .map(|(n, r)| {
                    (
                        n,
                        (
                            r.state.lifecycle.as_str(),
                            r.state.attributes,
                            r.state.labels,
                        ),
                    )
                })
                .collect::<BTreeMap<_, _>>()
        };
        let (one, other) = (logical(&self.sites[0]), logical(&self.sites[1]));
        for (secret, state) in &one {
            check!(
                Some(state) == other.get(secret),
                "I6",
                "{secret}: {state:?} and {:?}",
                other.get(secret)
            );
        }
        check!(one.len() == other.len(), "I6", "one clone has more secrets");
        for c in 0..2 {
            let (files, there) = (self.sites[c].files(), self.cloud.dump());
            let report = self.sites[c].try_sync(&self.cloud.stores).unwrap();
            let quiet = report.outcomes.is_empty() && report.written == 0 && report.there == 0;
            check!(
                quiet,
                "I2",
                "a sync after the last has something to do: {report:?}"
            );
            let same = self.sites[c].files().keys().eq(files.keys());
            check!(
                same && self.cloud.dump() == there,
                "I2",
                "a sync after the last changed something"
            );
        }
        let records = self.sites[0].records();
        for (r, remote) in REMOTES.iter().enumerate() {
            for (secret, there) in &self.store(r).state().0 {
                if self.rotating.contains(secret) {
                    continue;
                }
                let Some(here) = records.get(secret).map(|r| &r.state) else {
                    // Deleted over there before it was ever seen.
                    check!(there.lifecycle.is_scheduled(), "I1", "{secret} is not here");
                    continue;
                };
                let live = (here.lifecycle.is_live(), there.lifecycle.is_live());
                check!(
                    live.0 == live.1,
                    "I1",
                    "{secret}: live here and on {}: {live:?}",
                    remote
                );
                if live.1 {
                    for l in [StagingLabel::current(), blue()] {
                        let (h, t) = (here.labels.get(&l), there.labels.get(&l));
                        check!(
                            h == t,
                            "I1",
                            "{secret}: {l} is on {h:?}, on {} on {t:?}",
                            remote
                        );
                    }
                    check!(
                        here.attributes == there.attributes,
                        "I1",
                        "{secret}: texts differ"
                    );
                }
            }
        }
    }
}
