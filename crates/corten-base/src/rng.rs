//! Randomness by value: names, UIDs, tie breaks and jitter draw from an `Rng` that a test can seed.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use rand::{RngCore, SeedableRng, rngs::StdRng};

/// A source of randomness shared by all parts of a component.
pub type SharedRng = Arc<dyn Rng>;

/// A source of random bits. Not for key material: keys come from the TLS library.
pub trait Rng: fmt::Debug + Send + Sync + 'static {
    /// Fills `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// A uniformly distributed number.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number in `0..bound`, uniform but for a bias below 2^-32 for any bound under 2^32. `bound` must not be zero.
    fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "a bound of zero has no numbers below it");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `length` characters that are safe in names and never spell a word.
    ///
    /// Source: the alphabet of k8s.io/apimachinery/pkg/util/rand.
    fn name_suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(ALPHABET[self.below(ALPHABET.len() as u64) as usize])).collect()
    }

    /// A random (version 4) UUID in its usual text form.
    fn uuid(&self) -> String {
        let mut b = [0_u8; 16];
        self.fill(&mut b);
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        let mut text = String::with_capacity(36);
        for (at, byte) in b.into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push(char::from(b"0123456789abcdef"[usize::from(byte >> 4)]));
            text.push(char::from(b"0123456789abcdef"[usize::from(byte & 0xf)]));
        }
        text
    }
}

/// A generator seeded by the operating system.
pub struct SystemRng(Mutex<StdRng>);

impl SystemRng {
    /// A freshly seeded generator.
    #[must_use]
    pub fn shared() -> SharedRng {
        Arc::new(Self(Mutex::new(StdRng::from_os_rng())))
    }
}

impl Rng for SystemRng {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

impl fmt::Debug for SystemRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemRng")
    }
}

/// A generator that gives the same numbers for the same seed.
pub struct SimRng(Mutex<StdRng>);

impl SimRng {
    /// A generator for `seed`.
    #[must_use]
    pub fn shared(seed: u64) -> SharedRng {
        Arc::new(Self(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl Rng for SimRng {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

impl fmt::Debug for SimRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimRng")
    }
}

#[cfg(test)]
mod tests {
    use super::SimRng;

    #[test]
    fn the_same_seed_gives_the_same_names() {
        let (one, two) = (SimRng::shared(7), SimRng::shared(7));
        assert_eq!(one.name_suffix(5), two.name_suffix(5));
        assert_eq!(one.uuid(), two.uuid());
    }

    #[test]
    fn a_uuid_carries_its_version_and_variant() {
        let uuid = SimRng::shared(1).uuid();
        assert_eq!(uuid.len(), 36);
        assert_eq!(uuid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&uuid.as_bytes()[19]), "{uuid}");
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let rng = SimRng::shared(3);
        assert!((0..1_000).all(|_| rng.below(3) < 3));
        assert!((0..1_000).all(|_| (0.0..1.0).contains(&rng.fraction())));
    }
}
