//! From a message to a message: the zone first, then the cache, then a resolver.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::{
    forward::{Answer, ForwardError, Forwarder},
    message::{MAX_MESSAGE_BYTES, Name, Query, Rejection, Response, code, upstream::Question},
    metrics::Transport,
    zone::{Outcome, Zone},
};

/// Answers queries, whatever they came over.
#[derive(Debug)]
pub struct Responder {
    zone: Arc<RwLock<Zone>>,
    forwarder: Arc<Forwarder>,
}

/// What to do with a message.
#[derive(Debug)]
pub enum Reply {
    /// Say nothing.
    Nothing,
    /// Send this.
    Now(Vec<u8>),
    /// Ask upstream, with `Responder::finish`, then send.
    Later(Box<Waiting>),
}

/// A query that waits for a resolver.
#[derive(Debug)]
pub struct Waiting {
    query: Vec<u8>,
    question: Question,
    limit: usize,
    /// The answer as far as the cluster knew it: an alias that leads out.
    begun: Option<Response>,
}

impl Responder {
    /// A responder.
    #[must_use]
    pub fn new(zone: Arc<RwLock<Zone>>, forwarder: Arc<Forwarder>) -> Self {
        Self { zone, forwarder }
    }

    /// Answers at once what can be, into `buffer`.
    #[must_use]
    pub fn respond(&self, message: &[u8], transport: Transport, buffer: Vec<u8>) -> Reply {
        let query = match Query::read(message) {
            Ok(query) => query,
            Err(Rejection::Ignore) => return Reply::Nothing,
            Err(Rejection::Reply(error)) => return Reply::Now(error),
        };
        let limit = match transport {
            Transport::Udp => query.udp_limit(),
            Transport::Tcp => MAX_MESSAGE_BYTES,
        };
        let mut response = Response::begin(buffer, &query, limit);
        let outcome = self.zone.read().answer(&query, &mut response);
        match outcome {
            Outcome::Answered(response_code) => {
                Reply::Now(response.finish(response_code, is_authoritative(response_code)))
            }
            Outcome::Forward => {
                let question = Question::of(&query);
                match self.forwarder.cached(&question) {
                    Some(known) => Reply::Now(forwarded(known, response, &query, limit)),
                    None => Reply::Later(Box::new(Waiting { query: message.to_vec(), question, limit, begun: None })),
                }
            }
            Outcome::Chase(target) => {
                let question = chased(&query, target);
                match self.forwarder.cached(&question) {
                    Some(known) => Reply::Now(joined(known, response)),
                    None => Reply::Later(Box::new(Waiting {
                        query: message.to_vec(),
                        question,
                        limit,
                        begun: Some(response),
                    })),
                }
            }
        }
    }

    /// Answers what had to wait. Ends within the forwarder's deadline.
    pub async fn finish(&self, waiting: Box<Waiting>) -> Vec<u8> {
        let reply = self.forwarder.resolve(&waiting.question).await;
        match waiting.begun {
            Some(response) => joined(reply, response),
            None => {
                let query = Query::read(&waiting.query).expect("it was read before");
                forwarded(reply, Response::begin(Vec::new(), &query, waiting.limit), &query, waiting.limit)
            }
        }
    }
}

impl Waiting {
    /// The answer when too many wait.
    #[must_use]
    pub fn refuse(&self) -> Vec<u8> {
        let query = Query::read(&self.query).expect("it was read before");
        Response::begin(Vec::new(), &query, self.limit).finish(code::REFUSED, false)
    }
}

/// Data and its absence come from the cluster itself; a refusal says nothing about names.
fn is_authoritative(response_code: u16) -> bool {
    matches!(response_code, code::NO_ERROR | code::NAME_ERROR)
}

/// The question behind an alias. Signatures are not asked for: they do not cover the alias that leads there.
fn chased(query: &Query<'_>, target: Name) -> Question {
    Question { name: target, dnssec_ok: false, ..Question::of(query) }
}

fn forwarded(reply: Result<Answer, ForwardError>, begun: Response, query: &Query<'_>, limit: usize) -> Vec<u8> {
    match reply {
        Ok(Answer { reply, age }) => reply.answer(begun.into_buffer(), query, limit, age),
        Err(_) => begun.finish(code::SERVER_FAILURE, false),
    }
}

/// The alias, then what it leads to. A name that does not exist out there leaves the alias alone, without an error: as by `CoreDNS`.
fn joined(reply: Result<Answer, ForwardError>, mut begun: Response) -> Vec<u8> {
    match reply {
        Ok(Answer { reply, age }) if reply.is_conclusive() => {
            reply.append_to(&mut begun, age);
            begun.finish(code::NO_ERROR, true)
        }
        _ => begun.finish(code::SERVER_FAILURE, false),
    }
}
