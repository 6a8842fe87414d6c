//! Types of which it is known how large their values can be: they check expressions, and bound what these cost.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/types.go DeclType, and the size estimators over it (v1.35).

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::value::Str;

use crate::{
    cost::{SizeEstimator, SizeRange},
    rules::is_reserved,
    types::{Type, TypeProvider},
};

/// A type, how large its values can be, and what they have inside.
#[derive(Debug, Clone)]
pub struct Declared {
    ty: Type,
    parts: Parts,
    max_size: u64,
    /// The fewest bytes of a value in JSON.
    min_bytes: u64,
}

#[derive(Debug, Clone)]
enum Parts {
    None,
    List(Arc<Declared>),
    Map(Arc<Declared>, Arc<Declared>),
    Object(Arc<BTreeMap<Str, Arc<Declared>>>),
}

impl Declared {
    /// A value without parts whose size is `max_size` at most, and that takes `min_bytes` in JSON at least. Upstream gives
    /// numbers and truth values the size 0.
    #[must_use]
    pub fn scalar(ty: Type, max_size: u64, min_bytes: u64) -> Arc<Self> {
        Arc::new(Self { ty, parts: Parts::None, max_size, min_bytes })
    }

    /// A list of at most `max_size` items.
    #[must_use]
    pub fn list(items: Arc<Self>, max_size: u64) -> Arc<Self> {
        Arc::new(Self { ty: Type::list(items.ty.clone()), parts: Parts::List(items), max_size, min_bytes: 2 })
    }

    /// A map of at most `max_size` entries.
    #[must_use]
    pub fn map(keys: Arc<Self>, values: Arc<Self>, max_size: u64) -> Arc<Self> {
        let ty = Type::map(keys.ty.clone(), values.ty.clone());
        Arc::new(Self { ty, parts: Parts::Map(keys, values), max_size, min_bytes: 2 })
    }

    /// An object of the type `name`, which is no other type's, that takes `min_bytes` in JSON at least.
    #[must_use]
    pub fn object(name: &str, fields: impl IntoIterator<Item = (Str, Arc<Self>)>, min_bytes: u64) -> Arc<Self> {
        let fields = Arc::new(fields.into_iter().collect());
        Arc::new(Self { ty: Type::object(name), parts: Parts::Object(fields), max_size: 0, min_bytes })
    }

    /// The type.
    #[must_use]
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The fewest bytes of a value in JSON.
    #[must_use]
    pub fn min_bytes(&self) -> u64 {
        self.min_bytes
    }

    /// The items of a list or the values of a map.
    #[must_use]
    pub fn elements(&self) -> Option<&Arc<Self>> {
        match &self.parts {
            Parts::List(items) => Some(items),
            Parts::Map(_, values) => Some(values),
            Parts::None | Parts::Object(_) => None,
        }
    }

    /// A field of an object, by the name that expressions use.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Arc<Self>> {
        match &self.parts {
            Parts::Object(fields) => fields.get(name),
            _ => None,
        }
    }

    /// How large values are at most.
    pub(crate) fn max_size(&self) -> u64 {
        self.max_size
    }

    /// What a step of a path leads to.
    pub(crate) fn step(&self, step: &str) -> Option<&Self> {
        match (step, &self.parts) {
            ("@items" | "@values", _) => self.elements().map(Arc::as_ref),
            ("@keys", Parts::Map(keys, _)) => Some(keys),
            ("@keys", _) => None,
            (name, _) => self.field(name).map(Arc::as_ref),
        }
    }
}

/// The sizes of what can be reached from variables. A variable without a type of its own is of the type of all.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredSizes<'d>(pub &'d Declared);

impl SizeEstimator for DeclaredSizes<'_> {
    fn size(&self, path: Option<&[String]>, _: &Type) -> Option<SizeRange> {
        let (_, steps) = path?.split_first()?;
        let found = steps.iter().try_fold(self.0, |at, step| at.step(step))?;
        Some(SizeRange { min: 0, max: found.max_size })
    }
}

/// The object types in a declared type, by name.
#[derive(Debug, Default)]
pub struct DeclaredTypes {
    fields: BTreeMap<Arc<str>, Arc<BTreeMap<Str, Arc<Declared>>>>,
    /// Whether expressions may name the types.
    are_named: bool,
}

impl DeclaredTypes {
    /// The types in `roots`, which expressions can name.
    #[must_use]
    pub fn named<'d>(roots: impl IntoIterator<Item = &'d Declared>) -> Self {
        Self { are_named: true, ..Self::unnamed(roots) }
    }

    /// The types in `roots`, whose names show up in messages alone.
    #[must_use]
    pub fn unnamed<'d>(roots: impl IntoIterator<Item = &'d Declared>) -> Self {
        let mut types = Self::default();
        let mut rest: Vec<&Declared> = roots.into_iter().collect();
        while let Some(next) = rest.pop() {
            match &next.parts {
                Parts::None => {}
                Parts::List(items) => rest.push(items),
                Parts::Map(keys, values) => rest.extend([&**keys, &**values]),
                Parts::Object(fields) => {
                    if let Type::Object(name) = &next.ty {
                        types.fields.insert(name.clone(), fields.clone());
                    }
                    rest.extend(fields.values().map(Arc::as_ref));
                }
            }
        }
        types
    }
}

impl TypeProvider for DeclaredTypes {
    fn has_type(&self, name: &str) -> bool {
        self.are_named && self.fields.contains_key(name)
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        let fields = self.fields.get(type_name)?;
        let found = fields.get(field);
        // A word of the language needs no escapes behind a dot.
        let found = found.or_else(|| fields.get(format!("__{field}__").as_str()).filter(|_| is_reserved(field)));
        found.map(|found| found.ty.clone())
    }
}
