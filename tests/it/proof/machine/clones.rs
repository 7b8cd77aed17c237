//! What git does between the clones.

use super::*;

impl Machine {
    /// The other clone's history comes into this one, as by `git pull`.
    pub(super) fn merge(&mut self, c: usize, take: Take) {
        let (here, there) = (self.sites[c].root(), self.sites[1 - c].root());
        git(here, &["fetch", "-q", there.to_str().unwrap(), "HEAD"]);
        let args = ["merge", "--no-commit", "--no-ff", "-q", "FETCH_HEAD"];
        let clean = try_git(here, &args).status.success();
        if !here.join(".git/MERGE_HEAD").exists() {
            assert!(clean, "git merge did nothing, and not for being up to date");
            return;
        }
        let unmerged = git(here, &["diff", "--name-only", "--diff-filter=U"]);
        let unmerged: Vec<&str> = unmerged.lines().collect();
        self.tally.git_conflicts += unmerged.len();
        for path in &unmerged {
            let (side, other) = match take {
                Take::Mixed => continue,
                Take::Ours => ("--ours", "--theirs"),
                Take::Theirs => ("--theirs", "--ours"),
            };
            // Deleted on the one side: then it is that of the other.
            if !try_git(here, &["checkout", side, "--", path])
                .status
                .success()
            {
                git(here, &["checkout", other, "--", path]);
            }
            git(here, &["add", "--", path]);
        }
        // Also where a side was taken whole: git drops value files that it still lists.
        let site = &self.sites[c];
        let report = site.vault.merge_git(site.options().now, None).unwrap();
        assert!(report.is_whole(), "{report:?}");
        git(here, &["commit", "-q", "--no-edit", "-m", "merge"]);
        self.sites[c].reopen();
        // Whoever reverts, or takes a side, means it.
        self.sites[c].vault.accept_gone_back().unwrap();
    }

    pub(super) fn revert(&mut self, c: usize) {
        let here = self.sites[c].root();
        let parents = git(here, &["rev-list", "--parents", "-n", "1", "HEAD"]);
        let count = git(here, &["rev-list", "--count", "HEAD"]);
        // Not a merge, and not the vault's first commit.
        if parents.split_whitespace().count() != 2 || count.trim().parse::<usize>().unwrap() < 3 {
            return;
        }
        if !try_git(here, &["revert", "--no-edit", "HEAD"])
            .status
            .success()
        {
            git(here, &["revert", "--abort"]);
        }
        self.sites[c].reopen();
        // Whoever reverts, or takes a side, means it.
        self.sites[c].vault.accept_gone_back().unwrap();
    }
}
