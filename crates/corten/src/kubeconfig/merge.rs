//! Puts a context into the text of a kubeconfig and takes it out again; what others wrote stays.
//!
//! Comments and order are lost, as with every tool that writes these files, kubectl included: keys come out sorted.

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

use super::{Entry, user_name};

/// The text with the entry in it, in place of one of the same name, as the current context. An empty text is a new file.
///
/// Errors: the text is no kubeconfig.
pub(super) fn add(text: &str, entry: &Entry) -> anyhow::Result<String> {
    let mut config = parse(text)?;
    put(&mut config, "clusters", &entry.name, json!({"name": entry.name, "cluster": entry.cluster_body}))?;
    let mut context = json!({"cluster": entry.name, "user": entry.user});
    // `kubectl config set-context --current --namespace=N` is the user's word.
    let before = list_of(&mut config, "contexts")?.iter().find(|one| one["name"] == entry.name);
    if let Some(namespace) = before.and_then(|before| before["context"].get("namespace")) {
        context["namespace"] = namespace.clone();
    }
    put(&mut config, "contexts", &entry.name, json!({"name": entry.name, "context": context}))?;
    put(&mut config, "users", &entry.user, json!({"name": entry.user, "user": entry.user_body}))?;
    config.insert("current-context".to_owned(), json!(entry.name));
    write(config)
}

/// The text with the entry in place of the one of its name; nothing if there is none.
///
/// Errors: the text is no kubeconfig.
pub(super) fn refresh(text: &str, entry: &Entry) -> anyhow::Result<Option<String>> {
    let mut config = parse(text)?;
    if list_of(&mut config, "users")?.iter().all(|user| user["name"] != entry.user) {
        return Ok(None);
    }
    put(&mut config, "clusters", &entry.name, json!({"name": entry.name, "cluster": entry.cluster_body}))?;
    put(&mut config, "users", &entry.user, json!({"name": entry.user, "user": entry.user_body}))?;
    write(config).map(Some)
}

/// The text without the context `name`, its cluster and its user; nothing if none of them is there.
///
/// Errors: the text is no kubeconfig.
pub(super) fn remove(text: &str, name: &str) -> anyhow::Result<Option<String>> {
    let mut config = parse(text)?;
    let mut removed = false;
    for (list, name) in [("clusters", name), ("contexts", name), ("users", &user_name(name))] {
        let entries = list_of(&mut config, list)?;
        let before = entries.len();
        entries.retain(|one| one["name"] != name);
        removed |= entries.len() < before;
    }
    if config.get("current-context").is_some_and(|current| current == name) {
        config.insert("current-context".to_owned(), json!(""));
        removed = true;
    }
    if removed { write(config).map(Some) } else { Ok(None) }
}

fn parse(text: &str) -> anyhow::Result<Map<String, Value>> {
    if text.trim().is_empty() {
        let empty = json!({"apiVersion": "v1", "kind": "Config", "preferences": {}});
        return Ok(empty.as_object().expect("written as one").clone());
    }
    match serde_saphyr::from_str(text).context("parse the kubeconfig")? {
        Value::Object(config) => Ok(config),
        _ => bail!("the kubeconfig is not a YAML object"),
    }
}

fn write(config: Map<String, Value>) -> anyhow::Result<String> {
    serde_saphyr::to_string(&Value::Object(config)).context("write the kubeconfig")
}

fn list_of<'a>(config: &'a mut Map<String, Value>, list: &str) -> anyhow::Result<&'a mut Vec<Value>> {
    let value = config.entry(list).or_insert_with(|| json!([]));
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().with_context(|| format!("field {list} of the kubeconfig is not a list"))
}

fn put(config: &mut Map<String, Value>, list: &str, name: &str, value: Value) -> anyhow::Result<()> {
    let entries = list_of(config, list)?;
    match entries.iter_mut().find(|one| one["name"] == name) {
        Some(entry) => *entry = value,
        None => entries.push(value),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use corten_component_base::certificates::KeyPairPem;

    use super::*;

    const OTHERS: &str = "
apiVersion: v1
kind: Config
current-context: work
preferences: {}
clusters:
- name: work
  cluster: {server: 'https://work.example:6443', insecure-skip-tls-verify: true}
contexts:
- name: work
  context: {cluster: work, user: me, namespace: team}
users:
- name: me
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: login, args: [\"8443\", 'yes', \"1e3\"], interactiveMode: Never}
extensions:
- name: ours
  extension: {since: 7}
";

    fn entry(port: u16) -> Entry {
        let pair = KeyPairPem { certificate: "certificate".to_owned(), key: "key".into() };
        Entry::new("corten", std::net::SocketAddr::from(([127, 0, 0, 1], port)), "authority", &pair)
    }

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn a_new_file_has_all_that_a_client_needs() {
        let config = read(&add("", &entry(6443)).unwrap());
        assert_eq!(config["current-context"], "corten");
        assert_eq!(config["contexts"][0]["context"], json!({"cluster": "corten", "user": "corten-admin"}));
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
        assert_eq!(config["users"][0]["user"]["client-key-data"], "a2V5");
        assert_eq!(config["kind"], "Config");
    }

    #[test]
    fn the_namespace_that_the_user_works_in_stays() {
        let mut config = read(&add("", &entry(6443)).unwrap());
        config["contexts"][0]["context"]["namespace"] = json!("mine");
        let config = read(&add(&config.to_string(), &entry(7443)).unwrap());
        let want = json!({"cluster": "corten", "user": "corten-admin", "namespace": "mine"});
        assert_eq!(config["contexts"][0]["context"], want);
    }

    #[test]
    fn the_entries_of_others_stay() {
        let (before, after) = (read(OTHERS), read(&add(OTHERS, &entry(6443)).unwrap()));
        for list in ["clusters", "contexts", "users"] {
            assert_eq!(after[list][0], before[list][0], "{list}");
            assert_eq!(after[list].as_array().unwrap().len(), 2, "{list}");
        }
        assert_eq!(after["extensions"], before["extensions"]);
        assert_eq!(after["current-context"], "corten");
    }

    #[test]
    fn an_entry_of_the_same_name_is_replaced() {
        let twice = add(&add(OTHERS, &entry(1)).unwrap(), &entry(2)).unwrap();
        let config = read(&twice);
        assert_eq!(config["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(config["clusters"][1]["cluster"]["server"], "https://127.0.0.1:2");
    }

    #[test]
    fn removing_gives_back_what_was_before_but_no_current_context() {
        let mut want = read(OTHERS);
        want["current-context"] = json!("");
        let after = remove(&add(OTHERS, &entry(1)).unwrap(), "corten").unwrap().unwrap();
        assert_eq!(read(&after), want);
        assert_eq!(remove(OTHERS, "corten").unwrap(), None);
    }

    #[test]
    fn what_is_no_kubeconfig_is_refused() {
        for text in ["- a\n", "clusters: 7\n", "a: [\n"] {
            assert!(add(text, &entry(1)).is_err(), "{text:?}");
        }
        assert!(add("clusters:\ncontexts: null\n", &entry(1)).is_ok(), "kubectl writes null for an empty list");
    }
}
