//! The messages of OpenAPI v3: whatever may be a reference has a message of its own around it.
//!
//! Upstream: OpenAPIv3.proto in github.com/google/gnostic-models.

use super::{Form, Message, TEXTS};

pub(super) static DOCUMENT: Message = Message {
    fields: &[
        ("openapi", 1, Form::Text),
        ("info", 2, Form::Message(&INFO)),
        ("paths", 4, Form::Entries(1, &Form::Message(&PATH_ITEM))),
        ("components", 5, Form::Message(&COMPONENTS)),
    ],
    extensions: 9,
};

static INFO: Message = Message { fields: &[("title", 1, Form::Text), ("version", 6, Form::Text)], extensions: 7 };

static COMPONENTS: Message = Message {
    fields: &[
        ("schemas", 1, Form::Entries(1, &Form::SchemaOrReference)),
        ("securitySchemes", 7, Form::Entries(1, &Form::Within(1, &Form::Message(&SECURITY_SCHEME)))),
    ],
    extensions: 10,
};

static SECURITY_SCHEME: Message = Message {
    fields: &[("type", 1, Form::Text), ("description", 2, Form::Text), ("name", 3, Form::Text), ("in", 4, Form::Text)],
    extensions: 9,
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 4, Form::Message(&OPERATION)),
        ("put", 5, Form::Message(&OPERATION)),
        ("post", 6, Form::Message(&OPERATION)),
        ("delete", 7, Form::Message(&OPERATION)),
        ("options", 8, Form::Message(&OPERATION)),
        ("head", 9, Form::Message(&OPERATION)),
        ("patch", 10, Form::Message(&OPERATION)),
        ("parameters", 13, PARAMETERS),
    ],
    extensions: 14,
};

const PARAMETERS: Form = Form::Each(&Form::Within(1, &Form::Message(&PARAMETER)));

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, TEXTS),
        ("description", 3, Form::Text),
        ("operationId", 5, Form::Text),
        ("parameters", 6, PARAMETERS),
        ("requestBody", 7, Form::Within(1, &Form::Message(&REQUEST_BODY))),
        ("responses", 8, Form::Entries(2, &Form::Within(1, &Form::Message(&RESPONSE)))),
    ],
    extensions: 13,
};

static PARAMETER: Message = Message {
    fields: &[
        ("name", 1, Form::Text),
        ("in", 2, Form::Text),
        ("description", 3, Form::Text),
        ("required", 4, Form::Flag),
        ("schema", 10, Form::SchemaOrReference),
    ],
    extensions: 14,
};

const CONTENT: Form = Form::Entries(1, &Form::Message(&MEDIA_TYPE));

static REQUEST_BODY: Message = Message {
    fields: &[("description", 1, Form::Text), ("content", 2, CONTENT), ("required", 3, Form::Flag)],
    extensions: 4,
};

static RESPONSE: Message =
    Message { fields: &[("description", 1, Form::Text), ("content", 3, CONTENT)], extensions: 5 };

static MEDIA_TYPE: Message = Message { fields: &[("schema", 1, Form::SchemaOrReference)], extensions: 5 };

/// Nothing stands beside a reference.
pub(super) static REFERENCE: Message = Message { fields: &[("$ref", 1, Form::Text)], extensions: 0 };

pub(super) static SCHEMA: Message = Message {
    fields: &[
        ("nullable", 1, Form::Flag),
        ("externalDocs", 6, Form::Message(&EXTERNAL_DOCS)),
        ("title", 9, Form::Text),
        ("multipleOf", 10, Form::Number),
        ("maximum", 11, Form::Number),
        ("exclusiveMaximum", 12, Form::Flag),
        ("minimum", 13, Form::Number),
        ("exclusiveMinimum", 14, Form::Flag),
        ("maxLength", 15, Form::Whole),
        ("minLength", 16, Form::Whole),
        ("pattern", 17, Form::Text),
        ("maxItems", 18, Form::Whole),
        ("minItems", 19, Form::Whole),
        ("uniqueItems", 20, Form::Flag),
        ("maxProperties", 21, Form::Whole),
        ("minProperties", 22, Form::Whole),
        ("required", 23, TEXTS),
        ("enum", 24, Form::Each(&Form::Any)),
        ("type", 25, Form::Text),
        ("allOf", 26, Form::Each(&Form::SchemaOrReference)),
        ("oneOf", 27, Form::Each(&Form::SchemaOrReference)),
        ("anyOf", 28, Form::Each(&Form::SchemaOrReference)),
        ("not", 29, Form::Message(&SCHEMA)),
        ("items", 30, Form::Within(1, &Form::SchemaOrReference)),
        ("properties", 31, Form::Entries(1, &Form::SchemaOrReference)),
        ("additionalProperties", 32, Form::OrFlag(&Form::SchemaOrReference)),
        ("default", 33, Form::Scalar),
        ("description", 34, Form::Text),
        ("format", 35, Form::Text),
    ],
    extensions: 36,
};

static EXTERNAL_DOCS: Message =
    Message { fields: &[("description", 1, Form::Text), ("url", 2, Form::Text)], extensions: 3 };
