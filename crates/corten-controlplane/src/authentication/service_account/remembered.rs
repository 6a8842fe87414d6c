//! The claims of tokens whose signature is known to be good, within bounds of memory.
//!
//! Anybody who may ask for tokens chooses what is in them: so not their number counts, but what their claims hold.

use std::{collections::HashMap, sync::Arc};

use super::claims::Claims;

/// Longer tokens are looked at anew each time. Those of pods have one kilobyte.
const TOKEN_BYTES_MAX: usize = 4 * 1024;

/// What all claims may hold: some 65,000 tokens, one per pod and account in use. When there is no room, what has expired is
/// forgotten; where that is not much, all is, which costs each token one verification.
const BYTES_MAX: usize = 64 << 20;

/// What an entry costs besides its claims.
const ENTRY_BYTES: usize = 64;

/// The claims of tokens, by the hash of the token.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    claims: HashMap<[u8; 32], Arc<Claims>>,
    bytes: usize,
}

impl Remembered {
    pub(super) fn get(&self, hash: &[u8; 32]) -> Option<Arc<Claims>> {
        self.claims.get(hash).cloned()
    }

    /// Remembers the claims of a token of `length` bytes, if that is worth it. `now` in seconds since 1970.
    pub(super) fn add(&mut self, hash: [u8; 32], length: usize, claims: &Arc<Claims>, now: i64) {
        if length > TOKEN_BYTES_MAX {
            return;
        }
        let bytes = size(claims);
        if self.bytes + bytes > BYTES_MAX {
            self.claims.retain(|_, claims| claims.exp > now);
            self.bytes = self.claims.values().map(|claims| size(claims)).sum();
            if self.bytes > BYTES_MAX / 2 {
                *self = Self::default();
            }
        }
        if self.claims.insert(hash, Arc::clone(claims)).is_none() {
            self.bytes += bytes;
        }
    }
}

/// How many bytes an entry with `claims` holds, about.
fn size(claims: &Claims) -> usize {
    let private = &claims.private;
    let objects = [&private.node, &private.pod, &private.secret].into_iter().flatten();
    let named = objects.chain([&private.serviceaccount]).flat_map(|named| [&named.name, &named.uid]);
    let texts = [&claims.iss, &claims.jti, &claims.sub, &private.namespace].into_iter().chain(named).chain(&claims.aud);
    let audiences = claims.aud.len() * size_of::<String>();
    ENTRY_BYTES + size_of::<Claims>() + audiences + texts.map(|text| allocated(text)).sum::<usize>()
}

/// What a text takes of the heap: sixteen bytes, of which the allocator has some, is the least.
fn allocated(text: &str) -> usize {
    if text.is_empty() { 0 } else { text.len().next_multiple_of(16) + 16 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::service_account::claims::Private;

    fn claims(audiences: usize, exp: i64) -> Arc<Claims> {
        let private = Private { namespace: "a".to_owned(), ..Private::default() };
        Arc::new(Claims {
            aud: vec!["a".to_owned(); audiences],
            exp,
            iat: 0,
            iss: "https://kubernetes.default.svc.cluster.local".to_owned(),
            jti: String::new(),
            private,
            nbf: 0,
            sub: String::new(),
        })
    }

    fn hash(number: usize) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    /// 65,536 tokens were remembered, whatever was in them: with 3,000 audiences of one letter each they had 11 GB.
    #[test]
    fn what_is_remembered_is_bounded_by_its_size() {
        let mut remembered = Remembered::default();
        remembered.add(hash(0), 16 * 1024, &claims(3_000, 10), 0);
        assert_eq!((remembered.claims.len(), remembered.bytes), (0, 0));
        let one = claims(750, 10);
        for number in 0..10_000 {
            remembered.add(hash(number), TOKEN_BYTES_MAX, &one, 0);
            assert!(remembered.bytes <= BYTES_MAX);
            assert_eq!(remembered.bytes, remembered.claims.len() * size(&one));
        }
        // Twice the same is one.
        let before = remembered.bytes;
        remembered.add(hash(9_999), TOKEN_BYTES_MAX, &one, 0);
        assert_eq!(remembered.bytes, before);
        // The usual ones have all room.
        let mut remembered = Remembered::default();
        let usual = claims(1, 10);
        (0..65_536).for_each(|number| remembered.add(hash(number), 1_000, &usual, 0));
        assert_eq!(remembered.claims.len(), 65_536);
    }

    #[test]
    fn what_has_expired_is_forgotten_first() {
        let mut remembered = Remembered::default();
        let (old, new) = (claims(750, 10), claims(750, 1_000));
        let fits = BYTES_MAX / size(&old);
        for number in 0..fits {
            remembered.add(hash(number), 1_000, if number % 4 == 0 { &new } else { &old }, 0);
        }
        assert_eq!(remembered.claims.len(), fits);
        remembered.add(hash(fits), 1_000, &new, 10);
        assert_eq!(remembered.claims.len(), fits.div_ceil(4) + 1);
        assert!(remembered.get(&hash(0)).is_some() && remembered.get(&hash(1)).is_none());
    }
}
