//! The lines that a plugin and its client exchange: stanzas as in age's header (C2SP
//! age-plugin, "Protocol").

use std::io::Write as _;

use zeroize::Zeroizing;

use super::{PluginError, PluginName, PluginPipe};

/// The longest line, in bytes: a stanza's arguments hold a public key at most.
const MAX_LINE: usize = 16 * 1024;
/// The longest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The bytes of a body's full line, as text.
const COLUMNS: usize = 64;

/// One command or answer.
pub(super) struct Message {
    pub(super) tag: String,
    pub(super) args: Vec<String>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// The client's end.
pub(super) struct Wire<'a> {
    name: &'a PluginName,
    pipe: PluginPipe,
    /// Never grows, so that no copy of a file key is left behind.
    buffer: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl<'a> Wire<'a> {
    pub(super) fn new(name: &'a PluginName, pipe: PluginPipe) -> Self {
        Self {
            name,
            pipe,
            buffer: Zeroizing::new(vec![0; MAX_LINE]),
            filled: 0,
        }
    }

    pub(super) fn wrong(&self, what: &'static str) -> PluginError {
        PluginError::Protocol {
            name: self.name.clone(),
            what,
        }
    }

    pub(super) fn send(
        &mut self,
        tag: &str,
        args: &[&str],
        body: &[u8],
    ) -> Result<(), PluginError> {
        let text = Zeroizing::new(data_encoding::BASE64_NOPAD.encode(body));
        let head = args.iter().map(|a| a.len() + 1).sum::<usize>() + tag.len() + 4;
        let room = head + text.len() + text.len() / COLUMNS + 2;
        let mut out = Zeroizing::new(Vec::with_capacity(room));
        out.extend_from_slice(b"-> ");
        out.extend_from_slice(tag.as_bytes());
        for arg in args {
            out.push(b' ');
            out.extend_from_slice(arg.as_bytes());
        }
        out.push(b'\n');
        let mut lines = text.as_bytes().chunks_exact(COLUMNS);
        for line in lines.by_ref() {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        // A body ends in a line that is not full, and may be empty.
        out.extend_from_slice(lines.remainder());
        out.push(b'\n');
        let sent = self.pipe.to.write_all(&out);
        sent.and_then(|()| self.pipe.to.flush())
            .map_err(|_| PluginError::Died(self.name.clone()))
    }

    pub(super) fn receive(&mut self) -> Result<Message, PluginError> {
        let line = self.line()?;
        let head = std::str::from_utf8(&line).ok();
        let head = head.and_then(|line| line.strip_prefix("-> "));
        let head = head.ok_or_else(|| self.wrong("a line that begins no command"))?;
        let is_word = |w: &str| !w.is_empty() && w.bytes().all(|b| (33..=126).contains(&b));
        if !head.split(' ').all(is_word) {
            return Err(self.wrong("a command whose words are not printable"));
        }
        let mut words = head.split(' ').map(str::to_owned);
        let tag = words.next().unwrap_or_default();
        let args = words.collect();
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_BODY));
        loop {
            let line = self.line()?;
            if line.len() > COLUMNS || text.len() + line.len() > MAX_BODY {
                return Err(self.wrong("a body that is too long"));
            }
            text.extend_from_slice(&line);
            if line.len() < COLUMNS {
                break;
            }
        }
        let body = data_encoding::BASE64_NOPAD.decode(&text);
        let body = body.map_err(|_| self.wrong("a body that is not base64"))?;
        Ok(Message {
            tag,
            args,
            body: Zeroizing::new(body),
        })
    }

    /// One line without its end.
    fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, PluginError> {
        loop {
            let seen = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(end) = seen.iter().position(|b| *b == b'\n') {
                let line = Zeroizing::new(seen.get(..end).unwrap_or_default().to_vec());
                self.buffer.copy_within(end + 1..self.filled, 0);
                self.filled -= end + 1;
                return Ok(line);
            }
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            if free.is_empty() {
                return Err(self.wrong("a line that is too long"));
            }
            match self.pipe.from.read(free) {
                Ok(0) => return Err(PluginError::Died(self.name.clone())),
                Ok(count) => self.filled += count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return Err(PluginError::Died(self.name.clone())),
            }
        }
    }
}
