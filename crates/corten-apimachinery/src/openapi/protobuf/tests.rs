use super::*;
use crate::codec::{FieldValidation, json};

/// The fields of `bytes` in order: numbers, and inside parentheses what they hold.
fn shown(mut bytes: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let varint = |bytes: &mut &[u8]| -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&first, rest) = bytes.split_first()?;
            *bytes = rest;
            number |= u64::from(first & 0x7f) << shift;
            if first < 0x80 {
                return Some(number);
            }
        }
        None
    };
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match (key >> 3, key & 7) {
            (1..=63, 0) => parts.push(format!("{}={}", key >> 3, varint(&mut bytes)?)),
            (1..=63, 2) => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (inner, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                let is_text = inner.len() > 1 && inner.iter().all(|&byte| byte == b'\n' || (32..127).contains(&byte));
                let text = || format!("{:?}", String::from_utf8_lossy(inner));
                let inner = if is_text { text() } else { shown(inner).map_or_else(text, |s| format!("({s})")) };
                parts.push(format!("{}{inner}", key >> 3));
            }
            _ => return None,
        }
    }
    Some(parts.join(" "))
}

#[track_caller]
fn check(document: &str, want: &str) {
    let document = json::decode(document.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
    assert_eq!(shown(&encode_v2(&document)).as_deref(), Some(want));
}

#[test]
fn a_definition_keeps_types_references_and_extensions() {
    check(
        r##"{"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"}, "definitions": {"io.A": {
            "type": "object", "description": "An A.", "required": ["bb"], "x-kubernetes-map-type": "atomic",
            "properties": {
                "bb": {"$ref": "#/definitions/B", "description": "The B."},
                "cc": {"type": "array", "items": {"type": "string", "enum": ["X1"]}},
                "dd": {"type": "object", "additionalProperties": {"type": "integer", "format": "int32"}}}}}}"##,
        concat!(
            r#"1"2.0" 2(1"Kubernetes" 2"v1") 9(1(1"io.A" 2(4"An A." 19"bb" 22(1"object") "#,
            r##"25(1(1"bb" 2(1"#/definitions/B" 4"The B.")) "##,
            r#"1(1"cc" 2(22(1"array") 23(1(20(2"X1\n") 22(1"string"))))) "#,
            r#"1(1"dd" 2(21(1(2"int32" 22(1"integer"))) 22(1"object")))) "#,
            r#"31(1"x-kubernetes-map-type" 2(2"atomic\n")))))"#,
        ),
    );
}

#[test]
fn a_parameter_is_of_the_message_of_its_place() {
    check(
        r##"{"paths": {"/api": {"parameters": [
            {"in": "path", "name": "name", "required": true, "type": "string", "uniqueItems": true},
            {"in": "query", "name": "pretty", "type": "string", "uniqueItems": true},
            {"in": "body", "name": "body", "schema": {"$ref": "#/definitions/B"}}]}}}"##,
        concat!(
            r#"8(2(1"/api" 2(9(1(2(4(1=1 2"path" 4"name" 5"string" 19=1)))) "#,
            r#"9(1(2(3(2"query" 4"pretty" 6"string" 20=1)))) "#,
            r##"9(1(1(2"body" 3"body" 5(1"#/definitions/B")))))))"##,
        ),
    );
}

#[test]
fn a_parameter_that_many_share_is_referred_to() {
    check(
        r##"{"paths": {"/api": {"parameters": [{"$ref": "#/parameters/a"}]}},
             "parameters": {"a": {"in": "query", "name": "pretty", "type": "string"},
                            "b": {"in": "body", "name": "body", "schema": {"$ref": "#/definitions/B"}}}}"##,
        concat!(
            r##"8(2(1"/api" 2(9(2(1"#/parameters/a"))))) "##,
            r#"10(1(1"a" 2(2(3(2"query" 4"pretty" 6"string")))) "#,
            r##"1(1"b" 2(1(2"body" 3"body" 5(1"#/definitions/B")))))"##,
        ),
    );
}

#[test]
fn operations_answers_and_security_find_their_fields() {
    check(
        r##"{"paths": {"/api": {"get": {"tags": ["core"], "operationId": "getAPI", "responses": {
                "200": {"description": "OK", "schema": {"type": "string"}}}}}},
            "security": [{"BearerToken": []}],
            "securityDefinitions": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}}}"##,
        concat!(
            r#"8(2(1"/api" 2(2(1"core" 5"getAPI" 9(1(1"200" 2(1(1"OK" 2(1(22(1"string"))))))))))) "#,
            r#"12(1(1"BearerToken" 2())) "#,
            r#"13(1(1"BearerToken" 2(2(1"apiKey" 2"authorization" 3"header"))))"#,
        ),
    );
}

#[track_caller]
fn check_v3(document: &str, want: &str) {
    let document = json::decode(document.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
    assert_eq!(shown(&encode_v3(&document)).as_deref(), Some(want));
}

#[test]
fn version_3_says_of_each_schema_whether_it_is_a_reference() {
    check_v3(
        r##"{"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "components": {"schemas": {"io.A": {
            "type": "object", "nullable": true, "properties": {
                "bb": {"allOf": [{"$ref": "#/components/schemas/B"}], "default": {}},
                "cc": {"type": "array", "items": {"$ref": "#/components/schemas/B"}, "default": "text"},
                "dd": {"type": "object", "additionalProperties": true, "maxProperties": 3, "default": false},
                "ee": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/B"}, "minProperties": 0}}}}}}"##,
        concat!(
            r#"1"3.0.0" 2(1"Kubernetes" 6"v1") 5(1(1(1"io.A" 2(1(1=1 25"object" 31("#,
            r##"1(1"bb" 2(1(26(2(1"#/components/schemas/B")) 33()))) "##,
            r##"1(1"cc" 2(1(25"array" 30(1(2(1"#/components/schemas/B"))) 33(3"text")))) "##,
            r#"1(1"dd" 2(1(21=3 25"object" 32(2=1) 33(2=0)))) "#,
            r##"1(1"ee" 2(1(25"object" 32(1(2(1"#/components/schemas/B"))))))))))))"##,
        ),
    );
}

#[test]
fn operations_of_version_3_have_bodies_and_answers_by_media_type() {
    check_v3(
        r##"{"paths": {"/api": {"post": {"operationId": "createA", "x-kubernetes-action": "post",
            "requestBody": {"required": true, "content": {"*/*": {"schema": {"$ref": "B1"}}}},
            "responses": {"200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}}}},
            "parameters": [{"in": "query", "name": "pretty", "schema": {"type": "string", "uniqueItems": true}}]}}}"##,
        concat!(
            r#"4(1(1"/api" 2(6(5"createA" 7(1(2(1(1"*/*" 2(1(2(1"B1"))))) 3=1)) "#,
            r#"8(2(1"200" 2(1(1"OK" 3(1(1"text/plain" 2(1(1(25"string"))))))))) 13(1"x-kubernetes-action" 2(2"post\n"))) "#,
            r#"13(1(1"pretty" 2"query" 10(1(20=1 25"string")))))))"#,
        ),
    );
}
