use std::fmt;

use super::{OwnField, RemoteName, SecretName, StagingLabel};

/// Two changes to one thing of one secret, neither made in the knowledge of the
/// other. It is data: written into the secret's metadata, carried by git, and
/// answered by a person (sync.md section 1.8).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The remote that disagrees with this vault.
    pub remote: RemoteName,
    /// What they disagree on.
    pub field: Field,
    /// How it came about.
    pub class: Class,
    /// The last common value: a version id, a text, a lifecycle word.
    pub base: Option<String>,
    /// The vault's value.
    pub ours: Option<String>,
    /// The remote's value.
    pub theirs: Option<String>,
}

/// The part of a secret that a conflict is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// A staging label.
    Label(StagingLabel),
    /// The description.
    Description,
    /// One tag, by key.
    Tag(String),
    /// Whether the secret is there at all.
    Lifecycle,
    /// What each remote has of its own.
    Own(OwnField),
}

/// The kind of a conflict (sync.md section 1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Both sides moved or changed the same thing.
    Edit,
    /// First meeting: both sides have the name, with different content.
    CreateCreate,
    /// Edited here, deleted there.
    EditDelete,
    /// Edited here, scheduled for deletion there.
    EditSchedule,
    /// Scheduled for deletion here, edited there.
    ScheduleEdit,
    /// Restored here, purged there.
    RestorePurged,
    /// Edited here, deleted and created anew there.
    EditRecreate,
    /// The name is here, and there only as scheduled for deletion.
    NameScheduled,
    /// Two remotes changed it differently.
    RemoteRemote,
    /// The vault holds an older state than the one last agreed, and nobody here
    /// recorded having gone back: a reverted commit or an old branch.
    Rewound,
    /// One id, two contents.
    Integrity,
    /// Two clones of the vault changed it, and git brought them together.
    Clones,
}

impl Class {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Edit, "edit/edit"),
        (Self::CreateCreate, "create/create"),
        (Self::EditDelete, "edit/delete"),
        (Self::EditSchedule, "edit/schedule"),
        (Self::ScheduleEdit, "schedule/edit"),
        (Self::RestorePurged, "restore/purged"),
        (Self::EditRecreate, "edit/recreate"),
        (Self::NameScheduled, "name/scheduled"),
        (Self::RemoteRemote, "remote/remote"),
        (Self::Rewound, "rewound"),
        (Self::Integrity, "integrity"),
        (Self::Clones, "clone/clone"),
    ];

    /// The word for it in formats and plans.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(class, _)| *class == self)
            .map_or("", |(_, word)| word)
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, w)| *w == word)
            .map(|(class, _)| *class)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Field {
    /// `label AWSCURRENT`, `description`, `tag team`, `lifecycle`, `kms_key`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "label {label}"),
            Self::Description => f.write_str("description"),
            Self::Tag(key) => write!(f, "tag {}", super::Escaped(key)),
            Self::Lifecycle => f.write_str("lifecycle"),
            Self::Own(field) => f.write_str(field.as_str()),
        }
    }
}

impl Conflict {
    /// Whether it is the alarm: one id with two contents, which stops every write to the
    /// secret and is never decided by a rule (sync.md section 1.9).
    pub fn is_alarm(&self) -> bool {
        self.class == Class::Integrity
    }

    /// Whether the other side is another clone of the vault, and no remote.
    pub fn is_between_clones(&self) -> bool {
        self.class == Class::Clones
    }

    /// A name for the conflict made from its content alone, so that two clones that
    /// meet the same conflict record the same bytes. Twelve hex digits.
    pub fn id(&self, secret: &SecretName) -> String {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        let none = String::from("-");
        let some = |v: &Option<String>| v.as_ref().map_or(none.clone(), |v| format!("={v}"));
        for part in [
            secret.to_string(),
            self.remote.to_string(),
            self.field.to_string(),
            self.class.to_string(),
            some(&self.base),
            some(&self.ours),
            some(&self.theirs),
        ] {
            hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let hash = data_encoding::HEXLOWER.encode(&hasher.finalize());
        hash.chars().take(12).collect()
    }
}
