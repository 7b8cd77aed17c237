//! Whether each move of AWSCURRENT by a sync was one that might be made.

use super::*;

impl Machine {
    /// Every move of AWSCURRENT that a sync made: what it left is safe (K1), and whoever
    /// made what it went to knew it (I15).
    pub(super) fn our_moves(
        &mut self,
        c: usize,
        theirs: Option<&(usize, std::ops::Range<usize>)>,
        before: &Records,
        shown: &[strongroom::model::Snapshot],
    ) {
        let after = self.sites[c].records();
        for r in 0..2 {
            let moves = self.store(r).current_moves();
            for (n, (secret, from, to)) in moves.iter().enumerate().skip(self.looked[r]) {
                if let Some(to) = to {
                    self.published.insert((secret.clone(), to.clone()));
                }
                let by_others = theirs.is_some_and(|(of, range)| *of == r && range.contains(&n));
                let (Some(from), Some(to)) = (from, to) else {
                    continue;
                };
                if by_others {
                    continue;
                }
                self.tally.moves += 1;
                let kept = (0..2).any(|c| self.can_read(c, secret, from));
                check!(
                    kept,
                    "K1",
                    "{secret}: {}'s AWSCURRENT left {from} unread",
                    REMOTES[r]
                );
                let known = self.knew(c, secret, from, to);
                check!(
                    known,
                    "I15",
                    "{secret}: on {} {to} went over {from}, which its author had not seen",
                    REMOTES[r]
                );
                let current = |records: &Records| {
                    records.get(secret).and_then(|r| r.state.current()) == Some(to)
                };
                let created = moves[self.looked[r]..n]
                    .iter()
                    .rev()
                    .find(|(s, ..)| s == secret);
                let of_creation = created.is_some_and(|(_, from, _)| from.is_none());
                // What goes on from another account gets its label here last: a sync that
                // is cut off before that is no replay (sync.md sections 1.13 and 1.15).
                let elsewhere = shown.iter().enumerate().any(|(other, account)| {
                    other != r && account.get(secret).and_then(|s| s.current()) == Some(to)
                });
                check!(
                    current(before)
                        || current(&after)
                        || of_creation
                        || elsewhere
                        || theirs.is_some(),
                    "P2",
                    "{secret}: {to} went live on {}, and was AWSCURRENT in no vault",
                    REMOTES[r]
                );
            }
            self.looked[r] = moves.len();
        }
    }

    /// A version and all that it was made on top of.
    pub(super) fn ancestry(&self, of: &VersionId) -> BTreeSet<VersionId> {
        let mut all = BTreeSet::from([of.clone()]);
        let mut next = vec![of.clone()];
        while let Some(version) = next.pop() {
            for parent in self.parents.get(&version).into_iter().flatten() {
                if all.insert(parent.clone()) {
                    next.push(parent.clone());
                }
            }
        }
        all
    }

    /// Whether whoever made `to` AWSCURRENT, or what it is built on, had seen `from`.
    pub(super) fn knew(
        &self,
        c: usize,
        secret: &SecretName,
        from: &VersionId,
        to: &VersionId,
    ) -> bool {
        let all = self.ancestry(to);
        let by_author = |v: &VersionId| {
            let known = self.authored.get(&(secret.clone(), v.clone()));
            known.is_some_and(|known| known.contains(from))
        };
        // What came from an account goes where the vault had what is there.
        let from_there = !self.authored.contains_key(&(secret.clone(), to.clone()));
        // Whoever went back to a version over there knew what he left: of a secret that
        // is new to an account, that is its AWSPREVIOUS (sync.md section 1.14).
        let went_back = (secret.clone(), from.clone(), to.clone());
        all.contains(from)
            || self.went_back.contains(&went_back)
            || all.iter().any(by_author)
            || (from_there && self.seen[c].contains(&(secret.clone(), from.clone())))
    }

    pub(super) fn can_read(&self, c: usize, secret: &SecretName, version: &VersionId) -> bool {
        let records = self.sites[c].records();
        let mut of = records.iter().filter(|(n, _)| of_name(n, secret));
        of.any(|(_, record)| self.reads(c, record, version))
            || self
                .metas
                .get(&(secret.clone(), version.clone()))
                .is_some_and(|meta| {
                    // Its metadata was let go of; the file is what counts.
                    let mut record = Record::new(secret.clone());
                    record.state.versions.insert(version.clone(), meta.clone());
                    self.reads(c, &record, version)
                })
    }

    pub(super) fn reads(&self, c: usize, record: &Record, version: &VersionId) -> bool {
        let read = self.sites[c].vault.read(record, version);
        read.is_ok_and(|v| v.expose_secret() == self.values[version].as_bytes())
    }
}
