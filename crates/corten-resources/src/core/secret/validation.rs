//! Rules of secrets: keys, size, what each type needs, and immutability.

use base64::Engine as _;
use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    validation::is_config_map_key,
};

use crate::{
    core::config_map::{DATA_MAX_BYTES, decoded_len, frozen},
    go_json,
    report::Report,
};

const SERVICE_ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

pub(super) fn create(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data");
    let data = object.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut size_bytes = 0;
    for (key, value) in data.iter() {
        errors.invalids(&path.key(key), key, is_config_map_key(key));
        size_bytes += decoded_len(value.as_str().unwrap_or_default());
    }
    if size_bytes > DATA_MAX_BYTES {
        errors.push(Error::too_long(&path, DATA_MAX_BYTES));
    }
    let missing = |key: &str| !data.contains_key(key);
    let mut need = |key: &str| {
        if missing(key) {
            errors.required(&path.key(key), "");
        }
    };
    match object.str_at(&["type"]).unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let name = object.annotation(SERVICE_ACCOUNT_NAME).unwrap_or_default();
            errors.require(&Path::new("metadata").child("annotations").key(SERVICE_ACCOUNT_NAME), name);
        }
        "kubernetes.io/dockercfg" => errors.extend(docker_config(object, ".dockercfg")),
        "kubernetes.io/dockerconfigjson" => errors.extend(docker_config(object, ".dockerconfigjson")),
        // One of both is enough.
        "kubernetes.io/basic-auth" if missing("username") && missing("password") => {
            need("username");
            need("password");
        }
        "kubernetes.io/ssh-auth" => {
            let key = object.str_at(&["data", "ssh-privatekey"]).unwrap_or_default();
            errors.require(&path.key("ssh-privatekey"), key);
        }
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
    errors
}

fn docker_config(object: &Value, key: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data").key(key);
    let Some(text) = object.str_at(&["data", key]) else {
        errors.required(&path, "");
        return errors;
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    if let Err(why) = go_json::object(&bytes, "map[string]interface {}") {
        errors.invalid(&path, "<secret contents redacted>", why);
    }
    errors
}

pub(super) fn update(object: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.immutable(&Path::new("type"), object.get("type"), old.get("type"));
    errors.extend(frozen(object, old, &["data"]));
    errors.extend(create(object));
    errors
}
