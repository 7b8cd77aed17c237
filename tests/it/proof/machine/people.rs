//! What people do, here and in the accounts.

use super::*;

impl Machine {
    pub(super) fn local(&mut self, c: usize, s: usize, act: Act) {
        let secret = name(SECRETS[s]);
        let records = self.sites[c].records();
        let state = records.get(&secret).map(|r| &r.state);
        let live = state.is_some_and(|s| s.lifecycle.is_live());
        let before = state.and_then(|s| s.current()).cloned();
        match act {
            Act::Put => {
                // `put` refuses a secret that is scheduled for deletion.
                if state.is_some_and(|s| s.lifecycle.is_scheduled()) {
                    return;
                }
                let (n, value) = self.next();
                if live {
                    self.parents
                        .entry(id(n))
                        .or_default()
                        .extend(before.clone());
                }
                self.sites[c].put(SECRETS[s], n, &value);
            }
            Act::PutBlue if live => {
                let (n, value) = self.next();
                self.parents
                    .entry(id(n))
                    .or_default()
                    .extend(before.clone());
                self.sites[c].put_value(SECRETS[s], n, &text(&value), &["blue"]);
            }
            Act::Current(to) | Act::Blue(to) if live => {
                let valued: Vec<_> = state
                    .into_iter()
                    .flat_map(|s| &s.versions)
                    .filter(|(_, v)| v.has_value())
                    .collect();
                let to = valued.get(usize::from(to) % valued.len().max(1));
                let label = label_of(act);
                let from = state.and_then(|s| s.labels.get(&label)).cloned();
                let to = to.map(|(id, _)| (*id).clone());
                if to.is_some() && from != to {
                    let change = Change::MoveLabel { label, from, to };
                    self.sites[c].change(SECRETS[s], &change);
                }
            }
            _ => alike(&self.sites[c], SECRETS[s], state, act),
        }
        // Whoever moves AWSCURRENT here knows what this clone had seen.
        if let Some(now) = self.sites[c].records().get(&secret)
            && let Some(current) = now.state.current()
            && Some(current) != before.as_ref()
        {
            self.author(c, &secret, current);
        }
    }

    /// Somebody at a clone makes a version AWSCURRENT.
    pub(super) fn author(&mut self, c: usize, secret: &SecretName, version: &VersionId) {
        let known = self.seen[c].iter().filter(|(s, _)| s == secret);
        let known: BTreeSet<VersionId> = known.map(|(_, v)| v.clone()).collect();
        let of = self.authored.entry((secret.clone(), version.clone()));
        of.or_default().extend(known);
    }

    pub(super) fn console(&mut self, r: usize, s: usize, act: Act) {
        let (n, value) = match act {
            Act::Put | Act::PutBlue => self.next(),
            _ => (0, String::new()),
        };
        let before = self.store(r).state();
        let before = before.get(&name(SECRETS[s])).and_then(|s| s.current());
        if act == Act::Put {
            self.parents
                .entry(id(n))
                .or_default()
                .extend(before.cloned());
        }
        let from = self.store(r).current_moves().len();
        console(&self.cloud, r, s, act, n, &value);
        if let Act::Current(_) = act {
            self.go_back(r, from..self.store(r).current_moves().len());
        }
    }

    /// Whoever moves AWSCURRENT in an account knows what it leaves.
    pub(super) fn go_back(&mut self, r: usize, moves: std::ops::Range<usize>) {
        for (secret, from, to) in &self.store(r).current_moves()[moves] {
            if let (Some(from), Some(to)) = (from, to) {
                let left = (secret.clone(), from.clone(), to.clone());
                self.went_back.insert(left);
            }
        }
    }

    pub(super) fn rotate(&mut self, r: usize, s: usize) {
        let secret = name(SECRETS[s]);
        let state = self.store(r).state();
        let Some(state) = state.get(&secret).filter(|s| s.lifecycle.is_live()) else {
            return;
        };
        if state.current().is_none() {
            return;
        }
        let pending = StagingLabel::pending();
        let under_way = state.labels.get(&pending).cloned();
        self.store(r).set_now(self.cloud.clock.tick());
        match under_way.filter(|p| Some(p) != state.current()) {
            None => {
                let (n, _) = self.next();
                drop(self.store(r).as_console_rotate(&secret, &id(n)));
                self.rotating.insert(secret);
            }
            Some(p) if state.versions.get(&p).is_some_and(VersionMeta::has_value) => {
                let from = state.current().cloned();
                self.parents
                    .entry(p.clone())
                    .or_default()
                    .extend(from.clone());
                let change = Change::MoveLabel {
                    label: StagingLabel::current(),
                    from,
                    to: Some(p),
                };
                drop(self.store(r).as_console(&secret, &change));
            }
            Some(p) => {
                let value = self.values[&p].clone();
                let labels = [pending];
                let done = self
                    .store(r)
                    .as_console_put(&secret, &p, text(&value), &labels);
                drop(done);
            }
        }
    }

    pub(super) fn resolve(&mut self, c: usize, secret: &SecretName, ours: bool) {
        let Some(record) = self.sites[c].records().remove(secret) else {
            return;
        };
        if record.conflicts.is_empty() {
            return;
        }
        // Nobody decides for what is not there.
        let nothing = |c: &Conflict| c.ours.is_none() && matches!(c.field, Field::Label(_));
        let ours = ours && !record.conflicts.iter().any(nothing);
        let choice = if ours { Choice::Ours } else { Choice::Theirs };
        // As with the command: what changed since the conflict was found is found anew
        // first.
        let mut copy = record.clone();
        for conflict in &record.conflicts {
            if strongroom::plan::resolve(&mut copy, conflict, &choice).is_err() {
                return;
            }
        }
        let current = StagingLabel::current();
        let about = |c: &&Conflict| c.field == Field::Label(current.clone());
        for conflict in record.conflicts.iter().filter(about) {
            for version in [&conflict.theirs, &conflict.ours].into_iter().flatten() {
                let version: VersionId = version.parse().unwrap();
                self.seen[c].insert((secret.clone(), version.clone()));
                // What loses was looked at: a person decided.
                self.published.insert((secret.clone(), version));
            }
        }
        self.sites[c].resolve(secret.as_str(), &choice);
        if let Some(now) = self.sites[c].state(secret.as_str()).current() {
            self.author(c, secret, now);
        }
    }
}

pub(super) fn blue() -> StagingLabel {
    label("blue")
}

pub(super) fn label_of(act: Act) -> StagingLabel {
    match act {
        Act::Blue(_) => blue(),
        _ => StagingLabel::current(),
    }
}

/// Somebody in an account acts; what AWS refuses has no effect.
pub(super) fn console(cloud: &Cloud, r: usize, s: usize, act: Act, n: u32, value: &str) {
    let store = cloud.account(REMOTES[r]);
    let secret = name(SECRETS[s]);
    let account = store.state();
    let state = account.get(&secret);
    let live = state.is_some_and(|s| s.lifecycle.is_live());
    store.set_now(cloud.clock.tick());
    match act {
        Act::Put if live || state.is_none() => {
            drop(store.as_console_put(&secret, &id(n), text(value), &[]));
        }
        Act::PutBlue if live && state.is_some_and(|s| s.current().is_some()) => {
            drop(store.as_console_put(&secret, &id(n), text(value), &[blue()]));
        }
        Act::Current(to) | Act::Blue(to) if live => {
            let valued: Vec<_> = state
                .into_iter()
                .flat_map(|s| &s.versions)
                .filter(|(_, v)| v.has_value())
                .map(|(id, _)| id.clone())
                .collect();
            let label = label_of(act);
            let from = state.and_then(|s| s.labels.get(&label)).cloned();
            let to = valued.get(usize::from(to) % valued.len().max(1)).cloned();
            if to.is_some() && from != to {
                let change = Change::MoveLabel { label, from, to };
                drop(store.as_console(&secret, &change));
            }
        }
        Act::Unblue if live => {
            if let Some(from) = state.and_then(|s| s.labels.get(&blue())).cloned() {
                let change = Change::MoveLabel {
                    label: blue(),
                    from: Some(from),
                    to: None,
                };
                drop(store.as_console(&secret, &change));
            }
        }
        Act::Tag(value) if live => {
            let from = state.map(|s| s.attributes.clone()).unwrap_or_default();
            let mut to = from.clone();
            match value {
                0 => to.tags.remove("k"),
                value => to.tags.insert("k".to_owned(), value.to_string()),
            };
            drop(store.as_console(&secret, &Change::SetAttributes { from, to }));
        }
        Act::Delete if live => {
            let date = Some(cloud.clock.now().plus_days(30));
            drop(store.as_console(&secret, &Change::Delete { date }));
        }
        Act::Restore if state.is_some_and(|s| s.lifecycle.is_scheduled()) => {
            drop(store.as_console(&secret, &Change::Restore));
        }
        _ => {}
    }
}

/// A step that is the same here as in an account.
pub(super) fn alike(site: &Site, secret: &str, state: Option<&SecretState>, act: Act) {
    let Some(state) = state else {
        return;
    };
    match (state.lifecycle.is_live(), act) {
        (true, Act::Unblue) if state.labels.contains_key(&blue()) => {
            site.move_label(secret, "blue", None);
        }
        (true, Act::Tag(value)) => {
            let value = (value > 0).then(|| value.to_string());
            site.tag(secret, "k", value.as_deref());
        }
        (true, Act::Delete) => site.delete(secret),
        (false, Act::Restore) if site.records()[&name(secret)].was_a_secret() => {
            site.restore(secret);
        }
        _ => {}
    }
}
