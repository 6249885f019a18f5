//! Backends' ids, each held once and named by a number. Numbers are never given again while the table lives.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::NameNo;

/// What a name is charged beside its text: its count, its places in the list and the map with what these may grow
/// ahead.
const CHARGE: u64 = 128;

/// Bytes of the longest text; no address that a backend may have is as long.
const LONGEST: usize = 4096;

#[derive(Debug)]
pub(super) struct Names {
    inner: RwLock<Inner>,
    /// Bytes that they may take.
    most: u64,
}

#[derive(Debug, Default)]
struct Inner {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    bytes: u64,
}

impl Names {
    pub(super) fn new(most: u64) -> Self {
        Self { inner: RwLock::default(), most }
    }

    pub(super) fn number(&self, text: &str) -> Option<NameNo> {
        let known = self.inner.read().numbers.get(text).copied();
        known.or_else(|| self.inner.write().add(text, self.most)).map(NameNo)
    }

    pub(super) fn text(&self, name: NameNo) -> Arc<str> {
        self.inner.read().texts.get(name.0 as usize).cloned().unwrap_or_default()
    }

    pub(super) fn from(&self, from: u32) -> Vec<Arc<str>> {
        self.inner.read().texts.get(from as usize..).unwrap_or_default().to_vec()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.inner.read().bytes
    }
}

impl Inner {
    fn add(&mut self, text: &str, most: u64) -> Option<u32> {
        if let Some(known) = self.numbers.get(text) {
            return Some(*known); // Another thread was faster.
        }
        let bytes = self.bytes + CHARGE + text.len() as u64;
        let number =
            u32::try_from(self.texts.len()).ok().filter(|_| bytes <= most && text.len() <= LONGEST)?;
        let text: Arc<str> = text.into();
        self.texts.push(Arc::clone(&text));
        self.numbers.insert(text, number);
        self.bytes = bytes;
        Some(number)
    }
}
