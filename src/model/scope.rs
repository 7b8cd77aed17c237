use super::SecretName;

/// Which secrets a remote shares with the vault, and under which names there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `(local prefix, remote prefix)`: names are swapped at the front; a name
    /// without the prefix is out of scope.
    pub map: Option<(String, String)>,
    /// Prefixes of local names; empty means all.
    pub include: Vec<String>,
    /// Prefixes of local names that stay out, whatever `include` says.
    pub exclude: Vec<String>,
}

impl Scope {
    /// Whether a local name takes part.
    pub fn contains(&self, name: &SecretName) -> bool {
        self.to_remote(name).is_some()
    }

    /// The remote's name for a local one; `None` if it is out of scope.
    pub fn to_remote(&self, name: &SecretName) -> Option<SecretName> {
        if !self.allows(name) {
            return None;
        }
        match &self.map {
            None => Some(name.clone()),
            Some((local, remote)) => {
                let rest = name.as_str().strip_prefix(local.as_str())?;
                format!("{remote}{rest}").parse().ok()
            }
        }
    }

    /// The local name for a remote one; `None` if it is out of scope.
    pub fn to_local(&self, name: &SecretName) -> Option<SecretName> {
        let name = match &self.map {
            None => name.clone(),
            Some((local, remote)) => {
                let rest = name.as_str().strip_prefix(remote.as_str())?;
                format!("{local}{rest}").parse().ok()?
            }
        };
        self.allows(&name).then_some(name)
    }

    fn allows(&self, name: &SecretName) -> bool {
        let has = |prefixes: &[String]| {
            prefixes
                .iter()
                .any(|p| name.as_str().starts_with(p.as_str()))
        };
        (self.include.is_empty() || has(&self.include)) && !has(&self.exclude)
    }
}

/// Which way changes may travel between the vault and a remote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    TwoWay,
    /// From the remote into the vault only.
    Pull,
    /// From the vault to the remote only.
    Push,
    /// The remote is made like the vault: a change there is overwritten, and what the
    /// vault does not have is scheduled for deletion there.
    MirrorOut,
    /// The vault is made like the remote: a change here is put aside.
    MirrorIn,
}

impl Direction {
    /// The word for it in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TwoWay => "two-way",
            Self::Pull => "pull",
            Self::Push => "push",
            Self::MirrorOut => "mirror-out",
            Self::MirrorIn => "mirror-in",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::TwoWay,
            Self::Pull,
            Self::Push,
            Self::MirrorOut,
            Self::MirrorIn,
        ]
        .into_iter()
        .find(|d| d.as_str() == word)
    }

    /// Whether one side is made like the other.
    pub fn is_mirror(self) -> bool {
        matches!(self, Self::MirrorOut | Self::MirrorIn)
    }

    /// The same way, but nothing is overwritten: for runs that nobody looks at.
    pub fn without_mirror(self) -> Self {
        match self {
            Self::MirrorOut => Self::Push,
            Self::MirrorIn => Self::Pull,
            way => way,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_map_there_and_back_and_what_is_outside_has_no_name() {
        let scope = Scope {
            map: Some(("team/".into(), "".into())),
            include: vec!["team/".into()],
            exclude: vec!["team/private/".into()],
        };
        let name = |t: &str| t.parse::<SecretName>().unwrap();
        assert_eq!(scope.to_remote(&name("team/db")), Some(name("db")));
        assert_eq!(scope.to_local(&name("db")), Some(name("team/db")));
        assert_eq!(scope.to_remote(&name("db")), None);
        assert_eq!(scope.to_remote(&name("team/private/x")), None);
        assert_eq!(scope.to_local(&name("private/x")), None);
        // The whole name is the prefix: nothing would be left of it over there.
        assert_eq!(scope.to_remote(&name("team/")), None);
    }
}
