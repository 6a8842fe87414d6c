//! The messages of OpenAPI v2.
//!
//! Upstream: OpenAPIv2.proto in github.com/google/gnostic-models.

use super::{Form, Message, TEXTS};

pub(super) static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Form::Text),
        ("info", 2, Form::Message(&INFO)),
        ("paths", 8, Form::Entries(2, &Form::Message(&PATH_ITEM))),
        ("definitions", 9, Form::Entries(1, &Form::Message(&SCHEMA))),
        ("parameters", 10, Form::Entries(1, &Form::ByPlace(parameter))),
        ("security", 12, Form::Each(&Form::Entries(1, &Form::Within(1, &TEXTS)))),
        ("securityDefinitions", 13, Form::Entries(1, &Form::Within(2, &Form::Message(&API_KEY)))),
    ],
    extensions: 16,
};

static INFO: Message = Message {
    fields: &[("title", 1, Form::Text), ("version", 2, Form::Text), ("description", 3, Form::Text)],
    extensions: 7,
};

static API_KEY: Message = Message {
    fields: &[("type", 1, Form::Text), ("name", 2, Form::Text), ("in", 3, Form::Text), ("description", 4, Form::Text)],
    extensions: 5,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("get", 2, Form::Message(&OPERATION)),
        ("put", 3, Form::Message(&OPERATION)),
        ("post", 4, Form::Message(&OPERATION)),
        ("delete", 5, Form::Message(&OPERATION)),
        ("options", 6, Form::Message(&OPERATION)),
        ("head", 7, Form::Message(&OPERATION)),
        ("patch", 8, Form::Message(&OPERATION)),
        ("parameters", 9, PARAMETERS),
    ],
    extensions: 10,
};

const PARAMETERS: Form = Form::Each(&Form::ByPlace(parameter_or_reference));

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, TEXTS),
        ("summary", 2, Form::Text),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("produces", 6, TEXTS),
        ("consumes", 7, TEXTS),
        ("parameters", 8, PARAMETERS),
        ("responses", 9, Form::Entries(1, &Form::Within(1, &Form::Message(&RESPONSE)))),
        ("schemes", 10, TEXTS),
        ("deprecated", 11, Form::Flag),
    ],
    extensions: 13,
};

static RESPONSE: Message = Message {
    fields: &[("description", 1, Form::Text), ("schema", 2, Form::Within(1, &Form::Message(&SCHEMA)))],
    extensions: 5,
};

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, Form::Text),
        ("name", 2, Form::Text),
        ("in", 3, Form::Text),
        ("required", 4, Form::Flag),
        ("schema", 5, Form::Message(&SCHEMA)),
    ],
    extensions: 6,
};

/// In a path or a header.
static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("type", 5, Form::Text),
        ("format", 6, Form::Text),
        ("uniqueItems", 19, Form::Flag),
    ],
    extensions: 22,
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Form::Flag),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("name", 4, Form::Text),
        ("allowEmptyValue", 5, Form::Flag),
        ("type", 6, Form::Text),
        ("format", 7, Form::Text),
        ("uniqueItems", 20, Form::Flag),
    ],
    extensions: 23,
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Form::Text),
        ("format", 2, Form::Text),
        ("title", 3, Form::Text),
        ("description", 4, Form::Text),
        ("default", 5, Form::Any),
        ("multipleOf", 6, Form::Number),
        ("maximum", 7, Form::Number),
        ("exclusiveMaximum", 8, Form::Flag),
        ("minimum", 9, Form::Number),
        ("exclusiveMinimum", 10, Form::Flag),
        ("maxLength", 11, Form::Whole),
        ("minLength", 12, Form::Whole),
        ("pattern", 13, Form::Text),
        ("maxItems", 14, Form::Whole),
        ("minItems", 15, Form::Whole),
        ("uniqueItems", 16, Form::Flag),
        ("maxProperties", 17, Form::Whole),
        ("minProperties", 18, Form::Whole),
        ("required", 19, TEXTS),
        ("enum", 20, Form::Each(&Form::Any)),
        ("additionalProperties", 21, Form::OrFlag(&Form::Message(&SCHEMA))),
        ("type", 22, Form::Within(1, &Form::Text)),
        ("items", 23, Form::Within(1, &Form::Message(&SCHEMA))),
        ("allOf", 24, Form::Each(&Form::Message(&SCHEMA))),
        ("properties", 25, Form::Entries(1, &Form::Message(&SCHEMA))),
        ("externalDocs", 29, Form::Message(&EXTERNAL_DOCS)),
    ],
    extensions: 31,
};

static EXTERNAL_DOCS: Message =
    Message { fields: &[("description", 1, Form::Text), ("url", 2, Form::Text)], extensions: 3 };

static REFERENCE: Message = Message { fields: &[("$ref", 1, Form::Text)], extensions: 0 };

/// A parameter, or a reference to one, which says no place.
fn parameter_or_reference(place: &str) -> Form {
    const PARAMETER: Form = Form::Within(1, &Form::ByPlace(parameter));
    const TO_ONE: Form = Form::Within(2, &Form::Message(&REFERENCE));
    match place {
        "" => TO_ONE,
        _ => PARAMETER,
    }
}

/// A parameter: which message it is depends on the place that it is in.
pub(super) fn parameter(place: &str) -> Form {
    const BODY: Form = Form::Within(1, &Form::Message(&BODY_PARAMETER));
    const HEADER: Form = Form::Within(2, &Form::Within(1, &Form::Message(&PATH_PARAMETER)));
    const PATH: Form = Form::Within(2, &Form::Within(4, &Form::Message(&PATH_PARAMETER)));
    const QUERY: Form = Form::Within(2, &Form::Within(3, &Form::Message(&QUERY_PARAMETER)));
    match place {
        "body" => BODY,
        "header" => HEADER,
        "path" => PATH,
        _ => QUERY,
    }
}
