//! Changes that take effect together or not at all.
//!
//! One transaction is one datagram to the kernel: "begin", the operations, "end". The kernel checks all of them, then
//! switches to the new generation of rules at once; packets see the old rules or the new ones. There is one exception: a
//! packet that is being looked at during the switch may meet new elements from old rules, so that an element that leads to
//! a chain of the same commit leads to one without rules. Refusals name the operation, and the element where there are
//! many in one.

use std::{fmt, io};

#[allow(
    clippy::wildcard_imports,
    reason = "a table of the kernel's constants with prefixes of their own; test builds do not lint this"
)]
use super::uapi::*;
use super::{
    Nftables, attributes,
    error::{CommitError, Failure},
    rule::Rule,
    set::{Element, Set},
    table::{Chain, Policy, Table, write_comment},
};
use crate::netlink::{
    self,
    codec::{Writer, flags},
    socket::Refusal,
};

/// Elements of one message: a list of elements is one attribute, whose length has 16 bits.
const ELEMENTS_MAX_BYTES: usize = 48 << 10;

/// Where a rule goes in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePlace {
    /// Behind all others.
    End,
    /// Before all others.
    Start,
    /// Directly before the rule with this handle.
    Before(u64),
    /// Directly behind the rule with this handle.
    After(u64),
    /// In place of the rule with this handle.
    Replace(u64),
}

/// A list of changes to be made together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    operations: Vec<Operation>,
    expected_generation: Option<u32>,
    wants_handles: bool,
}

/// What a commit gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Handles of the added rules, in the order of the transaction; empty unless asked for.
    pub rule_handles: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq)]
struct Operation {
    table: Table,
    change: Change,
}

#[derive(Clone, Debug, PartialEq)]
enum Change {
    AddTable,
    DeleteTable,
    AddChain(Chain),
    FlushChain(String),
    DeleteChain(String),
    AddRule(Rule, RulePlace),
    DeleteRule { chain: String, handle: u64 },
    AddSet(Set),
    FlushSet(String),
    DeleteSet(String),
    Elements { set: String, is_pair: bool, adds: bool, elements: Vec<Element> },
}

impl Transaction {
    /// An empty transaction.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Refuse the commit if anybody changed any rule of the namespace since this generation.
    pub fn expect_generation(&mut self, generation: u32) -> &mut Self {
        self.expected_generation = Some(generation);
        self
    }

    /// Let the commit return the handles of the added rules. It costs an answer per rule.
    pub fn want_handles(&mut self) -> &mut Self {
        self.wants_handles = true;
        self
    }

    /// Creates a table; one that exists stays as it is.
    pub fn add_table(&mut self, table: &Table) -> &mut Self {
        self.push(table, Change::AddTable)
    }

    /// Deletes a table with all it contains; refused if it does not exist.
    pub fn delete_table(&mut self, table: &Table) -> &mut Self {
        self.push(table, Change::DeleteTable)
    }

    /// Deletes a table with all it contains, whether or not it exists.
    pub fn purge_table(&mut self, table: &Table) -> &mut Self {
        self.add_table(table).delete_table(table)
    }

    /// Creates a chain; one that exists stays as it is, but takes over the policy.
    pub fn add_chain(&mut self, table: &Table, chain: Chain) -> &mut Self {
        self.push(table, Change::AddChain(chain))
    }

    /// Deletes all rules of a chain.
    pub fn flush_chain(&mut self, table: &Table, chain: impl Into<String>) -> &mut Self {
        self.push(table, Change::FlushChain(chain.into()))
    }

    /// Deletes a chain and its rules; refused while something jumps to it.
    pub fn delete_chain(&mut self, table: &Table, chain: impl Into<String>) -> &mut Self {
        self.push(table, Change::DeleteChain(chain.into()))
    }

    /// Adds a rule at the end of its chain.
    pub fn add_rule(&mut self, table: &Table, rule: Rule) -> &mut Self {
        self.place_rule(table, rule, RulePlace::End)
    }

    /// Adds a rule at a place in its chain.
    pub fn place_rule(&mut self, table: &Table, rule: Rule, place: RulePlace) -> &mut Self {
        self.push(table, Change::AddRule(rule, place))
    }

    /// Deletes a rule by its handle.
    pub fn delete_rule(&mut self, table: &Table, chain: impl Into<String>, handle: u64) -> &mut Self {
        self.push(table, Change::DeleteRule { chain: chain.into(), handle })
    }

    /// Creates a set or map; an equal one that exists stays as it is.
    pub fn add_set(&mut self, table: &Table, set: Set) -> &mut Self {
        self.push(table, Change::AddSet(set))
    }

    /// Deletes all elements of a set.
    pub fn flush_set(&mut self, table: &Table, set: impl Into<String>) -> &mut Self {
        self.push(table, Change::FlushSet(set.into()))
    }

    /// Deletes a set; refused while a rule uses it.
    pub fn delete_set(&mut self, table: &Table, set: impl Into<String>) -> &mut Self {
        self.push(table, Change::DeleteSet(set.into()))
    }

    /// Adds elements. One that exists stays as it is; refused if a map has the key with other data (delete it first, in
    /// the same transaction).
    pub fn add_elements(&mut self, table: &Table, set: &Set, elements: impl Into<Vec<Element>>) -> &mut Self {
        self.elements(table, set, true, elements.into())
    }

    /// Deletes elements by their keys; refused if one does not exist.
    pub fn delete_elements(&mut self, table: &Table, set: &Set, elements: impl Into<Vec<Element>>) -> &mut Self {
        self.elements(table, set, false, elements.into())
    }

    /// Moves all changes of another transaction to the end of this one.
    pub fn append(&mut self, other: &mut Self) -> &mut Self {
        self.operations.append(&mut other.operations);
        self
    }

    fn elements(&mut self, table: &Table, set: &Set, adds: bool, elements: Vec<Element>) -> &mut Self {
        if elements.is_empty() {
            return self;
        }
        let is_pair = set.interval && set.key.len() == 1;
        self.push(table, Change::Elements { set: set.name.clone(), is_pair, adds, elements })
    }

    fn push(&mut self, table: &Table, change: Change) -> &mut Self {
        self.operations.push(Operation { table: table.clone(), change });
        self
    }
}

/// Which part of which operation a message of the batch stands for.
#[derive(Clone, Copy)]
struct Origin {
    operation: usize,
    first_element: usize,
}

impl Nftables {
    /// Makes all changes of a transaction, or none.
    ///
    /// Errors: [`CommitError::Refused`] names what the kernel did not accept.
    pub fn commit(&self, transaction: &Transaction) -> Result<Committed, CommitError> {
        if transaction.is_empty() {
            return Ok(Committed::default());
        }
        let mut socket = self.socket.lock();
        // "Begin" and "end", and one message per operation or per part of a long list of elements.
        let upper_bound: usize = transaction.operations.iter().map(Operation::max_messages).sum::<usize>() + 2;
        let upper_bound = u32::try_from(upper_bound)
            .map_err(|_| netlink::Error::Malformed("a transaction has at most four billion messages"))?;
        let first = socket.reserve_sequences(upper_bound);
        let (batch, origins) = encode(transaction, first)?;
        let last = first + u32::try_from(origins.len()).expect("bounded above");
        let echo_bytes = if transaction.wants_handles { batch.len() } else { 0 };
        let answer = socket.batch(&batch, first, last, echo_bytes)?;
        drop(socket);
        if !answer.refusals.is_empty() {
            return Err(refused(transaction, &origins, first, answer.refusals));
        }
        let mut handles = Vec::new();
        for echo in answer.echoes {
            if echo.kind == SUBSYSTEM << 8 | MSG_NEWRULE {
                let handle = attributes(&echo.payload)?.be64(RULE_HANDLE);
                handles.push((echo.sequence, handle.ok_or(netlink::Error::Malformed("rule without handle"))?));
            }
        }
        handles.sort_unstable();
        Ok(Committed { rule_handles: handles.into_iter().map(|(_, handle)| handle).collect() })
    }
}

/// The batch, and what each message between "begin" (which has the sequence number `first`) and "end" stands for.
fn encode(transaction: &Transaction, first: u32) -> Result<(Vec<u8>, Vec<Origin>), netlink::Error> {
    let subsystem = SUBSYSTEM.to_be_bytes();
    let mut w = Writer::default();
    let mut origins: Vec<Origin> = Vec::with_capacity(transaction.operations.len());
    w.begin(BATCH_BEGIN, 0, first);
    w.raw(&[0, 0, subsystem[0], subsystem[1]]);
    if let Some(generation) = transaction.expected_generation {
        w.be32(BATCH_GENID, generation);
    }
    for (index, operation) in transaction.operations.iter().enumerate() {
        let is_last = index + 1 == transaction.operations.len();
        let mut first_element = 0;
        loop {
            origins.push(Origin { operation: index, first_element });
            let sequence = first + u32::try_from(origins.len()).expect("bounded by the caller");
            let next = operation.element_chunk_end(first_element);
            // Only the last message asks for an acknowledgement: it comes when all is done, and refusals come without
            // being asked for.
            let is_end = is_last && next >= operation.element_count();
            let extra = if is_end { flags::ACK } else { 0 };
            operation.write(&mut w, sequence, extra, transaction.wants_handles, first_element..next);
            first_element = next;
            if first_element >= operation.element_count() {
                break;
            }
        }
    }
    w.begin(BATCH_END, 0, 0);
    w.raw(&[0, 0, subsystem[0], subsystem[1]]);
    Ok((w.finish()?, origins))
}

impl Operation {
    fn element_count(&self) -> usize {
        match &self.change {
            Change::Elements { elements, .. } => elements.len(),
            _ => 0,
        }
    }

    fn max_messages(&self) -> usize {
        match &self.change {
            // Every chunk but the last is filled until the next element might not fit.
            Change::Elements { elements, .. } => elements.len(),
            _ => 1,
        }
    }

    /// Where the message that starts with this element ends.
    fn element_chunk_end(&self, start: usize) -> usize {
        let Change::Elements { elements, .. } = &self.change else { return 0 };
        let mut bytes = 0;
        let count = elements[start..]
            .iter()
            .take_while(|e| {
                bytes += e.max_bytes();
                bytes <= ELEMENTS_MAX_BYTES
            })
            .count();
        start + count.max(1)
    }

    fn write(&self, w: &mut Writer, sequence: u32, extra: u16, echo: bool, range: std::ops::Range<usize>) {
        let table = &self.table;
        let (kind, message_flags) = self.kind(echo);
        w.begin(SUBSYSTEM << 8 | kind, message_flags | extra, sequence);
        w.raw(&[table.family.number(), 0, 0, 0]);
        // The table's name is attribute 1 of every message.
        w.string(TABLE_NAME, &table.name);
        match &self.change {
            Change::AddTable => write_comment(w, TABLE_USERDATA, table.comment.as_deref()),
            Change::DeleteTable => {}
            Change::AddChain(chain) => write_chain(w, chain),
            Change::FlushChain(chain) => {
                w.string(RULE_CHAIN, chain);
            }
            Change::DeleteChain(chain) => {
                w.string(CHAIN_NAME, chain);
            }
            Change::AddRule(rule, place) => write_rule(w, rule, *place),
            Change::DeleteRule { chain, handle } => {
                w.string(RULE_CHAIN, chain).be64(RULE_HANDLE, *handle);
            }
            // The number only has to differ from that of other new sets of the batch.
            Change::AddSet(set) => set.write(w, sequence),
            Change::DeleteSet(set) => {
                w.string(SET_NAME, set);
            }
            Change::FlushSet(set) => {
                w.string(ELEM_LIST_SET, set);
            }
            Change::Elements { set, is_pair, elements, .. } => {
                w.string(ELEM_LIST_SET, set).nest(ELEM_LIST_ELEMENTS, |w| {
                    for element in &elements[range] {
                        element.write(w, *is_pair);
                    }
                });
            }
        }
    }

    fn kind(&self, echo: bool) -> (u16, u16) {
        let echo = if echo { flags::ECHO } else { 0 };
        match &self.change {
            Change::AddTable => (MSG_NEWTABLE, flags::CREATE),
            Change::DeleteTable => (MSG_DELTABLE, 0),
            Change::AddChain(_) => (MSG_NEWCHAIN, flags::CREATE),
            Change::FlushChain(_) | Change::DeleteRule { .. } => (MSG_DELRULE, 0),
            Change::DeleteChain(_) => (MSG_DELCHAIN, 0),
            Change::AddRule(_, RulePlace::End | RulePlace::After(_)) => {
                (MSG_NEWRULE, flags::CREATE | flags::APPEND | echo)
            }
            Change::AddRule(_, RulePlace::Start | RulePlace::Before(_)) => (MSG_NEWRULE, flags::CREATE | echo),
            Change::AddRule(_, RulePlace::Replace(_)) => (MSG_NEWRULE, flags::REPLACE | echo),
            Change::AddSet(_) => (MSG_NEWSET, flags::CREATE),
            Change::DeleteSet(_) => (MSG_DELSET, 0),
            Change::FlushSet(_) | Change::Elements { adds: false, .. } => (MSG_DELSETELEM, 0),
            Change::Elements { adds: true, .. } => (MSG_NEWSETELEM, flags::CREATE),
        }
    }

    /// The element of a message that covers the byte at `offset`, which is where its attribute starts.
    fn element_at(&self, origin: Origin, offset: Option<u32>) -> Option<&Element> {
        let Change::Elements { elements, is_pair, .. } = &self.change else { return None };
        let chunk = &elements[origin.first_element..self.element_chunk_end(origin.first_element)];
        if let [single] = chunk {
            return Some(single);
        }
        let offset = usize::try_from(offset?).ok()?;
        let mut w = Writer::default();
        self.write(&mut w, 0, 0, false, 0..0);
        let mut covering = None;
        for element in chunk {
            if w.message_len() > offset {
                break;
            }
            covering = Some(element);
            element.write(&mut w, *is_pair);
        }
        covering.filter(|_| w.message_len() > offset)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.table;
        match &self.change {
            Change::AddTable => write!(f, "add table {table}"),
            Change::DeleteTable => write!(f, "delete table {table}"),
            Change::AddChain(chain) => write!(f, "add chain {table} {}", chain.name),
            Change::FlushChain(chain) => write!(f, "flush chain {table} {chain}"),
            Change::DeleteChain(chain) => write!(f, "delete chain {table} {chain}"),
            Change::AddRule(rule, _) => match &rule.comment {
                Some(comment) => write!(f, "add rule {comment:?} to chain {table} {}", rule.chain),
                None => write!(f, "add rule to chain {table} {}", rule.chain),
            },
            Change::DeleteRule { chain, handle } => write!(f, "delete rule {handle} of chain {table} {chain}"),
            Change::AddSet(set) => write!(f, "add set {table} {}", set.name),
            Change::FlushSet(set) => write!(f, "flush set {table} {set}"),
            Change::DeleteSet(set) => write!(f, "delete set {table} {set}"),
            Change::Elements { set, adds, elements, .. } => {
                let (verb, preposition) = if *adds { ("add", "to") } else { ("delete", "from") };
                write!(f, "{verb} {} elements {preposition} set {table} {set}", elements.len())
            }
        }
    }
}

fn write_chain(w: &mut Writer, chain: &Chain) {
    w.string(CHAIN_NAME, &chain.name);
    if let Some(base) = &chain.base {
        w.nest(CHAIN_HOOK, |w| {
            w.be32(HOOK_HOOKNUM, base.hook.number()).be32(HOOK_PRIORITY, base.priority.cast_unsigned());
            if let Some(device) = &base.device {
                w.string(HOOK_DEV, device);
            }
        });
        w.be32(CHAIN_POLICY, if base.policy == Policy::Accept { 1 } else { 0 });
        w.string(CHAIN_TYPE, base.chain_type.word());
    }
    write_comment(w, CHAIN_USERDATA, chain.comment.as_deref());
}

fn write_rule(w: &mut Writer, rule: &Rule, place: RulePlace) {
    w.string(RULE_CHAIN, &rule.chain);
    match place {
        RulePlace::End | RulePlace::Start => {}
        RulePlace::Before(handle) | RulePlace::After(handle) => {
            w.be64(RULE_POSITION, handle);
        }
        RulePlace::Replace(handle) => {
            w.be64(RULE_HANDLE, handle);
        }
    }
    w.nest(RULE_EXPRESSIONS, |w| {
        for expr in &rule.exprs {
            expr.write(w);
        }
    });
    write_comment(w, RULE_USERDATA, rule.comment.as_deref());
}

fn refused(transaction: &Transaction, origins: &[Origin], first: u32, refusals: Vec<Refusal>) -> CommitError {
    if let (Some(expected), true) =
        (transaction.expected_generation, refusals.iter().any(|r| r.sequence == first && r.errno == libc::ERESTART))
    {
        return CommitError::GenerationChanged { expected };
    }
    let failures = refusals
        .into_iter()
        .map(|refusal| {
            // Number `first` is "begin": the batch as a whole.
            let index = (refusal.sequence - first) as usize;
            let origin = index.checked_sub(1).and_then(|i| origins.get(i)).copied();
            let object = origin.map_or_else(|| "transaction".to_owned(), |o| describe(transaction, o, &refusal));
            Failure {
                operation: origin.map(|o| o.operation),
                object,
                message: refusal.message,
                source: io::Error::from_raw_os_error(refusal.errno),
            }
        })
        .collect();
    CommitError::Refused { failures }
}

fn describe(transaction: &Transaction, origin: Origin, refusal: &Refusal) -> String {
    let operation = &transaction.operations[origin.operation];
    match (&operation.change, operation.element_at(origin, refusal.attribute_offset)) {
        (Change::Elements { set, adds, .. }, Some(element)) => {
            let (verb, preposition) = if *adds { ("add", "to") } else { ("delete", "from") };
            format!("{verb} element {element} {preposition} set {} {set}", operation.table)
        }
        _ => operation.to_string(),
    }
}

const _: () = {
    // Every message names its table by the same attribute.
    assert!(TABLE_NAME == CHAIN_TABLE && CHAIN_TABLE == RULE_TABLE && RULE_TABLE == SET_TABLE);
    assert!(SET_TABLE == ELEM_LIST_TABLE);
};
