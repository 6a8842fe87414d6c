//! What functions cost that are not the language's own: estimated, and counted.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/cost.go (v1.35).

use std::sync::Arc;

use crate::{
    cost::{CallEstimate, CostRange, PATTERN_FACTOR, SizeEstimator, SizeRange, TEXT_FACTOR, scaled},
    syntax::Literal,
    types::Type,
    value::Value,
};

/// An argument, as the estimate sees it.
pub(crate) struct CostNode<'c> {
    pub(crate) path: Option<Arc<[String]>>,
    pub(crate) of: &'c Type,
    pub(crate) size: Option<SizeRange>,
    pub(crate) literal: Option<&'c Literal>,
}

/// A call, as the estimate sees it.
pub(crate) struct CallSite<'c> {
    pub(crate) overload: &'c str,
    pub(crate) target: Option<&'c CostNode<'c>>,
    pub(crate) args: &'c [CostNode<'c>],
    pub(crate) sizes: &'c dyn SizeEstimator,
}

impl CallSite<'_> {
    fn size(&self, node: &CostNode<'_>) -> SizeRange {
        node.size.or_else(|| self.sizes.size(node.path.as_deref(), node.of)).unwrap_or(SizeRange::UNKNOWN)
    }

    fn target_size(&self) -> Option<SizeRange> {
        self.target.map(|target| self.size(target))
    }

    fn arg_size(&self, index: usize) -> SizeRange {
        self.args.get(index).map_or(SizeRange::UNKNOWN, |arg| self.size(arg))
    }

    /// The type and the size of the target's elements, if it is a list.
    fn target_items(&self) -> Option<(&Type, SizeRange)> {
        let target = self.target?;
        let items = *target.of.parameters().first()?;
        let path: Option<Vec<String>> =
            target.path.as_ref().map(|path| path.iter().cloned().chain(["@items".to_owned()]).collect());
        let size = self.sizes.size(path.as_deref(), items).unwrap_or(SizeRange::UNKNOWN);
        Some((items, size))
    }
}

/// How a function's cost is found; where a rule gives nothing, the standard one is taken.
pub(crate) struct CostRule {
    /// Before.
    pub(crate) estimate: fn(&CallSite<'_>) -> Option<CallEstimate>,
    /// After: by the overload's id (empty if it was not known before), the arguments, and the result.
    pub(crate) actual: fn(&str, &[Value<'_>], Option<&Value<'_>>) -> Option<u64>,
}

fn fixed(cost: u64) -> Option<CallEstimate> {
    Some(CallEstimate::of(CostRange::fixed(cost)))
}

fn size_of(args: &[Value<'_>], index: usize) -> u64 {
    args.get(index).map_or(1, Value::size)
}

/// As the language's own.
pub(crate) static STANDARD: CostRule = CostRule { estimate: |_| None, actual: |_, _, _| None };

/// One unit.
pub(super) static UNIT: CostRule = CostRule { estimate: |_| fixed(1), actual: |_, _, _| Some(1) };

/// Going once through a list with all that is in it, or through a text.
pub(super) static TRAVERSAL: CostRule = CostRule {
    estimate: |call| {
        let size = call.target_size()?;
        let Some((items, item_size)) = call.target_items() else {
            return Some(CallEstimate::of(size.cost(TEXT_FACTOR)));
        };
        let mut each = CostRange::fixed(1);
        if matches!(items, Type::String | Type::Bytes) {
            each = each.plus(item_size.cost(TEXT_FACTOR));
        }
        Some(CallEstimate::of(size.times_cost(each)))
    },
    actual: |_, args, _| Some(args.first().map_or(0, traversal)),
};

/// The most values that are counted. Values that stand in a list twice are counted twice, so that there may be many more than
/// there is memory for; beyond, the cost is over every limit.
const TRAVERSED_MAX: usize = 2_000_000;

/// What there is in a value. No more is held at a time than one element for each level.
fn traversal<'a>(value: &Value<'a>) -> u64 {
    let bytes = |length: usize| (length as f64 * TEXT_FACTOR) as u64;
    let mut rest: Vec<Box<dyn Iterator<Item = Value<'a>> + 'a>> = vec![Box::new(std::iter::once(value.clone()))];
    let (mut cost, mut count) = (0_u64, 0);
    while let Some(values) = rest.last_mut() {
        let Some(value) = values.next() else {
            rest.pop();
            continue;
        };
        count += 1;
        if count > TRAVERSED_MAX {
            return u64::MAX;
        }
        cost = cost.saturating_add(match &value {
            Value::String(text) => bytes(text.len()),
            Value::Bytes(found) => bytes(found.len()),
            Value::List(list) => {
                rest.push(Box::new(list.iter()));
                0
            }
            Value::Map(map) => {
                rest.push(Box::new(map.iter().flat_map(|(key, value)| [key, value])));
                0
            }
            _ => 1,
        });
    }
    cost
}

/// Asking whether something is allowed: an expression can do it twice within its limit.
pub(super) static AUTHORIZATION: CostRule = CostRule { estimate: |_| fixed(350_000), actual: |_, _, _| Some(350_000) };

/// Reading a selector.
pub(super) static SELECTOR: CostRule = CostRule {
    estimate: |call| Some(CallEstimate::of(call.arg_size(0).cost(TEXT_FACTOR))),
    actual: |_, args, _| Some(scaled(size_of(args, 1), TEXT_FACTOR)),
};

/// Reading the text that is a function's first argument.
pub(super) static URL: CostRule = CostRule {
    estimate: |call| {
        let [text] = call.args else { return None };
        let size = call.size(text);
        Some(CallEstimate { cost: size.cost(TEXT_FACTOR), size: Some(size) })
    },
    actual: |_, args, _| Some(scaled(size_of(args, 0), TEXT_FACTOR)),
};

/// Making a text that is as long as the target.
pub(super) static TEXT: CostRule = CostRule {
    estimate: |call| {
        let size = call.target_size()?;
        Some(CallEstimate { cost: size.cost(TEXT_FACTOR), size: Some(size) })
    },
    actual: |_, args, _| Some(scaled(size_of(args, 0), TEXT_FACTOR)),
};

/// `replace`
pub(super) static REPLACE: CostRule = CostRule {
    estimate: |call| {
        let size = call.target_size()?;
        if call.args.len() < 2 {
            return None;
        }
        let (from, to) = (call.arg_size(0), call.arg_size(1));
        let zero = SizeRange::fixed(0);
        let (mut count, mut kept) = (zero, zero);
        // At most: an empty text is found around every character.
        if from.min == 0 {
            count.max = size.max.saturating_add(1);
            kept.max = size.max;
        } else if to.max <= from.min {
            kept.max = size.max;
        } else {
            count.max = (size.max as f64 / from.min as f64).ceil() as u64;
        }
        // At least.
        if from.max == 0 {
            count.min = size.min.saturating_add(1);
            kept.min = size.min;
        } else if from.max <= to.min {
            kept.min = size.min;
        } else {
            count.min = (size.min as f64 / from.max as f64).ceil() as u64;
        }
        let result = count.times(to).plus(kept);
        Some(CallEstimate { cost: size.cost(2.0 * TEXT_FACTOR), size: Some(result) })
    },
    actual: |_, args, _| Some(scaled(size_of(args, 0), 2.0 * TEXT_FACTOR)),
};

/// `split`
pub(super) static SPLIT: CostRule = CostRule {
    estimate: |call| {
        let size = call.target_size()?;
        let max = match call.args.get(1).and_then(|limit| limit.literal) {
            // A negative limit is a huge one.
            Some(Literal::Int(limit)) => limit.cast_unsigned(),
            _ => size.max,
        };
        Some(CallEstimate { cost: size.cost(2.0 * TEXT_FACTOR), size: Some(SizeRange { min: 0, max }) })
    },
    actual: |_, args, _| Some(scaled(size_of(args, 0), 2.0 * TEXT_FACTOR)),
};

/// `join`
pub(super) static JOIN: CostRule = CostRule {
    estimate: |call| {
        let list = call.target_size()?;
        let mut size = call.target_items().map_or(SizeRange::fixed(0), |(_, item)| list.times(item));
        if !call.args.is_empty() {
            let separators = SizeRange { min: list.min.saturating_sub(1), max: list.max.saturating_sub(1) };
            size = size.plus(call.arg_size(0).times(separators));
        }
        Some(CallEstimate { cost: size.cost(TEXT_FACTOR), size: Some(size) })
    },
    actual: |_, _, result| Some(scaled(result.map_or(1, Value::size), 2.0 * TEXT_FACTOR)),
};

/// `find` and `findAll`
pub(super) static REGEX: CostRule = CostRule {
    estimate: |call| {
        let size = call.target_size()?;
        if call.args.is_empty() {
            return None;
        }
        let text = size.plus(SizeRange::fixed(1)).cost(TEXT_FACTOR);
        let cost = text.times(call.arg_size(0).cost(PATTERN_FACTOR));
        Some(CallEstimate { cost, size: Some(SizeRange { min: 0, max: size.max }) })
    },
    actual: |_, args, _| Some(scaled(size_of(args, 0) + 1, TEXT_FACTOR) * scaled(size_of(args, 1), PATTERN_FACTOR)),
};

/// Reading a text into a value.
pub(super) static PARSE: CostRule = CostRule {
    estimate: |call| Some(CallEstimate::of(call.arg_size(0).cost(TEXT_FACTOR))),
    actual: |_, args, _| Some(scaled(size_of(args, 0), TEXT_FACTOR)),
};

/// `ip`: reads a text, or takes the address of a network.
pub(super) static IP: CostRule = CostRule {
    estimate: |call| {
        if call.overload == "cidr_ip" {
            return fixed(1);
        }
        Some(CallEstimate::of(call.arg_size(0).cost(TEXT_FACTOR)))
    },
    actual: |overload, args, _| Some(if overload == "cidr_ip" { 1 } else { scaled(size_of(args, 0), TEXT_FACTOR) }),
};

/// `ip.isCanonical`: reads and writes a text.
pub(super) static CANONICAL: CostRule = CostRule {
    estimate: |call| Some(CallEstimate::of(call.arg_size(0).cost(2.0 * TEXT_FACTOR))),
    actual: |_, args, _| Some(scaled(size_of(args, 0), 2.0 * TEXT_FACTOR)),
};

/// Comparing each element of one list with each of the other, `times` times.
macro_rules! product {
    ($times:literal) => {
        CostRule {
            estimate: |call| {
                let [left, right] = call.args else { return None };
                let pairs = call.size(left).times(call.size(right));
                Some(CallEstimate::of(pairs.cost($times).plus(CostRange::fixed(1))))
            },
            actual: |_, args, _| {
                let pairs = size_of(args, 0).saturating_mul(size_of(args, 1));
                Some(scaled(pairs, $times).saturating_add(1))
            },
        }
    };
}

/// `sets.contains` and `sets.intersects`
pub(super) static PRODUCT: CostRule = product!(1.0);

/// `sets.equivalent`: contained in both directions.
pub(super) static TWO_PRODUCTS: CostRule = product!(2.0);

/// The longest pattern of a format is taken for all of them.
const FORMAT_PATTERN_SIZE: f64 = 128.0;

/// `validate`
pub(super) static VALIDATE: CostRule = CostRule {
    estimate: |call| {
        let text = call.arg_size(0).cost(TEXT_FACTOR);
        Some(CallEstimate::of(text.times(CostRange::fixed((FORMAT_PATTERN_SIZE * PATTERN_FACTOR) as u64))))
    },
    actual: |_, args, _| {
        let [Value::Opaque(format), text] = args else { return None };
        let pattern = format.downcast::<super::formats::Format>()?.pattern_size;
        Some(scaled(text.size() + 1, TEXT_FACTOR) * scaled(pattern, PATTERN_FACTOR))
    },
};

/// The longest name of a format.
const FORMAT_SIZE_MAX: u64 = 64;

/// `==`: as the language's own, but for Kubernetes' types.
pub(super) static EQUALITY: CostRule = CostRule {
    estimate: |call| {
        let [left, right] = call.args else { return None };
        if left.of != right.of {
            return None;
        }
        let Type::Opaque(name, _) = left.of else { return None };
        match &**name {
            "net.IP" | "net.CIDR" | "kubernetes.Quantity" | "kubernetes.Semver" => fixed(1),
            "kubernetes.NamedFormat" => {
                Some(CallEstimate::of(SizeRange { min: 1, max: FORMAT_SIZE_MAX }.cost(TEXT_FACTOR)))
            }
            "kubernetes.URL" => {
                let max = right.size.map_or(1, |size| size.max);
                Some(CallEstimate::of(SizeRange { min: 1, max }.cost(TEXT_FACTOR)))
            }
            _ => None,
        }
    },
    actual: |_, args, _| matches!(args.first(), Some(Value::Opaque(_))).then_some(1),
};

/// The bytes of an address.
const ADDRESS: SizeRange = SizeRange { min: 4, max: 16 };

/// `containsIP`
pub(super) static CONTAINS_IP: CostRule = CostRule {
    estimate: |call| {
        call.target?;
        let mut cost = ADDRESS.plus(ADDRESS).cost(TEXT_FACTOR);
        if call.overload == "cidr_contains_ip_string" {
            cost = cost.plus(call.arg_size(0).cost(TEXT_FACTOR));
        }
        Some(CallEstimate::of(cost))
    },
    actual: |overload, args, _| {
        let mut cost = scaled(2 * size_of(args, 0), TEXT_FACTOR);
        if overload == "cidr_contains_ip_string" {
            cost += scaled(size_of(args, 1), TEXT_FACTOR);
        }
        Some(cost)
    },
};

/// `containsCIDR`
pub(super) static CONTAINS_CIDR: CostRule = CostRule {
    estimate: |call| {
        call.target?;
        let mut cost =
            ADDRESS.plus(ADDRESS).cost(TEXT_FACTOR).plus(ADDRESS.cost(TEXT_FACTOR)).plus(CostRange::fixed(1));
        if call.overload == "cidr_contains_cidr_string" {
            cost = cost.plus(call.arg_size(0).cost(TEXT_FACTOR));
        }
        Some(CallEstimate::of(cost))
    },
    actual: |overload, args, _| {
        let size = size_of(args, 0);
        let mut cost = scaled(2 * size, TEXT_FACTOR) + scaled(size, TEXT_FACTOR) + 1;
        if overload == "cidr_contains_cidr_string" {
            cost += scaled(size_of(args, 1), TEXT_FACTOR);
        }
        Some(cost)
    },
};
