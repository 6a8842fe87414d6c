//! Reading rules back: for tests, and for finding one's own table after a restart.

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Nftables, attributes,
    expr::Expr,
    request,
    rule::Rule,
    set::{Element, Set, read_elements},
    table::{BaseChain, Chain, ChainType, Family, Hook, Policy, Table, read_comment},
};
use crate::netlink::{
    Error,
    codec::{Attributes, Writer, flags},
};

/// A listing is repeated this often when somebody changes rules meanwhile, before that is an error.
const ATTEMPTS: usize = 10;

/// All that a table contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDump {
    /// The table.
    pub table: Table,
    /// Generation of the rules at the time.
    pub generation: u32,
    /// Chains in the order of their creation.
    pub chains: Vec<Chain>,
    /// Rules, by chain, in order.
    pub rules: Vec<RuleDump>,
    /// Sets and maps with their elements. Anonymous ones and those of unknown types are left out.
    pub sets: Vec<SetDump>,
}

/// A rule with what the kernel added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleDump {
    /// What to delete or replace it by.
    pub handle: u64,
    /// The rule; counters show what they have counted.
    pub rule: Rule,
}

/// A set with its elements, sorted by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetDump {
    /// The set.
    pub set: Set,
    /// Its elements.
    pub elements: Vec<Element>,
}

impl TableDump {
    /// The rules of one chain, in order.
    pub fn rules_of<'a>(&'a self, chain: &'a str) -> impl Iterator<Item = &'a RuleDump> {
        self.rules.iter().filter(move |r| r.rule.chain == chain)
    }

    /// A set by its name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&SetDump> {
        self.sets.iter().find(|s| s.set.name == name)
    }
}

impl Nftables {
    /// All tables of the namespace.
    pub fn tables(&self) -> Result<Vec<Table>, Error> {
        let answer = self.ask(request(MSG_GETTABLE, Family::Unspecified, flags::DUMP), "list tables")?;
        let mut out = Vec::new();
        for message in answer {
            let a = attributes(&message.payload)?;
            let Some(family) = family(message.payload[0]) else { continue };
            out.push(Table {
                family,
                name: a.string(TABLE_NAME).ok_or(Error::Malformed("table without name"))?,
                comment: a.get(TABLE_USERDATA).and_then(|u| read_comment(UDATA_COMMENT, u)),
            });
        }
        Ok(out)
    }

    /// All that a table contains, as of one generation; nothing if it does not exist.
    ///
    /// Errors: a refusal with `EINTR` if the rules keep changing.
    pub fn dump(&self, table: &Table) -> Result<Option<TableDump>, Error> {
        let mut generation = self.generation()?;
        for _ in 0..ATTEMPTS {
            let result = self.dump_once(table, generation);
            let after = self.generation()?;
            if after == generation {
                return result;
            }
            generation = after;
        }
        Err(Error::Refused {
            operation: format!("list table {table}"),
            message: Some("the rules kept changing".to_owned()),
            attribute_offset: None,
            source: std::io::Error::from_raw_os_error(libc::EINTR),
        })
    }

    /// The elements of one set, sorted by key.
    ///
    /// Errors: `is_not_found` if the set does not exist.
    pub fn elements(&self, table: &Table, set: &Set) -> Result<Vec<Element>, Error> {
        let mut w = request(MSG_GETSETELEM, table.family, flags::DUMP);
        w.string(ELEM_LIST_TABLE, &table.name).string(ELEM_LIST_SET, &set.name);
        let answer = self.ask(w, &format!("list elements of set {table} {}", set.name))?;
        let mut lists = Vec::new();
        for message in &answer {
            lists.extend(attributes(&message.payload)?.nested(ELEM_LIST_ELEMENTS)?);
        }
        read_elements(set, lists.into_iter())
    }

    fn dump_once(&self, table: &Table, generation: u32) -> Result<Option<TableDump>, Error> {
        let Some(found) = self.tables()?.into_iter().find(|t| t.family == table.family && t.name == table.name) else {
            return Ok(None);
        };
        let mut chains = Vec::new();
        for message in self.ask(request(MSG_GETCHAIN, table.family, flags::DUMP), "list chains")? {
            let a = attributes(&message.payload)?;
            if a.string(CHAIN_TABLE).as_deref() == Some(&table.name) && message.payload[0] == table.family.number() {
                chains.push(read_chain(table.family, a)?);
            }
        }
        let of_table = |kind| -> Writer {
            let mut w = request(kind, table.family, flags::DUMP);
            w.string(TABLE_NAME, &table.name);
            w
        };
        let mut rules = Vec::new();
        for message in self.ask(of_table(MSG_GETRULE), "list rules")? {
            rules.push(read_rule(attributes(&message.payload)?)?);
        }
        let mut sets = Vec::new();
        for message in self.ask(of_table(MSG_GETSET), "list sets")? {
            if let Some(set) = Set::read(attributes(&message.payload)?)? {
                let elements = self.elements(table, &set)?;
                sets.push(SetDump { set, elements });
            }
        }
        Ok(Some(TableDump { table: found, generation, chains, rules, sets }))
    }
}

fn read_chain(family: Family, a: Attributes<'_>) -> Result<Chain, Error> {
    let base = match a.nested(CHAIN_HOOK)? {
        None => None,
        Some(hook) => Some(BaseChain {
            chain_type: a
                .string(CHAIN_TYPE)
                .and_then(|word| ChainType::from_word(&word))
                .ok_or(Error::Malformed("chain type"))?,
            hook: hook
                .be32(HOOK_HOOKNUM)
                .and_then(|n| Hook::from_number(family, n))
                .ok_or(Error::Malformed("chain hook"))?,
            priority: hook.be32(HOOK_PRIORITY).ok_or(Error::Malformed("chain priority"))?.cast_signed(),
            policy: if a.be32(CHAIN_POLICY) == Some(0) { Policy::Drop } else { Policy::Accept },
            device: hook.string(HOOK_DEV),
        }),
    };
    Ok(Chain {
        name: a.string(CHAIN_NAME).ok_or(Error::Malformed("chain without name"))?,
        base,
        comment: a.get(CHAIN_USERDATA).and_then(|u| read_comment(UDATA_COMMENT, u)),
    })
}

fn read_rule(a: Attributes<'_>) -> Result<RuleDump, Error> {
    let mut exprs = Vec::new();
    if let Some(list) = a.nested(RULE_EXPRESSIONS)? {
        for (_, element) in list.iter() {
            exprs.push(Expr::read(Attributes::parse(element)?)?);
        }
    }
    Ok(RuleDump {
        handle: a.be64(RULE_HANDLE).ok_or(Error::Malformed("rule without handle"))?,
        rule: Rule {
            chain: a.string(RULE_CHAIN).ok_or(Error::Malformed("rule without chain"))?,
            exprs,
            comment: a.get(RULE_USERDATA).and_then(|u| read_comment(UDATA_COMMENT, u)),
        },
    })
}

fn family(number: u8) -> Option<Family> {
    [Family::Inet, Family::Ip4, Family::Ip6, Family::Bridge, Family::Netdev].into_iter().find(|f| f.number() == number)
}
