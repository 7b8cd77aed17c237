//! JSON that keeps the order of its members and refuses one that comes twice, as IAM
//! does: `serde_json`'s own value would let the last one win.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::PolicyError;

/// Any JSON.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
    Text(String),
    /// A number, a truth value or null.
    Other(serde_json::Value),
}

impl Json {
    /// A member of an object.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let members = self.members().iter();
        members
            .into_iter()
            .find(|(n, _)| n == name)
            .map(|(_, json)| json)
    }

    /// The members of an object; of anything else none.
    pub(super) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// Refuses what is no object or has members beside these.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), PolicyError> {
        match self {
            Self::Object(members) if members.iter().all(|(n, _)| names.contains(&n.as_str())) => {
                Ok(())
            }
            _ => Err(PolicyError::Syntax),
        }
    }

    /// A text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// One scalar or a list of them, as texts; nulls are none.
    pub(super) fn scalars(&self) -> Option<Vec<String>> {
        let one = |json: &Self| match json {
            Self::Text(text) => Some(text.clone()),
            Self::Other(value) if !value.is_null() => Some(value.to_string()),
            _ => None,
        };
        match self {
            Self::List(list) => list.iter().map(one).collect(),
            json => one(json).map(|text| vec![text]),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, json)) = map.next_entry::<String, Json>()? {
            if members.iter().any(|(n, _)| *n == name) {
                return Err(A::Error::custom("a member comes twice"));
            }
            members.push((name, json));
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(json) = seq.next_element()? {
            list.push(json);
        }
        Ok(Json::List(list))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Json, E> {
        Ok(Json::Other(is.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Other(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Other(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Other(number.into()))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other(serde_json::Value::Null))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, json) in members {
                    map.serialize_entry(name, json)?;
                }
                map.end()
            }
            Self::List(list) => serializer.collect_seq(list),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Other(value) => value.serialize(serializer),
        }
    }
}
