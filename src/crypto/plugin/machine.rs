//! The two state machines, from the client's side (C2SP age-plugin, "Wrapping with
//! recipient-v1", "Unwrapping with identity-v1").

use std::collections::{BTreeMap, HashSet};

use age::secrecy::ExposeSecret as _;
use age_core::format::{FileKey, Stanza};

use super::wire::{Message, Wire};
use super::{Machine, PluginError, PluginHost, PluginName};
use crate::crypto::{EncryptError, HasMemberKey, MemberKey};
use crate::model::Escaped;

/// The longest words of a plugin that become part of an error, in characters.
const LONGEST: usize = 200;
/// The most stanzas that a plugin makes for one file.
const MAX_STANZAS: usize = 256;

/// What is to be encrypted to, as age's own: the recipients of one plugin are one.
pub(in crate::crypto) fn recipients<'a>(
    members: &'a [impl HasMemberKey],
) -> Result<Vec<Box<dyn age::Recipient + 'a>>, EncryptError> {
    let mut out: Vec<Box<dyn age::Recipient + 'a>> = Vec::new();
    let mut by_plugin: BTreeMap<PluginName, Group<'a>> = BTreeMap::new();
    for member in members {
        match member.member_key() {
            MemberKey::Plugin(key) => {
                let name = key.plugin().clone();
                let group = by_plugin.entry(name.clone()).or_insert_with(|| Group {
                    name,
                    host: member.plugins(),
                    recipients: Vec::new(),
                });
                group.recipients.push(key.to_string());
            }
            key => out.push(key.to_age().ok_or(EncryptError::Refused)?),
        }
    }
    for (_, group) in by_plugin {
        out.push(Box::new(group));
    }
    Ok(out)
}

/// The recipients of one plugin.
struct Group<'a> {
    name: PluginName,
    host: &'a dyn PluginHost,
    recipients: Vec<String>,
}

impl age::Recipient for Group<'_> {
    fn wrap_file_key(
        &self,
        file_key: &FileKey,
    ) -> Result<(Vec<Stanza>, HashSet<String>), age::EncryptError> {
        self.wrap(file_key).map_err(|e| e.into_io().into())
    }
}

impl Group<'_> {
    fn wrap(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), PluginError> {
        let pipe = self.host.start(&self.name, Machine::Recipient)?;
        let mut wire = Wire::new(&self.name, pipe);
        for recipient in &self.recipients {
            wire.send("add-recipient", &[recipient], &[])?;
        }
        wire.send("extension-labels", &[], &[])?;
        wire.send("wrap-file-key", &[], file_key.expose_secret())?;
        wire.send("done", &[], &[])?;

        let mut stanzas = Vec::new();
        let mut labels: Option<HashSet<String>> = None;
        converse(&mut wire, self.host, &self.name, &mut |message| {
            let mut args = message.args.iter().cloned();
            match message.tag.as_str() {
                "recipient-stanza" => match (args.next().as_deref(), args.next()) {
                    // One file was given, and its number is 0.
                    (Some("0"), Some(tag)) if stanzas.len() < MAX_STANZAS => {
                        stanzas.push(Stanza {
                            tag,
                            args: args.collect(),
                            body: message.body.to_vec(),
                        });
                        Some(Ok(()))
                    }
                    _ => Some(Err("a stanza for no file")),
                },
                "labels" if labels.is_none() => {
                    let found: HashSet<String> = args.collect();
                    let is_set = found.len() == message.args.len();
                    labels = Some(found);
                    Some(is_set.then_some(()).ok_or("the same label twice"))
                }
                "labels" => Some(Err("labels twice")),
                _ => None,
            }
        })?;
        // Each recipient has one at least; fewer would lock somebody out.
        if stanzas.len() < self.recipients.len() {
            return Err(wire.wrong("fewer stanzas than recipients"));
        }
        Ok((stanzas, labels.unwrap_or_default()))
    }
}

/// Asks a plugin to find the file key that one of the stanzas holds. `None` is that none
/// is for the identity.
pub(super) fn unwrap(
    name: &PluginName,
    host: &dyn PluginHost,
    identity: &str,
    stanzas: &[Stanza],
) -> Result<Option<FileKey>, PluginError> {
    let pipe = host.start(name, Machine::Identity)?;
    let mut wire = Wire::new(name, pipe);
    wire.send("add-identity", &[identity], &[])?;
    for stanza in stanzas {
        let mut args = vec!["0", stanza.tag.as_str()];
        args.extend(stanza.args.iter().map(String::as_str));
        wire.send("recipient-stanza", &args, &stanza.body)?;
    }
    wire.send("done", &[], &[])?;

    let mut found = None;
    let ended = converse(
        &mut wire,
        host,
        name,
        &mut |message| match message.tag.as_str() {
            "file-key" if found.is_none() && message.args == ["0"] => {
                let key = FileKey::try_init_with_mut(|key| {
                    let body = message.body.as_slice();
                    let is_key = body.len() == key.len();
                    is_key.then(|| key.copy_from_slice(body)).ok_or(())
                });
                found = key.ok();
                Some(
                    found
                        .is_some()
                        .then_some(())
                        .ok_or("a file key of a wrong length"),
                )
            }
            "file-key" => Some(Err("a file key for no file")),
            _ => None,
        },
    );
    match (found, ended) {
        // The word on another stanza does not count once one was opened.
        (Some(key), Ok(()) | Err(PluginError::Said { .. })) => Ok(Some(key)),
        (_, ended) => ended.map(|()| None),
    }
}

type Handled = Option<Result<(), &'static str>>;

/// The second phase, which is the same for both: the plugin commands until it is done.
/// `handle` gives `None` for a command that is not its own. The first error that the
/// plugin reports is the outcome, once it is done.
fn converse(
    wire: &mut Wire<'_>,
    host: &dyn PluginHost,
    name: &PluginName,
    handle: &mut dyn FnMut(&Message) -> Handled,
) -> Result<(), PluginError> {
    let mut reported = None;
    loop {
        let message = wire.receive()?;
        let text = || String::from_utf8_lossy(&message.body).into_owned();
        match message.tag.as_str() {
            "done" => return reported.map_or(Ok(()), Err),
            "msg" => {
                host.say(name, &text());
                wire.send("ok", &[], &[])?;
            }
            "confirm" => {
                let word = |at: usize| {
                    let arg = message.args.get(at)?;
                    let bytes = data_encoding::BASE64_NOPAD.decode(arg.as_bytes()).ok()?;
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                };
                let yes = word(0).ok_or_else(|| wire.wrong("a question without an answer"))?;
                match host.confirm(name, &text(), &yes, word(1).as_deref()) {
                    Some(true) => wire.send("ok", &["yes"], &[])?,
                    Some(false) => wire.send("ok", &["no"], &[])?,
                    None => wire.send("fail", &[], &[])?,
                }
            }
            "request-public" => match host.ask(name, &text()) {
                Some(answer) => wire.send("ok", &[], answer.as_bytes())?,
                None => wire.send("fail", &[], &[])?,
            },
            "request-secret" => match host.ask_secret(name, &text()) {
                Some(secret) => wire.send("ok", &[], secret.as_bytes())?,
                None => wire.send("fail", &[], &[])?,
            },
            "error" => {
                let short: String = text().trim().chars().take(LONGEST).collect();
                reported.get_or_insert(PluginError::Said {
                    name: name.clone(),
                    message: Escaped(&short).to_string(),
                });
                wire.send("ok", &[], &[])?;
            }
            _ => match handle(&message) {
                Some(Ok(())) => wire.send("ok", &[], &[])?,
                Some(Err(what)) => return Err(wire.wrong(what)),
                None => wire.send("unsupported", &[], &[])?,
            },
        }
    }
}
