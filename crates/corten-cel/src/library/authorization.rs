//! Whether somebody may do something: `authorizer.group('apps').resource('deployments').check('get').allowed()`.
//!
//! What decides is a value that the caller gives to the variable `authorizer`; this file makes the question out of the calls.
//!
//! Upstream: k8s.io/apiserver/pkg/cel/library/authz.go (v1.35).

use std::{any::Any, fmt::Debug, sync::Arc};

use super::{Function, Library, Overload, costs, overload, wrong_types};
use crate::{
    error::EvalError,
    eval::Context,
    value::{Opaque, Value},
};

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// A service account, by namespace and name, that is asked about instead of who makes the request.
    pub service_account: Option<(String, String)>,
    /// What is to be done.
    pub verb: String,
    /// A path that is no resource; nothing below is set then.
    pub path: Option<String>,
    /// The group of the resource.
    pub group: String,
    /// The resource.
    pub resource: String,
    /// The part of it.
    pub subresource: String,
    /// Where it is.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which fields a list is restricted to; empty for all.
    pub field_selector: String,
    /// Which labels a list is restricted to; empty for all.
    pub label_selector: String,
}

impl Attributes {
    /// How many bytes its texts have.
    fn bytes(&self) -> usize {
        let Self { service_account, verb, path, group, resource, subresource, namespace, name, .. } = self;
        let Self { field_selector, label_selector, .. } = self;
        let texts = [verb, group, resource, subresource, namespace, name, field_selector, label_selector];
        let account = service_account.iter().flat_map(|(namespace, name)| [namespace, name]);
        texts.into_iter().chain(path).chain(account).map(String::len).sum()
    }
}

/// What came of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// Why.
    pub reason: String,
    /// What kept it from being decided.
    pub error: Option<String>,
}

/// Decides for the one who makes a request, or for a service account.
pub trait Authorize: Debug + Send + Sync {
    /// Whether it is allowed.
    fn authorize(&self, attributes: &Attributes) -> Decision;
}

/// A question that is being put together, and who answers it. Its type says how far it is.
#[derive(Debug, Clone)]
struct Question {
    kind: Kind,
    authorizer: Arc<dyn Authorize>,
    attributes: Attributes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Authorizer,
    Path,
    Group,
    Resource,
}

impl Opaque for Question {
    fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Authorizer => "kubernetes.authorization.Authorizer",
            Kind::Path => "kubernetes.authorization.PathCheck",
            Kind::Group => "kubernetes.authorization.GroupCheck",
            Kind::Resource => "kubernetes.authorization.ResourceCheck",
        }
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>().is_some_and(|other| {
            self.kind == other.kind
                && self.attributes == other.attributes
                && Arc::ptr_eq(&self.authorizer, &other.authorizer)
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Opaque for Decision {
    fn type_name(&self) -> &'static str {
        "kubernetes.authorization.Decision"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The value of `authorizer`, for who evaluates the expressions of admission: definitions of policies are checked against its
/// type so far.
#[must_use]
pub fn authorizer(authorizer: Arc<dyn Authorize>) -> Value<'static> {
    let question = Question { kind: Kind::Authorizer, authorizer, attributes: Attributes::default() };
    Value::Opaque(Arc::new(question))
}

/// The value of `authorizer.requestResource`, for the same: a question about what `attributes` says of the resource of the request.
#[must_use]
pub fn request_resource(authorizer: Arc<dyn Authorize>, attributes: Attributes) -> Value<'static> {
    Value::Opaque(Arc::new(Question { kind: Kind::Resource, authorizer, attributes }))
}

/// The question that the first argument is, changed by `change`, which takes the texts behind it.
fn changed<'a>(
    context: &mut Context<'_>,
    args: &[Value<'a>],
    kind: Kind,
    change: impl FnOnce(&mut Attributes, &[&str]) -> Result<(), EvalError>,
) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(opaque), texts @ ..] = args else { return wrong_types() };
    let Some(question) = opaque.downcast::<Question>() else { return wrong_types() };
    let Some(texts) = texts.iter().map(Value::as_str).collect::<Option<Vec<&str>>>() else { return wrong_types() };
    let mut question = Question { kind, ..question.clone() };
    change(&mut question.attributes, &texts)?;
    context.make_text(question.attributes.bytes())?;
    Ok(Value::Opaque(Arc::new(question)))
}

fn path<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    changed(context, args, Kind::Path, |attributes, texts| {
        if texts[0].is_empty() {
            return Err(EvalError::failed("path must not be empty"));
        }
        attributes.path = Some(texts[0].to_owned());
        Ok(())
    })
}

fn service_account<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    changed(context, args, Kind::Authorizer, |attributes, texts| {
        let [namespace, name] = texts else { return Err(EvalError::no_such_overload()) };
        let is_name = corten_apimachinery::validation::is_dns1123_subdomain(name).is_empty();
        let is_namespace = corten_apimachinery::validation::is_dns1123_label(namespace).is_empty();
        if !is_name {
            return Err(EvalError::failed(format!("Invalid service account name: {name}")));
        }
        if !is_namespace {
            return Err(EvalError::failed(format!("Invalid service account namespace: {namespace}")));
        }
        attributes.service_account = Some(((*namespace).to_owned(), (*name).to_owned()));
        Ok(())
    })
}

macro_rules! setters {
    ($($name:ident => $kind:ident),* $(,)?) => {$(
        fn $name<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
            changed(context, args, Kind::$kind, |attributes, texts| {
                texts.concat().clone_into(&mut attributes.$name);
                Ok(())
            })
        }
    )*};
}

setters! {
    group => Group,
    resource => Resource,
    subresource => Resource,
    namespace => Resource,
    name => Resource,
    field_selector => Resource,
    label_selector => Resource,
}

fn check<'a>(context: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(opaque), Value::String(verb)] = args else { return wrong_types() };
    let Some(question) = opaque.downcast::<Question>() else { return wrong_types() };
    let attributes = Attributes { verb: (**verb).to_owned(), ..question.attributes.clone() };
    context.make_text(attributes.bytes())?;
    Ok(Value::Opaque(Arc::new(question.authorizer.authorize(&attributes))))
}

fn of_decision<'a>(args: &[Value<'a>], read: impl FnOnce(&Decision) -> Value<'static>) -> Result<Value<'a>, EvalError> {
    let [Value::Opaque(opaque)] = args else { return wrong_types() };
    opaque.downcast::<Decision>().map(read).ok_or_else(EvalError::no_such_overload)
}

fn allowed<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    of_decision(args, |decision| Value::Bool(decision.is_allowed))
}

fn reason<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    of_decision(args, |decision| Value::string(decision.reason.clone()))
}

fn errored<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    of_decision(args, |decision| Value::Bool(decision.error.is_some()))
}

fn error<'a>(_: &mut Context<'_>, args: &[Value<'a>]) -> Result<Value<'a>, EvalError> {
    of_decision(args, |decision| Value::string(decision.error.clone().unwrap_or_default()))
}

const fn unit(name: &'static str, overloads: &'static [Overload]) -> Function {
    Function { name, cost: &costs::UNIT, overloads }
}

const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
const RESOURCE: &str = "kubernetes.authorization.ResourceCheck";

const FUNCTIONS: &[Function] = &[
    unit(
        "path",
        &[overload(
            "authorizer_path",
            "kubernetes.authorization.Authorizer.(string): kubernetes.authorization.PathCheck",
            path,
        )],
    ),
    unit(
        "group",
        &[overload(
            "authorizer_group",
            "kubernetes.authorization.Authorizer.(string): kubernetes.authorization.GroupCheck",
            group,
        )],
    ),
    unit(
        "serviceAccount",
        &[overload(
            "authorizer_serviceaccount",
            "kubernetes.authorization.Authorizer.(string, string): kubernetes.authorization.Authorizer",
            service_account,
        )],
    ),
    unit(
        "resource",
        &[overload(
            "groupcheck_resource",
            "kubernetes.authorization.GroupCheck.(string): kubernetes.authorization.ResourceCheck",
            resource,
        )],
    ),
    unit(
        "subresource",
        &[overload(
            "resourcecheck_subresource",
            "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.ResourceCheck",
            subresource,
        )],
    ),
    unit(
        "namespace",
        &[overload(
            "resourcecheck_namespace",
            "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.ResourceCheck",
            namespace,
        )],
    ),
    unit(
        "name",
        &[overload(
            "resourcecheck_name",
            "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.ResourceCheck",
            name,
        )],
    ),
    Function {
        name: "fieldSelector",
        cost: &costs::SELECTOR,
        overloads: &[overload(
            "authorizer_fieldselector",
            "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.ResourceCheck",
            field_selector,
        )],
    },
    Function {
        name: "labelSelector",
        cost: &costs::SELECTOR,
        overloads: &[overload(
            "authorizer_labelselector",
            "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.ResourceCheck",
            label_selector,
        )],
    },
    Function {
        name: "check",
        cost: &costs::AUTHORIZATION,
        overloads: &[
            overload(
                "pathcheck_check",
                "kubernetes.authorization.PathCheck.(string): kubernetes.authorization.Decision",
                check,
            ),
            overload(
                "resourcecheck_check",
                "kubernetes.authorization.ResourceCheck.(string): kubernetes.authorization.Decision",
                check,
            ),
        ],
    },
    unit("errored", &[overload("decision_errored", "kubernetes.authorization.Decision.(): bool", errored)]),
    unit("error", &[overload("decision_error", "kubernetes.authorization.Decision.(): string", error)]),
    unit("allowed", &[overload("decision_allowed", "kubernetes.authorization.Decision.(): bool", allowed)]),
    unit("reason", &[overload("decision_reason", "kubernetes.authorization.Decision.(): string", reason)]),
];

pub(super) static LIBRARY: Library = Library {
    name: "kubernetes.authz",
    types: &[
        AUTHORIZER,
        "kubernetes.authorization.PathCheck",
        "kubernetes.authorization.GroupCheck",
        RESOURCE,
        "kubernetes.authorization.Decision",
    ],
    functions: &[FUNCTIONS],
};

#[cfg(test)]
mod tests;
