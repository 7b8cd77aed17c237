use super::{Field, OwnField, RemoteName, SecretName};

/// What becomes of a conflict that no person has answered (sync.md section 1.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// It waits for a person; the secret is touched on neither side.
    #[default]
    Hold,
    /// The vault's side wins.
    Ours,
    /// The remote's side wins.
    Theirs,
    /// The version that was made last wins, if that is beyond doubt.
    Newest,
    /// A person at the terminal is asked; elsewhere it waits.
    Interactive,
    /// The run stops before anything is written.
    Fail,
}

impl Strategy {
    /// Every strategy, in the order of the book.
    pub const ALL: [Self; 6] = [
        Self::Hold,
        Self::Ours,
        Self::Theirs,
        Self::Newest,
        Self::Interactive,
        Self::Fail,
    ];

    /// The word for it in settings and plans.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Newest => "newest",
            Self::Interactive => "interactive",
            Self::Fail => "fail",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }
}

/// The kinds of things that a conflict can be about, for rules that tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FieldKind {
    /// AWSCURRENT.
    Current,
    /// Any other label.
    Label,
    /// The description.
    Description,
    /// A tag.
    Tag,
    /// Whether the secret is there at all.
    Lifecycle,
    /// The KMS key.
    KmsKey,
    /// The resource policy.
    Policy,
    /// The replicas.
    Replicas,
    /// The rotation.
    Rotation,
}

impl FieldKind {
    /// Every kind that a rule can be about: replicas and rotation are never in conflict.
    pub const ALL: [Self; 7] = [
        Self::Current,
        Self::Label,
        Self::Description,
        Self::Tag,
        Self::Lifecycle,
        Self::KmsKey,
        Self::Policy,
    ];

    /// The word for it in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Label => "label",
            Self::Description => "description",
            Self::Tag => "tag",
            Self::Lifecycle => "lifecycle",
            Self::KmsKey => "kms_key",
            Self::Policy => "policy",
            Self::Replicas => "replicas",
            Self::Rotation => "rotation",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == word)
    }

    /// The kind of a field.
    pub fn of(field: &Field) -> Self {
        match field {
            Field::Label(label) if label.is_current() => Self::Current,
            Field::Label(_) => Self::Label,
            Field::Description => Self::Description,
            Field::Tag(_) => Self::Tag,
            Field::Lifecycle => Self::Lifecycle,
            Field::Own(OwnField::KmsKey) => Self::KmsKey,
            Field::Own(OwnField::Policy) => Self::Policy,
            Field::Own(OwnField::Replicas) => Self::Replicas,
            Field::Own(OwnField::Rotation) => Self::Rotation,
        }
    }
}

/// A strategy for some secrets only: one `[[policy]]` of a vault's settings.
///
/// Its first three fields say what it is for. Of the rules that fit a conflict the most
/// particular one counts: the one with the longest path; of two with the same path the
/// one that names the remote, then the one that names the kind of field. Paths that fit
/// one name begin each other, so no two rules are equally particular, and the order in
/// which they are written says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// What the names of its secrets begin with; empty for all.
    pub path: String,
    /// The one remote that it is about; all if absent.
    pub remote: Option<RemoteName>,
    /// The one kind of field that it is about; all if absent.
    pub field: Option<FieldKind>,
    /// What it says.
    pub on_conflict: Strategy,
}

impl Rule {
    /// Whether it is about this field of this secret on this remote.
    pub fn fits(&self, name: &SecretName, remote: &RemoteName, kind: FieldKind) -> bool {
        name.as_str().starts_with(self.path.as_str())
            && self.remote.as_ref().is_none_or(|r| r == remote)
            && self.field.is_none_or(|k| k == kind)
    }

    /// Whether both are about the same, so that a vault can have only one of them.
    pub fn is_about_same(&self, other: &Self) -> bool {
        self.path == other.path && self.remote == other.remote && self.field == other.field
    }

    /// The most particular rule that fits, if one fits.
    pub fn pick<'a>(
        rules: &'a [Self],
        name: &SecretName,
        remote: &RemoteName,
        kind: FieldKind,
    ) -> Option<&'a Self> {
        rules
            .iter()
            .filter(|rule| rule.fits(name, remote, kind))
            .max_by_key(|rule| (rule.path.len(), rule.remote.is_some(), rule.field.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        for strategy in Strategy::ALL {
            assert_eq!(Strategy::from_word(strategy.as_str()), Some(strategy));
        }
        for kind in FieldKind::ALL {
            assert_eq!(FieldKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(Strategy::from_word("Hold"), None);
    }

    #[test]
    fn the_most_particular_rule_counts_whatever_the_order() {
        let a: RemoteName = "a".parse().unwrap();
        let b: RemoteName = "b".parse().unwrap();
        let rule = |path: &str, remote: Option<&RemoteName>, field, on_conflict| Rule {
            path: path.into(),
            remote: remote.cloned(),
            field,
            on_conflict,
        };
        let mut rules = vec![
            rule("", None, None, Strategy::Fail),
            rule("prod/", None, None, Strategy::Newest),
            rule("prod/", Some(&a), None, Strategy::Ours),
            rule("prod/", None, Some(FieldKind::Tag), Strategy::Theirs),
            rule("prod/db", None, None, Strategy::Hold),
        ];
        for _ in 0..2 {
            for (name, remote, kind, expected) in [
                ("dev/x", &a, FieldKind::Current, Strategy::Fail),
                ("prod/x", &b, FieldKind::Current, Strategy::Newest),
                ("prod/x", &b, FieldKind::Tag, Strategy::Theirs),
                // Of two with the same path the one that names the remote.
                ("prod/x", &a, FieldKind::Tag, Strategy::Ours),
                // A longer path goes before both.
                ("prod/db2", &a, FieldKind::Tag, Strategy::Hold),
            ] {
                let name: SecretName = name.parse().unwrap();
                let picked = Rule::pick(&rules, &name, remote, kind);
                assert_eq!(
                    picked.map(|r| r.on_conflict),
                    Some(expected),
                    "{name} {remote} {kind:?}"
                );
            }
            rules.reverse();
        }
        let name: SecretName = "dev/x".parse().unwrap();
        let other = [rules[1].clone()];
        assert_eq!(Rule::pick(&other, &name, &a, FieldKind::Tag), None);
    }
}
