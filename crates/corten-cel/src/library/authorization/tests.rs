//! Questions to somebody who says what was asked.

use std::sync::Arc;

use super::{Attributes, Authorize, Decision, authorizer, request_resource};
use crate::{
    admission::{Names, Variables, environment},
    limits::PER_CALL,
    syntax::Source,
};

/// Allows to read, and tells the question as the reason.
#[derive(Debug)]
struct Readers;

impl Authorize for Readers {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let Attributes { verb, path, group, resource, subresource, namespace, name, .. } = attributes;
        let who = attributes
            .service_account
            .as_ref()
            .map_or(String::new(), |(namespace, name)| format!("{namespace}:{name} "));
        let what = match path {
            Some(path) => path.clone(),
            None => format!("{group}/{resource}/{subresource} {namespace}/{name}"),
        };
        let selectors = format!("{}{}", attributes.field_selector, attributes.label_selector);
        Decision {
            is_allowed: verb == "get",
            reason: format!("{who}{verb} {what}{selectors}"),
            error: (verb == "break").then(|| "broken".to_owned()),
        }
    }
}

#[track_caller]
fn check(expression: &str, wanted: &str) {
    let names = Names { params: false, authorizer: true, patches: false };
    let environment = environment(names, &Variables::default());
    let program = match environment.compile(expression) {
        Ok(program) => program,
        Err(issues) => panic!("{}", Source::new(expression).display(&issues)),
    };
    let of_request = Attributes { group: "apps".to_owned(), resource: "things".to_owned(), ..Attributes::default() };
    let variables = [
        ("authorizer", authorizer(Arc::new(Readers))),
        ("authorizer.requestResource", request_resource(Arc::new(Readers), of_request)),
    ];
    let found = program.eval(&variables, Some(PER_CALL)).map(|(value, _)| format!("{value:?}"));
    assert_eq!(found.unwrap_or_else(|error| error.to_string()), wanted, "{expression}");
}

#[test]
fn questions_are_put_together_by_calls() {
    check(
        "authorizer.group('apps').resource('deployments').subresource('status').namespace('a').name('b').check('get').reason()",
        r#"String("get apps/deployments/status a/b")"#,
    );
    check("authorizer.path('/healthz').check('get').allowed()", "Bool(true)");
    check("authorizer.path('/healthz').check('post').allowed()", "Bool(false)");
    check("authorizer.serviceAccount('a', 'b').path('/x').check('get').reason()", r#"String("a:b get /x")"#);
    check("authorizer.requestResource.check('get').reason()", r#"String("get apps/things/ /")"#);
    check(
        "authorizer.group('').resource('pods').fieldSelector('a=b').labelSelector('c').check('list').reason()",
        r#"String("list /pods/ /a=bc")"#,
    );
    check("authorizer.path('/x').check('break').errored()", "Bool(true)");
    check("authorizer.path('/x').check('break').error()", r#"String("broken")"#);
    check("authorizer.path('').check('get').allowed()", "path must not be empty");
    check("authorizer.serviceAccount('a', 'B').path('/').check('get').allowed()", "Invalid service account name: B");
}

#[test]
fn an_expression_asks_twice() {
    let ask = "authorizer.path('/x').check('get').allowed()";
    check(&format!("{ask} && {ask}"), "Bool(true)");
    check(&format!("{ask} && {ask} && {ask}"), "operation cancelled: actual cost limit exceeded");
}
