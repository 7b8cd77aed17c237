//! Description and tags: the three-way merge of one text, over all remotes at once
//! (sync.md section 1.7).

use crate::model::{Attributes, Class, Field, RemoteName};

/// One remote's view of a text.
pub(super) struct TextSide<'a> {
    pub(super) remote: &'a RemoteName,
    /// The accepted pair `(here, there)`; `None` when the two meet first.
    pub(super) base: Option<(Option<&'a str>, Option<&'a str>)>,
    /// What a person saw there when deciding for the vault's text.
    pub(super) seen: Option<Option<&'a str>>,
    pub(super) there: Option<&'a str>,
    pub(super) may_push: bool,
    pub(super) may_pull: bool,
}

/// What the merge of one text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextMerge<'a> {
    /// This is the text for the vault and for every remote in the list.
    Take {
        text: Option<&'a str>,
        push: Vec<&'a RemoteName>,
        /// Remotes that ought to get it but may not be written.
        held: Vec<&'a RemoteName>,
    },
    /// No answer.
    Conflict { with: &'a RemoteName, class: Class },
}

/// Merges one text. `here` is the vault's; `alive` tells whether the vault's side
/// counts at a first meeting (a tombstone's does not).
pub(super) fn merge_text<'a>(
    here: Option<&'a str>,
    alive: bool,
    sides: &[TextSide<'a>],
) -> TextMerge<'a> {
    let news = |side: &&TextSide<'a>| {
        side.may_pull
            && side.there != here
            && side.seen != Some(side.there)
            && match side.base {
                Some((_, there)) => side.there != there,
                None => side.there.is_some() || !alive,
            }
    };
    let edited = |side: &&TextSide<'a>| match side.base {
        Some((was, _)) => here != was,
        None => alive && here.is_some(),
    };
    // Decided for the vault's text, but of what another remote has nobody was asked.
    let affirmed = |side: &TextSide<'a>| side.there != here && side.seen == Some(side.there);
    let asked = sides.iter().any(affirmed);
    let mut text = here;
    let mut from: Option<&TextSide<'a>> = None;
    for side in sides.iter().filter(news) {
        // Somebody here edited it too, or it differs at a first meeting. An edit
        // that only another remote has not seen yet is no rival of this one's; nor
        // is it once that other remote has the news too, as after a run cut off.
        let passed_on = sides
            .iter()
            .any(|s| news(&s) && !edited(&s) && s.there == side.there);
        if asked || (edited(&side) && !passed_on) {
            let class = match side.base {
                Some(_) => Class::Edit,
                None => Class::CreateCreate,
            };
            return TextMerge::Conflict {
                with: side.remote,
                class,
            };
        }
        match from {
            Some(first) if first.there != side.there => {
                return TextMerge::Conflict {
                    with: side.remote,
                    class: Class::RemoteRemote,
                };
            }
            _ => {
                from = Some(side);
                text = side.there;
            }
        }
    }
    let (mut push, mut held) = (Vec::new(), Vec::new());
    for side in sides.iter().filter(|s| s.there != text) {
        // Its change is not pulled, but it must not be overwritten unseen either.
        let decided = side.seen == Some(side.there);
        let unseen = match side.base {
            Some((_, there)) => (there != side.there).then_some(Class::Edit),
            None => side.there.is_some().then_some(Class::CreateCreate),
        };
        if let (false, false, true, Some(class)) = (side.may_pull, decided, edited(&side), unseen) {
            return TextMerge::Conflict {
                with: side.remote,
                class,
            };
        }
        let wanted = match side.base {
            _ if decided => true,
            // A change travels on: one made here, or one pulled from elsewhere to a
            // remote that was in step. What it was accepted to differ in, it keeps.
            Some((was, there)) => text != was && side.there == there,
            // At a first meeting only where there is none, or as it was here.
            None => side.there.is_none() || side.there == here,
        };
        if wanted && side.may_push {
            push.push(side.remote);
        } else if wanted {
            held.push(side.remote);
        }
    }
    TextMerge::Take { text, push, held }
}

/// One text of a secret's attributes, by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Description,
    Tag(String),
}

impl Place {
    /// Every place that any of the given attributes fills.
    pub(super) fn all<'a>(many: impl Iterator<Item = &'a Attributes>) -> Vec<Self> {
        let mut places = std::collections::BTreeSet::from([Self::Description]);
        for attributes in many {
            places.extend(attributes.tags.keys().cloned().map(Self::Tag));
        }
        places.into_iter().collect()
    }

    pub(super) fn field(&self) -> Field {
        match self {
            Self::Description => Field::Description,
            Self::Tag(key) => Field::Tag(key.clone()),
        }
    }

    pub(super) fn get<'a>(&self, attributes: &'a Attributes) -> Option<&'a str> {
        match self {
            Self::Description => attributes.description.as_deref(),
            Self::Tag(key) => attributes.tags.get(key).map(String::as_str),
        }
    }

    pub(super) fn set(&self, attributes: &mut Attributes, text: Option<&str>) {
        match (self, text) {
            (Self::Description, text) => attributes.description = text.map(str::to_owned),
            (Self::Tag(key), Some(text)) => {
                attributes.tags.insert(key.clone(), text.to_owned());
            }
            (Self::Tag(key), None) => {
                attributes.tags.remove(key);
            }
        }
    }
}
