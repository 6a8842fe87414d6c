//! What the selectors of devices can name: `device.attributes["dra.example.com"].model == "x"`.
//!
//! Attributes are of any type, which is known when a device is looked at.
//!
//! Upstream: k8s.io/dynamic-resource-allocation/cel/compile.go, and the limits of k8s.io/api/resource/v1/types.go (v1.35).

use std::sync::{Arc, LazyLock};

use crate::{
    Environment, Libraries, Program, Type,
    cost::{SizeEstimator, SizeRange},
    declared::{Declared, DeclaredTypes},
    syntax::Source,
};

/// What a selector may cost, as estimated and when it is evaluated.
pub const COST_MAX: u64 = 1_000_000;

const NAME: &str = "kubernetes.DRADevice";
const DOMAIN_MAX: u64 = 63;
const ID_MAX: u64 = 32;
const VALUE_MAX: u64 = 64;
/// How many attributes and capacities a device has.
const ATTRIBUTES_MAX: u64 = 32;

/// The type of a device, and that of its attributes.
struct Device {
    ty: Arc<Declared>,
    attribute: Arc<Declared>,
    types: Arc<DeclaredTypes>,
}

impl Device {
    fn new(shares: bool) -> Self {
        let text = |max| Declared::scalar(Type::String, max, 2);
        let by_name = |value: Arc<Declared>| {
            let names = Declared::map(text(ID_MAX), value, ATTRIBUTES_MAX);
            Declared::map(text(DOMAIN_MAX), names, ATTRIBUTES_MAX)
        };
        let attribute = Declared::scalar(Type::Any, VALUE_MAX, 1);
        let quantity = Declared::scalar(Type::Opaque("kubernetes.Quantity".into(), [].into()), 0, 8);
        let mut fields = vec![
            ("driver".into(), text(DOMAIN_MAX)),
            ("attributes".into(), by_name(attribute.clone())),
            ("capacity".into(), by_name(quantity)),
        ];
        if shares {
            fields.push(("allowMultipleAllocations".into(), Declared::scalar(Type::Bool, 1, 4)));
        }
        let ty = Declared::object(NAME, fields, 2);
        let types = Arc::new(DeclaredTypes::named([&*ty]));
        Self { ty, attribute, types }
    }
}

impl SizeEstimator for Device {
    fn size(&self, path: Option<&[String]>, _: &Type) -> Option<SizeRange> {
        let (variable, steps) = path?.split_first()?;
        if variable != "device" {
            return None;
        }
        let found = steps.iter().try_fold(&*self.ty, |at, step| {
            // All attributes are alike, whatever their names.
            let attribute = || at.elements().filter(|elements| Arc::ptr_eq(elements, &self.attribute));
            at.step(step).or_else(|| attribute().map(Arc::as_ref))
        })?;
        Some(SizeRange { min: 0, max: found.max_size() })
    }
}

/// A program that selects devices, and what it costs at most. `shares`: a device says whether several claims can have it.
///
/// Errors: what is wrong with it, in upstream's words.
pub fn compile(expression: &str, shares: bool) -> Result<(Program, u64), String> {
    static PLAIN: LazyLock<Device> = LazyLock::new(|| Device::new(false));
    static SHARED: LazyLock<Device> = LazyLock::new(|| Device::new(true));
    let device = if shares { &*SHARED } else { &*PLAIN };
    let environment = Environment::kubernetes_with(Libraries::kubernetes().and_bindings())
        .types(device.types.clone())
        .variable("device", device.ty.ty().clone());
    let program = environment
        .compile(expression)
        .map_err(|issues| format!("compilation failed: {}", Source::new(expression).display(&issues)))?;
    match program.result_type() {
        Type::Bool | Type::Any => {
            let cost = program.estimate(device).max;
            Ok((program, cost))
        }
        other => Err(format!("must evaluate to bool or the unknown type, not {}", other.full_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, wanted: Result<u64, &str>) {
        let found = compile(expression, false).map(|(_, cost)| cost);
        match wanted {
            Ok(cost) => assert_eq!(found, Ok(cost), "{expression}"),
            Err(start) => {
                let error = found.expect_err(expression);
                assert!(error.starts_with(start), "{error}");
            }
        }
    }

    #[test]
    fn selectors_name_what_a_device_has() {
        check("device.driver == 'dra.example.com'", Ok(4));
        check(r#"device.attributes["dra.example.com"].someBool"#, Ok(4));
        for expression in [
            r#"device.attributes["dra.example.com"].model == "a" && device.attributes["dra.example.com"].size > 3"#,
            r#"device.capacity["dra.example.com"].memory.compareTo(quantity("1Gi")) >= 0"#,
            r#"cel.bind(dra, device.attributes["dra.example.com"], dra.a && dra.b)"#,
            r#""dra.example.com" in device.attributes && "a" in device.attributes["dra.example.com"]"#,
            r#"device.attributes["dra.example.com"].version.isGreaterThan(semver("1.0.0"))"#,
        ] {
            let (_, cost) = compile(expression, false).unwrap_or_else(|error| panic!("{error}"));
            assert!(cost < COST_MAX, "{expression}: {cost}");
        }
    }

    /// An attribute was of the type `dyn`, with which more compiles.
    #[test]
    fn an_attribute_is_one_value_of_any_type() {
        for expression in [
            r#"device.attributes["d"].a"#,
            r#"device.attributes["d"].a && true"#,
            r#"true ? device.attributes["d"].a : false"#,
            r#"device.attributes["d"].a in [device.attributes["d"].b, 1]"#,
            r#"device.attributes["d"].all(name, device.attributes["d"][name] == 1)"#,
            r#"device.attributes["d"].a.b == 1 && device.attributes["d"].a[0] == 'c'"#,
            r#"device.attributes["d"].a.startsWith('x') || device.attributes["d"].a + 1 == 2"#,
        ] {
            compile(expression, false).unwrap_or_else(|error| panic!("{expression}: {error}"));
        }
        let wrong = "must evaluate to bool or the unknown type, not";
        check(r#"device.attributes["d"].a.b"#, Err(&format!("{wrong} dyn")));
        check(r#"device.attributes["d"].a[0]"#, Err(&format!("{wrong} dyn")));
        check("dyn(true)", Err(&format!("{wrong} dyn")));
        check(r#"[device.attributes["d"].a]"#, Err(&format!("{wrong} list(google.protobuf.Any)")));
        check(
            r#"device.attributes["d"].a.all(x, x == 1)"#,
            Err(
                "compilation failed: ERROR: <input>:1:23: expression of type 'any' cannot be range of a comprehension (must \
                 be list, map, or dynamic)",
            ),
        );
        check(
            r#"device.driver.matches(device.attributes["d"].a, 1)"#,
            Err("compilation failed: ERROR: <input>:1:22: found no matching overload for 'matches' applied to \
                 'string.(any, int)'"),
        );
    }

    #[test]
    fn what_a_device_lacks_does_not_compile() {
        check("device.other == 1", Err("compilation failed: ERROR: <input>:1:7: undefined field 'other'"));
        check("device.driver", Err("must evaluate to bool or the unknown type, not string"));
        check("object.spec", Err("compilation failed: ERROR: <input>:1:1: undeclared reference to 'object'"));
        let shared = "device.allowMultipleAllocations";
        check(shared, Err("compilation failed: ERROR: <input>:1:7: undefined field 'allowMultipleAllocations'"));
        assert!(compile(shared, true).is_ok());
    }

    #[test]
    fn loops_in_loops_cost_too_much() {
        let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
        let mut expression = "int('1'.find('[0-9]*')) < 100".to_owned();
        for name in ["z5", "z4", "z3", "z2", "z", "y", "x"] {
            expression = format!("{ten}.all({name}, {expression})");
        }
        let (_, cost) = compile(&expression, false).unwrap_or_else(|error| panic!("{error}"));
        assert!(cost > COST_MAX, "{cost}");
    }
}
