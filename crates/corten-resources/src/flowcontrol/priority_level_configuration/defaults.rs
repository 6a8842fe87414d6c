//! Defaults of priority levels.

use corten_apimachinery::Value;

use crate::defaulting::{fill_absent, fill_zero, within};

pub(super) fn v1(object: &mut Value) {
    within(object, &["spec", "limited"], |limited| {
        // Zero shares can be meant, so only an absent number is filled in.
        fill_absent(limited, "nominalConcurrencyShares", 30_i64);
        fill_absent(limited, "lendablePercent", 0_i64);
        within(limited, &["limitResponse", "queuing"], |queuing| {
            fill_zero(queuing, "handSize", 8_i64);
            fill_zero(queuing, "queues", 64_i64);
            fill_zero(queuing, "queueLengthLimit", 50_i64);
        });
    });
    within(object, &["spec", "exempt"], |exempt| {
        fill_absent(exempt, "nominalConcurrencyShares", 0_i64);
        fill_absent(exempt, "lendablePercent", 0_i64);
    });
}
