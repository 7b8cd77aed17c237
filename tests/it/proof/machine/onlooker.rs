//! What holds after every sync, and after every step.

use super::*;

impl Machine {
    pub(super) fn after_sync(
        &mut self,
        c: usize,
        before: &Records,
        shown: &[strongroom::model::Snapshot],
        meddled: Option<&SecretName>,
        trouble: Trouble,
    ) {
        let after = self.sites[c].records();
        for (secret, was) in before.iter().filter(|(n, _)| Some(*n) != meddled) {
            let Some(now) = after.get(secret) else {
                continue;
            };
            // Absent from a list is not gone (sync.md section 1.10).
            let died = was.state.lifecycle.is_live() && !now.state.lifecycle.is_live();
            if died {
                let gone = shown
                    .iter()
                    .any(|remote| remote.get(secret).is_none_or(|s| !s.lifecycle.is_live()));
                check!(
                    gone,
                    "absent",
                    "{secret}: deleted here, and live on every remote"
                );
                let agreed = was.base.values().any(met);
                check!(
                    agreed,
                    "I11",
                    "{secret}: deleted here, and never met before"
                );
                check!(
                    trouble != Trouble::Guarded,
                    "I12",
                    "{secret}: deleted here under a guard"
                );
            }
            // The mirror of I15: an edit made here goes under nothing that did not know it.
            if let (Some(x), Some(y)) = (was.state.current(), now.state.current())
                && x != y
                && now.state.lifecycle.is_live()
                && was.state.lifecycle.is_live()
            {
                let same_one = now.state.versions.contains_key(x);
                let known = self.published.contains(&(secret.clone(), x.clone()))
                    || self.ancestry(y).contains(x)
                    || now
                        .state
                        .labels
                        .iter()
                        .any(|(l, v)| v == x && l.as_str().starts_with("sr/lost"));
                check!(
                    known || !same_one,
                    "I15 here",
                    "{secret}: {y} went over the edit {x}"
                );
            }
        }
        for (r, was) in shown.iter().enumerate() {
            let now = self.store(r).state();
            for (secret, was) in was.0.iter().filter(|(n, _)| Some(*n) != meddled) {
                let died = was.lifecycle.is_live()
                    && now.get(secret).is_none_or(|s| !s.lifecycle.is_live());
                if died {
                    let base = before
                        .get(secret)
                        .and_then(|b| b.base.get(&remote(REMOTES[r])));
                    let agreed = base.is_some_and(met);
                    check!(
                        agreed,
                        "I11",
                        "{secret}: deleted on {}, never met",
                        REMOTES[r]
                    );
                    check!(
                        trouble != Trouble::Guarded,
                        "I12",
                        "{secret}: deleted under a guard"
                    );
                }
            }
        }
    }

    /// Two copies of a clone, by different clocks, make the same of the same remotes (K5).
    pub(super) fn twins(&mut self, c: usize) {
        let mut files = Vec::new();
        for late in [0, 1000] {
            let cloud = self.cloud.fork();
            let site = self.sites[c].fork(&cloud);
            cloud.clock.pass(late);
            if site.try_sync(&cloud.stores).is_err() {
                return;
            }
            let texts = site.files().into_iter().filter_map(|(path, (bytes, _))| {
                let path = path.strip_prefix(site.root()).ok()?.to_owned();
                let is_meta = path.starts_with("secrets") && path.extension()? == "toml";
                is_meta.then_some((path, bytes))
            });
            files.push(texts.collect::<BTreeMap<_, _>>());
        }
        self.tally.twins += 1;
        for (path, bytes) in &files[0] {
            check!(
                files[1].get(path) == Some(bytes),
                "I14",
                "{}: two clones write it differently:\n{}",
                path.display(),
                String::from_utf8_lossy(bytes)
            );
        }
        check!(
            files[0].len() == files[1].len(),
            "I14",
            "two clones write different files"
        );
    }

    /// Moves that somebody in an account made are nobody's to check.
    pub(super) fn console_moved(&mut self) {
        for r in 0..2 {
            let moves = self.store(r).current_moves();
            for (secret, _, to) in moves.iter().skip(self.looked[r]) {
                if let Some(to) = to {
                    self.published.insert((secret.clone(), to.clone()));
                }
            }
            self.looked[r] = moves.len();
        }
    }

    /// What holds after every step.
    pub(super) fn observe(&mut self, before: &[Records; 2], by_git: bool) {
        for (c, before) in before.iter().enumerate() {
            let records = self.sites[c].records();
            for (secret, record) in &records {
                let state = &record.state;
                if let Some(current) = state.current() {
                    self.seen[c].insert((secret.clone(), current.clone()));
                }
                for (version, meta) in &state.versions {
                    if meta.has_value() {
                        let key = (secret.clone(), version.clone());
                        self.metas.insert(key, meta.clone());
                    }
                }
                for (label, version) in &state.labels {
                    let there = state.versions.get(version);
                    let is_there = there
                        .is_some_and(|v| v.has_value() || label.as_str().ends_with("AWSPENDING"));
                    check!(
                        is_there,
                        "I4",
                        "{secret}: {label} is on {version}, which has no value"
                    );
                }
                let valued = state.versions.values().any(VersionMeta::has_value);
                let holds = !state.lifecycle.is_live() || !valued || state.current().is_some();
                check!(
                    holds,
                    "I5",
                    "{secret}: no AWSCURRENT in the vault: {record:?}"
                );
            }
            for (secret, was) in before {
                for (version, meta) in &was.state.versions {
                    if !meta.has_value() {
                        continue;
                    }
                    let mut of = records.iter().filter(|(n, _)| of_name(n, secret));
                    let kept = of.any(|(_, r)| {
                        r.state
                            .versions
                            .get(version)
                            .is_some_and(VersionMeta::has_value)
                    });
                    let key = (secret.clone(), version.clone());
                    if !kept && by_git {
                        self.let_go.insert(key);
                    } else {
                        check!(
                            kept || self.let_go.contains(&key),
                            "I3",
                            "{secret}: {version} is lost"
                        );
                    }
                }
            }
        }
        // What neither clone's merge took: its metadata is in git's history only.
        if by_git {
            for key in self.metas.keys() {
                let has = |c: usize| {
                    let records = self.sites[c].records();
                    records
                        .iter()
                        .any(|(n, r)| of_name(n, &key.0) && r.state.versions.contains_key(&key.1))
                };
                if !has(0) || !has(1) {
                    self.let_go.insert(key.clone());
                }
            }
        }
    }

    /// Everything that was ever recorded can be read: in the vault, or, where a person
    /// let go of it, in git's history.
    pub(super) fn nothing_is_lost(&self) {
        let mut named: BTreeMap<VersionId, bool> = BTreeMap::new();
        for c in 0..2 {
            let all = git(
                self.sites[c].root(),
                &["log", "--all", "--format=", "--name-only"],
            );
            for (_, version) in self.metas.keys() {
                let found = all.contains(version.as_str());
                *named.entry(version.clone()).or_default() |= found;
            }
        }
        for (secret, version) in self.metas.keys() {
            let here = self.can_read(0, secret, version) || self.can_read(1, secret, version);
            let let_go = self.let_go.contains(&(secret.clone(), version.clone()));
            check!(
                here || (let_go && named[version]),
                "I3",
                "{secret}: {version} cannot be read anywhere"
            );
        }
        for c in 0..2 {
            for (_, record) in self.sites[c].records() {
                for (version, meta) in &record.state.versions {
                    let reads = !meta.has_value() || self.reads(c, &record, version);
                    check!(reads, "I3", "{}: {version} cannot be read", record.name);
                }
            }
        }
    }
}
