//! Settings of what the API server serves, checked as they are read and kept as they were said. The flags may be repeated, as
//! upstream's.

use anyhow::Context as _;
use corten_component_base::feature_gates::FeatureGates;
use corten_controlplane::RuntimeConfig;

/// `--feature-gates`: all that was said; nothing where it was left out.
pub(crate) fn feature_gates(said: &[String]) -> anyhow::Result<Option<String>> {
    let text = said.join(",");
    FeatureGates::parse(&text).context("--feature-gates")?;
    Ok((!said.is_empty()).then_some(text))
}

/// `--runtime-config`: as `feature_gates`.
pub(crate) fn runtime_config(said: &[String]) -> anyhow::Result<Option<String>> {
    let text = said.join(",");
    RuntimeConfig::parse(&text).context("--runtime-config")?;
    Ok((!said.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second of two was refused as a mistake.
    #[test]
    fn what_is_said_twice_counts_together() {
        let said = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let gates = |texts: &[&str]| feature_gates(&said(texts)).map_err(|error| format!("{error:#}"));
        assert_eq!(gates(&[]), Ok(None));
        assert_eq!(gates(&[""]), Ok(Some(String::new())));
        let both = ["GangScheduling=true", "GenericWorkload=true"];
        assert_eq!(gates(&both), Ok(Some(both.join(","))));
        let why = "GangScheduling is enabled, but depends on features that are disabled: [GenericWorkload]";
        assert_eq!(gates(&both[..1]), Err(format!("--feature-gates: {why}")));
        let settings = |texts: &[&str]| runtime_config(&said(texts)).map_err(|error| format!("{error:#}"));
        assert_eq!(settings(&["api/all=false", "/v1=true"]), Ok(Some("api/all=false,/v1=true".to_owned())));
        assert_eq!(
            settings(&["api/all=false"]),
            Err("--runtime-config: invalid key with only api/all=false".to_owned())
        );
    }
}
