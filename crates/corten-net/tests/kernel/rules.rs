//! The typed model of nftables: what is written reads back, transactions are atomic, refusals name the object.

use std::{process::Command, time::Duration};

use corten_net::{
    Netns,
    nftables::{
        Chain, ChainType, CmpOp, CommitError, CtKey, DataType, Element, Expr, Family, Field, Hook, Nftables, Reg,
        Reject, Rule, RulePlace, Selector, Set, Table, Transaction, Value, Verdict, ct_state, ct_status, nat_flags,
        priority,
    },
};

use crate::support::{ip, need_root, net};

fn table(family: Family) -> Table {
    Table { comment: Some("made by a test".into()), ..Table::new(family, "t") }
}

#[test]
fn every_word_reads_back_as_it_was_written() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let service_key = [DataType::Ip4, DataType::Protocol, DataType::Port];
    let services = Set { comment: Some("services".into()), ..Set::verdict_map("services", &service_key) };
    let endpoints = Set::map("endpoints", &[DataType::Integer], &[DataType::Ip4, DataType::Port]);
    let hosts =
        Set { size: Some(100), ..Set::new("hosts", &[DataType::Ip4]).updated_by_rules(Duration::from_secs(10)) };
    let nets = Set::new("nets", &[DataType::Ip4]).with_intervals();
    let fields = [Field::Ip4Destination, Field::L4Proto, Field::DestinationPort];
    let rules = [
        Rule::new("pre").comment("services").verdict_map(Selector::Fields(&fields), "services"),
        Rule::new("pre").matches(Field::IifName, &Value::IfName("eth0".into())).counter().verdict(Verdict::Accept),
        Rule::new("pre").matches(Field::FibDestinationType, &Value::LOCAL).jump("svc"),
        Rule::new("pre").in_network(Field::Ip4Source, net("10.0.0.0/8"), false).verdict(Verdict::Return),
        Rule::new("pre").in_network(Field::Ip4Source, net("10.0.0.1/32"), true).set_mark(0x4000, 0x4000),
        Rule::new("pre").in_set(&[Field::Ip4Source], "nets").not_in_set(&[Field::Ip4Destination], "nets").goto("svc"),
        Rule::new("svc").update_set(&[Field::Ip4Source], "hosts", Some(Duration::from_secs(5))),
        Rule::new("svc").dnat_map(Selector::Random { modulus: 2 }, "endpoints", false),
        Rule::new("svc").dnat_map(
            Selector::Hash { fields: &[Field::Ip4Source], modulus: 2, seed: 7 },
            "endpoints",
            false,
        ),
        Rule::new("svc").matches(Field::L4Proto, &Value::Protocol(6)).dnat(ip("10.0.0.9"), Some(8080)),
        Rule::new("svc").dnat(ip("10.0.0.9"), None),
        Rule::new("post").any_bit(Field::Mark, 0x4000).masquerade(nat_flags::FULLY_RANDOM),
        Rule::new("post").snat(ip("10.0.0.1"), nat_flags::RANDOM),
        Rule::new("in").any_bit(Field::CtState, ct_state::ESTABLISHED | ct_state::RELATED).verdict(Verdict::Accept),
        Rule::new("in").no_bit(Field::CtStatus, ct_status::DNAT).verdict(Verdict::Drop),
        Rule::new("in")
            .matches(Field::CtOriginalDestinationIp4, &Value::Ip4([10, 0, 0, 1].into()))
            .reject(Reject::Icmp(3)),
        Rule::new("in")
            .matches(Field::L4Proto, &Value::Protocol(6))
            .compares(Field::DestinationPort, CmpOp::Ge, &Value::Port(1024))
            .reject(Reject::TcpReset),
        Rule::new("in").expr(Expr::Limit { rate: 5, per: Duration::from_secs(1), burst: 5, over: false }),
        Rule::new("in").expr(Expr::Log { prefix: "dropped".into() }),
        Rule::new("in")
            .expr(Expr::Meta { key: corten_net::nftables::MetaKey::Mark, to: Reg(0) })
            .expr(Expr::CtSet { key: CtKey::Mark, from: Reg(0) }),
        Rule::new("in")
            .expr(Expr::Payload {
                base: corten_net::nftables::PayloadBase::Transport,
                offset: 2,
                length: 2,
                to: Reg(5),
            })
            .expr(Expr::Range { from: Reg(5), negated: false, first: vec![0, 80], last: vec![0, 90] }),
        Rule::new("in").expr(Expr::DynsetDelete { set: "hosts".into(), key: Reg(0) }),
    ];
    // The kernel refuses reading a register that the rule did not fill.
    let rules: Vec<_> = rules
        .into_iter()
        .map(|mut r| {
            if matches!(r.exprs[..], [Expr::DynsetDelete { .. }]) {
                r.exprs.insert(
                    0,
                    Expr::Payload {
                        base: corten_net::nftables::PayloadBase::Network,
                        offset: 12,
                        length: 4,
                        to: Reg(0),
                    },
                );
            }
            r
        })
        .collect();
    let chains = [
        Chain {
            comment: Some("first".into()),
            ..Chain::base("pre", ChainType::Nat, Hook::Prerouting, priority::DSTNAT)
        },
        Chain::base("post", ChainType::Nat, Hook::Postrouting, priority::SRCNAT),
        Chain::base("in", ChainType::Filter, Hook::Input, priority::FILTER),
        Chain::regular("svc"),
    ];
    let elements = [
        Element::new([Value::Ip4([10, 0, 0, 1].into()), Value::Protocol(6), Value::Port(80)])
            .to_verdict(Verdict::Goto("svc".into()))
            .comment("default/web"),
        Element::new([Value::Ip4([10, 0, 0, 2].into()), Value::Protocol(17), Value::Port(53)])
            .to_verdict(Verdict::Drop),
    ];
    let backends = [0_u8, 1].map(|i| {
        Element::new([Value::Integer(i.into())]).to_values([Value::Ip4([10, 1, 0, 2 + i].into()), Value::Port(8080)])
    });
    let prefixes = [
        Element::prefix(net("10.0.0.0/8")),
        Element::new([Value::Ip4([172, 16, 0, 1].into())]),
        Element::range([Value::Ip4([192, 168, 0, 5].into())], [Value::Ip4([192, 168, 0, 9].into())]),
        Element::prefix(net("240.0.0.0/4")),
    ];
    let mut tx = Transaction::new();
    tx.add_table(&t);
    for set in [&services, &endpoints, &hosts, &nets] {
        tx.add_set(&t, set.clone());
    }
    for chain in &chains {
        tx.add_chain(&t, chain.clone());
    }
    tx.add_elements(&t, &services, elements.clone());
    tx.add_elements(&t, &endpoints, backends.clone());
    tx.add_elements(&t, &nets, prefixes.clone());
    for rule in &rules {
        tx.add_rule(&t, rule.clone());
    }
    tx.want_handles();
    let before = nft.generation().unwrap();
    let handles = nft.commit(&tx).unwrap().rule_handles;
    assert_eq!(handles.len(), rules.len());
    assert!(nft.generation().unwrap() > before);

    let dump = nft.dump(&t).unwrap().unwrap();
    assert_eq!(dump.table, t);
    assert_eq!(dump.chains, chains);
    for chain in &chains {
        let got: Vec<_> = dump.rules_of(&chain.name).map(|r| &r.rule).collect();
        let want: Vec<_> = rules.iter().filter(|r| r.chain == chain.name).collect();
        assert_eq!(got, want, "rules of {}", chain.name);
        let got: Vec<_> = dump.rules_of(&chain.name).map(|r| r.handle).collect();
        let want: Vec<_> = rules.iter().zip(&handles).filter(|(r, _)| r.chain == chain.name).map(|(_, h)| *h).collect();
        assert_eq!(got, want, "handles of {}", chain.name);
    }
    for (set, elements) in [(&services, &elements[..]), (&endpoints, &backends), (&nets, &prefixes)] {
        let got = dump.set(&set.name).unwrap();
        assert_eq!(&got.set, set);
        assert_eq!(got.elements, elements);
    }
    assert_eq!(dump.set("hosts").unwrap().set, hosts);

    // Deleting what was added, in all its forms, leaves an empty set; deleting the table leaves nothing.
    let mut tx = Transaction::new();
    tx.delete_elements(&t, &nets, prefixes).delete_rule(&t, "pre", handles[0]).delete_elements(&t, &services, elements);
    nft.commit(&tx).unwrap();
    let dump = nft.dump(&t).unwrap().unwrap();
    assert!(dump.set("nets").unwrap().elements.is_empty());
    assert!(dump.set("services").unwrap().elements.is_empty());
    assert!(dump.rules.iter().all(|r| r.handle != handles[0]));
    let mut tx = Transaction::new();
    nft.commit(tx.delete_table(&t)).unwrap();
    assert!(nft.dump(&t).unwrap().is_none());
    assert!(nft.tables().unwrap().is_empty());
}

#[test]
fn concatenated_intervals_and_inet_tables_read_back() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Inet);
    let policy = Set::new("policy", &[DataType::Ip6, DataType::Protocol, DataType::Port]).with_intervals();
    let elements = [
        Element::range(
            [Value::Ip6("fd01::".parse().unwrap()), Value::Protocol(6), Value::Port(80)],
            [Value::Ip6("fd01::ffff".parse().unwrap()), Value::Protocol(6), Value::Port(90)],
        ),
        Element::new([Value::Ip6("fd02::1".parse().unwrap()), Value::Protocol(17), Value::Port(53)]),
    ];
    let rule = Rule::new("in")
        .matches_family_of(ip("fd01::1"))
        .not_in_set(&[Field::Ip6Source, Field::L4Proto, Field::DestinationPort], "policy")
        .reject(Reject::Icmpx(1));
    let redirect = Rule::new("nat")
        .matches(Field::L4Proto, &Value::Protocol(6))
        .expr(Expr::Immediate { to: Reg(0), value: vec![0, 80] })
        .expr(Expr::Redirect { port: Some(Reg(0)), flags: 0 });
    let mut tx = Transaction::new();
    tx.add_table(&t)
        .add_set(&t, policy.clone())
        .add_chain(&t, Chain::base("in", ChainType::Filter, Hook::Input, priority::FILTER))
        .add_chain(&t, Chain::base("nat", ChainType::Nat, Hook::Prerouting, priority::DSTNAT))
        .add_elements(&t, &policy, elements.clone())
        .add_rule(&t, rule.clone())
        .add_rule(&t, redirect.clone());
    nft.commit(&tx).unwrap();
    let dump = nft.dump(&t).unwrap().unwrap();
    assert_eq!(dump.rules.iter().map(|r| &r.rule).collect::<Vec<_>>(), [&rule, &redirect]);
    // The kernel gives a range for every element of such a set; equal ends are a single key again.
    let got = &dump.set("policy").unwrap().elements;
    assert_eq!(got[..], elements);
    let mut tx = Transaction::new();
    nft.commit(tx.delete_elements(&t, &policy, elements)).unwrap();
    assert!(nft.elements(&t, &policy).unwrap().is_empty());
}

#[test]
fn a_chain_of_a_device_reads_back() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Netdev);
    let mut chain = Chain::base("early", ChainType::Filter, Hook::Ingress, 0);
    chain.base.as_mut().unwrap().device = Some("lo".into());
    let rule = Rule::new("early").matches(Field::L4Proto, &Value::Protocol(17)).verdict(Verdict::Drop);
    let mut tx = Transaction::new();
    nft.commit(tx.add_table(&t).add_chain(&t, chain.clone()).add_rule(&t, rule.clone())).unwrap();
    let dump = nft.dump(&t).unwrap().unwrap();
    assert_eq!((dump.chains, &dump.rules[0].rule), (vec![chain], &rule));
}

#[test]
fn a_transaction_that_fails_changes_nothing_and_names_the_element() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let set = Set::new("hosts", &[DataType::Ip4]);
    let host = |n: u16| Element::new([Value::Ip4([10, 0, (n >> 8) as u8, n as u8].into())]);
    let mut tx = Transaction::new();
    tx.add_table(&t).add_set(&t, set.clone()).add_elements(&t, &set, (0..2000).map(host).collect::<Vec<_>>());
    nft.commit(&tx).unwrap();
    let before = nft.dump(&t).unwrap().unwrap();
    assert_eq!(before.set("hosts").unwrap().elements.len(), 2000);

    // The last of many, spread over several messages, does not exist.
    let mut tx = Transaction::new();
    tx.add_chain(&t, Chain::regular("extra")).delete_elements(&t, &set, (1..2001).map(host).collect::<Vec<_>>());
    let error = nft.commit(&tx).unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let first = error.first().unwrap();
    assert_eq!(first.operation, Some(1));
    assert_eq!(first.object, "delete element 10.0.7.208 from set ip t hosts");
    assert_eq!(nft.dump(&t).unwrap().unwrap(), before);

    let mut tx = Transaction::new();
    tx.add_chain(&t, Chain::regular("a")).add_rule(&t, Rule::new("a").jump("nowhere").comment("lost"));
    let error = nft.commit(&tx).unwrap_err();
    assert_eq!(error.first().unwrap().object, "add rule \"lost\" to chain ip t a");
    assert_eq!(nft.dump(&t).unwrap().unwrap(), before);
    let CommitError::Refused { failures } = &error else { panic!("{error}") };
    assert_eq!(failures.len(), 1);
    println!("{error}");
}

#[test]
fn a_changed_map_element_is_deleted_and_added_in_one_transaction() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let map = Set::map("m", &[DataType::Integer], &[DataType::Ip4]);
    let at = |last: u8| Element::new([Value::Integer(1)]).to_values([Value::Ip4([10, 0, 0, last].into())]);
    let mut tx = Transaction::new();
    nft.commit(tx.add_table(&t).add_set(&t, map.clone()).add_elements(&t, &map, [at(1)])).unwrap();
    let mut tx = Transaction::new();
    let error = nft.commit(tx.add_elements(&t, &map, [at(2)])).unwrap_err();
    assert_eq!(error.first().unwrap().object, "add element 1 to set ip t m");
    let mut tx = Transaction::new();
    nft.commit(tx.delete_elements(&t, &map, [at(1)]).add_elements(&t, &map, [at(2)])).unwrap();
    assert_eq!(nft.elements(&t, &map).unwrap(), [at(2)]);
}

#[test]
fn rules_go_where_they_are_placed() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let rule = |name: &str| Rule::new("c").counter().comment(name);
    let mut tx = Transaction::new();
    tx.add_table(&t).add_chain(&t, Chain::regular("c")).add_rule(&t, rule("b")).add_rule(&t, rule("d")).want_handles();
    let handles = nft.commit(&tx).unwrap().rule_handles;
    let mut tx = Transaction::new();
    tx.place_rule(&t, rule("a"), RulePlace::Start)
        .place_rule(&t, rule("c"), RulePlace::After(handles[0]))
        .place_rule(&t, rule("c2"), RulePlace::Before(handles[1]))
        .place_rule(&t, rule("D"), RulePlace::Replace(handles[1]));
    nft.commit(&tx).unwrap();
    let names =
        || -> Vec<String> { nft.dump(&t).unwrap().unwrap().rules.into_iter().filter_map(|r| r.rule.comment).collect() };
    assert_eq!(names(), ["a", "b", "c", "c2", "D"]);
    let mut tx = Transaction::new();
    nft.commit(tx.flush_chain(&t, "c")).unwrap();
    assert!(names().is_empty());
    let mut tx = Transaction::new();
    nft.commit(tx.delete_chain(&t, "c").purge_table(&t).purge_table(&Table::new(Family::Ip6, "never-made"))).unwrap();
    assert!(nft.tables().unwrap().is_empty());
}

#[test]
fn a_commit_for_an_old_generation_is_refused() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    assert!(nft.is_supported().unwrap());
    let t = table(Family::Ip4);
    let seen = nft.generation().unwrap();
    let mut tx = Transaction::new();
    nft.commit(tx.add_table(&t).expect_generation(seen)).unwrap();
    let mut tx = Transaction::new();
    let error = nft.commit(tx.delete_table(&t).expect_generation(seen)).unwrap_err();
    assert!(matches!(error, CommitError::GenerationChanged { expected } if expected == seen), "{error}");
    assert_eq!(nft.tables().unwrap(), [t]);
}

#[test]
fn many_refusals_are_reported_without_getting_lost() {
    need_root!();
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let mut tx = Transaction::new();
    for i in 0..20_000 {
        tx.delete_chain(&t, format!("chain-{i}"));
    }
    let error = nft.commit(&tx).unwrap_err();
    assert_eq!(error.first().unwrap().object, "delete chain ip t chain-0");
    // The handle is good for the next transaction.
    let mut tx = Transaction::new();
    nft.commit(tx.add_table(&t)).unwrap();
}

/// Other people's tool must be able to show what we write: types, comments, timeouts.
#[test]
fn nft_shows_what_was_written() {
    need_root!();
    let Ok(version) = Command::new("nft").arg("--version").output() else {
        println!("skipped: there is no nft(8) to compare with");
        return;
    };
    let netns = Netns::create().unwrap();
    let nft = Nftables::open_in(&netns).unwrap();
    let t = table(Family::Ip4);
    let services = Set::verdict_map("services", &[DataType::Ip4, DataType::Protocol, DataType::Port]);
    let endpoints = Set::map("endpoints", &[DataType::Integer], &[DataType::Ip4, DataType::Port]);
    let nets = Set::new("nets", &[DataType::Ip4]).with_intervals();
    let affinity = Set::new("affinity", &[DataType::Ip4]).updated_by_rules(Duration::from_secs(60));
    let policy = Set::new("policy", &[DataType::Ip4, DataType::Port]).with_intervals();
    let fields = [Field::Ip4Destination, Field::L4Proto, Field::DestinationPort];
    let mut tx = Transaction::new();
    tx.add_table(&t);
    for set in [&services, &endpoints, &nets, &affinity, &policy] {
        tx.add_set(&t, set.clone());
    }
    let key = [Value::Ip4([10, 0, 0, 1].into()), Value::Protocol(6), Value::Port(80)];
    let bound = |last: u8, port: u16| [Value::Ip4([10, 0, 0, last].into()), Value::Port(port)];
    tx.add_chain(&t, Chain::regular("svc"))
        .add_chain(&t, Chain::base("pre", ChainType::Nat, Hook::Prerouting, priority::DSTNAT))
        .add_chain(&t, Chain::base("post", ChainType::Nat, Hook::Postrouting, priority::SRCNAT))
        .add_elements(&t, &services, [Element::new(key).to_verdict(Verdict::Goto("svc".into())).comment("default/web")])
        .add_elements(&t, &nets, [Element::prefix(net("10.0.0.0/8"))])
        .add_elements(&t, &policy, [Element::range(bound(0, 80), bound(9, 90))])
        .add_rule(&t, Rule::new("pre").verdict_map(Selector::Fields(&fields), "services").comment("services"))
        .add_rule(
            &t,
            Rule::new("svc").in_set(&[Field::Ip4Source], "nets").update_set(&[Field::Ip4Source], "affinity", None),
        )
        .add_rule(&t, Rule::new("svc").matches(Field::L4Proto, &Value::Protocol(6)).dnat(ip("10.1.0.2"), Some(8080)))
        .add_rule(&t, Rule::new("svc").any_bit(Field::CtState, ct_state::NEW).counter().verdict(Verdict::Accept))
        .add_rule(&t, Rule::new("post").any_bit(Field::Mark, 0x4000).masquerade(nat_flags::FULLY_RANDOM));
    nft.commit(&tx).unwrap();
    let output = netns.run(|| Command::new("nft").args(["-nn", "list", "ruleset"]).output()).unwrap().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    println!("{}{shown}{}", String::from_utf8_lossy(&version.stdout), String::from_utf8_lossy(&output.stderr));
    for line in [
        "elements = { 10.0.0.1 . 6 . 80 comment \"default/web\" : goto svc }",
        "elements = { 10.0.0.0/8 }",
        "elements = { 10.0.0.0-10.0.0.9 . 80-90 }",
        "ip daddr . meta l4proto . th dport vmap @services comment \"services\"",
        "ip saddr @nets update @affinity { ip saddr }",
        "meta l4proto 6 dnat to 10.1.0.2:8080",
        "masquerade fully-random",
        "type nat hook prerouting priority -100; policy accept;",
        "timeout 60s",
    ] {
        assert!(shown.contains(line), "nft does not show {line:?}");
    }
}
