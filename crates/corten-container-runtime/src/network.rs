//! Which network pods get: another one's CNI configuration if there is one, the built-in bridge otherwise.

use corten_net::cni::{Host, NetworkConfigList, bridge};
use serde_json::{Map, Value, json};

use crate::Config;

/// Makes the built-in network's bridge with the node's own addresses, so that servers on them need not wait for a pod.
/// Nothing is done where another network's configuration is used. Blocks.
pub(crate) fn prepare(config: &Config, host: &Host, pod_cidrs: &[String]) -> Result<(), String> {
    if !is_built_in(config) {
        return Ok(());
    }
    let networks: Result<Vec<_>, _> = pod_cidrs.iter().map(|cidr| cidr.parse()).collect();
    let networks = networks.map_err(|error| format!("pod ranges {pod_cidrs:?}: {error}"))?;
    bridge::prepare(host, &config.bridge, &networks).map_err(|error| error.to_string())
}

/// Removes what the built-in network has on the node besides the pods' ends. Blocks.
pub(crate) fn remove(config: &Config, host: &Host) -> Result<(), String> {
    bridge::remove(host, &config.bridge, &config.nft_table).map_err(|error| error.to_string())
}

fn is_built_in(config: &Config) -> bool {
    matches!(NetworkConfigList::load_first(&config.cni_config_dir), Err(corten_net::cni::ConfigError::None { .. }))
}

/// The network of the moment. Errors say why there is none. Blocks for small files.
pub(crate) fn network(config: &Config, pod_cidrs: &[String]) -> Result<NetworkConfigList, String> {
    match NetworkConfigList::load_first(&config.cni_config_dir) {
        Ok(list) => return Ok(list),
        Err(corten_net::cni::ConfigError::None { .. }) => {}
        Err(error) => return Err(corten_base::ErrorChain(&error).to_string()),
    }
    if pod_cidrs.is_empty() {
        return Err("cni plugin not initialized".to_owned());
    }
    NetworkConfigList::from_value(built_in(config, pod_cidrs)).map_err(|error| error.to_string())
}

fn built_in(config: &Config, pod_cidrs: &[String]) -> Value {
    let ranges: Vec<Value> = pod_cidrs.iter().map(|subnet| json!([{"subnet": subnet}])).collect();
    let routes: Vec<Value> = pod_cidrs
        .iter()
        .map(|subnet| json!({"dst": if subnet.contains(':') { "::/0" } else { "0.0.0.0/0" }}))
        .collect();
    json!({
        "cniVersion": "1.0.0",
        "name": config.bridge,
        "plugins": [
            {
                "type": "bridge",
                "bridge": config.bridge,
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "nftTable": config.nft_table,
                "ipam": {"type": "host-local", "dataDir": config.run.join("ipam"), "ranges": ranges, "routes": routes},
            },
            {
                "type": "portmap",
                "nftTable": config.nft_table,
                "reservedPorts": config.reserved_ports,
                "capabilities": {"portMappings": true},
            },
        ],
    })
}

/// The pod's ports as plugins get them; those without a port of the node are none.
pub(crate) fn port_mappings(mappings: &[corten_cri::api::PortMapping]) -> Map<String, Value> {
    let mappings: Vec<Value> = mappings
        .iter()
        .filter(|mapping| mapping.host_port > 0)
        .map(|mapping| {
            json!({
                "hostPort": mapping.host_port,
                "containerPort": mapping.container_port,
                "protocol": mapping.protocol().as_str_name().to_lowercase(),
                "hostIP": mapping.host_ip,
            })
        })
        .collect();
    if mappings.is_empty() {
        Map::new()
    } else {
        [("portMappings".to_owned(), Value::Array(mappings))].into_iter().collect()
    }
}
